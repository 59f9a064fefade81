"""Requests and responses, thin over ASGI (asgi.readthedocs.io/en/latest/specs/www.html)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from dolium.errors import BodyTruncated

__all__ = [
    "GUARDED",
    "Body",
    "FileBody",
    "Guard",
    "Headers",
    "Message",
    "Pieces",
    "Receive",
    "Response",
    "Scope",
    "Send",
    "blocks_of",
    "body_pieces",
    "fill",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_PIECE = 256 << 10
_ZERO_COPY = "http.response.zerocopysend"
GUARDED = "dolium.guard"
"""Beside `http.response.zerocopysend`: the server checks what it sends with the guard under this name."""


class Guard(Protocol):
    """Knows what the bytes of a file should be, `block` at a time; the file has `size`."""

    block: int
    size: int

    def check(self, offset: int, data: bytearray | memoryview, /) -> None:
        """Raises unless `data`, whole blocks (or up to the end) from `offset`, is what it should be."""
        ...

    def failed(self, error: OSError, /) -> None:
        """The disk could not read it. Raises that error, or what it means."""
        ...


class FileBody:
    """A body, or a piece of one, that lies in a file: `count` bytes from `offset`. It owns the descriptor.

    With a `guard`, no byte leaves before the blocks that it touches are checked.
    """

    __slots__ = ("count", "descriptor", "guard", "offset")

    def __init__(self, descriptor: int, offset: int, count: int, guard: Guard | None = None) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.count = count
        self.guard = guard

    def close(self) -> None:
        os.close(self.descriptor)


class Pieces(Protocol):
    """A body that comes in pieces. It is closed when it has been sent, or nobody wants it any more; also before its
    first piece.
    """

    def __aiter__(self) -> AsyncIterator[bytes | FileBody]: ...

    async def aclose(self) -> None: ...


Body = bytes | Pieces


@dataclass(slots=True)
class Response:
    """`body` bytes, or pieces as they come; `headers` with lower-case names, content-length included."""

    status: int
    headers: Headers = field(default_factory=list)
    body: Body = b""

    async def send(self, scope: Scope, send: Send) -> None:
        """Answer. A body that breaks off raises, and the server then breaks the connection."""
        body = self.body
        if isinstance(body, bytes):
            await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
            await send({"type": "http.response.body", "body": body})
            return
        extensions = scope.get("extensions") or ()
        try:
            await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
            async for piece in body:
                if isinstance(piece, bytes):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    continue
                # A server that does not know of guards would send what was not checked.
                wanted = _ZERO_COPY if piece.guard is None else GUARDED
                await _send_file(piece, send, zero_copy=wanted in extensions)
        finally:
            await body.aclose()
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
                    GUARDED: piece.guard,
                }
            )
            return
        offset, stop = piece.offset, piece.offset + piece.count
        while offset < stop:
            data = await asyncio.to_thread(_read, piece, offset, stop)
            if not data:
                raise BodyTruncated("the file is shorter than it was")
            offset += len(data)
            await send({"type": "http.response.body", "body": data, "more_body": True})
    finally:
        piece.close()


def _read(piece: FileBody, offset: int, stop: int) -> bytes:
    """Some of what comes next."""
    guard = piece.guard
    if guard is None:
        return os.pread(piece.descriptor, min(_PIECE, stop - offset), offset)
    begin, end = blocks_of(guard, offset, min(offset + _PIECE, stop))
    buffer = bytearray(end - begin)
    fill(piece.descriptor, memoryview(buffer), begin, guard)
    guard.check(begin, buffer)
    return bytes(memoryview(buffer)[offset - begin : min(end, stop) - begin])


def blocks_of(guard: Guard, start: int, stop: int) -> tuple[int, int]:
    """Where the blocks begin and end that these bytes touch."""
    block = guard.block
    return start - start % block, min(guard.size, -(-stop // block) * block)


def fill(descriptor: int, piece: memoryview, offset: int, guard: Guard | None) -> None:
    """Read all of `piece` from the file. Raises BodyTruncated, and what `guard` makes of an OSError."""
    while piece:
        try:
            size = os.preadv(descriptor, [piece], offset)
        except OSError as error:
            if guard is None:
                raise
            guard.failed(error)
            raise
        if not size and guard is not None:
            return  # what is there then is not what it should be
        if not size:
            raise BodyTruncated("the file is shorter than it was")
        piece = piece[size:]
        offset += size


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
