"""A circuit breaker: who has failed several times in a row is not asked for a while, then once.

    closed ──failures──▶ open ──seconds──▶ half-open ──one trial──▶ closed, or open again

Only failures that say "down" count (`StoreUnavailable`). An answer, also an unwelcome one, shows that it is up; one that
has only begun, a body of which more is to come, ends a trial, and lets no failure be forgotten.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Breaker"]


class Breaker:
    """`failures` in a row open it; after `seconds`, one trial is let through."""

    def __init__(
        self, *, failures: int = 3, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._failures = failures
        self._seconds = seconds
        self._clock = clock
        self._lock = Lock()  # guards the three below
        self._count = 0
        self._opened: float | None = None
        self._trial = False  # whether one is under way

    @property
    def is_open(self) -> bool:
        """Whether it is not to be counted on: open, or half-open with no trial that has succeeded yet."""
        return self._opened is not None

    @property
    def due(self) -> bool:
        """Whether it is time for a trial."""
        opened = self._opened
        return opened is not None and not self._trial and self._clock() - opened >= self._seconds

    def enter(self) -> bool:
        """Whether to ask; who was let in says how it went, by one of the four below."""
        if not self.is_open:  # the way of every call; a stale look lets one more in
            return True
        with self._lock:
            if self._opened is None:
                return True
            if self._trial or self._clock() - self._opened < self._seconds:
                return False
            self._trial = True
            return True

    def answered(self) -> None:
        if self._count or self._opened is not None:
            with self._lock:
                self._count, self._opened, self._trial = 0, None, False

    def began(self) -> None:
        """An answer is coming."""
        if self._opened is not None:
            with self._lock:
                self._opened, self._trial = None, False

    def failed(self) -> None:
        with self._lock:
            self._count += 1
            if self._opened is not None or self._count >= self._failures:
                self._opened, self._trial = self._clock(), False

    def unknown(self) -> None:
        """It was not asked after all, or something else ended the call."""
        if self._trial:
            with self._lock:
                self._trial = False
