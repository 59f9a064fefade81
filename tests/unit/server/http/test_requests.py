"""From bytes to scopes, one request after the other."""

import asyncio
import socket

from dolium.asgi.messages import Receive, Scope, Send
from tests.unit.server.http.conftest import Serve
from tests.unit.server.http.live import Lazy, Recorder, answer, get, put, read, request


def test_the_scope_holds_the_request_as_sent(serve: Serve) -> None:
    app = Recorder()
    live = serve(app)
    peer = live.peer().send(
        get("/a%2Fb/../c%20//é?x=%2F&y".replace("é", "%C3%A9"), "X-B: 1 ", "x-a:2", "X-B:", "X-C: é")
    )
    assert peer.answer().status == 200
    scope = app.scopes[0]
    assert scope["type"] == "http"
    assert scope["raw_path"] == b"/a%2Fb/../c%20//%C3%A9"
    assert scope["path"] == "/a/b/../c //é"
    assert scope["query_string"] == b"x=%2F&y"
    assert scope["method"] == "GET"
    assert scope["http_version"] == "1.1"
    assert scope["scheme"] == "http"
    assert scope["client"] == ("127.0.0.1", peer.sock.getsockname()[1])
    assert scope["server"] == ("127.0.0.1", live.port)
    assert scope["headers"] == [
        (b"host", b"store"), (b"x-b", b"1"), (b"x-a", b"2"), (b"x-b", b""), (b"x-c", "é".encode()),
    ]  # fmt: skip


def test_byte_by_byte_is_the_same_request(serve: Serve) -> None:
    app = Recorder()
    peer = serve(app).peer()
    peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in put(b"body", "X-Name: value", path="/path?query"):
        peer.send(bytes([byte]))
    assert peer.answer().body == b"body"
    assert app.scopes[0]["raw_path"] == b"/path"
    assert app.scopes[0]["headers"] == [(b"host", b"store"), (b"content-length", b"4"), (b"x-name", b"value")]


def test_a_connection_is_used_again(serve: Serve) -> None:
    app = Recorder()
    live = serve(app)
    peer = live.peer()
    for number in range(5):
        assert peer.send(get(f"/{number}")).answer().body == b"/%d" % number
    assert len({scope["client"] for scope in app.scopes}) == 1


def test_requests_sent_ahead_are_answered_in_order(serve: Serve) -> None:
    slow_first = [0.1, 0, 0.05, 0]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, _ = await read(receive)
        await asyncio.sleep(slow_first.pop(0))
        await answer(send, scope["raw_path"] + body)

    peer = (
        serve(app)
        .peer()
        .send(get("/1") + put(b"two", path="/2") + get("/3") + put(b"x" * 100_000, path="/4"))
    )
    assert [peer.answer().body[:5] for _ in range(4)] == [b"/1", b"/2two", b"/3", b"/4xxx"]


def test_too_many_sent_ahead_end_the_connection_after_those_before(serve: Serve) -> None:
    peer = serve(Recorder(), max_pipelined=3).peer().send(b"".join(get(f"/{n}") for n in range(5)))
    assert [peer.answer().body for _ in range(3)] == [b"/0", b"/1", b"/2"]
    assert peer.answer().status == 400
    assert peer.ended() == "eof"


def test_what_is_sent_ahead_is_not_read_while_a_request_is_answered(serve: Serve) -> None:
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        await answer(send, b"done")

    live = serve(app)
    peer = live.peer().send(get("/1"))
    peer.sock.setblocking(False)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += peer.sock.send(get("/" + "x" * 10_000) * 10)
    except BlockingIOError:
        pass
    assert sent < 64 << 20
    live.loop.call_soon_threadsafe(release.set)
    peer.sock.settimeout(10)
    assert peer.answer().body == b"done"


