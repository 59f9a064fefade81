"""Where async meets blocking: the only place.

Work that takes microseconds runs inline, on the event loop, because a thread hop costs more than the work.
All other work runs in threads, a bounded number per store, so that one hung file system cannot stop the
others; when a store's queue is full, callers are told to slow down at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from dolium.errors import Overloaded

__all__ = ["Bridge"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Settling(Protocol[T_co]):
    """An outcome that comes from another thread (`catalog.database.Pending`)."""

    @property
    def settled(self) -> bool: ...

    def when_settled(self, callback: Callable[[object], None], /) -> None: ...

    def result(self, timeout: float | None, /) -> T_co: ...


class Bridge:
    """One per event loop."""

    def __init__(self, *, threads: int = 8, queue: int = 1024) -> None:
        """`threads` at work and `queue` calls in all per store; store 0 is for work with no store."""
        self._threads = threads
        self._queue = queue
        self._pools: dict[int, ThreadPoolExecutor] = {}
        self._busy: dict[int, int] = {}
        # Filled by committing threads, emptied on the loop: the outcomes of one batch wake it once.
        # `_lock` guards `_settled` and whether a wake-up is on its way.
        self._lock = threading.Lock()
        self._settled: list[asyncio.Future[None]] = []

    async def run(self, store_id: int, work: Callable[..., T], *args: object) -> T:
        """Run `work(*args)` in a thread of the store. Raises what it raises; Overloaded if too much
        waits for that store already.
        """
        pool = self._pools.get(store_id)
        if pool is None:
            pool = self._pools[store_id] = ThreadPoolExecutor(
                self._threads, thread_name_prefix=f"store-{store_id}"
            )
        busy = self._busy.get(store_id, 0)
        if busy >= self._queue:
            raise Overloaded
        self._busy[store_id] = busy + 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work, *args)
        finally:
            self._busy[store_id] -= 1

    async def settle(self, pending: Settling[T]) -> T:
        """Wait for a commit without holding a thread."""
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
            await waiter
        return pending.result(0)

    def _wake_all(self) -> None:
        with self._lock:
            settled, self._settled = self._settled, []
        for waiter in settled:
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """Wait for work that has begun."""
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
