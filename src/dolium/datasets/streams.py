"""The bytes of a dataset in pieces, for who hands them on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

    from dolium.stores.contract import BlobReader

__all__ = ["DataStream"]

_PIECE: Final = 1 << 20


class DataStream(Iterator[bytes]):
    """An iterator that holds a connection until it is at its end, has failed, or is closed: also one of which nothing
    was ever taken, which a generator would not see. What the reader raises passes through.
    """

    def __init__(self, reader: BlobReader) -> None:
        self.size = reader.size
        self._reader: BlobReader | None = reader

    def __del__(self) -> None:
        self.close()

    def __next__(self) -> bytes:
        if self._reader is None:
            raise StopIteration
        try:
            piece = self._reader.read(_PIECE)
        except BaseException:
            self.close()
            raise
        if not piece:
            self.close()
            raise StopIteration
        return piece

    def close(self) -> None:
        """Before the end: a client has gone away, and nothing of it stays in the cache. Twice is fine."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
