"""Bodies of requests: whole or broken off, never in between; never more in memory than agreed."""

import asyncio
import hashlib
import socket
import time

import pytest

from dolium.asgi.messages import Receive, Scope, Send
from tests.unit.server.http.conftest import Serve
from tests.unit.server.http.live import Peer, Recorder, answer, get, put, read, request

LARGE = bytes(range(256)) * 4096 * 3  # 3 MiB


def chunked(*pieces: bytes) -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces)
    return request("PUT", "/", "Transfer-Encoding: chunked", body=framed + b"0\r\n\r\n")


@pytest.mark.parametrize("size", [0, 1, 4096, 65_536, 262_144, 262_145, len(LARGE)])
def test_a_body_of_known_length(size: int, serve: Serve) -> None:
    peer = serve(Recorder()).peer()
    for _ in range(2):
        peer.send(put(LARGE[:size]) + get("/next"))
        assert peer.answer().body == (LARGE[:size] or b"/")
        assert peer.answer().body == b"/next"


def test_a_body_in_chunks(serve: Serve) -> None:
    peer = serve(Recorder()).peer()
    for _ in range(2):
        peer.send(chunked(b"a", LARGE, b"z") + get("/next"))
        assert peer.answer().body == b"a" + LARGE + b"z"
        assert peer.answer().body == b"/next"


