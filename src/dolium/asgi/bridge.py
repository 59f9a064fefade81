"""Where async meets blocking: the only place.

Work that takes microseconds runs inline, on the event loop, because a thread hop costs more than the work.
All other work runs in threads, a bounded number per store, so that one hung file system cannot stop the
others; when a store's queue is full, callers are told to slow down at once.

Nobody waits for ever. A call that does not end in time is *abandoned*: its caller gets StoreBusy, its thread is
lost until the store answers again, and when all threads of a store are lost, callers are refused at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol, TypeVar

from dolium.errands import Errand
from dolium.errors import OutcomeUnknown, Overloaded, StoreBusy

__all__ = ["Bridge", "Strand"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_COMMIT_SECONDS: Final = 60.0
"""How long a request waits for its commit. The commit may still happen."""


class Settling(Protocol[T_co]):
    """An outcome that comes from another thread (`catalog.database.Pending`)."""

    @property
    def settled(self) -> bool: ...

    def when_settled(self, callback: Callable[[object], None], /) -> None: ...

    def result(self, timeout: float | None, /) -> T_co: ...


class _Lane:
    """The threads of one store; touched on the loop alone."""

    __slots__ = ("busy", "lost", "pool")

    def __init__(self, store_id: int, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix=f"store-{store_id}")
        self.busy = 0  # calls that wait or are at work, abandoned ones too
        self.lost = 0  # abandoned ones that are at work


class Bridge:
    """One per event loop."""

    def __init__(
        self, *, threads: int = 8, queue: int = 1024, deadline: float = 120.0, commit: float = _COMMIT_SECONDS
    ) -> None:
        """`threads` at work and `queue` calls in all per store; store 0 is for work with no store. `deadline`: seconds
        that a call may take, or a step of it. `commit`: seconds that a commit may.
        """
        self._threads = threads
        self._queue = queue
        self._deadline = deadline
        self._commit = commit
        self._lanes: dict[int, _Lane] = {}
        # Filled by committing threads, emptied on the loop: the outcomes of one batch wake it once.
        # `_lock` guards `_settled` and whether a wake-up is on its way.
        self._lock = threading.Lock()
        self._settled: list[asyncio.Future[None]] = []
        # Those who wait for a commit, and until when, in order; on the loop alone.
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._watch: asyncio.TimerHandle | None = None

    async def run(
        self,
        store_id: int,
        work: Callable[..., T],
        *args: object,
        late: Callable[[T | None], object] | None = None,
    ) -> T:
        """Run `work(*args)` in a thread of the store. Raises what it raises; Overloaded if too much waits for that
        store already, StoreBusy if it does not answer in time.

        `late` is called in the thread, with what came of the work or None, if nobody waits for it any more.
        """
        self.admit(store_id)
        return await self.perform(store_id, self.errand(), partial(work, *args), late)

    def admit(self, store_id: int) -> None:
        """Raises Overloaded if too much waits for the store, StoreBusy if no thread of it is left."""
        lane = self._lane(store_id)
        if lane.busy >= self._queue:
            raise Overloaded
        if lane.lost >= self._threads:
            raise StoreBusy(str(store_id), "the store does not answer")

    def errand(self) -> Errand:
        """For `perform`."""
        return Errand(self._deadline)

    async def perform(
        self, store_id: int, errand: Errand, work: Callable[[], T], late: Callable[[T | None], object] | None
    ) -> T:
        """As `run` of what was admitted, with an errand that tells afterwards whether it was abandoned."""
        lane = self._lane(store_id)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        running = self._submit(lane, partial(errand.run, work, late), errand, waiter)
        timer = loop.call_at(_loop_time(loop, errand.due), self._expire, store_id, errand, waiter)
        try:
            await waiter
        except BaseException as error:
            if not errand.abandon():  # it has ended just now
                if isinstance(error, StoreBusy):
                    return await asyncio.wrap_future(running)
                if late is not None:
                    running.add_done_callback(lambda _: late(_result(running)))
            elif not running.cancel():
                lane.lost += 1
            elif late is not None:  # it never began, and what would be left to do is done all the same
                self._submit(lane, partial(late, None), None, None)
            raise
        finally:
            timer.cancel()
        return running.result()

    async def finish(self, store_id: int, work: Callable[[], object]) -> None:
        """Run what must be done whatever happens, and wait for it as long as for any call if it may come soon."""
        lane = self._lane(store_id)
        done = self._submit(lane, work, None, None)
        if lane.lost < self._threads:
            await asyncio.wait({asyncio.wrap_future(done)}, timeout=self._deadline)

    def _lane(self, store_id: int) -> _Lane:
        lane = self._lanes.get(store_id)
        if lane is None:
            lane = self._lanes[store_id] = _Lane(store_id, self._threads)
        return lane

    def _submit(
        self, lane: _Lane, work: Callable[[], T], errand: Errand | None, waiter: asyncio.Future[None] | None
    ) -> Future[T]:
        loop = asyncio.get_running_loop()
        lane.busy += 1
        running = lane.pool.submit(work)

        def ended() -> None:
            lane.busy -= 1
            if errand is not None and errand.abandoned and not running.cancelled():
                lane.lost -= 1
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

        def tell(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(ended)

        running.add_done_callback(tell)
        return running

    def _expire(self, store_id: int, errand: Errand, waiter: asyncio.Future[None]) -> None:
        if waiter.done():
            return
        if errand.due > time.monotonic():  # it has made a step
            loop = asyncio.get_running_loop()
            loop.call_at(_loop_time(loop, errand.due), self._expire, store_id, errand, waiter)
            return
        waiter.set_exception(StoreBusy(str(store_id), "the store did not answer in time"))

    async def settle(self, pending: Settling[T]) -> T:
        """Wait for a commit without holding a thread. Raises what the write raised, OutcomeUnknown after too long."""
        if not pending.settled:
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            here = threading.get_ident()

            def wake(_: object) -> None:
                if threading.get_ident() == here:
                    if not waiter.done():
                        waiter.set_result(None)
                    return
                with self._lock:
                    self._settled.append(waiter)
                    first = len(self._settled) == 1
                if first:
                    loop.call_soon_threadsafe(self._wake_all)

            pending.when_settled(wake)
            if not waiter.done():
                self._watch_over(loop, waiter)
                await waiter
        return pending.result(0)

    def _watch_over(self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None]) -> None:
        """One timer for all: most are done long before."""
        waiting = self._waiting
        while waiting and waiting[0][1].done():
            waiting.popleft()
        waiting.append((loop.time() + self._commit, waiter))
        if self._watch is None:
            self._watch = loop.call_at(waiting[0][0], self._give_up, loop)

    def _give_up(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watch = None
        waiting = self._waiting
        while waiting and (waiting[0][1].done() or waiting[0][0] <= loop.time()):
            _, waiter = waiting.popleft()
            if not waiter.done():
                waiter.set_exception(
                    OutcomeUnknown("the catalog did not answer in time; the write may still happen")
                )
        if waiting:
            self._watch = loop.call_at(waiting[0][0], self._give_up, loop)

    def _wake_all(self) -> None:
        with self._lock:
            settled, self._settled = self._settled, []
        for waiter in settled:
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """Wait for work that has begun, but for what is lost."""
        if self._watch is not None:
            self._watch.cancel()
        for lane in self._lanes.values():
            lane.pool.shutdown(wait=not lane.lost, cancel_futures=True)


class Strand:
    """Calls for one thing that is used by one thread at a time, such as an upload: one after the other.

    `cleanup` is run once, after the last of them has really ended. `begun`: whether there was one; `abandoned`: whether
    one was given up, whose thread cleans up.
    """

    def __init__(self, bridge: Bridge, store: Callable[[], int], cleanup: Callable[[], object]) -> None:
        """`store`: in whose threads the next call runs; an upload may go on in another store."""
        self._bridge = bridge
        self._store = store
        self._cleanup = cleanup
        self.abandoned = False
        self.begun = False

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """As `Bridge.run`."""
        store_id = self._store()
        self._bridge.admit(store_id)
        errand = self._bridge.errand()
        self.begun = True
        try:
            return await self._bridge.perform(store_id, errand, partial(work, *args), self._late)
        finally:
            self.abandoned = self.abandoned or errand.abandoned

    async def close(self) -> None:
        """Clean up; the thread that was given up does it itself."""
        if not self.abandoned:
            await self._bridge.finish(self._store(), self._cleanup)

    def _late(self, _: object) -> None:
        self._cleanup()


def _result(running: Future[T]) -> T | None:
    return None if running.exception() is not None else running.result()


def _loop_time(loop: asyncio.AbstractEventLoop, moment: float) -> float:
    """A moment of time.monotonic on the clock of the loop."""
    return loop.time() + moment - time.monotonic()
