"""One connection: its requests to the app one after the other, its deadlines, and its end.

It is in one of these states, and a deadline hangs on each but the second (`tick`): idle or in the middle of a head;
an app at work; waiting for bytes of a body; waiting for the peer to take an answer; discarding the rest of a body;
lingering after a last answer.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dolium.server.http.exchange import Exchange
from dolium.server.http.files import PeerGone
from dolium.server.http.heads import write_head
from dolium.server.http.options import Refusal
from dolium.server.http.reader import RequestReader

if TYPE_CHECKING:
    from dolium.server.http.server import HttpServer

__all__ = ["Connection"]

_RESET = struct.pack("ii", 1, 0)
_JUST_COME = 1.0

_TOO_SLOW = Refusal(408, "RequestTimeout", "The request did not come within the timeout period.")
_FULL = Refusal(503, "SlowDown", "Too many connections.")


class Connection(asyncio.Protocol):
    """The protocol that uvloop calls."""

    __slots__ = (
        "_advancing", "_base", "_lingering", "_lost", "_mark", "_queue", "_reader", "_reading", "_refusal", "_since",
        "_waits", "_write_waiter", "active", "deaf", "on_lost", "peer", "peer_ended", "rude", "secure", "server",
        "transport", "write_paused", "written",
    )  # fmt: skip

    _reader: RequestReader
    transport: asyncio.Transport

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.secure = False
        self.write_paused = False
        self.written = 0  # bytes handed to the transport or the kernel
        self.active: Exchange | None = None  # the request whose answer is next
        self.on_lost: Any = None  # called when the connection is lost while a file is being sent
        self._queue: deque[Exchange] = deque()
        self._refusal: Refusal | None = None  # to be answered after the queue
        self.deaf = False  # no byte that still comes is a request
        self._reading = True
        self._lost = False
        self.peer_ended = False
        self.peer: str | None = None  # whom this connection is counted for…
        self.rude: str | None = None  # …or who has as many as it may, and is told so
        self._advancing = False
        self._lingering = 0.0
        self._since = server.now
        self._waits = ""  # what is waited for since `_mark`: "body", "take" or nothing
        self._mark = 0.0
        self._base = 0
        self._write_waiter: asyncio.Future[None] | None = None

    # --- transport -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # uvloop's are not subclasses
        self.secure = transport.get_extra_info("ssl_object") is not None
        # Paused means: something is not yet with the kernel. (With 0, uvloop's TLS is paused when it is empty.)
        self.transport.set_write_buffer_limits(1 if self.secure else 0, 0)
        peer = _address(transport.get_extra_info("peername"))
        self._reader = RequestReader(self, peer, _address(transport.get_extra_info("sockname")))
        if not self.server.enter(self, None if peer is None else peer[0]) and not self.deaf:
            self.refuse(_FULL)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended changes nothing
        self._lost = True
        self.deaf = True
        self._reader.close()
        self.server.leave(self)
        self._lose_all()

    def _lose_all(self) -> None:
        if self.active is not None:
            self.active.lose()
        if self._reader.receiving is not None:
            self._reader.receiving.lose()
        self._queue.clear()
        if self._write_waiter is not None and not self._write_waiter.done():
            self._write_waiter.set_exception(PeerGone("the client has gone"))
        if self.on_lost is not None:
            self.on_lost()

    def eof_received(self) -> bool:
        """The peer sends no more. It has gone, or still wants the answers to whole requests (`nc`): what it is
        shows when they are written. An app that waits for the end of its client is told now.
        """
        self.peer_ended = True
        if self._lingering or self._reader.receiving is not None or (self.active is None and not self._queue):
            if self._reader.receiving is not None:
                self.abort()
            return False
        if self.active is not None:
            self.active.wake()
        return not self.secure

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._write_waiter is not None and not self._write_waiter.done():
            self._write_waiter.set_result(None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)
        self.transport.write(data)

    def write_many(self, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        size = sum(map(len, parts))
        self.written += size
        if size < 48 << 10:  # measured: below, a copy is cheaper than a gathered write
            self.transport.write(b"".join(parts))
        else:
            self.transport.writelines(parts)

    async def drained(self) -> None:
        """Until the kernel has taken all that was written. Raises PeerGone."""
        while self.write_paused or self._lost:
            if self._lost:
                raise PeerGone("the client has gone")
            self._write_waiter = waiter = self.server.loop.create_future()
            self.server.unsent(self, self.transport.get_write_buffer_size())
            try:
                await waiter
            finally:
                self._write_waiter = None
                self.server.unsent(self, 0)

    def abort(self) -> None:
        """End it so that the peer cannot take what it has for whole: by a reset."""
        if not self._lost:
            sock = self.transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.deaf = True
            self.transport.abort()
            self._lose_all()

    def close_idle(self) -> None:
        """Close it now if nothing is going on, else with the answer in hand (`server.draining` is set).

        A connection that is only just there has its first request on the way.
        """
        just_come = self._reader.first and self.server.now - self._since < _JUST_COME
        if self.active is None and not (self._queue or self._reader.in_head or self._lingering or just_come):
            self.deaf = True
            self.transport.close()

    # --- bytes in ------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            self._since = self.server.now
            return
        self._reader.feed(data)
        if self._queue:
            if self.active is None:
                self._advance()
            if self._queue or self._reader.receiving is not None:
                self._settle_reading()
        elif self._reader.receiving is not None:
            self._settle_reading()

    def _settle_reading(self) -> None:
        """Read on only while nothing waits: neither requests sent ahead, nor too much of a body."""
        receiving = self._reader.receiving
        wanted = not self._queue and (receiving is None or receiving.buffered <= self.server.body_room)
        if wanted != self._reading and not self._lost:
            self._reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def body_taken(self, exchange: Exchange) -> None:
        """The app has taken a piece of the body."""
        if not self._reading and exchange.buffered <= self.server.body_room >> 1:
            self._settle_reading()

    # --- what the reader tells ------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Requests that were sent ahead."""
        return len(self._queue)

    def heard(self) -> None:
        """A head begins."""
        self._since = self.server.now

    def begun(self, exchange: Exchange) -> None:
        """A request is there, its body perhaps not."""
        self._queue.append(exchange)

    def ended(self, exchange: Exchange) -> None:
        """All of a request is there."""
        self._waits = ""
        if exchange.close:
            self.deaf = True
        if exchange.done and exchange is self.active:  # its answer was there before its body
            self._release()

    # --- requests one after the other ----------------------------------------------------------------------

    def _advance(self) -> None:
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._queue and self.active is None and not self._lost and not self._lingering:
                self.active = exchange = self._queue.popleft()
                exchange.run()
        finally:
            self._advancing = False
        if self.active is None and not self._queue and self._refusal is not None:
            self._answer_refusal()
        elif not self._reading:
            self._settle_reading()

    def answered(self, exchange: Exchange) -> None:
        """All of an answer is written."""
        if exchange is not self.active or self._lost:
            return
        self._since = self.server.now
        self._waits = ""
        if exchange.close:
            self._queue.clear()
            self._end(linger=not exchange.complete)
        elif exchange.complete:
            self._release()
        else:
            self._settle_reading()  # and discard: `tick` sees to it that it ends

    def _release(self) -> None:
        self.active = None
        self._since = self.server.now
        if self._queue or self._refusal is not None:
            if not self._advancing:
                # Not from here: this may be a step of the task that has just answered.
                self.server.loop.call_soon(self._advance)
        elif self.peer_ended or self.server.draining:
            self._end(linger=False)

    def _end(self, *, linger: bool) -> None:
        """No request follows. Lingering keeps a reset from overtaking the answer (RFC 9112 §9.6)."""
        self.deaf = True
        self.active = None
        if self._reader.receiving is not None:
            self._reader.receiving.lose()
            self._reader.receiving = None
        self._since = self.server.now
        if not linger or self._lost:
            self.transport.close()
            return
        self._lingering = self._since
        if not self.secure:
            self.transport.write_eof()
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()

    # --- refusals ------------------------------------------------------------------------------------------

    def refuse(self, refusal: Refusal) -> None:
        """What comes in is no request, or no longer one. Answers in order: those before it come first."""
        self.deaf = True
        self.server.refused += 1
        broken, self._reader.receiving = self._reader.receiving, None
        if broken is not None:
            broken.lose()
            if broken is self.active:
                if broken.done or broken.started:
                    self.abort()
                    return
                self.active = None
            elif broken in self._queue:
                self._queue.remove(broken)
        self._refusal = refusal
        if self.active is None and not self._queue:
            self._answer_refusal()

    def _answer_refusal(self) -> None:
        refusal, self._refusal = self._refusal, None
        if refusal is None or self._lost:
            return
        options = self.server.options
        fields, body = options.render_refusal(refusal)
        if refusal.status == 503:
            fields.append((b"retry-after", b"%d" % options.retry_after))
        head = write_head(
            refusal.status, fields,
            head_request=False, old=False, close=True, whole=len(body), date=self.server.date_line,
        )  # fmt: skip
        self.write(head.text + body)
        self._end(linger=True)

    # --- deadlines -----------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Look at the deadlines; called every `options.tick` seconds."""
        options = self.server.options
        if self._lingering:
            if now - self._since > options.linger_idle or now - self._lingering > options.linger:
                self.transport.abort()
            return
        active, receiving = self.active, self._reader.receiving
        if active is None and receiving is None:
            waited = now - self._since
            if self.deaf:  # closing, and the peer does not take the last bytes
                if waited > options.patience:
                    self.abort()
            elif self._reader.in_head and waited > options.header_deadline:
                self.refuse(_TOO_SLOW)
            elif not self._reader.in_head and waited > self._idle_limit():
                self.deaf = True
                self.transport.close()
        elif active is not None and active.done and active is receiving:
            if now - self._since > options.discard_deadline:
                self._end(linger=True)
        elif self.write_paused or self.on_lost is not None:
            if self._too_slow("take", self._taken(), now):
                self.abort()
        elif receiving is not None and self._reading and not receiving.expects:
            if self._too_slow("body", receiving.received, now):
                self.refuse(_TOO_SLOW)
        else:
            self._waits = ""

    def _idle_limit(self) -> float:
        if self.server.draining:
            return _JUST_COME
        return self.server.options.header_deadline if self._reader.first else self.server.options.keep_alive

    def _too_slow(self, what: str, moved: int, now: float) -> bool:
        """Whether a whole stretch of `patience` has brought less than the minimum rate."""
        options = self.server.options
        if self._waits == what and now - self._mark < options.patience:
            return False
        slow = self._waits == what and moved - self._base < options.minimum_rate * options.patience
        self._waits, self._mark, self._base = what, now, moved
        return slow

    def _taken(self) -> int:
        """Bytes that the peer has acknowledged; the kernel alone may hide megabytes from a slow reader."""
        sock = self.transport.get_extra_info("socket")
        unsent = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        return self.written - self.transport.get_write_buffer_size() - int(unsent)


def _address(name: Any) -> tuple[str, int] | None:
    return (name[0], name[1]) if isinstance(name, tuple) else None
