"""The HTTP server of one process: an app, its connections, one clock for all their deadlines, and its drain."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache

from dolium.asgi.messages import Scope
from dolium.asgi.shares import Shares
from dolium.server.http.accept import Balance
from dolium.server.http.connection import Connection
from dolium.server.http.files import FileThreads
from dolium.server.http.options import HttpOptions, Network
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
        self.opening = 0  # connections that are accepted and not yet open, as in a TLS handshake
        self.peers = Shares(1 << 30, self.options.max_per_peer)
        self._unsent: dict[Connection, int] = {}  # bytes that wait for a peer; whoever waits longest is first
        self._unsent_sum = 0
        self._rude = Shares(1 << 30, _politeness(self.options.max_per_peer))
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

    def enter(self, connection: Connection, address: str | None) -> bool:
        """Count a new connection; False if there are too many, or from its peer."""
        self.connections.add(connection)
        most = self.options.max_connections
        if len(self.connections) > most + _politeness(most):
            connection.abort()  # it takes time to be polite, and a flood has no end
        connection.peer = peer = self.peer(address)
        if peer is not None and not self.peers.take(peer):
            connection.peer = None
            if not self._rude.take(peer):
                connection.abort()
            else:
                connection.rude = peer
            return False
        return len(self.connections) <= most

    def peer(self, address: str | None) -> str | None:
        """Who is counted for a connection from there; None if nobody."""
        return None if address is None else _peer(address, self.options.uncounted)

    def may_open(self, peer: str | None) -> bool:
        """Whether a connection that asks for a handshake first may have it. If so, `peers` has counted it."""
        most = self.options.max_connections
        if self.opening + len(self.connections) > most + _politeness(most):
            return False
        return peer is None or self.peers.take(peer)

    @property
    def body_room(self) -> int:
        """Bytes of one body that may wait for the app."""
        options = self.options
        if self.running * options.body_buffer <= options.all_buffers:
            return options.body_buffer
        return max(options.least_buffer, options.all_buffers // self.running)

    def unsent(self, connection: Connection, size: int) -> None:
        """So many bytes of an answer wait for the peer of this connection; 0: no longer."""
        self._unsent_sum += size - self._unsent.pop(connection, 0)
        if size:
            self._unsent[connection] = size
            while self._unsent_sum > self.options.max_unsent and self._unsent:
                slowest = next(iter(self._unsent))
                self.unsent(slowest, 0)
                slowest.abort()

    def leave(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self.unsent(connection, 0)
        if connection.peer is not None:
            self.peers.give(connection.peer)
        if connection.rude is not None:
            self._rude.give(connection.rude)
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


def _politeness(most: int) -> int:
    """How many above a limit are told so; the others are cut off."""
    return max(16, most >> 4)


@lru_cache(maxsize=4096)
def _peer(address: str, uncounted: tuple[Network, ...]) -> str | None:
    """An IPv6 peer has at least a /64 to choose addresses from."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if found.version == 6 and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if any(found in network for network in uncounted):
        return None
    return str(found) if found.version == 4 else str(ipaddress.ip_network((int(found), 64), strict=False))
