"""Run the first step of a coroutine without a task, and the rest in one.

Most requests of a store end in their first step: everything they need is in memory or a page cache away. A task
for each would cost more than the catalog's answer. Python 3.12 has eager tasks for this; 3.11 does not.

Only for apps that say `eager = True`: in the first step there is no `asyncio.current_task()`, so timeouts and task
groups do not work there. Such an app hands others on through `in_task`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any

from dolium.asgi.messages import Receive, Scope, Send

__all__ = ["App", "in_task", "rest_of"]

App = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


@coroutine
def _resume(started: Coroutine[Any, Any, None], pending: Any) -> Generator[Any, Any, None]:
    steps: Any = started.__await__()
    while True:
        try:
            yield pending
        except BaseException as error:  # noqa: BLE001 - a cancelled task throws; the coroutine decides
            try:
                pending = steps.throw(error)
            except StopIteration:
                return
        else:
            break
    yield from steps


async def rest_of(started: Coroutine[Any, Any, None], pending: Any) -> None:
    """Await what a coroutine yielded (`pending`) and then all that it still does."""
    await _resume(started, pending)


def in_task(app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> App:
    """The same app, always in a task of its own: for apps that are not eager behind one that is."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def whole() -> None:
            await app(scope, receive, send)

        await asyncio.get_running_loop().create_task(whole())

    return run
