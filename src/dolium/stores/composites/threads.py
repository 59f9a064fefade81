"""Threads of one store, so that it hangs alone: bounded in number, each call with a deadline.

A call that is not done in time is given up: the caller goes on, the thread stays with the store until that lets it
go. When all threads are held so, callers are told at once. The threads are daemons: a store that hangs for ever does
not keep the process from ending.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dolium.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StoreThreads"]

T = TypeVar("T")

_IDLE_SECONDS: Final = 30.0
_WAITING: Final = 8
"""So many calls a thread may wait for one; more are refused at once."""

_Job = tuple["Future[Any]", "Callable[..., Any]", tuple[Any, ...]]


class StoreThreads:
    """`call` waits for the answer; `later` does not."""

    def __init__(self, store_id: str, *, threads: int, deadline_seconds: float) -> None:
        self.deadline_seconds = deadline_seconds
        self._store_id = store_id
        self._threads = threads
        self._wake = threading.Condition()  # guards the four below
        self._jobs: deque[_Job] = deque()
        self._alive = 0
        self._idle = 0
        self._lost = 0  # threads that sit in a call that was given up

    def call(self, work: Callable[..., T], *args: object, left: Callable[[float], float] | None = None) -> T:
        """Raises what `work` raises; StoreUnavailable if it is not done by the deadline.

        `left`: asked at the deadline, with the seconds of one, how many more the call may have; none ends it.
        """
        future = self._submit(work, args)
        end = time.monotonic() + self.deadline_seconds
        while True:
            try:
                return future.result(max(0.0, end - time.monotonic()))
            except TimeoutError:
                if future.done():
                    return future.result()  # raised by the work itself, or done in that moment
                if left is not None and (more := left(self.deadline_seconds)) > 0:
                    end = time.monotonic() + more
                    continue
                self._give_up(future)
                raise StoreUnavailable(self._store_id, "the store does not answer in time") from None
            except BaseException:
                self._give_up(future)
                raise

    def later(self, work: Callable[..., object], *args: object) -> bool:
        """Run it some time, and forget what comes of it; False if too much waits already."""
        try:
            self._submit(work, args)
        except StoreUnavailable:
            return False
        return True

    def close(self) -> None:
        """Let idle threads end. What runs is left alone."""
        with self._wake:
            self._threads = 0
            self._wake.notify_all()

    def _submit(self, work: Callable[..., T], args: tuple[object, ...]) -> Future[T]:
        future: Future[T] = Future()
        with self._wake:
            if self._threads == 0:
                raise StoreUnavailable(self._store_id, "the store is closed")
            if self._lost >= self._threads or len(self._jobs) >= self._threads * _WAITING:
                raise StoreUnavailable(self._store_id, "too many calls wait for the store")
            self._jobs.append((future, work, args))
            if self._idle >= len(self._jobs) or self._alive >= self._threads:
                self._wake.notify()
            else:
                self._alive += 1
                threading.Thread(target=self._run, name=f"store-{self._store_id}", daemon=True).start()
        return future

    def _give_up(self, future: Future[Any]) -> None:
        if future.cancel() or future.done():
            _dispose(future)
            return
        with self._wake:
            self._lost += 1
        future.add_done_callback(self._found)

    def _found(self, future: Future[Any]) -> None:
        with self._wake:
            self._lost -= 1
        _dispose(future)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            future, work, args = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work(*args)
            except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is
                future.set_exception(error)
            else:
                future.set_result(result)
            del job, future, work, args  # an idle thread holds nothing

    def _next(self) -> _Job | None:
        with self._wake:
            self._idle += 1
            try:
                while not self._jobs:
                    ends = self._threads == 0 or not self._wake.wait(_IDLE_SECONDS)
                    if ends and not self._jobs:
                        self._alive -= 1
                        return None
                return self._jobs.popleft()
            finally:
                self._idle -= 1


def _dispose(future: Future[Any]) -> None:
    """Close what comes too late for anybody to use."""
    if future.cancelled() or future.exception() is not None:
        return
    for name in ("abort", "close"):
        end = getattr(future.result(), name, None)
        if end is not None:
            end()
            return
