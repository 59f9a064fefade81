"""One worker process: builds its service after the fork, serves, drains, ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import uvloop

from dolium.config.settings import Listen
from dolium.errors import ConfigError
from dolium.objects.ahead import most_ahead
from dolium.server.http.accept import Acceptor, Balance
from dolium.server.http.options import HttpOptions
from dolium.server.http.server import Finished, HttpServer
from dolium.server.http.stepping import App
from dolium.server.listen import Bound, load_certificate

__all__ = ["Factory", "ServeOptions", "Service", "Worker"]

_log = logging.getLogger("dolium.server")


class Service(Protocol):
    """What a worker serves. Made in the worker, in its event loop; no part of it crosses a fork."""

    @property
    def app(self) -> App:
        """The ASGI app; `app.eager` as in `http.stepping`."""

    @property
    def finished(self) -> Finished | None:
        """Called after each request; must be quick."""

    async def startup(self) -> None:
        """Before the first connection. A DoliumError raised here ends the start in its words."""

    def drain(self) -> None:
        """The worker is about to end: be not ready any more."""

    def reload(self) -> None:
        """SIGHUP. The certificate has been read again already."""

    async def shutdown(self) -> None:
        """After the last request."""


Factory = Callable[[], Service]


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """`drain`: seconds that requests may still take after SIGTERM.

    `settle`: seconds between being not ready and taking no more connections, for a balancer that polls readiness.
    """

    listen: tuple[Listen, ...]
    workers: int = 1
    tls_cert: Path | None = None
    tls_key: Path | None = None
    drain: float = 30.0
    settle: float = 0.0
    http: HttpOptions = field(default_factory=HttpOptions)


class Worker:
    """Made before the fork, run after it."""

    def __init__(
        self,
        factory: Factory,
        options: ServeOptions,
        bound: tuple[Bound, ...],
        context: ssl.SSLContext | None,
        balance: Balance,
    ) -> None:
        self._factory = factory
        self._options = options
        self._bound = bound
        self._context = context
        self._balance = balance
        self._stop = asyncio.Event()
        self._now = asyncio.Event()

    def run(self, index: int, life: int, started: Callable[[], None]) -> None:
        """Serve until SIGTERM, or until the parent is gone and `life`, a pipe, has ended. A second SIGTERM cuts
        off what is still going on. `started` is called when connections are taken.

        Raises what the service raises at its start.
        """
        uvloop.run(self._serve(index, life, started))

    async def _serve(self, index: int, life: int, started: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        service = self._factory()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload, service)
        loop.add_reader(life, self._orphaned, life)
        await service.startup()
        options = self._options
        server = HttpServer(
            service.app, _within_limits(options.http), on_finished=service.finished, balance=self._balance
        )
        _settle_memory()
        self._balance.join(index)
        acceptors = [
            Acceptor(
                server, one.socket, self._context if one.listen.scheme == "https" else None, self._balance
            )
            for one in self._bound
        ]
        started()
        await self._stop.wait()
        service.drain()
        await self._unless_now(asyncio.sleep(options.settle))
        self._balance.leave()
        server.draining = True
        for acceptor in acceptors:
            await acceptor.close()
        await self._unless_now(server.drain(options.drain))
        if server.connections or server.tasks:
            _log.warning("%d connections are cut off", len(server.connections))
        await server.close()
        await service.shutdown()

    async def _unless_now(self, work: Coroutine[Any, Any, object]) -> None:
        """Await it, but not beyond the second signal."""
        doing = {asyncio.create_task(work), asyncio.create_task(self._now.wait())}
        _, undone = await asyncio.wait(doing, return_when=asyncio.FIRST_COMPLETED)
        for task in undone:
            task.cancel()

    def _end(self) -> None:
        if self._stop.is_set():
            self._now.set()
        self._stop.set()

    def _orphaned(self, life: int) -> None:
        asyncio.get_running_loop().remove_reader(life)
        _log.error("the parent process is gone")
        self._stop.set()

    def _reload(self, service: Service) -> None:
        options = self._options
        if self._context is not None and options.tls_cert is not None and options.tls_key is not None:
            try:
                load_certificate(self._context, options.tls_cert, options.tls_key)
            except ConfigError as error:
                _log.error("the certificate stays as it is: %s", error)
        service.reload()


def _settle_memory() -> None:
    """A page of a listing makes thousands of short-lived objects and a large text: neither should cost more than
    itself.
    """
    gc.collect()
    gc.freeze()  # what is here now stays; later collections need not look at it
    gc.set_threshold(20_000, 50, 100)  # requests leave hardly any cycles behind
    # glibc gives blocks above a threshold back to the kernel at once, and raises it when a larger one is freed.
    block = bytearray(8 << 20)
    del block


def _within_limits(options: HttpOptions) -> HttpOptions:
    """No more connections than there are descriptors for, at two each, beside those for files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = max(16, (hard - 256 - most_ahead()) // 2)
    if options.max_connections <= most:
        return options
    share = max(8, options.max_per_peer * most // options.max_connections)
    return replace(options, max_connections=most, max_per_peer=share)
