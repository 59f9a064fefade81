"""Readers over readers: what the bytes pass through on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dolium.stores.contract import Reader

__all__ = ["BoundedReader", "HashingReader", "IterableReader", "ReplayReader"]


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


class IterableReader:
    """A reader over pieces of any size, as a generator makes them; an error of the iterable passes through."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        given, self._rest = self._rest[:size], self._rest[size:]
        return given


class BoundedReader:
    """The first `limit` bytes of another reader, which is never read beyond them."""

    def __init__(self, reader: Reader, limit: int) -> None:
        self._reader = reader
        self._left = limit

    def read(self, size: int, /) -> bytes:
        if self._left == 0:
            return b""
        given = self._reader.read(min(size, self._left))
        self._left -= len(given)
        return given


class HashingReader:
    """Passes another reader's bytes on, and counts and hashes them as they go by."""

    def __init__(self, reader: Reader, hasher: _Hash) -> None:
        self._reader = reader
        self._hasher = hasher
        self.count = 0

    def read(self, size: int, /) -> bytes:
        given = self._reader.read(size)
        self._hasher.update(given)
        self.count += len(given)
        return given


class ReplayReader:
    """Another reader that can be read from its beginning again, as long as no more than `limit` bytes were."""

    def __init__(self, reader: Reader, limit: int) -> None:
        self._reader = reader
        self._limit = limit
        self._kept = bytearray()
        self._at = 0  # in what is kept
        self._gone = False  # whether more was read than is kept
        self.error: BaseException | None = None  # what the other reader raised

    def read(self, size: int, /) -> bytes:
        if self._at < len(self._kept):
            given = bytes(self._kept[self._at : self._at + size])
            self._at += len(given)
            return given
        try:
            given = self._reader.read(size)
        except BaseException as error:
            self.error = error
            raise
        if not self._gone and len(self._kept) + len(given) <= self._limit:
            self._kept += given
            self._at += len(given)
        elif not self._gone:
            self._gone = True
            self._kept, self._at = bytearray(), 0
        return given

    def rewind(self) -> bool:
        """Begin again; False if that cannot be."""
        self._at = 0
        return not self._gone and self.error is None
