"""Reading an open file between two places, block by block where it has checksums."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from dolium.errors import BlobCorrupt
from dolium.stores.contract import BlobReader
from dolium.stores.leaves import syscalls

if TYPE_CHECKING:
    from dolium.stores.contract import BlockSums
    from dolium.stores.leaves.disk_volume import Volume

__all__ = ["DiskReader"]

_MOST: Final = 1 << 20
"""Checked at a time, however much is asked for."""


class DiskReader(BlobReader):
    """Holds the descriptor: the file stays what it was, whoever has its name by now."""

    def __init__(
        self, volume: Volume, descriptor: int, size: int, start: int, stop: int, sums: BlockSums | None
    ) -> None:
        self._descriptor = descriptor
        self._volume = volume
        self._sums = sums
        self._checked = memoryview(b"")  # read and found right, not given yet; it begins at `_at`
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
            with contextlib.suppress(OSError):  # who only read has nothing to lose by it
                syscalls.close(descriptor)

    def _read(self, wanted: int) -> bytes:
        if wanted == 0:
            return b""
        if self._sums is None:
            given = self._read_at(wanted, self._at)
        else:
            if not self._checked:
                self._checked = self._read_checked(wanted, self._sums)
            given = bytes(self._checked[:wanted])
            self._checked = self._checked[len(given) :]
        self._at += len(given)
        return given

    def _read_checked(self, wanted: int, sums: BlockSums) -> memoryview:
        """Some of what comes next, from the whole blocks that it touches."""
        block = sums.block
        begin = self._at - self._at % block
        most = max(_MOST, block)
        end = min(self.size, begin + most, -(-(self._at + wanted) // block) * block)
        pieces = []
        at = begin
        while at < end:
            pieces.append(self._read_at(end - at, at))
            at += len(pieces[-1])
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        sums.check(begin, data)
        return memoryview(data)[self._at - begin : self.stop - begin]

    def _read_at(self, wanted: int, at: int) -> bytes:
        try:
            given = syscalls.pread(self._descriptor, wanted, at)
        except OSError as error:
            raise self._volume.unreadable(error) from error
        if not given:
            raise BlobCorrupt("the blob is shorter than it was")
        return given

    def _read_rest(self, given: bytes, wanted: int) -> bytes:
        pieces = [given]
        left = wanted - len(given)
        while left:
            piece = self._read(left)
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)
