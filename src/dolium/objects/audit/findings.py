"""What an audit can find, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["LEFTOVERS", "Finding", "Kind", "Numbers", "Progress"]


class Kind(StrEnum):
    """What is the matter. The last three are no problem: a sweep takes them away, or they are kept on purpose."""

    WRONG_USAGE = "wrong-usage"
    STRAY_ROW = "stray-row"
    LOST_BYTES = "lost-bytes"
    WRONG_SIZE = "wrong-size"
    WRONG_BYTES = "wrong-bytes"
    WRONG_DESCRIPTION = "wrong-description"
    UNREADABLE = "unreadable"
    WRONG_COUNT = "wrong-count"
    IN_GARBAGE = "in-garbage"
    UNKNOWN_STORE = "unknown-store"
    ORPHAN = "orphan"
    KEPT_ORPHAN = "kept-orphan"
    TEMPORARY = "temporary"


LEFTOVERS: Final = frozenset({Kind.ORPHAN, Kind.KEPT_ORPHAN, Kind.TEMPORARY})


@dataclass(frozen=True, slots=True)
class Finding:
    """`text` goes on where "bucket/key" or the blob is said."""

    kind: Kind
    text: str
    bucket_id: int | None = None
    key: str | None = None
    store_id: int | None = None
    blob: str | None = None

    @property
    def is_problem(self) -> bool:
        return self.kind not in LEFTOVERS


@dataclass(slots=True)
class Progress:
    """Counted while it goes on. `reread`: bytes that were read again. `step` is called with it now and then."""

    objects: int = 0
    bytes: int = 0
    blobs: int = 0
    reread: int = 0
    garbage: int = 0
    due: int = 0
    step: Callable[[Progress], None] = lambda _: None

    def advance(self) -> None:
        self.step(self)


class Numbers:
    """A set of numbers that lie close together, a bit each."""

    _SPAN: Final = 1 << 16

    def __init__(self) -> None:
        self._spans: dict[int, bytearray] = {}

    def add(self, number: int) -> None:
        at, bit = divmod(number, self._SPAN)
        span = self._spans.get(at)
        if span is None:
            span = self._spans[at] = bytearray(self._SPAN // 8)
        span[bit >> 3] |= 1 << (bit & 7)

    def __contains__(self, number: int) -> bool:
        at, bit = divmod(number, self._SPAN)
        span = self._spans.get(at)
        return span is not None and bool(span[bit >> 3] & 1 << (bit & 7))
