"""New connections, spread evenly over the workers of one address.

All workers wait on the same listening socket, and whoever wakes takes one connection at a time. A worker that has
more connections than another leaves the next one alone for a moment, so that the other takes it; if that one is
busy, the first takes it after all. Kernel balancing (SO_REUSEPORT) throws a die for each connection instead: with
few connections half of the machine may idle (docs/decisions/0002-http-server.md).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import mmap
import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dolium.server.http.server import HttpServer

__all__ = ["Acceptor", "Balance"]

_log = logging.getLogger("dolium.server")

_LEAVE_SECONDS = 0.005
_GOODBYE_SECONDS = (
    1.0  # for the peer's close_notify: idle clients do not look, and a drain would wait for them
)
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_LAST = 4096  # connections that a worker still takes from the queue of the kernel when it ends
_ABSENT = (1 << 31) - 1


class Balance:
    """How many connections each worker has, in memory that they share. Each writes its own number only."""

    def __init__(self, workers: int) -> None:
        """Call before the fork; every worker is absent until it publishes."""
        self._counts = memoryview(mmap.mmap(-1, 4 * workers)).cast("i")
        self._mine = 0
        for index in range(workers):
            self.absent(index)

    def absent(self, index: int) -> None:
        """This worker takes no connections: nobody waits for it."""
        self._counts[index] = _ABSENT

    def join(self, index: int) -> None:
        """Call in the worker, after the fork."""
        self._mine = index
        self._counts[index] = 0

    def leave(self) -> None:
        self.absent(self._mine)

    def publish(self, connections: int) -> None:
        self._counts[self._mine] = connections

    def another_has_fewer(self) -> bool:
        return self._counts[self._mine] > min(self._counts)


class Acceptor:
    """Takes connections from one listening socket for one server."""

    def __init__(
        self, server: HttpServer, listening: socket.socket, context: ssl.SSLContext | None, balance: Balance
    ) -> None:
        self._server = server
        self._listening = listening
        self._context = context
        self._balance = balance
        self._loop = server.loop
        self._opening: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._complained = -60.0
        listening.setblocking(False)
        self._watch()

    def _watch(self) -> None:
        self._later = None
        self._loop.add_reader(self._listening.fileno(), self._ready)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening.fileno())
        self._later = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._watch()
        self._take()

    def _ready(self) -> None:
        if self._balance.another_has_fewer():
            self._pause(_LEAVE_SECONDS)
        else:
            self._take()

    def _take(self) -> bool:
        try:
            sock, address = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            if self._server.now - self._complained >= 60:
                self._complained = self._server.now
                _log.error("no connection can be accepted: %s", error.strerror)
            if self._later is None:
                self._pause(1.0)
            return False
        peer = None
        if self._context is not None:
            peer = self._server.peer(address[0])
            if not self._server.may_open(peer):
                sock.close()  # what could be told would need the handshake first
                return True
        sock.setblocking(False)
        task = self._loop.create_task(self._open(sock, peer))
        self._opening.add(task)
        task.add_done_callback(self._opened)
        self._server.opening += 1
        self._balance.publish(self._server.opening + len(self._server.connections))
        return True

    async def _open(self, sock: socket.socket, peer: str | None) -> None:
        try:
            if self._context is None:
                await self._loop.connect_accepted_socket(self._server.connection, sock)
            else:
                seconds = self._server.options.header_deadline
                await self._loop.connect_accepted_socket(
                    self._server.connection, sock,
                    ssl=self._context, ssl_handshake_timeout=seconds, ssl_shutdown_timeout=_GOODBYE_SECONDS,
                )  # fmt: skip
        except (
            OSError
        ) as error:  # no TLS, a protocol or cipher of old, gone, or too slow: the client's affair
            _log.debug("a connection was not opened: %s", error)
            sock.close()
        finally:
            if peer is not None:  # the connection counts for itself by now
                self._server.peers.give(peer)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._server.opening -= 1
        self._balance.publish(self._server.opening + len(self._server.connections))

    async def close(self) -> None:
        """Take no more, except what stands in the queue already."""
        for _ in range(_LAST):
            if self._later is not None or not self._take():
                break
        if self._later is not None:
            self._later.cancel()
        else:
            self._loop.remove_reader(self._listening.fileno())
        self._listening.close()
        if self._opening:
            await asyncio.wait(tuple(self._opening))
