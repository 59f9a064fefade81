"""Reading a file of this machine between two places, as a blob."""

from __future__ import annotations

import os
from typing import Final

from dolium.errors import BlobCorrupt, StoreUnavailable
from dolium.stores.contract import BlobReader

__all__ = ["FileReader"]

_PIECE: Final = 64 << 20


class FileReader(BlobReader):
    """Holds the descriptor, so it is the file that was there when it was opened, also if that was replaced since."""

    def __init__(self, descriptor: int, store_id: str, size: int, start: int, stop: int) -> None:
        self._descriptor = descriptor
        self._store_id = store_id
        self._at = start
        self.size, self.start, self.stop = size, start, stop

    def __del__(self) -> None:
        self.close()

    def read(self, size: int = -1, /) -> bytes:
        wanted = self.stop - self._at if size < 0 else min(size, self.stop - self._at)
        pieces = []
        while wanted > 0:
            try:
                piece = os.pread(self._descriptor, min(wanted, _PIECE), self._at)
            except OSError as error:
                raise StoreUnavailable(
                    self._store_id, f"{self._store_id} is down: {error.strerror}"
                ) from error
            if not piece:
                raise BlobCorrupt("the file was cut while it was read")
            self._at += len(piece)
            wanted -= len(piece)
            if size >= 0:
                return piece
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
