"""One request and its answer: the `receive` and `send` of an ASGI app (HTTP scope, spec 2.4).

What it holds to: a body that broke off is `http.disconnect`, never an end; `100 Continue` goes out when the app
first asks for the body, so a refusal can come before it; an answer that differs from its Content-Length breaks
the connection; after `await send(...)` the server no longer reads the bytes it was given.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from dolium.asgi.messages import GUARDED, Headers, Message, Scope
from dolium.server.http.files import PeerGone, send_file
from dolium.server.http.heads import AnswerHead, RequestHead, write_head
from dolium.server.http.options import Refusal
from dolium.server.http.stepping import rest_of

if TYPE_CHECKING:
    from dolium.server.http.connection import Connection

__all__ = ["Exchange"]

_log = logging.getLogger("dolium.server")

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PIECE_COST = 64  # what a waiting piece weighs beside its bytes: many tiny ones must not fill the memory
_JOIN = 64 << 10
_FAILED = Refusal(500, "InternalError", "The server failed.", close=False)


class Exchange:
    """Made when the head of a request is there. `left` counts the bytes of the body still to come (-1: unknown)."""

    __slots__ = (
        "_begun", "_buffered", "_connection", "_given", "_head", "_headers", "_pieces", "_reported", "_status",
        "_waiter", "chunked", "close", "complete", "done", "expects", "gone", "left", "old", "received", "scope",
        "sent",
    )  # fmt: skip

    def __init__(
        self, connection: Connection, scope: Scope, head: RequestHead, *, old: bool, keep: bool
    ) -> None:
        self._connection = connection
        self.scope = scope
        self.old = old
        self.close = not keep
        self.expects = head.expects
        self.chunked = head.length is None
        self.left = -1 if head.length is None else head.length
        self.complete = False  # the whole body has come
        self.gone = False  # nothing more comes from the peer, and nothing can be sent
        self.done = False  # the whole answer is sent, or given up
        self.received = 0
        self.sent = 0
        self._pieces: deque[bytes] | None = None
        self._buffered = 0
        self._given = False  # the app has been told that the body is complete
        self._waiter: asyncio.Future[None] | None = None
        self._status = 0
        self._headers: Headers = []
        self._head: AnswerHead | None = None
        self._reported = False
        self._begun = time.monotonic()

    # --- run -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Hand the request to the app. Its first step may run at once, and with it the whole answer."""
        server = self._connection.server
        options = server.options
        if server.running >= options.max_requests and not (
            self.scope["raw_path"] in options.always and self.scope["method"] == "GET"
        ):
            server.refused += 1
            self.answer(
                Refusal(503, "SlowDown", "Please reduce your request rate.", close=False),
                [(b"retry-after", b"%d" % options.retry_after)],
            )
            return
        server.running += 1
        try:
            coroutine = server.app(self.scope, self.receive, self.send)
            if not server.eager:
                self._follow(coroutine)
                return
            pending = coroutine.send(None)
        except StopIteration:
            self._returned(None)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it ends this request only
            self._returned(error)
        else:
            self._follow(rest_of(coroutine, pending))

    def _follow(self, coroutine: Coroutine[Any, Any, None]) -> None:
        server = self._connection.server
        task = server.loop.create_task(coroutine)
        server.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connection.server.tasks.discard(task)
        self._returned(asyncio.CancelledError() if task.cancelled() else task.exception())

    def _returned(self, error: BaseException | None) -> None:
        """The app is through with it."""
        try:
            if error is None and not self.done and not self.gone:
                error = RuntimeError("the app returned before its answer was whole")
            if error is not None:
                self._failed(error)
            self.report()
        finally:
            self._connection.server.running -= 1

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, PeerGone | asyncio.CancelledError):
            _log.error("%s %r failed", self.scope["method"], self.scope["raw_path"], exc_info=error)
        if self.done or self.gone:
            return
        if self._head is None and not isinstance(error, asyncio.CancelledError):
            self.answer(_FAILED)
        else:
            self._connection.abort()

    def report(self) -> None:
        """Tell the access log, once; status 0 if the peer went before an answer."""
        on_finished = self._connection.server.on_finished
        if on_finished is not None and not self._reported:
            self._reported = True
            on_finished(self.scope, self._status, self.sent, self.received, time.monotonic() - self._begun)

    # --- the body of the request ---------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """Whether some of the answer may have left."""
        return self._head is not None

    @property
    def buffered(self) -> int:
        return self._buffered

    def feed(self, piece: bytes) -> None:
        """Bytes of the body have come."""
        self.received += len(piece)
        if self.left > 0:
            self.left -= len(piece)
        if self.done or self.gone:
            return
        if self._pieces is None:
            self._pieces = deque()
        self._pieces.append(piece)
        self._buffered += len(piece) + _PIECE_COST
        self.wake()

    def finish_body(self) -> None:
        """All of the body has come."""
        self.complete = True
        if self._waiter is not None:
            self.wake()

    def lose(self) -> None:
        """The peer is gone, or given up."""
        self.gone = True
        self.wake()

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    async def receive(self) -> Message:
        while True:
            if self._pieces:
                return self._take(self._pieces)
            if self.complete and not self._given:
                self._given = True
                return {"type": "http.request", "body": b"", "more_body": False}
            if self.gone or self.done or self._connection.peer_ended:
                return {"type": "http.disconnect"}
            if self.expects:
                self.expects = False
                if self.received == 0 and self._head is None:
                    self._connection.write(_CONTINUE)
            if self._waiter is None or self._waiter.done():
                self._waiter = self._connection.server.loop.create_future()
            await self._waiter

    def _take(self, pieces: deque[bytes]) -> Message:
        piece = pieces.popleft()
        self._buffered -= len(piece) + _PIECE_COST
        if pieces and len(piece) < _JOIN:
            parts, size = [piece], len(piece)
            while pieces and size < _JOIN:
                part = pieces.popleft()
                parts.append(part)
                size += len(part)
                self._buffered -= len(part) + _PIECE_COST
            piece = b"".join(parts)
        self._connection.body_taken(self)
        self._given = self.complete and not pieces
        return {"type": "http.request", "body": piece, "more_body": not self._given}

    # --- the answer ----------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        if self.gone:
            raise PeerGone("the client has gone")
        kind = message["type"]
        if kind == "http.response.body":
            body = message.get("body", b"")
            more = message.get("more_body", False)
            self._begin(len(body), more=more)
            connection = self._connection
            if connection.write_paused:
                await connection.drained()
            self._write(body)
            if not more:
                self._end()
            if connection.write_paused:
                await connection.drained()
            if not more:
                self._close()
        elif kind == "http.response.start":
            if self._status:
                raise RuntimeError("the answer has been started already")
            self._status = message["status"]
            self._headers = message.get("headers", ())
        elif kind == "http.response.zerocopysend":
            await self._send_file(message)
        else:
            raise RuntimeError(f"no such message here: {kind!r}")

    def _begin(self, size: int, *, more: bool) -> None:
        """Check `size` more bytes against what was promised; write the head into `_head` if there is none yet."""
        head = self._head
        if head is None:
            if not self._status or self.done:
                raise RuntimeError("a body without a start, or after its end")
            head = self._write_head(self._status, self._headers, None if more else size)
        elif self.done:
            raise RuntimeError("a body after its end")
        if head.length is not None and not head.bodiless:
            total = self.sent + size
            if total > head.length or (total < head.length and not more):
                if head.text:
                    self._head = None  # nothing of it has left, so it can still be an error
                else:
                    self._connection.abort()
                raise RuntimeError(f"the answer has {total} bytes, its content-length is {head.length}")

    def _write_head(self, status: int, headers: Headers, whole: int | None) -> AnswerHead:
        connection = self._connection
        server = connection.server
        if not self.complete and not self.close:
            # The rest of the body is read and forgotten if it is short and sure to come. Whether a client that
            # waits for 100 will send its body is unknown, so its connection cannot be used again (RFC 9110 §10.1.1).
            self.close = self.expects or not 0 <= self.left <= server.options.discard_limit
        head = write_head(
            status,
            headers,
            head_request=self.scope["method"] == "HEAD",
            old=self.old,
            close=self.close or server.draining,
            whole=whole,
            date=server.date_line,
        )
        self.close = head.close
        self._head = head
        return head

    def _write(self, body: bytes) -> None:
        head = self._head
        assert head is not None
        text, head.text = head.text, b""
        if head.bodiless or not body:
            if text:
                self._connection.write(text)
            return
        self.sent += len(body)
        if head.chunked:
            self._connection.write_many([text, b"%x\r\n" % len(body), body, b"\r\n"])
        elif not text:
            self._connection.write(body)
        else:
            self._connection.write_many([text, body])

    def _end(self) -> None:
        assert self._head is not None
        if self._head.chunked:
            self._connection.write(b"0\r\n\r\n")
        self.done = True

    def _close(self) -> None:
        self.report()
        self._connection.answered(self)

    async def _send_file(self, message: Message) -> None:
        """`http.response.zerocopysend`: `count` bytes of a descriptor from `offset`, checked with the guard, if any.

        A file that is shorter, or whose bytes are wrong, breaks the connection; unless nothing has left of the
        answer: then it becomes an error.
        """
        file = message["file"]
        descriptor = file if isinstance(file, int) else file.fileno()
        offset = message.get("offset")
        if offset is None:
            offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        count = message.get("count")
        if count is None:
            count = max(0, os.fstat(descriptor).st_size - offset)
        more = message.get("more_body", False)
        self._begin(count, more=more)
        head, connection = self._head, self._connection
        assert head is not None
        text, head.text = head.text, b""
        if head.bodiless or not count:
            connection.write(text)
        else:
            if head.chunked:
                text += b"%x\r\n" % count
            self.sent += count
            before = connection.written
            try:
                await send_file(connection, descriptor, offset, count, text, message.get(GUARDED))
            except BaseException:
                if text and connection.written == before:
                    self._head = None
                    self.sent -= count
                else:
                    connection.abort()
                raise
            if head.chunked:
                connection.write(b"\r\n")
        if not more:
            self._end()
        if connection.write_paused:
            await connection.drained()
        if not more:
            self._close()

    def answer(self, refusal: Refusal, headers: Headers | None = None) -> None:
        """The server's own answer, in place of the app's."""
        fields, body = self._connection.server.options.render_refusal(refusal)
        self._status = refusal.status
        self.close = self.close or refusal.close
        self._write_head(refusal.status, [*fields, *(headers or ())], len(body))
        self._write(body)
        self.done = True
        self._close()
