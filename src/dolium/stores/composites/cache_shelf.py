"""The files of a cache: taken out under a lease, made in the place of others, never above the limit.

A *lease* is a shared lock (flock) on the open file, a file being made is locked for its maker alone: the kernel keeps
these, for all processes, and ends them with the process. Who wants to remove a file must get the exclusive lock, so a
file that is read, or made, stays. A file that was removed by hand is noticed when it is wanted, or its turn to go
comes; one that somebody has written to, too: it is no copy any more, and never served.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from dolium.stores.composites.cache_database import CacheBroken
from dolium.stores.composites.cache_index import FILLING, OLD, READY, CacheIndex, Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from dolium.values import BlobInfo

__all__ = ["Filling", "Lease", "Shelf"]

_STEP: Final = 1 << 20
"""Room is taken so many bytes at a time when the size is not known; in a small cache fewer."""
_SYNCED: Final = 1 << 20
"""Files from this size on are synced to the disk. A smaller one would cost more than it is worth, and is forgotten
after a power cut, for it may be there with its size and without its bytes.
"""
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class Lease:
    """An open file of the cache that stays as long as this does."""

    def __init__(self, descriptor: int, size: int, written_ns: int) -> None:
        self.size = size
        self._descriptor = descriptor
        self._written_ns = written_ns

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, start: int, size: int) -> bytes:
        """Raises CacheBroken if somebody has written to the file meanwhile."""
        data = os.pread(self._descriptor, size, start)
        if os.fstat(self._descriptor).st_mtime_ns != self._written_ns:
            raise CacheBroken("cache", "the copy in the cache was written to while it was read")
        return data

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Shelf:
    """One folder, `limit` bytes or None; `clock` must be one that all processes share."""

    def __init__(self, folder: Path, limit: int | None, *, clock: Callable[[], float] = time.time) -> None:
        self.limit = limit
        self.clock = clock
        self._files = f"{folder}/files"
        try:
            Path(self._files).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheBroken("cache", "the folder of the cache cannot be made") from error
        self.index = CacheIndex(str(folder), self._begin)
        self._recover()

    def path(self, entry: Entry) -> str:
        return f"{self._files}/{entry.id & 0xFF:02x}/{entry.id}"

    def lease(self, entry: Entry) -> Lease | None:
        """The file of an entry, if it is still there, and as it was made. Inside `index.lock`."""
        try:
            descriptor = os.open(self.path(entry), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            self.index.remove(entry)
            return None
        lease = Lease(descriptor, entry.size, entry.written_ns)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        status = os.fstat(descriptor)
        if not _is_as_made(status, entry):
            lease.close()
            self.index.resize(entry, status.st_size, entry.written_ns)
            self.index.set_state(entry, OLD)  # its path may have been given out: then it stays for its time
            self._remove_all(self.index.removable(self.clock(), only_old=True, limit=8))
            return None
        self.index.touch(entry, self.clock())
        return lease

    def edited(self, key: str) -> tuple[Entry, os.stat_result] | None:
        """The file that was given out for a key and written to since, the last of several. Inside `index.lock`."""
        found = []
        for entry in self.index.given(key):
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(self.path(entry))
                if not _is_as_made(status, entry):
                    found.append((entry, status))
        return max(found, key=lambda one: one[1].st_mtime_ns, default=None)

    def settle(self, key: str) -> None:
        """What was written to files of a key so far is of no account: its blob was put or deleted after that. Inside
        `index.lock`.
        """
        for entry in self.index.given(key):
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(self.path(entry))
                if not _is_as_made(status, entry):
                    self.index.set_state(entry, OLD)
                    self.index.resize(entry, status.st_size, status.st_mtime_ns)

    def fill(self, key: str, block: int, size: int | None) -> Filling | None:
        """A file to be written; None if there is no room for it, and none can be made.

        `size`: how large it will be; None if that is not known: then it takes room as it grows.
        """
        while True:
            with self.index.lock():
                epoch = self.index.epoch(key)
                if not self.make_room(size or 0):
                    return None
                entry = self.index.add(key, block, size or 0, self.clock())
            # The row is written down before there is a file, so that no file is ever without one.
            with self.index.lock():
                if (
                    self.index.resize(entry, entry.size) is not None
                ):  # else it was taken for that of a dead process
                    return Filling(self, entry, self._create(entry), epoch)

    def _create(self, entry: Entry) -> int:
        try:
            try:
                descriptor = os.open(self.path(entry), _CREATE, 0o666)
            except FileNotFoundError:
                Path(self.path(entry)).parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self.path(entry), _CREATE, 0o666)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise CacheBroken("cache", "the cache cannot be written") from error
        return descriptor

    def make_room(self, size: int) -> bool:
        """Remove what was used least, until there is room for so many bytes more. Inside `index.lock`."""
        self._remove_all(self.index.removable(self.clock(), only_old=True, limit=8))
        if self.limit is None:
            return True
        if size > self.limit:
            return False
        self.index.write_touched()
        in_use: set[int] = set()
        searched = False
        while self.index.total() + size > self.limit:
            found = self.index.removable(self.clock(), only_old=False, limit=8, beyond=in_use)
            if not found and searched:
                return False
            if not found:
                self._remove_all(self.index.of_state(FILLING))  # those whose maker is dead
                searched = True
            for entry in found:
                if self.index.total() + size <= self.limit:
                    break
                if not self.remove(entry):
                    in_use.add(entry.id)
        return True

    def close(self) -> None:
        self.index.close()

    def _remove_all(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.remove(entry)

    def remove(self, entry: Entry) -> bool:
        """Remove the file and then its row; False if the file is in use. Inside `index.lock`."""
        try:
            descriptor = os.open(self.path(entry), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            self.index.remove(entry)
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(entry))  # noqa: PTH108 - paths are text here
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        self.index.remove(entry)
        return True

    def _recover(self) -> None:
        """Remove what dead processes were about to make or remove."""
        try:
            with self.index.lock():
                self._remove_leftovers()
        except CacheBroken:  # it cannot even be read
            self.index.renew()
            with self.index.lock():
                self._remove_leftovers()

    def _begin(self) -> None:
        """After a power cut, and with an index that is new, look through all of it. Inside `index.lock`."""
        boot = _boot()
        if self.index.fact("boot") == boot:
            return
        if not self.index.is_sound():
            raise CacheBroken("cache", "the index of the cache is damaged")
        self._compare()
        self.index.set_fact("boot", boot)

    def _remove_leftovers(self) -> None:
        self._remove_all(self.index.of_state(FILLING))
        self._remove_all(self.index.removable(self.clock(), only_old=True, limit=-1))

    def _compare(self) -> None:
        """Let the rows and the files tell the same, and what is not sure be gone. Inside `index.lock`; the only walk."""
        entries = {entry.id: entry for entry in self.index.of_state(FILLING, READY, OLD)}
        seen: set[int] = set()
        for file in Path(self._files).glob("*/*"):
            entry = entries.get(int(file.name)) if file.name.isdecimal() else None
            if entry is None:
                file.unlink()
            else:
                seen.add(entry.id)
                if file.lstat().st_size != entry.size or entry.size < _SYNCED:
                    self.remove(entry)
        self._remove_all([entry for entry in entries.values() if entry.id not in seen])
        self._remove_leftovers()


class Filling:
    """A file being made. `epoch`: of its key when it was begun; under another one it will not be published."""

    def __init__(self, shelf: Shelf, entry: Entry, descriptor: int, epoch: int) -> None:
        self.epoch = epoch
        self.written = 0
        self._shelf = shelf
        self._entry = entry
        self._descriptor = descriptor

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)  # without its lock the file is found by the next who needs room

    def write(self, data: bytes | bytearray | memoryview) -> bool:
        """False if there is no room, or the disk fails; then it is aborted."""
        if self._descriptor < 0:
            return False
        try:
            if self.written + len(data) > self._entry.size and not self._grow(len(data)):
                self.abort()
                return False
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]
        except (OSError, CacheBroken):
            self.abort()
            return False
        self.written += len(data)
        return True

    def finish(self, info: BlobInfo, *, of_put: bool = False) -> Lease | None:
        """Publish it as what the far store has now, unless its key has another epoch; and read from it anyway.

        `of_put`: it is what was just put there. None if it was aborted, or the cache fails.
        """
        if self._descriptor < 0:
            return None
        shelf, index, entry = self._shelf, self._shelf.index, self._entry
        try:
            if self.written >= _SYNCED:
                os.fdatasync(self._descriptor)
            # The time of the blob: whoever writes to the file, be it in this moment, gives it another.
            os.utime(self._descriptor, ns=(info.modified_ns, info.modified_ns))
            written_ns = os.fstat(self._descriptor).st_mtime_ns
            with index.lock():
                current = index.epoch(entry.key) == self.epoch
                if of_put:
                    index.change(entry.key)
                    shelf.settle(entry.key)
                if index.resize(entry, self.written, written_ns) is None:  # somebody has begun the cache anew
                    os.unlink(shelf.path(entry))  # noqa: PTH108 - paths are text here
                    current = False
                if current:
                    index.note(entry.key, info, shelf.clock())
                index.set_state(entry, READY if current else OLD)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        except (OSError, CacheBroken):
            self.abort()
            return None
        lease, self._descriptor = Lease(self._descriptor, self.written, written_ns), -1
        return lease

    def abort(self) -> None:
        """Never raises."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
            with contextlib.suppress(CacheBroken), self._shelf.index.lock():
                self._shelf.remove(self._entry)

    def _grow(self, size: int) -> bool:
        limit = self._shelf.limit
        step = _STEP if limit is None else min(_STEP, limit // 64)
        more = max(step, self.written + size - self._entry.size)
        with self._shelf.index.lock():
            grown = (
                self._shelf.index.resize(self._entry, self._entry.size + more)
                if self._shelf.make_room(more)
                else None
            )
        if grown is not None:
            self._entry = grown
        return grown is not None


def _is_as_made(status: os.stat_result, entry: Entry) -> bool:
    return (status.st_size, status.st_mtime_ns) == (entry.size, entry.written_ns) and status.st_nlink > 0


def _boot() -> str:
    """Changes when the machine starts anew; empty if that cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
