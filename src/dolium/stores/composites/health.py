"""How a member is: the state that an operator gave it, its breaker, how full it is, when it last answered.

One for each member of a composite; it stays when the members are changed while running. Thread-safe.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

from dolium.errors import StoreError
from dolium.stores.composites.breaker import Breaker
from dolium.stores.composites.placement import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from dolium.values import Space

__all__ = ["Health", "HealthOptions", "SpaceCache"]

_STALE: Final = 10
"""A figure that could not be renewed for so many times its age is not used any more."""


@dataclass(frozen=True, slots=True)
class HealthOptions:
    """`failures` of the kind "down" in a row open the breaker, for `open_seconds`; `space_seconds`: how old a figure
    of the free space may be before it is asked for anew.
    """

    failures: int = 3
    open_seconds: float = 10.0
    space_seconds: float = 10.0


class SpaceCache:
    """How full a store is, by a figure of bounded age. `later` runs the question off the caller's path, for a store
    that may be slow to answer; the caller then goes on with the last figure.
    """

    def __init__(
        self,
        ask: Callable[[], Space | None],
        *,
        seconds: float,
        clock: Callable[[], float],
        later: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._ask = ask
        self._seconds = seconds
        self._clock = clock
        self._later = later
        self._lock = Lock()  # guards the three below
        self._known: Space | None = None
        self._at = float("-inf")  # when that was known
        self._asked = float("-inf")

    def space(self) -> Space | None:
        """None if it is not known, or not since long. Never raises and never waits for a slow store."""
        now = self._clock()
        with self._lock:
            due = now - self._asked >= self._seconds
            if due:
                self._asked = now
        if due and self._later is not None:
            self._later(self.refresh)
        elif due:
            self.refresh()
        with self._lock:
            return self._known if self._clock() - self._at < self._seconds * _STALE else None

    def refresh(self) -> None:
        """Ask now."""
        try:
            found = self._ask()
        except StoreError:
            return
        with self._lock:
            self._known, self._at = found, self._clock()


class Health:
    """What is known of one member. `state` may be changed at any time."""

    def __init__(
        self,
        state: State = State.ONLINE,
        options: HealthOptions = HealthOptions(),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = state
        self.options = options
        self.clock = clock
        self.breaker = Breaker(failures=options.failures, seconds=options.open_seconds, clock=clock)
        self.space: SpaceCache | None = None  # of a member that reports its space

    def used(self) -> tuple[float | None, int | None]:
        """(percent, bytes), each None if it is not known."""
        space = self.space.space() if self.space is not None else None
        if space is None:
            return None, None
        used = space.total - space.free
        return (100.0 * used / space.total if space.total else 100.0), used