def test_pieces_come_as_they_are_sent_and_the_last_says_so(serve: Serve) -> None:
    seen: list[tuple[int, bool]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            seen.append((len(message["body"]), more))
        await answer(send)

    peer = serve(app).peer().send(request("PUT", "/", "Content-Length: 6", body=b"ab"))
    time.sleep(0.1)
    peer.send(b"cd")
    time.sleep(0.1)
    assert peer.send(b"ef").answer().status == 200
    assert seen == [(2, True), (2, True), (2, False)]


@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
@pytest.mark.parametrize(
    "raw",
    [
        request("PUT", "/", "Content-Length: 10", body=b"123456789"),
        request("PUT", "/", "Content-Length: 10"),
        request("PUT", "/", "Content-Length: 1000000", body=b"x" * 300_000),
        request("PUT", "/", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"),
        request("PUT", "/", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n"),
        request("PUT", "/", "Transfer-Encoding: chunked", body=b"3\r\nab"),
    ],
    ids=["length", "nothing", "long", "chunks", "last-chunk", "in-chunk"],
)
def test_a_body_that_breaks_off_is_a_disconnect(raw: bytes, how: str, serve: Serve) -> None:
    app = Recorder()
    live = serve(app)
    peer = live.peer().send(raw)
    time.sleep(0.05)
    if how == "half-close":
        peer.sock.shutdown(socket.SHUT_WR)
    elif how == "reset":
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    if how != "half-close":
        peer.close()
    for _ in range(100):
        if app.bodies:
            break
        time.sleep(0.02)
    assert [ended for _, ended in app.bodies] == ["http.disconnect"]
    if how == "half-close":
        assert peer.ended() == "reset"


def test_100_continue_goes_out_when_the_app_asks_for_the_body(serve: Serve) -> None:
    ask = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await ask.wait()
        body, _ = await read(receive)
        await answer(send, body)

    live = serve(app)
    peer = live.peer().send(request("PUT", "/", "Content-Length: 3", "Expect: 100-Continue"))
    assert peer.silent()
    live.loop.call_soon_threadsafe(ask.set)
    assert peer.line() == b"HTTP/1.1 100 Continue"
    assert peer.line() == b""
    assert peer.send(b"abc").answer().body == b"abc"
    assert peer.send(get()).answer().status == 200  # and the connection lives


def test_a_refusal_needs_no_body_and_no_100(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"no", 403)

    peer = serve(app).peer().send(request("PUT", "/", "Content-Length: 1000000000", "Expect: 100-continue"))
    found = peer.answer()
    # Nobody can know whether the body will come now, so nothing more is heard on this connection.
    assert (found.status, found.get(b"connection")) == (403, b"close")
    assert peer.ended() == "eof"


def test_100_continue_is_not_said_when_the_body_is_there(serve: Serve) -> None:
    peer = serve(Recorder()).peer().send(put(b"abc", "Expect: 100-continue"))
    assert (peer.answer().status, peer.silent()) == (200, True)


@pytest.mark.parametrize("expect", ["200-ok", "", "100-continue, x"])
def test_any_other_expectation_is_ignored(expect: str, serve: Serve) -> None:
    peer = serve(Recorder()).peer().send(request("PUT", "/", "Content-Length: 3", f"Expect: {expect}"))
    assert peer.silent()
    assert peer.send(b"abc").answer().body == b"abc"


def test_http_1_0_has_no_100_continue(serve: Serve) -> None:
    raw = b"PUT / HTTP/1.0\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    peer = serve(Recorder()).peer().send(raw)
    assert peer.silent()
    assert peer.send(b"abc").answer().body == b"abc"


def fill(peer: Peer, most: int) -> int:
    """Send until the other side takes no more for a while."""
    sent = 0
    peer.sock.settimeout(0.3)
    try:
        while sent < most:
            sent += peer.sock.send(b"x" * min(65536, most - sent))
    except TimeoutError:
        pass
    peer.sock.settimeout(10)
    return sent


def test_an_app_that_does_not_read_stops_the_sender(serve: Serve) -> None:
    go = asyncio.Event()
    buffered: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        buffered.extend(c._reader.receiving.buffered for c in live.server.connections if c._reader.receiving)
        body, _ = await read(receive)
        await answer(send, hashlib.md5(body).hexdigest().encode())

    live = serve(app, body_buffer=1 << 20)
    size = 64 << 20
    peer = live.peer().send(request("PUT", "/", f"Content-Length: {size}"))
    sent = fill(peer, size)
    assert sent < size
    live.loop.call_soon_threadsafe(go.set)
    while sent < size:
        sent += peer.sock.send(b"x" * min(65536, size - sent))
    assert peer.answer().body == hashlib.md5(b"x" * size).hexdigest().encode()
    assert 1 << 20 < buffered[0] < (1 << 20) + (512 << 10)


def test_tiny_chunks_weigh_what_they_cost(serve: Serve) -> None:
    go = asyncio.Event()
    pieces: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        pieces.extend(
            len(c._reader.receiving._pieces or ()) for c in live.server.connections if c._reader.receiving
        )
        body, _ = await read(receive)
        await answer(send, b"%d" % len(body))

    live = serve(app, body_buffer=1 << 16)
    peer = live.peer().send(request("PUT", "/", "Transfer-Encoding: chunked"))
    peer.send(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n")
    time.sleep(0.3)
    live.loop.call_soon_threadsafe(go.set)
    assert peer.answer().body == b"100000"
    assert pieces[0] < 60_000


def test_more_framing_than_body_is_refused(serve: Serve) -> None:
    app = Recorder()
    live = serve(app)
    peer = live.peer().send(request("PUT", "/", "Transfer-Encoding: chunked"))
    peer.send(b"1;" + b"x" * 200_000 + b"\r\na\r\n")
    assert peer.answer().status == 400
    assert peer.ended() == "eof"
    live.settle()
    assert "http.request" not in [ended for _, ended in app.bodies]


def test_endless_trailers_are_refused(serve: Serve) -> None:
    peer = serve(Recorder()).peer().send(request("PUT", "/", "Transfer-Encoding: chunked", body=b"0\r\n"))
    try:
        for _ in range(100):
            peer.send(b"X: " + b"y" * 10_000 + b"\r\n")
    except ConnectionError:
        pass
    else:
        assert peer.answer().status == 400


def refusing(status: int = 403) -> object:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"no", status)

    return app


def test_the_short_rest_of_a_body_that_nobody_wants_is_discarded(serve: Serve) -> None:
    live = serve(refusing())
    peer = live.peer().send(request("PUT", "/", "Content-Length: 100000", body=b"x"))
    found = peer.answer()
    assert (found.status, found.get(b"connection")) == (403, None)
    peer.send(b"x" * 99_999 + get("/next"))
    assert peer.answer().status == 403
    assert peer.send(put(b"x" * 100_000) + get("/next")).answer().status == 403
    assert peer.answer().status == 403


def test_a_rest_that_does_not_come_ends_the_connection(serve: Serve) -> None:
    peer = serve(refusing(), discard_deadline=0.1).peer()
    assert peer.send(request("PUT", "/", "Content-Length: 100000", body=b"x")).answer().status == 403
    assert peer.ended() == "eof"


@pytest.mark.parametrize("secure", [False, True])
def test_a_client_that_sends_everything_first_sees_the_answer_to_a_refused_upload(
    secure: bool, serve: Serve, tls: object
) -> None:
    size = 64 << 20
    peer = serve(refusing(), tls=tls if secure else None).peer()
    peer.send(request("PUT", "/", f"Content-Length: {size}"))
    for _ in range(size >> 20):
        peer.send(b"x" * (1 << 20))
    found = peer.answer()
    assert (found.status, found.body, found.get(b"connection")) == (403, b"no", b"close")


def test_lingering_ends(serve: Serve) -> None:
    live = serve(refusing(), linger_idle=0.1)
    peer = live.peer().send(request("PUT", "/", "Content-Length: 1000000"))
    assert peer.answer().status == 403
    assert peer.ended() == "eof"
    for _ in range(50):
        if not live.server.connections:
            break
        time.sleep(0.02)
    assert not live.server.connections


def test_lingering_ends_also_for_one_who_never_stops(serve: Serve) -> None:
    peer = serve(refusing(), linger_idle=5, linger=0.3).peer()
    peer.send(request("PUT", "/", "Content-Length: 1000000000"))
    started = time.monotonic()
    try:
        while time.monotonic() < started + 5:
            peer.send(b"x" * 65536)
            time.sleep(0.01)
    except ConnectionError:
        return
    raise AssertionError("no end")


def test_an_answer_may_begin_before_the_body_ends(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"].upper(), "more_body": more})

    peer = serve(app).peer().send(request("PUT", "/", "Content-Length: 6", body=b"abc"))
    assert peer.line() == b"HTTP/1.1 200 OK"
    peer.send(b"def")
    while peer.line():
        pass
    assert (peer.line(), peer.line()) == (b"3", b"ABC")
    assert (peer.line(), peer.line(), peer.line(), peer.line()) == (b"3", b"DEF", b"0", b"")
    assert peer.send(put(b"x")).answer().body == b"X"


def test_receive_after_the_body_waits_for_the_end_of_the_client(serve: Serve) -> None:
    ended: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read(receive)
        ended.append((await receive())["type"])

    live = serve(app)
    peer = live.peer().send(put(b"abc"))
    time.sleep(0.05)
    assert not ended
    peer.close()
    for _ in range(50):
        if ended:
            break
        time.sleep(0.02)
    assert ended == ["http.disconnect"]
