"""The first step without a task, the rest in one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dolium.asgi.messages import Receive, Scope, Send
from dolium.server.http.stepping import in_task, rest_of


async def finish(work: Awaitable[Any]) -> Any:
    """As the server does: one step at once, the rest in a task."""
    coroutine: Any = work
    try:
        pending = coroutine.send(None)
    except StopIteration as end:
        return end.value
    return await asyncio.create_task(rest_of(coroutine, pending))


@pytest.mark.parametrize(
    "pause",
    [lambda: asyncio.sleep(0), lambda: asyncio.sleep(0.01), lambda: asyncio.to_thread(int, "1")],
    ids=["bare", "timer", "thread"],
)
def test_it_goes_on_after_any_pause(pause: Callable[[], Awaitable[object]]) -> None:
    seen: list[object] = []

    async def work() -> None:
        await pause()
        seen.append(asyncio.current_task())
        await pause()
        async with asyncio.timeout(5):
            await pause()
        seen.append("end")

    asyncio.run(finish(work()))
    assert seen[0] is not None
    assert seen[1] == "end"


def test_failures_come_through() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        asyncio.run(finish(work()))


@pytest.mark.parametrize("stubborn", [0, 1, 3])
def test_cancelling_reaches_the_coroutine(stubborn: int) -> None:
    """Also one that goes on waiting after it was cancelled in its first pause."""
    seen: list[str] = []

    async def work() -> None:
        for _ in range(stubborn):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.append("asked")
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("cleaned")

    async def main() -> None:
        coroutine = work()
        task = asyncio.create_task(rest_of(coroutine, coroutine.send(None)))
        for _ in range(stubborn + 1):
            await asyncio.sleep(0.01)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["asked"] * stubborn + ["cleaned"]


def test_a_coroutine_may_end_on_being_cancelled() -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    async def main() -> None:
        coroutine = work()
        task = asyncio.create_task(rest_of(coroutine, coroutine.send(None)))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    asyncio.run(main())


def test_in_task_gives_an_app_its_task() -> None:
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(asyncio.current_task())

    async def main() -> None:
        await finish(in_task(app)({}, None, None))  # type: ignore[arg-type]

    asyncio.run(main())
    assert seen[0] is not None
