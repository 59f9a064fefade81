"""Requests of one thread of a drill: one connection, and a clear word when it breaks."""

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass

from dolium.testing.server import Site
from tests.clients.raw import Answer
from tests.s3.signing import sign_v4

__all__ = ["Break", "BrokenError", "DownError", "Wire"]

_TIMEOUT = 20


class BrokenError(Exception):
    """The connection broke before the answer was whole: nobody knows what was done."""


class DownError(Exception):
    """Nobody takes connections: nothing was sent."""


@dataclass(frozen=True, slots=True)
class Break:
    """A connection that broke: when the request began and when that was seen, by the monotonic clock."""

    began: float
    seen: float
    method: str
    error: str


class Wire:
    """Sends requests that are tried once."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._connection: http.client.HTTPConnection | None = None
        self.broken: list[Break] = []

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """The whole answer. Raises BrokenError, DownError."""
        signed, _ = sign_v4(self._site, method, path, headers)
        signed["content-length"] = str(len(body))
        connection = self._connection or self._connect()
        began = time.monotonic()
        try:
            connection.request(method, path, body, signed)
            answer = connection.getresponse()
            return Answer(
                answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
            )
        except (OSError, http.client.HTTPException) as error:
            self.close()
            self.broken.append(Break(began, time.monotonic(), method, repr(error)))
            raise BrokenError from error

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._site.host, timeout=_TIMEOUT)
        try:
            connection.connect()
        except OSError as error:
            raise DownError from error
        self._connection = connection
        return connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
