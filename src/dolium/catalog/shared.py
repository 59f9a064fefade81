"""Numbers that all processes on one data folder share through a mapped file: sequence, generation, and the
highest sequence that was committed.

The file is a fast path, never the truth: after a reboot its sequence starts again well above the one in
the catalog, and a generation that is lost only makes processes look again. It is also a witness: a batch is noted
here after it is on the disk, so a catalog that knows less than what is noted is an older one, brought back.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
import threading
import time
from pathlib import Path

__all__ = ["SharedNumbers", "handed_out"]

_SIZE = 4096
_BOOT, _SEQUENCE, _GENERATION, _COMMITTED = 0, 2, 3, 4  # in words of eight bytes; the boot id takes two
_GAP = 1 << 20  # more than can be reserved and not yet committed when the power goes


def _boot_id() -> bytes:
    return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip().replace("-", ""))


def _sync(descriptor: int, folder: Path) -> None:
    os.fsync(descriptor)
    entry = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


def handed_out(path: Path) -> int:
    """The highest sequence that was handed out in this folder, or 0 if nobody knows. Changes nothing."""
    try:
        head = path.read_bytes()[:_SIZE]
    except FileNotFoundError:
        return 0
    words = memoryview(head).cast("Q") if len(head) == _SIZE else None
    return max(words[_SEQUENCE], words[_COMMITTED]) if words is not None else 0


class SharedNumbers:
    """Numbers that only grow. Safe for use from many threads and processes."""

    def __init__(self, path: Path, *, committed_sequence: int) -> None:
        """`committed_sequence`: the highest that the catalog has seen. Made in the turn of whoever may commit."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Guards the words below among threads; the file lock guards them among processes.
        self._lock = threading.Lock()
        with self._lock:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                if os.fstat(self._fd).st_size < _SIZE:
                    # Not a hole: a word that is written into one on a full disk ends the process.
                    os.posix_fallocate(self._fd, 0, _SIZE)
                    _sync(self._fd, path.parent)
                self._map = mmap.mmap(self._fd, _SIZE)
                self._words = memoryview(self._map).cast("Q")
                boot = memoryview(_boot_id()).cast("Q")
                self._before = self._words[_SEQUENCE]
                if not self._words[_SEQUENCE] and committed_sequence:
                    # A catalog without its file came from elsewhere: nobody knows how old it is.
                    # It begins above what it may have handed out since: one in each microsecond from 1970 on.
                    self._words[_COMMITTED] = max(committed_sequence + _GAP, time.time_ns() // 1000)
                if list(self._words[_BOOT : _BOOT + 2]) != list(boot):
                    self._words[_SEQUENCE] = max(self._words[_SEQUENCE], committed_sequence) + _GAP
                    self._words[_BOOT], self._words[_BOOT + 1] = boot[0], boot[1]
                    self._map.flush()
                self._words[_SEQUENCE] = max(
                    self._words[_SEQUENCE], self._words[_COMMITTED], committed_sequence
                )
                # It is our turn, so whoever was in the midst of a change has died.
                self.end_change()
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    @staticmethod
    def noted(path: Path) -> int:
        """What `highest_committed` would be, without making the file; 0 where there is none. Raises OSError."""
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return 0
        return int.from_bytes(text[8 * _COMMITTED : 8 * _COMMITTED + 8], sys.byteorder)

    def handed_out(self) -> int:
        """The highest sequence that was handed out before this catalog came, or 0 if the file came with it."""
        return self._before

    def highest_committed(self) -> int:
        """The highest sequence that any process has noted as committed."""
        return self._words[_COMMITTED]

    def committed(self, sequence: int) -> None:
        """Note that a batch is on the disk; called in the turn in which it was committed."""
        self._words[_COMMITTED] = max(self._words[_COMMITTED], sequence)

    def next_sequence(self) -> int:
        with self._lock:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                number = self._words[_SEQUENCE] + 1
                self._words[_SEQUENCE] = number
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        return number

    def generation(self) -> int:
        """Changes with every change. While one is being committed, and after a process died in that, it is another
        each time: what is read then must not be remembered.
        """
        generation = self._words[_GENERATION]
        return -time.monotonic_ns() if generation & 1 else generation

    def begin_change(self) -> None:
        """Before the commit of what others remember; called, as `end_change`, in the turn of whoever commits."""
        self._words[_GENERATION] |= 1

    @property
    def changing(self) -> bool:
        """Asked in a turn: whether it is one's own change, or of one who died in it."""
        return bool(self._words[_GENERATION] & 1)

    def end_change(self) -> None:
        """It is committed, or it is not and never will be."""
        self._words[_GENERATION] = (self._words[_GENERATION] | 1) + 1

    def close(self) -> None:
        with self._lock:
            self._words.release()
            self._map.close()
            os.close(self._fd)
