"""Requests and responses, thin over ASGI (asgi.readthedocs.io/en/latest/specs/www.html)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from dolium.errors import BodyTruncated

__all__ = ["Body", "FileBody", "Headers", "Message", "Receive", "Response", "Scope", "Send", "body_pieces"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_PIECE = 256 << 10


class FileBody:
    """A body, or a piece of one, that lies in a file: `count` bytes from `offset`. It owns the descriptor."""

    __slots__ = ("count", "descriptor", "offset")

    def __init__(self, descriptor: int, offset: int, count: int) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.count = count

    def close(self) -> None:
        os.close(self.descriptor)


Body = bytes | AsyncIterator[bytes | FileBody]


@dataclass(slots=True)
class Response:
    """`body` bytes, or pieces as they come; `headers` with lower-case names, content-length included."""

    status: int
    headers: Headers = field(default_factory=list)
    body: Body = b""

    async def send(self, scope: Scope, send: Send) -> None:
        """Answer. A body that breaks off raises, and the server then breaks the connection."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        if isinstance(self.body, bytes):
            await send({"type": "http.response.body", "body": self.body})
            return
        zero_copy = "http.response.zerocopysend" in (scope.get("extensions") or ())
        async for piece in self.body:
            if isinstance(piece, bytes):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            else:
                await _send_file(piece, send, zero_copy=zero_copy)
        await send({"type": "http.response.body", "body": b""})


async def _send_file(piece: FileBody, send: Send, *, zero_copy: bool) -> None:
    try:
        if zero_copy:
            await send(
                {
                    "type": "http.response.zerocopysend",
                    "file": piece.descriptor,
                    "offset": piece.offset,
                    "count": piece.count,
                    "more_body": True,
                }
            )
            return
        offset, stop = piece.offset, piece.offset + piece.count
        while offset < stop:
            data = await asyncio.to_thread(os.pread, piece.descriptor, min(_PIECE, stop - offset), offset)
            if not data:
                raise BodyTruncated("the file is shorter than it was")
            offset += len(data)
            await send({"type": "http.response.body", "body": data, "more_body": True})
    finally:
        piece.close()


async def body_pieces(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it comes. Raises BodyTruncated if the peer goes before its end."""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise BodyTruncated("The connection was closed before the whole body had come.")
        more = message.get("more_body", False)
        if data := message.get("body", b""):
            yield data
