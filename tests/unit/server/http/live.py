"""A server in a thread of this process, and peers that speak to it in raw bytes."""

import asyncio
import concurrent.futures
import socket
import ssl
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Self

import uvloop

from dolium.asgi.messages import Message, Receive, Scope, Send
from dolium.server.http.options import HttpOptions
from dolium.server.http.server import Finished, HttpServer
from dolium.server.http.stepping import App


@dataclass
class Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def get(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)


class Peer:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(10)
        self._had = b""

    def send(self, data: bytes) -> Self:
        self.sock.sendall(data)
        return self

    def _more(self) -> None:
        data = self.sock.recv(1 << 18)
        if not data:
            raise EOFError(self._had)
        self._had += data

    def line(self) -> bytes:
        while b"\r\n" not in self._had:
            self._more()
        line, self._had = self._had.split(b"\r\n", 1)
        return line

    def take(self, size: int) -> bytes:
        while len(self._had) < size:
            self._more()
        data, self._had = self._had[:size], self._had[size:]
        return data

    def answer(self, *, head: bool = False) -> Answer:
        """The next answer, read as RFC 9112 says; `head` if it was asked for with HEAD."""
        status = int(self.line().split(b" ")[1])
        headers = []
        while line := self.line():
            name, value = line.split(b": ", 1)
            headers.append((name, value))
        found = Answer(status, headers, b"")
        if head or status in (204, 304) or status < 200:
            return found
        if found.get(b"transfer-encoding") == b"chunked":
            while size := int(self.line(), 16):
                found.body += self.take(size)
                assert self.line() == b""
            assert self.line() == b""
        elif (length := found.get(b"content-length")) is not None:
            found.body = self.take(int(length))
        else:
            found.body, _ = self.rest()
        return found

    def rest(self) -> tuple[bytes, str]:
        """All that still comes, and how it ends: `eof` or `reset`."""
        data, self._had = self._had, b""
        try:
            while piece := self.sock.recv(1 << 18):
                data += piece
        except ConnectionResetError:
            return data, "reset"
        return data, "eof"

    def ended(self) -> str:
        """How the connection has ended, with nothing more on it."""
        data, how = self.rest()
        assert data == b""
        return how

    def silent(self, seconds: float = 0.15) -> bool:
        """Whether nothing comes for so long, and the connection stays."""
        if self._had:
            return False
        self.sock.settimeout(seconds)
        try:
            self._had = self.sock.recv(1 << 18)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(10)
        return False

    def close(self) -> None:
        self.sock.close()


@dataclass
class Live:
    """`with Live(app, …) as live`: a server on a free port."""

    app: App
    options: HttpOptions = field(default_factory=lambda: HttpOptions(tick=0.02))
    on_finished: Finished | None = None
    tls: ssl.SSLContext | None = None
    port: int = 0

    def __enter__(self) -> Self:
        self._peers: list[Peer] = []
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(started,))
        self._thread.start()
        started.result(10)
        return self

    def __exit__(self, *_: object) -> None:
        for peer in self._peers:
            peer.close()
        self.loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self, started: concurrent.futures.Future[None]) -> None:
        try:
            uvloop.run(self._serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _serve(self, started: concurrent.futures.Future[None]) -> None:
        self.loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self.server = HttpServer(self.app, self.options, on_finished=self.on_finished)
        self.listening = await self.loop.create_server(self.server.connection, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.listening.sockets[0].getsockname()[1]
        started.set_result(None)
        await self._over.wait()
        self.listening.close()
        await self.server.close()
        assert self.server.running == 0
        assert not self.server.connections

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run it in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def settle(self, running: int = 0) -> None:
        """Wait until so many requests are in the app."""
        for _ in range(500):
            if self.server.running == running:
                return
            time.sleep(0.01)
        raise AssertionError("a request does not end")

    def peer(self, *, receive_buffer: int = 0) -> Peer:
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(("127.0.0.1", self.port))
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            sock = context.wrap_socket(sock)
        peer = Peer(sock)
        self._peers.append(peer)
        return peer

    def ask(self, raw: bytes, *, head: bool = False) -> Answer:
        """One request on a connection of its own."""
        return self.peer().send(raw).answer(head=head)


def get(path: str = "/", *more: str) -> bytes:
    """A GET as simple as can be."""
    return request("GET", path, *more)


def request(method: str, path: str, *more: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: store", *more, "", ""]).encode() + body


def put(body: bytes, *more: str, path: str = "/") -> bytes:
    return request("PUT", path, f"Content-Length: {len(body)}", *more, body=body)


async def read(receive: Receive) -> tuple[bytes, str]:
    """The whole body, and the type of the message that ended it."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body, message["type"]
        body += message["body"]
        if not message["more_body"]:
            return body, message["type"]


async def answer(send: Send, body: bytes = b"", status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


class Recorder:
    """An app that reads the body, keeps what it saw, and answers the body back."""

    eager = True

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[tuple[bytes, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.bodies.append(await read(receive))
        body, ended = self.bodies[-1]
        if ended == "http.request":
            await answer(send, body or scope["raw_path"])


class Lazy:
    """The same app without its `eager`."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def messages(*sent: Message) -> App:
    """An app that sends these and is done."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in sent:
            await send(message)

    return app


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def piece(body: bytes | memoryview, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}
