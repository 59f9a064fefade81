"""Bytes of a file to a connection, without a copy where that is possible, and never waiting for a disk on the loop.

What lies in the page cache is sent at once: small pieces in one write with the head, large ones by sendfile(2)
from a writer callback, over TLS through one buffer. What does not (RWF_NOWAIT says so) is sent or read in a thread;
each device has its own few, so a file system that hangs holds up nobody else's files. Nor does it hold its own
connections for ever: a read that does not end in time breaks them off.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from dolium.asgi.messages import blocks_of, fill
from dolium.errors import BodyTruncated

if TYPE_CHECKING:
    from dolium.asgi.messages import Guard
    from dolium.server.http.connection import Connection

__all__ = ["FileThreads", "PeerGone", "send_file"]

_SMALL = 128 << 10
_STEP = 1 << 20
_COLD_STEP = 4 << 20
_BUFFER = 256 << 10
_CHECKED = 512 << 10
_KEPT = 16
_buffers: list[bytearray] = []  # of _CHECKED bytes: to make one anew costs as much as to read into it
_THREADS = 8


class PeerGone(ConnectionError):
    """The client is no longer there, or its connection was given up. Apps let it pass."""


class FileThreads:
    """Threads that wait for disks: a few for each device."""

    def __init__(self) -> None:
        self._pools: dict[int, ThreadPoolExecutor] = {}

    def of(self, descriptor: int) -> ThreadPoolExecutor:
        device = os.fstat(descriptor).st_dev
        pool = self._pools.get(device)
        if pool is None:
            pool = self._pools[device] = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"files-{device:x}")
        return pool

    def close(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)


async def send_file(
    connection: Connection, descriptor: int, offset: int, count: int, head: bytes, guard: Guard | None = None
) -> None:
    """Send `head`, then `count` bytes of the file from `offset`, up to the kernel's taking them.

    With a `guard` the bytes that leave are those that were checked: from a buffer, not by sendfile, whose pages may
    be other ones by then, and which was measured to be no faster behind a check (docs/decisions/0005).

    Raises BodyTruncated if the file is shorter, PeerGone, OSError of the disk, what `guard` raises.
    """
    if connection.write_paused:
        await connection.drained()
    if guard is not None:
        await _copy_checked(connection, descriptor, offset, offset + count, head, guard)
        return
    if count <= _SMALL:
        buffer = bytearray(count)
        await _fill(connection, descriptor, memoryview(buffer), offset)
        connection.write_many([head, buffer] if head else [buffer])
        return
    if head:
        connection.write(head)
    if connection.secure:
        await _copy(connection, descriptor, offset, count)
        return
    if connection.write_paused:
        await connection.drained()
    sending = _Sending(connection, descriptor, offset, count)
    try:
        await sending.finished
    finally:
        sending.close()


async def _copy(connection: Connection, descriptor: int, offset: int, count: int) -> None:
    buffer = memoryview(bytearray(_BUFFER))
    while count:
        piece = buffer[: min(count, _BUFFER)]
        await _fill(connection, descriptor, piece, offset)
        if connection.write_paused:
            await connection.drained()
        connection.write(piece)
        if connection.write_paused:
            await connection.drained()
        offset += len(piece)
        count -= len(piece)


async def _copy_checked(
    connection: Connection, descriptor: int, offset: int, stop: int, head: bytes, guard: Guard
) -> None:
    size = max(_CHECKED, guard.block)
    buffer = _buffers.pop() if _buffers and size == _CHECKED else bytearray(size)
    whole = memoryview(buffer)
    while offset < stop:
        begin, end = blocks_of(guard, offset, min(stop, offset - offset % guard.block + len(whole)))
        blocks = whole[: end - begin]
        await _fill(connection, descriptor, blocks, begin, guard)
        guard.check(begin, blocks)
        piece = blocks[offset - begin : stop - begin]
        if connection.write_paused:
            await connection.drained()
        connection.write_many([head, piece] if head else [piece])
        head = b""
        if connection.write_paused:
            await connection.drained()
        offset += len(piece)
    # Not after an error: the transport may hold on to it.
    if size == _CHECKED and len(_buffers) < _KEPT:
        _buffers.append(buffer)


async def _fill(
    connection: Connection, descriptor: int, piece: memoryview, offset: int, guard: Guard | None = None
) -> None:
    """Read all of `piece`: at once from the page cache, in a thread from a disk."""
    try:
        size = os.preadv(descriptor, [piece], offset, os.RWF_NOWAIT)
    except OSError:  # not cached, or a file system that cannot tell
        size = 0
    if size < len(piece):
        await _fill_in_thread(connection, descriptor, piece[size:], offset + size, guard)


async def _fill_in_thread(
    connection: Connection, descriptor: int, piece: memoryview, offset: int, guard: Guard | None
) -> None:
    # The thread has a descriptor of its own: this request may end, and the number be given away, before it.
    own = os.dup(descriptor)
    loop = connection.server.loop
    # No asyncio.timeout: the first step of a request has no task (see `stepping`).
    ended: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(connection.server.options.disk_deadline, _end, ended, _hung())
    reading = connection.server.files.of(descriptor).submit(_fill_and_close, own, piece, offset, guard)

    def tell(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(_end, ended, None)

    reading.add_done_callback(tell)
    try:
        await ended
        reading.result()
    finally:
        timer.cancel()
        if reading.cancel():  # it never began
            os.close(own)


def _end(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _fill_and_close(descriptor: int, piece: memoryview, offset: int, guard: Guard | None) -> None:
    try:
        fill(descriptor, piece, offset, guard)
    finally:
        os.close(descriptor)


def _hung() -> OSError:
    return OSError(errno.ETIMEDOUT, "the disk did not answer in time")


class _Sending:
    """sendfile(2) whenever the socket takes more."""

    def __init__(self, connection: Connection, descriptor: int, offset: int, count: int) -> None:
        self._connection = connection
        self._loop = connection.server.loop
        self._descriptor = descriptor
        self._offset = offset
        self._count = count
        self._probe = [bytearray(1)]
        self.finished: asyncio.Future[None] = self._loop.create_future()
        # uvloop watches its own descriptor of this socket, and watches one only once.
        self._socket = os.dup(connection.transport.get_extra_info("socket").fileno())
        connection.on_lost = self._lost
        self._loop.add_writer(self._socket, self._step)

    def close(self) -> None:
        self._connection.on_lost = None
        self._loop.remove_writer(self._socket)
        os.close(self._socket)

    def _lost(self) -> None:
        self._fail(PeerGone("the client has gone"))

    def _fail(self, error: BaseException) -> None:
        if not self.finished.done():
            if isinstance(error, ConnectionError):
                error = PeerGone("the client has gone")
            self.finished.set_exception(error)

    def _step(self) -> None:
        if self.finished.done():
            return
        size = min(self._count, _STEP)
        if not self._cached(self._offset) or not self._cached(self._offset + size - 1):
            self._loop.remove_writer(self._socket)
            self._send_in_thread(min(self._count, _COLD_STEP))
            return
        try:
            self._took(_send(self._socket, self._descriptor, self._offset, size))
        except OSError as error:
            self._fail(error)

    def _cached(self, offset: int) -> bool:
        try:
            os.preadv(self._descriptor, self._probe, offset, os.RWF_NOWAIT)
        except OSError:
            return False
        return True

    def _send_in_thread(self, size: int) -> None:
        # The thread has descriptors of its own: this request may end, and their numbers be given away, before it.
        own = os.dup(self._socket), os.dup(self._descriptor)
        pool = self._connection.server.files.of(self._descriptor)
        future = self._loop.run_in_executor(pool, _send_and_close, *own, self._offset, size)
        deadline = self._connection.server.options.disk_deadline
        timer = self._loop.call_later(deadline, self._hung)
        future.add_done_callback(lambda _: timer.cancel())
        future.add_done_callback(self._sent_in_thread)

    def _hung(self) -> None:
        # The thread keeps a descriptor of the socket, so to close ours would not end the connection.
        with socket.socket(fileno=os.dup(self._socket)) as same, contextlib.suppress(OSError):
            same.shutdown(socket.SHUT_RDWR)
        self._fail(_hung())

    def _sent_in_thread(self, future: asyncio.Future[int]) -> None:
        error = None if future.cancelled() else future.exception()
        if self.finished.done() or future.cancelled():
            return
        if error is not None:
            self._fail(error)
            return
        self._took(future.result())
        if not self.finished.done():
            self._loop.add_writer(self._socket, self._step)

    def _took(self, size: int) -> None:
        if size == 0:
            self._fail(BodyTruncated("the file is shorter than it was"))
        elif size > 0:
            self._offset += size
            self._count -= size
            self._connection.written += size
            if not self._count:
                self.finished.set_result(None)


def _send(out: int, descriptor: int, offset: int, size: int) -> int:
    """Bytes sent: 0 if the file has ended, -1 if the socket takes none now."""
    try:
        return os.sendfile(out, descriptor, offset, size)
    except BlockingIOError:
        return -1


def _send_and_close(out: int, descriptor: int, offset: int, size: int) -> int:
    try:
        return _send(out, descriptor, offset, size)
    finally:
        os.close(out)
        os.close(descriptor)
