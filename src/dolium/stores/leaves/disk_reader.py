"""Reading an open file between two places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dolium.errors import BlobCorrupt
from dolium.stores.contract import BlobReader
from dolium.stores.leaves import syscalls

if TYPE_CHECKING:
    from dolium.stores.leaves.disk_volume import Volume

__all__ = ["DiskReader"]


class DiskReader(BlobReader):
    """Holds the descriptor: the file stays what it was, whoever has its name by now."""

    def __init__(self, volume: Volume, descriptor: int, size: int, start: int, stop: int) -> None:
        self._descriptor = descriptor
        self._volume = volume
        self._at = start
        self.size = size
        self.start = start
        self.stop = stop

    def __del__(self) -> None:
        self.close()

    def read(self, size: int = -1, /) -> bytes:
        wanted = self.stop - self._at if size < 0 else min(size, self.stop - self._at)
        given = self._read(wanted)
        if size < 0 and len(given) < wanted:
            given = self._read_rest(given, wanted)
        return given

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            syscalls.close(descriptor)

    def _read(self, wanted: int) -> bytes:
        if wanted == 0:
            return b""
        try:
            given = syscalls.pread(self._descriptor, wanted, self._at)
        except OSError as error:
            raise self._volume.translated(error) from error
        if not given:
            raise BlobCorrupt("the blob is shorter than it was")
        self._at += len(given)
        return given

    def _read_rest(self, given: bytes, wanted: int) -> bytes:
        pieces = [given]
        left = wanted - len(given)
        while left:
            piece = self._read(left)
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)