def test_http_1_0_closes_unless_asked_not_to(serve: Serve) -> None:
    live = serve(Recorder())
    peer = live.peer().send(b"GET /x HTTP/1.0\r\n\r\n")
    assert peer.answer().get(b"connection") == b"close"
    assert peer.ended() == "eof"
    peer = live.peer()
    for _ in range(2):
        found = peer.send(b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer()
        assert (found.body, found.get(b"connection")) == (b"/x", b"keep-alive")


def test_connection_close_is_heard(serve: Serve) -> None:
    app = Recorder()
    peer = serve(app).peer().send(get("/x", "Connection: close") + get("/not-heard"))
    found = peer.answer()
    assert (found.body, found.get(b"connection")) == (b"/x", b"close")
    assert peer.rest()[0] == b""
    assert len(app.scopes) == 1


def test_an_upgrade_that_is_offered_is_not_taken(serve: Serve) -> None:
    """Java's client offers h2c with every first request."""
    h2c = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    peer = serve(Recorder()).peer().send(get("/a", *h2c) + put(b"abc", *h2c) + get("/b"))
    assert [peer.answer().body for _ in range(3)] == [b"/a", b"abc", b"/b"]
    large = b"x" * 1_000_000
    assert peer.send(put(large, *h2c)).answer().body == large
    assert peer.send(get("/c")).answer().body == b"/c"
    peer.send(request("PUT", "/", *h2c, "Content-Length: 4")).send(b"ab").send(b"cd" + get("/d"))
    assert [peer.answer().body, peer.answer().body] == [b"abcd", b"/d"]
    peer.send(request("PUT", "/", *h2c, "Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\n\r\n"))
    assert peer.answer().status == 400
    assert peer.ended() == "eof"


def test_a_peer_that_has_said_all_still_gets_its_answer(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        await answer(send, b"here")

    peer = serve(app).peer().send(get() + get())
    peer.sock.shutdown(socket.SHUT_WR)
    assert [peer.answer().body, peer.answer().body] == [b"here", b"here"]
    assert peer.ended() == "eof"


def test_empty_lines_before_a_request_are_nothing(serve: Serve) -> None:
    peer = serve(Recorder()).peer().send(b"\r\n\r\n" + get("/x") + b"\r\n" + get("/y"))
    assert [peer.answer().body, peer.answer().body] == [b"/x", b"/y"]


def test_unusual_methods_reach_the_app(serve: Serve) -> None:
    app = Recorder()
    live = serve(app)
    for method in ("PATCH", "OPTIONS", "PROPFIND"):
        assert live.ask(request(method, "/x")).status == 200
    assert [scope["method"] for scope in app.scopes] == ["PATCH", "OPTIONS", "PROPFIND"]


def test_an_app_that_is_not_eager_has_a_task(serve: Serve) -> None:
    tasks: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(5):
            await Lazy(Recorder())(scope, receive, send)

    peer = serve(app).peer().send(get("/1") + get("/2"))
    assert [peer.answer().body, peer.answer().body] == [b"/1", b"/2"]
    assert None not in tasks


def test_each_request_is_reported_once(serve: Serve) -> None:
    seen: list[tuple[bytes, int, int, int]] = []

    def finished(scope: Scope, status: int, sent: int, received: int, seconds: float) -> None:
        assert 0 <= seconds < 10
        seen.append((scope["raw_path"], status, sent, received))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, ended = await read(receive)
        if scope["raw_path"] == b"/fails":
            raise LookupError("on purpose")
        if ended == "http.request":
            await answer(send, body * 2, 201)

    live = serve(app, on_finished=finished)
    peer = live.peer().send(put(b"abc", path="/good")).answer()
    live.ask(get("/fails"))
    gone = live.peer().send(b"PUT /gone HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\nabc")
    gone.close()
    for _ in range(100):
        if len(seen) == 3:
            break
        live.call(asyncio.sleep(0.02))
    assert peer.status == 201
    assert seen == [(b"/good", 201, 6, 3), (b"/fails", 500, 34, 0), (b"/gone", 0, 0, 3)]
