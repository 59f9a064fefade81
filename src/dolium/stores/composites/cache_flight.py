"""One fetches, the others wait: a lock for each key, among all threads and processes that share a cache.

Between processes it is a lock on one byte of a file, at a place that the key's hash names (fcntl(2), open file
description locks); the kernel ends it with the process that holds it, so nobody waits for the dead.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from dolium.stores.composites.cache_database import CacheBroken
from dolium.stores.composites.key_locks import KeyLocks

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Flights"]

_FLOCK: Final = "hhqqi4x"  # struct flock: type, whence, start, length, process


class Flights:
    """`with flights.alone(key):`"""

    def __init__(self, folder: Path) -> None:
        self._path = f"{folder}/flights"
        self._guard = Lock()  # guards the next two
        self._file, self._place = -1, (0, 0)
        self._left: list[int] = []  # of a folder that was removed: others may still wait for what they lock
        self._pid, self._keys = os.getpid(), KeyLocks()
        self._open()

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        if self._pid != os.getpid():  # after a fork both would hold the parent's locks
            self._open()
        place = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=7).digest(), "big")
        with self._keys.hold(key):
            file = self._here()
            fcntl.fcntl(
                file, fcntl.F_OFD_SETLKW, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
            )
            try:
                yield
            finally:
                fcntl.fcntl(
                    file, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_UNLCK, os.SEEK_SET, place, 1, 0)
                )

    def close(self) -> None:
        files = [*self._left, self._file]
        self._left, self._file, self._pid = [], -1, 0
        for file in files:
            if file >= 0:
                os.close(file)

    def _here(self) -> int:
        """The file of the folder as it is now: the one that was opened may have been removed with all the rest."""
        with self._guard:
            if _place_of(self._path) != self._place:
                self._left.append(self._file)
                self._open_file()
            return self._file

    def _open(self) -> None:
        self._guard, self._left = Lock(), []
        self._open_file()
        self._pid, self._keys = os.getpid(), KeyLocks()

    def _open_file(self) -> None:
        try:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise CacheBroken("cache", "the cache cannot be used") from error
        status = os.fstat(self._file)
        self._place = status.st_dev, status.st_ino


def _place_of(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - paths are text here
    except OSError:
        return None
    return status.st_dev, status.st_ino
