"""Sizes and times: every limit, and that those who keep to them do not notice the others."""

import asyncio
import socket
import threading
import time

import pytest

from dolium.asgi.messages import Receive, Scope, Send
from dolium.server.http.options import HttpOptions, Refusal
from tests.unit.server.http.conftest import Serve
from tests.unit.server.http.live import (
    Answer,
    Peer,
    Recorder,
    answer,
    get,
    messages,
    piece,
    put,
    read,
    request,
    start,
)


def test_a_head_up_to_the_limits_passes(serve: Serve) -> None:
    app = Recorder()
    live = serve(app)
    target, value = "/" + "k" * 15_000, "v" * 15_000
    assert live.ask(get(target, f"X: {value}", *[f"X-{n}: y" for n in range(100)])).status == 200
    assert dict(app.scopes[0]["headers"])[b"x"] == value.encode()


@pytest.mark.parametrize(
    "raw",
    [
        get("/", "X: " + "v" * 17_000),
        get("/", *[f"X-{n}: {'v' * 1000}" for n in range(17)]),
        get("/", *[f"X-{n}: y" for n in range(201)]),
        get("/" + "k" * 17_000),
        get("/", "X: " + "v" * 3_000_000),
        get("/" + "k" * 3_000_000),
        b"GET / HTTP/1.1\r\n" + b"x" * 3_000_000,
        get("/first") + get("/", "X: " + "v" * 17_000),
    ],
    ids=["one", "sum", "count", "target", "endless", "endless-target", "endless-name", "second"],
)
def test_a_head_beyond_the_limits_is_refused(raw: bytes, serve: Serve) -> None:
    app = Recorder()
    live = serve(app)
    peer = live.peer()
    sender = threading.Thread(target=peer.sock.sendall, args=(raw,))
    sender.start()
    if raw.startswith(get("/first")):
        assert peer.answer().body == b"/first"
    found = peer.answer()
    sender.join()
    assert (found.status, found.body[:28]) == (400, b"RequestHeaderSectionTooLarge")
    assert peer.ended() == "eof"
    assert len(app.scopes) <= 1


def drip(peer: Peer, data: bytes, size: int = 1, pause: float = 0.01) -> Answer:
    """Send little by little, until an answer comes."""
    for at in range(0, len(data), size):
        peer.send(data[at : at + size])
        if not peer.silent(pause):
            return peer.answer()
    raise AssertionError("no end")


def test_a_head_in_many_pieces_is_limited_too(serve: Serve) -> None:
    peer = serve(Recorder()).peer().send(b"GET / HTTP/1.1\r\nHost: s\r\nX: ")
    assert drip(peer, b"v" * 1_000_000, 5000, 0.001).body[:28] == b"RequestHeaderSectionTooLarge"


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost:", b"GET / HTTP/1.1\r\nHost: s\r\n"])
def test_a_slow_head_meets_its_deadline(begun: bytes, serve: Serve) -> None:
    peer = serve(Recorder(), header_deadline=0.2).peer()
    if begun:
        peer.send(begun)
        assert peer.answer().status == 408
    assert peer.ended() == "eof"


def test_dripping_a_head_does_not_help(serve: Serve) -> None:
    peer = serve(Recorder(), header_deadline=0.3).peer()
    started = time.monotonic()
    assert drip(peer, get("/", "X: " + "y" * 1000)).status == 408
    assert time.monotonic() - started < 3


def test_a_second_head_has_the_same_deadline(serve: Serve) -> None:
    peer = serve(Recorder(), header_deadline=0.2, keep_alive=60).peer().send(get("/x"))
    assert peer.answer().body == b"/x"
    assert peer.silent(0.4)
    assert peer.send(b"GET /").answer().status == 408


def test_an_idle_connection_ends_without_a_word(serve: Serve) -> None:
    live = serve(Recorder(), keep_alive=0.2)
    peer = live.peer().send(get("/x"))
    assert peer.answer().body == b"/x"
    time.sleep(0.1)
    assert peer.send(get("/y")).answer().body == b"/y"
    assert peer.ended() == "eof"
    assert not live.server.connections


def test_empty_lines_do_not_keep_a_connection(serve: Serve) -> None:
    peer = serve(Recorder(), keep_alive=0.2).peer().send(get("/x"))
    peer.answer()
    started = time.monotonic()
    try:
        while time.monotonic() < started + 5:
            peer.send(b"\r\n")
            time.sleep(0.02)
    except ConnectionError:
        return
    raise AssertionError("no end")


def test_a_body_that_stops_is_a_timeout(serve: Serve) -> None:
    app = Recorder()
    live = serve(app, patience=0.2)
    peer = live.peer().send(request("PUT", "/", "Content-Length: 100", body=b"abc"))
    found = peer.answer()
    assert (found.status, found.body[:14]) == (408, b"RequestTimeout")
    assert peer.ended() == "eof"
    live.settle()
    assert app.bodies == [(b"abc", "http.disconnect")]


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_a_body_that_drips_is_a_timeout(framing: str, serve: Serve) -> None:
    app = Recorder()
    live = serve(app, patience=0.2, minimum_rate=1000)
    peer = live.peer().send(request("PUT", "/", framing))
    peer.send(b"1000\r\n" if "chunked" in framing else b"x")
    assert drip(peer, b"x" * 300, pause=0.02).status == 408
    live.settle()
    assert [ended for _, ended in app.bodies] == ["http.disconnect"]


