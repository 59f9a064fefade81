"""One ASGI app for everything: own pages under `/_health` and `/_metrics`, all else is S3.

Every request is counted and logged here, whatever becomes of it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter_ns
from typing import Any

from dolium.asgi.messages import Message, Receive, Scope, Send
from dolium.s3.app import S3App
from dolium.server.health import Health
from dolium.server.meters import Meters
from dolium.server.telemetry import RequestLog
from dolium.wire.names import Hosts

__all__ = ["App"]


class App:
    """One per process; `requests` None: no line per request."""

    eager = True  # as S3App: the first step of a request needs no task

    def __init__(
        self, s3: S3App, health: Health, hosts: Hosts, meters: Meters, requests: RequestLog | None
    ) -> None:
        self._s3 = s3
        self._health = health
        self._hosts = hosts
        self._meters = meters
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter_ns()
        facts: dict[str, Any] = {}
        scope["dolium.request"] = facts
        answer = _Answer(send)
        method = scope["method"]
        body = _Body(receive) if method in {"PUT", "POST"} else None
        try:
            if scope["raw_path"][:2] != b"/_" or not await self._is_own(scope, answer):
                await self._s3(scope, receive if body is None else body, answer)
        finally:
            took = perf_counter_ns() - began
            status = answer.status if answer.whole else 0
            received = 0 if body is None else body.size
            self._meters.count(facts.get("operation", ""), status, took, received, answer.size)
            if self._requests is not None:
                self._requests.add(scope, facts, status, answer.size, took)

    async def _is_own(self, scope: Scope, send: Send) -> bool:
        """Answers own pages. Where the host names a bucket, `/_metrics` is a key in it."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        return self._hosts.read(host)[1] is None and await self._health.answer(scope, send)


class _Answer:
    """Passes messages on to the server and remembers what went. Not a coroutine: it costs a tenth of one."""

    __slots__ = ("_send", "size", "status", "whole")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.size = 0
        self.whole = False

    def __call__(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
        else:
            self.size += (
                message["count"] if kind == "http.response.zerocopysend" else len(message.get("body", b""))
            )
            self.whole = not message.get("more_body", False)
        return self._send(message)


class _Body:
    """Counts the bytes of a request as they are received."""

    __slots__ = ("_receive", "size")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.size = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self.size += len(message.get("body", b""))
        return message
