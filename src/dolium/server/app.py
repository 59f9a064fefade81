"""One ASGI app for everything: own pages under `/_health` and `/_metrics`, all else is S3.

Every request that ends is counted and logged here, whatever became of it.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from dolium.asgi.messages import Receive, Scope, Send
from dolium.s3.app import S3App
from dolium.server.health import Health
from dolium.server.http.stepping import in_task
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
        self._own = in_task(self._answer_own)
        self._hosts = hosts
        self._meters = meters
        self._requests = requests

    # Not a coroutine itself: a second one around each request would cost more than the choice.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["raw_path"][:2] == b"/_" and self._names_no_bucket(scope):
            return self._own(scope, receive, send)
        return self._s3(scope, receive, send)

    def _names_no_bucket(self, scope: Scope) -> bool:
        """Where the host names a bucket, `/_metrics` is a key in it."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        return self._hosts.read(host)[1] is None

    async def _answer_own(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not await self._health.answer(scope, send):
            await self._s3(scope, receive, send)

    def finished(self, scope: Scope, status: int, sent: int, received: int, seconds: float) -> None:
        """A request has ended; `status` 0 if it had no answer (see `server.http.server.Finished`)."""
        facts: dict[str, str] = scope.get("dolium.request") or {}
        self._meters.count(facts.get("operation", ""), status, seconds, received, sent)
        if self._requests is not None:
            self._requests.add(scope, facts, status, sent, seconds)
