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
from typing import TYPE_CHECKING, Final

from dolium.stores.composites.cache_index import CacheBroken
from dolium.stores.composites.key_locks import KeyLocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Flights"]

_FLOCK: Final = "hhqqi4x"  # struct flock: type, whence, start, length, process


class Flights:
    """`with flights.alone(key):`"""

    def __init__(self, folder: Path) -> None:
        self._path = f"{folder}/flights"
        self._pid, self._file, self._keys = os.getpid(), -1, KeyLocks()
        self._open()

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        if self._pid != os.getpid():  # after a fork both would hold the parent's locks
            self._open()
        place = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=7).digest(), "big")
        with self._keys.hold(key):
            fcntl.fcntl(
                self._file, fcntl.F_OFD_SETLKW, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
            )
            try:
                yield
            finally:
                fcntl.fcntl(
                    self._file,
                    fcntl.F_OFD_SETLK,
                    struct.pack(_FLOCK, fcntl.F_UNLCK, os.SEEK_SET, place, 1, 0),
                )

    def close(self) -> None:
        file, self._file, self._pid = self._file, -1, 0
        if file >= 0:
            os.close(file)

    def _open(self) -> None:
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise CacheBroken("cache", "the cache cannot be used") from error
        self._pid, self._keys = os.getpid(), KeyLocks()