def test_a_slow_body_at_the_minimum_rate_passes(serve: Serve) -> None:
    peer = serve(Recorder(), patience=0.2, minimum_rate=100).peer()
    peer.send(request("PUT", "/", "Content-Length: 200"))
    for _ in range(20):
        peer.send(b"x" * 10)
        time.sleep(0.04)
    assert peer.answer().body == b"x" * 200


def test_a_fast_beginning_is_no_credit(serve: Serve) -> None:
    app = Recorder()
    peer = serve(app, patience=0.2).peer()
    peer.send(request("PUT", "/", "Content-Length: 2000000", body=b"x" * 1_999_000))
    assert peer.answer().status == 408


def test_an_app_that_takes_its_time_is_not_the_clients_fault(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["raw_path"] == b"/expects":
            await asyncio.sleep(0.6)
        body = b""
        more = True
        while more:
            message = await receive()
            await asyncio.sleep(0.02)
            body += message["body"]
            more = message["more_body"]
        await asyncio.sleep(0.6)
        await answer(send, b"%d" % len(body))

    live = serve(app, patience=0.2, body_buffer=65536)
    assert live.peer().send(put(b"x" * 5_000_000)).answer().body == b"5000000"
    peer = live.peer().send(request("PUT", "/expects", "Content-Length: 3", "Expect: 100-continue"))
    assert peer.line() == b"HTTP/1.1 100 Continue"
    assert peer.line() == b""
    assert peer.send(b"abc").answer().body == b"3"


@pytest.mark.parametrize("how", ["pieces", "file"])
def test_a_client_that_stops_reading_is_dropped(how: str, serve: Serve, tmp_path: object) -> None:
    if how == "pieces":
        app = messages(start(), *[piece(b"x" * (1 << 20), more=True)] * 64, piece(b""))
    else:
        from tests.unit.server.http.test_files import head, part, sends

        path = tmp_path / "large"  # type: ignore[operator]
        with path.open("wb") as file:
            file.truncate(64 << 20)
        app = sends(path, head(64 << 20), part(0, 64 << 20))  # type: ignore[assignment]
    live = serve(app, patience=0.3)
    peer = live.peer(receive_buffer=65536).send(get())
    live.settle(1)
    live.settle(0)
    assert not live.server.connections
    assert peer.rest()[1] == "reset"


def test_a_slow_reader_at_the_minimum_rate_is_served(serve: Serve) -> None:
    """Megabytes in the kernel must not look like a standstill."""
    live = serve(messages(start(), piece(b"x" * (2 << 20))), patience=0.3, minimum_rate=100_000)
    peer = live.peer(receive_buffer=16384).send(get())
    while peer.line():
        pass
    had = 0
    for _ in range(10):
        peer.take(80_000)
        had += 80_000
        time.sleep(0.1)
    peer.take((2 << 20) - had)


def test_one_connection_too_many_is_told_so(serve: Serve) -> None:
    live = serve(Recorder(), max_connections=2)
    first, second = live.peer(), live.peer()
    assert first.send(get("/1")).answer().status == second.send(get("/2")).answer().status == 200
    third = live.peer()
    found = third.answer()
    assert (found.status, found.get(b"retry-after"), third.ended()) == (503, b"1", "eof")
    first.close()
    third.close()
    for _ in range(100):
        if len(live.server.connections) < 2:
            break
        time.sleep(0.01)
    assert live.ask(get("/4")).status == 200


def test_a_flood_of_connections_is_cut_off(serve: Serve) -> None:
    live = serve(Recorder(), max_connections=2)
    peers = [live.peer() for _ in range(100)]
    live.call(asyncio.sleep(0.1))
    assert len(live.server.connections) <= 2 + 16
    assert peers[0].send(get("/x")).answer().body == b"/x"


def test_one_request_too_many_is_told_to_come_again(serve: Serve) -> None:
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        await read(receive)
        await answer(send, b"done")

    live = serve(app, max_requests=2, retry_after=3)
    busy = [live.peer().send(get()) for _ in range(2)]
    live.settle(2)
    third = live.peer()
    for raw in (get(), put(b"x" * 100)):
        found = third.send(raw).answer()
        assert (found.status, found.get(b"retry-after"), found.get(b"connection")) == (503, b"3", None)
    large = live.peer().send(put(b"x" * 3_000_000))
    assert (large.answer().status, large.ended()) == (503, "eof")
    live.loop.call_soon_threadsafe(release.set)
    assert [peer.answer().body for peer in busy] == [b"done", b"done"]
    live.settle()
    assert third.send(get()).answer().body == b"done"
    assert live.server.refused == 3


def test_500_slow_ones_do_not_hold_up_the_others(serve: Serve) -> None:
    live = serve(Recorder(), header_deadline=1.0)
    slow = [live.peer().send(b"GET / HTTP/1.1\r\nHost: s\r\nX: ") for _ in range(500)]
    peer = live.peer()
    slowest = 0.0
    for number in range(100):
        started = time.monotonic()
        assert peer.send(get(f"/{number}")).answer().body == b"/%d" % number
        slowest = max(slowest, time.monotonic() - started)
        slow[number].send(b"y")
    assert slowest < 0.5
    assert {one.answer().status for one in slow} == {408}


def test_refusals_may_speak_the_apps_language(serve: Serve) -> None:
    def render(refusal: Refusal) -> tuple[list[tuple[bytes, bytes]], bytes]:
        headers = [(b"content-type", b"application/xml"), (b"x-amz-request-id", b"A1")]
        return headers, f"<Code>{refusal.code}</Code>".encode()

    live = serve(Recorder(), render_refusal=render)
    found = live.ask(b"GET / HTTP/1.1\r\n\r\n")
    assert (found.get(b"content-type"), found.body) == (b"application/xml", b"<Code>BadRequest</Code>")
    assert found.get(b"x-amz-request-id") == b"A1"


def test_draining_ends_idle_connections_and_finishes_requests(serve: Serve) -> None:
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["raw_path"] == b"/slow":
            await release.wait()
        await answer(send, scope["raw_path"])

    live = serve(app)
    idle = live.peer().send(get("/idle"))
    assert idle.answer().status == 200
    busy = live.peer().send(get("/slow"))
    late = live.peer()
    live.settle(1)
    draining = asyncio.run_coroutine_threadsafe(live.server.drain(5), live.loop)
    assert idle.ended() == "eof"
    assert late.send(get("/late")).answer().get(b"connection") == b"close"
    assert not draining.done()
    live.loop.call_soon_threadsafe(release.set)
    found = busy.answer()
    assert (found.body, found.get(b"connection"), busy.ended()) == (b"/slow", b"close", "eof")
    assert draining.result(5)


def test_what_was_sent_ahead_is_not_heard_once_the_connection_ends(serve: Serve) -> None:
    seen: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["raw_path"])
        await answer(send, b"", 403)

    live = serve(app)
    peer = live.peer().send(request("PUT", "/first", "Content-Length: 1000", body=b"x"))
    assert peer.answer().status == 403  # the rest is to be discarded
    asyncio.run_coroutine_threadsafe(live.server.drain(5), live.loop)
    live.call(asyncio.sleep(0.05))
    peer.send(b"x" * 999 + get("/second"))
    assert peer.rest()[0] == b""
    assert seen == [b"/first"]


