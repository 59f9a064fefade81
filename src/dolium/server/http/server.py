"""The HTTP server of one process: an app, its connections, one clock for all their deadlines, and its drain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate

from dolium.asgi.messages import Scope
from dolium.server.http.accept import Balance
from dolium.server.http.connection import Connection
from dolium.server.http.files import FileThreads
from dolium.server.http.options import HttpOptions
from dolium.server.http.stepping import App

__all__ = ["Finished", "HttpServer"]

Finished = Callable[[Scope, int, int, int, float], None]
"""(scope, status, bytes of the body sent, bytes received, seconds); status 0 if there was no answer."""


class HttpServer:
    """Make one inside the running loop; `connection` is the protocol factory for whoever accepts.

    `running` requests are in the app; `refused` counts what never reached it.
    """

    def __init__(
        self,
        app: App,
        options: HttpOptions | None = None,
        *,
        on_finished: Finished | None = None,
        balance: Balance | None = None,
    ) -> None:
        self.app = app
        self.eager: bool = getattr(app, "eager", False)
        self.options = options or HttpOptions()
        self.on_finished = on_finished
        self.loop = asyncio.get_running_loop()
        self.files = FileThreads()
        self.tasks: set[asyncio.Task[None]] = set()
        self.connections: set[Connection] = set()
        self.opening = 0  # connections in their TLS handshake
        self.running = 0
        self.refused = 0
        self.draining = False
        self.now = self.loop.time()
        self.date_line = b""
        self._balance = balance
        self._timer: asyncio.TimerHandle | None = None
        self._tick()

    def connection(self) -> Connection:
        return Connection(self)

    def enter(self, connection: Connection) -> bool:
        """Count a new connection; False if there are too many."""
        self.connections.add(connection)
        most = self.options.max_connections
        if len(self.connections) > most + max(16, most >> 4):
            connection.abort()  # it takes time to be polite, and a flood has no end
        return len(self.connections) <= most

    def leave(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if self._balance is not None and not self.draining:
            self._balance.publish(self.opening + len(self.connections))

    def _tick(self) -> None:
        self.now = now = self.loop.time()
        self.date_line = b"date: %b" % formatdate(time.time(), usegmt=True).encode("ascii")
        for connection in tuple(self.connections):
            connection.tick(now)
        self._timer = self.loop.call_later(self.options.tick, self._tick)

    async def drain(self, seconds: float) -> bool:
        """Close what is idle, finish what is begun. False if something had to be cut off after `seconds`."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.close_idle()
        deadline = self.loop.time() + seconds
        while (self.connections or self.tasks) and self.loop.time() < deadline:  # noqa: ASYNC110 - once in a life
            await asyncio.sleep(0.02)
        return not self.connections and not self.tasks

    async def close(self) -> None:
        """End every connection and request now."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.abort()
        for task in tuple(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(tuple(self.tasks))
        for _ in range(50):  # transports tell their ends in later rounds of the loop
            await asyncio.sleep(0 if not self.connections else 0.01)
            if not self.connections:
                break
        if self._timer is not None:
            self._timer.cancel()
        self.files.close()
