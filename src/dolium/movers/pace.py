"""No more than so many bytes a second, on average: work, then rest in proportion."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Pace", "Stopped"]

_LEAST_REST = 0.02  # seconds: shorter ones are added up


class Stopped(Exception):
    """Whoever wanted the work wants it no more."""


class Pace:
    """`rate`: bytes a second; 0: as fast as it goes. `rest(seconds)` sleeps, and says whether to stop."""

    def __init__(self, rate: int, rest: Callable[[float], bool]) -> None:
        self._rate = rate
        self._rest = rest
        self._free = time.monotonic()  # from when on more may be read

    def spend(self, size: int) -> None:
        """`size` bytes are about to be read. Raises Stopped."""
        now = time.monotonic()
        self._free = max(self._free, now - _LEAST_REST)
        if self._rate:
            self._free += size / self._rate
        wait = self._free - now
        if self._rest(wait if wait > _LEAST_REST else 0.0):
            raise Stopped
