"""System calls of the disk leaf that fail: at the nth, once or for good.

with failing_calls("fsync", "rename", code=errno.EIO, nth=2) as calls:
    store.put(...)
assert calls.failed == ["rename"]
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any
from unittest import mock

from dolium.stores.leaves import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Calls", "failing_calls"]


@dataclass(slots=True)
class Calls:
    """What was called meanwhile, in order, and what of it failed."""

    made: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@contextmanager
def failing_calls(*names: str, code: int = 0, nth: int = 0, for_good: bool = False) -> Iterator[Calls]:
    """The nth call of any of `names` raises OSError(code), and those after it if `for_good`; 0: none, only count.

    The names are those of `dolium.stores.leaves.syscalls`. All threads of the process are hit.
    """
    calls = Calls()
    lock = Lock()

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with lock:
                calls.made.append(name)
                count = len(calls.made)
                fails = nth > 0 and (count == nth or (for_good and count > nth))
                if fails:
                    calls.failed.append(name)
            if not fails:
                return real(*arguments, **options)
            if name == "close":
                real(*arguments, **options)  # Linux gives the descriptor back all the same
            raise OSError(code, os.strerror(code))

        return call

    with ExitStack() as stack:
        for name in names:
            replacement = watched(name, getattr(syscalls, name))
            stack.enter_context(mock.patch.object(syscalls, name, replacement))
        yield calls
