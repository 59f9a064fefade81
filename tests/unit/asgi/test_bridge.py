"""Calls into threads: bounded in number and in time, and what is given up is cleaned up and does no harm later."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from dolium import errands
from dolium.asgi.bridge import Bridge, Strand
from dolium.catalog.database import Pending
from dolium.errors import OutcomeUnknown, Overloaded, StoreBusy, StoreUnavailable


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hangs waits for it; open at the end, so that no thread is left."""
    gate = threading.Event()
    yield gate
    gate.set()


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not come")


def test_what_work_gives_and_raises_comes_back() -> None:
    async def work() -> None:
        bridge = Bridge()
        assert await bridge.run(1, lambda a, b: a + b, 2, 3) == 5
        with pytest.raises(KeyError):
            await bridge.run(1, {}.__getitem__, "absent")
        bridge.close()

    run(work)


def test_a_call_that_hangs_is_given_up_and_others_go_on(gate: threading.Event) -> None:
    async def work() -> None:
        bridge = Bridge(threads=2, deadline=0.2)
        began = time.monotonic()
        hung = asyncio.create_task(bridge.run(1, gate.wait))
        assert await bridge.run(1, lambda: "the same store") == "the same store"
        assert await bridge.run(2, lambda: "another") == "another"
        assert time.monotonic() - began < 0.15
        with pytest.raises(StoreBusy, match="in time"):
            await hung
        assert 0.15 < time.monotonic() - began < 2
        gate.set()
        bridge.close()

    run(work)


def test_where_all_threads_are_lost_callers_are_refused_at_once_until_they_come_back(
    gate: threading.Event,
) -> None:
    async def work() -> None:
        bridge = Bridge(threads=2, deadline=0.2)
        calls = [bridge.run(1, gate.wait) for _ in range(5)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, StoreBusy) for outcome in outcomes)
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(StoreBusy, match="does not answer"):
                await bridge.run(1, gate.wait)
        assert time.monotonic() - began < 0.15
        assert len([t for t in threading.enumerate() if t.name.startswith("store-1_")]) == 2
        assert await bridge.run(2, lambda: 7) == 7
        gate.set()
        await until(lambda: not bridge._lanes[1].lost)
        assert await bridge.run(1, lambda: 7) == 7
        assert bridge._lanes[1].busy == 0
        bridge.close()

    run(work)


def test_what_waits_behind_a_store_that_hangs_never_begins(gate: threading.Event) -> None:
    async def work() -> None:
        bridge = Bridge(threads=1, deadline=0.2)
        began: list[int] = []
        calls = [bridge.run(1, gate.wait), bridge.run(1, began.append, 1)]
        await asyncio.gather(*calls, return_exceptions=True)
        gate.set()
        await until(lambda: not bridge._lanes[1].busy)
        assert began == []
        bridge.close()

    run(work)


def test_more_than_the_queue_holds_is_refused_at_once(gate: threading.Event) -> None:
    async def work() -> None:
        bridge = Bridge(threads=1, queue=3)
        calls = [asyncio.create_task(bridge.run(1, gate.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await bridge.run(1, gate.wait)
        gate.set()
        assert await asyncio.gather(*calls) == [True] * 3
        bridge.close()

    run(work)


def test_who_makes_progress_is_waited_for() -> None:
    async def work() -> None:
        bridge = Bridge(deadline=0.15)

        def slow() -> str:
            for _ in range(8):
                time.sleep(0.05)
                errands.current().step()
            return "done"

        assert await bridge.run(1, slow) == "done"
        bridge.close()

    run(work)


@pytest.mark.parametrize("how", ["deadline", "cancelled"])
def test_what_comes_late_is_handed_to_who_cleans_up(gate: threading.Event, how: str) -> None:
    async def work() -> None:
        bridge = Bridge(deadline=0.1 if how == "deadline" else 60)
        late: list[object] = []

        def work() -> str:
            gate.wait()
            with pytest.raises(StoreUnavailable):
                errands.current().require_awaited()
            return "opened"

        call = asyncio.create_task(bridge.run(1, work, late=late.append))
        await asyncio.sleep(0.02)
        if how == "cancelled":
            call.cancel()
        with pytest.raises((StoreBusy, asyncio.CancelledError)):
            await call
        assert late == []
        gate.set()
        await until(lambda: late == ["opened"])
        bridge.close()

    run(work)


def test_a_strand_is_cleaned_up_once_after_its_last_call_has_ended(gate: threading.Event) -> None:
    async def work() -> None:
        for hangs in (False, True):
            done: list[str] = []
            bridge = Bridge(threads=1, deadline=0.1)
            strand = Strand(bridge, lambda: 1, lambda: done.append("cleaned"))  # noqa: B023 - used in this round

            def call() -> None:
                if hangs:  # noqa: B023
                    gate.wait()
                done.append("called")  # noqa: B023

            if hangs:
                with pytest.raises(StoreBusy):
                    await strand.run(call)
                await strand.close()
                assert done == []
                gate.set()
            else:
                await strand.run(call)
                await strand.close()
            await until(lambda: done == ["called", "cleaned"])  # noqa: B023
            await asyncio.sleep(0.05)
            assert done == ["called", "cleaned"]
            bridge.close()

    run(work)


def test_a_strand_whose_call_never_began_is_cleaned_up_too(gate: threading.Event) -> None:
    async def work() -> None:
        bridge = Bridge(threads=1, deadline=0.1)
        done: list[str] = []
        strand = Strand(bridge, lambda: 1, lambda: done.append("cleaned"))
        calls = [bridge.run(1, gate.wait), strand.run(done.append, "called")]
        await asyncio.gather(*calls, return_exceptions=True)
        await strand.close()
        gate.set()
        await until(lambda: done == ["cleaned"])
        bridge.close()

    run(work)


def test_a_commit_that_does_not_come_is_of_unknown_outcome() -> None:
    async def work() -> None:
        bridge = Bridge(commit=0.1)
        never: Pending[int] = Pending()
        with pytest.raises(OutcomeUnknown, match="may still happen"):
            await bridge.settle(never)
        never.resolve(7)
        late: Pending[int] = Pending()
        asyncio.get_running_loop().call_later(0.05, late.resolve, 7)
        assert await bridge.settle(late) == 7
        bridge.close()

    run(work)


def test_those_who_wait_for_commits_are_not_remembered_for_long() -> None:
    async def work() -> None:
        bridge = Bridge()
        for _ in range(100):
            pending: Pending[int] = Pending()
            asyncio.get_running_loop().call_soon(pending.resolve, 7)
            await bridge.settle(pending)
        assert len(bridge._waiting) <= 1
        bridge.close()

    run(work)


def test_to_close_does_not_wait_for_what_is_lost(gate: threading.Event) -> None:
    async def work() -> None:
        bridge = Bridge(deadline=0.05)
        with pytest.raises(StoreBusy):
            await bridge.run(1, gate.wait)
        began = time.monotonic()
        bridge.close()
        assert time.monotonic() - began < 1

    run(work)
