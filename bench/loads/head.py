"""HEAD over many connections: a loop of our own, for wrk waits for the body that a HEAD announces.

One thread over epoll and ready-made requests, each connection with one request under way.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.loads import Load

if TYPE_CHECKING:
    from bench.client import Request

__all__ = ["Head"]

_END = b"\r\n\r\n"


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    began: float = 0.0
    received: bytes = b""


@dataclass(slots=True)
class Head:
    """One run; any answer that does not begin with `expect`, and any closed connection, fails it."""

    port: int
    requests: tuple[Request, ...]
    connections: int
    seconds: int
    expect: bytes = b"HTTP/1.1 404"
    _latencies: list[float] = field(default_factory=list)
    _wrong: int = 0

    def run(self) -> Load:
        texts = [request.line().replace("\t", "\r\n").encode() + _END for request in self.requests]
        opened = [
            _Connection(socket.create_connection(("127.0.0.1", self.port))) for _ in range(self.connections)
        ]
        began = time.perf_counter()
        try:
            self._loop(opened, texts, began + self.seconds)
        finally:
            for connection in opened:
                connection.socket.close()
        seconds = time.perf_counter() - began
        latencies = sorted(self._latencies)
        p99 = latencies[int(len(latencies) * 0.99)] * 1000 if latencies else None
        failure = f"{self._wrong} wrong answers" if self._wrong else ""
        if not latencies:
            failure = failure or "no answer in time"
        return Load(len(latencies), 0, seconds, p99, failure)

    def _loop(self, opened: list[_Connection], texts: list[bytes], deadline: float) -> None:
        poll = select.epoll()
        by_number = {connection.socket.fileno(): connection for connection in opened}
        sent = 0
        for connection in opened:
            poll.register(connection.socket, select.EPOLLIN)
            connection.began = time.perf_counter()
            connection.socket.sendall(texts[sent % len(texts)])
            sent += 1
        with poll:
            while time.perf_counter() < deadline:
                for number, _ in poll.poll(0.1):
                    connection = by_number[number]
                    data = connection.socket.recv(65536)
                    if not data:
                        self._wrong += 1
                        return
                    connection.received += data
                    if not connection.received.endswith(_END):
                        continue
                    if not connection.received.startswith(self.expect):
                        self._wrong += 1
                    now = time.perf_counter()
                    self._latencies.append(now - connection.began)
                    connection.received, connection.began = b"", now
                    connection.socket.sendall(texts[sent % len(texts)])
                    sent += 1
