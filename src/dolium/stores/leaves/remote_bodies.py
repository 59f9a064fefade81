"""Bodies on their way to a service: counted against what was announced, and remembered in what they fail with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dolium.errors import BodyTruncated
from dolium.stores.transfer import PIECE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dolium.stores.contract import Reader

__all__ = ["Source", "Watched"]


class Source:
    """A body that is counted against the size that was announced."""

    def __init__(self, body: Reader, expected: int | None) -> None:
        self._body = body
        self.expected = expected
        self.count = 0
        self._gathered = bytearray()

    def first(self, limit: int) -> bytes | None:
        """The whole body if it has at most `limit` bytes; else None, and `rest` gives all of it."""
        while piece := self._body.read(PIECE):
            self._gathered += piece
            if self.expected is not None and len(self._gathered) > self.expected:
                break
            if len(self._gathered) > limit:
                return None
        self.count = len(self._gathered)
        self._require_expected()
        return bytes(self._gathered)

    def rest(self) -> Iterator[bytes]:
        gathered, self._gathered = bytes(self._gathered), bytearray()
        self.count = len(gathered)
        yield gathered
        while piece := self._body.read(PIECE):
            self.count += len(piece)
            if self.expected is not None and self.count > self.expected:
                break
            yield piece
        self._require_expected()

    def _require_expected(self) -> None:
        if self.expected is not None and self.count != self.expected:
            raise BodyTruncated(f"{self.expected} bytes were announced, {self.count} came")


class Watched:
    """An iterator that remembers what it failed with."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            raise
        except BaseException as error:
            self.failure = error
            raise
