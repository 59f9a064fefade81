"""Work that a thread does for somebody who may stop waiting for it.

    errand = errands.current()       # what this thread is at
    errand.step()                    # it goes on: the time that it may take begins anew
    errand.require_awaited()         # before what cannot be taken back

When a disk hangs, whoever asked is told so after a while. The thread comes back with the disk, perhaps an hour later,
and must not publish then what was refused, and may have been sent again or deleted since.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from dolium.errors import StoreUnavailable

__all__ = ["Errand", "current"]

T = TypeVar("T")

_here = threading.local()


class Errand:
    """One call. `due`: the moment, as time.monotonic has it, at which nobody waits any longer."""

    __slots__ = ("_finished", "_lock", "_patience", "abandoned", "due")

    def __init__(self, patience: float) -> None:
        """`patience`: seconds from one step to the next."""
        self._patience = patience
        self.due = time.monotonic() + patience
        self._lock = threading.Lock()  # guards the two below, so that one of them is first
        self._finished = False
        self.abandoned = False

    def step(self) -> None:
        """It makes progress."""
        self.due = time.monotonic() + self._patience

    def require_awaited(self) -> None:
        """Raises StoreUnavailable if nobody waits any longer."""
        if self.abandoned:
            raise StoreUnavailable("", "the request was given up while its store did not answer")

    def abandon(self) -> bool:
        """Wait no longer; False if it has just been finished, and its result is on its way."""
        with self._lock:
            self.abandoned = not self._finished
        return self.abandoned

    def run(self, work: Callable[[], T], late: Callable[[T | None], object] | None) -> T:
        """Do the work in this thread. `late` gets what came of it, None for an error, if it was abandoned."""
        value: T | None = None
        _here.errand = self
        try:
            value = work()
        finally:
            _here.errand = _NOBODYS
            with self._lock:
                self._finished = not self.abandoned
            if self.abandoned and late is not None:
                late(value)
        return value


_NOBODYS: Final = Errand(float("inf"))


def current() -> Errand:
    """What this thread is at; one that is never abandoned in threads that take their time."""
    found: Errand = getattr(_here, "errand", _NOBODYS)
    return found