def test_draining_has_an_end(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)

    live = serve(app)
    peer = live.peer().send(get())
    live.settle(1)
    assert live.call(live.server.drain(0.1)) is False
    live.call(live.server.close())
    assert peer.ended() == "reset"
    assert live.server.running == 0


def test_the_defaults_are_those_of_the_documentation() -> None:
    options = HttpOptions()
    assert (options.header_limit, options.target_limit, options.header_deadline) == (16384, 16384, 10.0)
    assert (options.keep_alive, options.minimum_rate, options.patience) == (75.0, 1024, 60.0)


def test_a_peer_that_resets_leaves_nothing(serve: Serve) -> None:
    live = serve(Recorder())
    for raw in (b"", b"GET", get(), request("PUT", "/", "Content-Length: 10", body=b"x")):
        peer = live.peer().send(raw)
        time.sleep(0.03)
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
    live.settle()
    for _ in range(100):
        if not live.server.connections:
            break
        time.sleep(0.01)
    assert not live.server.connections


@pytest.mark.parametrize(
    "state", ["new", "head", "idle", "body", "chunks", "refused", "answer", "last words"]
)
def test_advisory_cve_2022_31028_no_connection_is_for_ever(state: str, serve: Serve) -> None:
    """MinIO kept connections that nobody used. Whatever a peer stops at, its connection ends."""
    live = serve(
        messages(start(), piece(b"x" * (64 << 20))) if state == "answer" else Recorder(),
        header_deadline=0.2, keep_alive=0.2, patience=0.2, discard_deadline=0.2, linger_idle=0.2, linger=0.4,
    )  # fmt: skip
    peer = live.peer(receive_buffer=65536)
    peer.send(
        {
            "new": b"",
            "head": b"GET / HT",
            "idle": get("/x"),
            "body": request("PUT", "/", "Content-Length: 9", body=b"x"),
            "chunks": request("PUT", "/", "Transfer-Encoding: chunked", body=b"9\r\nx"),
            "refused": b"nonsense\r\n\r\n",
            "answer": get("/x"),
            "last words": get("/x", "Connection: close"),
        }[state]
    )
    for _ in range(300):
        if not live.server.connections:
            break
        time.sleep(0.01)
    assert not live.server.connections
    assert live.server.running == 0
