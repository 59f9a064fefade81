"""Answers: what was promised or a broken connection, at the pace of the client."""

import asyncio
import email.utils
import logging
import time

import pytest

from dolium.asgi.messages import Receive, Scope, Send
from dolium.server.http.files import PeerGone
from tests.unit.server.http.conftest import Serve
from tests.unit.server.http.live import Recorder, answer, get, messages, piece, put, request, start

LENGTH_5 = start((b"content-length", b"5"))


def test_a_plain_answer(serve: Serve) -> None:
    live = serve(messages(start((b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"5")), piece(b"hello")))
    found = live.ask(get())
    assert (found.status, found.body) == (200, b"hello")
    assert found.headers[:3] == [(b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"5")]
    dated = email.utils.parsedate_to_datetime((found.get(b"date") or b"").decode())
    assert abs(dated.timestamp() - time.time()) < 5


def test_the_app_may_give_the_date(serve: Serve) -> None:
    found = serve(messages(start((b"date", b"Mon, 01 Jan 2024 00:00:00 GMT")), piece(b""))).ask(get())
    assert [value for name, value in found.headers if name == b"date"] == [b"Mon, 01 Jan 2024 00:00:00 GMT"]


def test_a_whole_body_without_a_length_is_given_one(serve: Serve) -> None:
    found = serve(messages(start(), piece(b"hello"))).ask(get())
    assert (found.get(b"content-length"), found.get(b"transfer-encoding")) == (b"5", None)


def test_pieces_without_a_length_go_in_chunks(serve: Serve) -> None:
    parts = [start(), piece(b"he", more=True), piece(b"", more=True), piece(b"llo", more=True), piece(b"")]
    peer = serve(messages(*parts)).peer()
    for _ in range(2):
        found = peer.send(get()).answer()
        assert (found.body, found.get(b"transfer-encoding")) == (b"hello", b"chunked")


def test_pieces_without_a_length_to_http_1_0_end_with_the_connection(serve: Serve) -> None:
    peer = serve(messages(start(), piece(b"he", more=True), piece(b"llo"))).peer()
    found = peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer()
    assert (found.body, found.get(b"connection"), found.get(b"transfer-encoding")) == (
        b"hello",
        b"close",
        None,
    )


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int, serve: Serve) -> None:
    peer = serve(messages(start((b"etag", b"x"), status=status), piece(b"not sent"))).peer()
    for _ in range(2):
        found = peer.send(get()).answer()
        assert (found.status, found.get(b"content-length"), found.get(b"etag")) == (status, None, b"x")


def test_204_has_no_length(serve: Serve) -> None:
    found = serve(messages(start((b"content-length", b"0"), status=204), piece(b""))).ask(get())
    assert found.get(b"content-length") is None


def test_head_has_the_headers_and_no_body(serve: Serve) -> None:
    peer = serve(messages(LENGTH_5, piece(b"hello"))).peer()
    for _ in range(2):
        found = peer.send(request("HEAD", "/")).answer(head=True)
        assert (found.status, found.get(b"content-length")) == (200, b"5")
    peer = serve(messages(start((b"content-length", b"99")), piece(b""))).peer()
    assert peer.send(request("HEAD", "/") * 2).answer(head=True).get(b"content-length") == b"99"
    assert peer.answer(head=True).status == 200


def test_large_bodies_of_any_kind(serve: Serve) -> None:
    data = bytes(range(256)) * 65536  # 16 MiB
    half = len(data) // 2
    parts = [start((b"content-length", b"%d" % len(data))), piece(memoryview(data)[:half], more=True)]
    live = serve(messages(*parts, piece(data[half:])))
    assert live.ask(get()).body == data
    chunks = serve(messages(start(), piece(memoryview(data)[:half], more=True), piece(data[half:])))
    assert chunks.ask(get()).body == data


BROKEN = {
    "too-few-in-pieces": [LENGTH_5, piece(b"he", more=True), piece(b"ll")],
    "too-many-in-pieces": [LENGTH_5, piece(b"hello", more=True), piece(b"!")],
    "no-end": [LENGTH_5, piece(b"he", more=True)],
    "no-end-of-chunks": [start(), piece(b"he", more=True)],
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("old", [False, True])
def test_an_answer_that_is_not_as_promised_breaks_the_connection(
    sent: list[dict[str, object]], old: bool, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    live = serve(messages(*sent))
    data, how = live.peer().send(b"GET / HTTP/1.0\r\n\r\n" if old else get()).rest()
    assert how == "reset"
    live.settle()
    assert not data.endswith(b"0\r\n\r\n")
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 1


@pytest.mark.parametrize("body", [b"hell", b"", b"hello!"])
def test_an_answer_known_to_be_wrong_before_it_leaves_is_a_500(body: bytes, serve: Serve) -> None:
    peer = serve(messages(LENGTH_5, piece(body))).peer()
    assert [peer.send(get()).answer().status for _ in range(2)] == [500, 500]


def test_after_its_length_an_answer_may_end_with_nothing(serve: Serve) -> None:
    peer = serve(messages(LENGTH_5, piece(b"hello", more=True), piece(b""))).peer()
    for _ in range(2):
        assert peer.send(get()).answer().body == b"hello"


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_an_app_that_fails_before_its_answer_is_a_500(
    eager: bool, late: bool, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if late:
            await asyncio.sleep(0.01)
        await send(start())
        raise LookupError("secret reason")

    app.eager = eager  # type: ignore[attr-defined]
    peer = serve(app).peer()
    for _ in range(2):
        found = peer.send(get()).answer()
        assert (found.status, b"secret" in found.body) == (500, False)
    assert len(caplog.records) == 2
    assert "secret reason" in caplog.text


def test_an_app_that_fails_before_it_read_a_large_body_is_a_500(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("on purpose")

    peer = serve(app).peer().send(put(b"x" * 3_000_000))
    found = peer.answer()
    assert (found.status, found.get(b"connection")) == (500, b"close")


@pytest.mark.parametrize("eager", [True, False])
def test_an_app_that_fails_before_it_is_a_coroutine_is_a_500(eager: bool, serve: Serve) -> None:
    def app(scope: Scope, receive: Receive, send: Send) -> object:
        raise LookupError("on purpose")

    app.eager = eager  # type: ignore[attr-defined]
    peer = serve(app).peer()
    assert [peer.send(get()).answer().status for _ in range(2)] == [500, 500]


def test_an_app_that_answers_nothing_is_a_500(serve: Serve) -> None:
    assert serve(messages()).ask(get()).status == 500


@pytest.mark.parametrize(
    "header",
    [(b"x", b"a\r\nset-cookie: b"), (b"x", b"a\nb"), (b"x", b"a\rb"), (b"x", b"a\0b"), (b"x\r\ny", b"z"),
     (b"content-length", b"-1"), (b"content-length", b"x")],
)  # fmt: skip
def test_a_header_that_breaks_the_head_is_a_500(header: tuple[bytes, bytes], serve: Serve) -> None:
    found = serve(messages(start(header), piece(b"x"))).ask(get())
    assert (found.status, found.get(b"set-cookie")) == (500, None)


def test_two_lengths_are_a_500(serve: Serve) -> None:
    lengths = start((b"content-length", b"1"), (b"content-length", b"2"))
    assert serve(messages(lengths, piece(b"x"))).ask(get()).status == 500


def test_the_app_may_end_the_connection_and_no_more(serve: Serve) -> None:
    peer = serve(messages(start((b"connection", b"close"), (b"transfer-encoding", b"x")), piece(b"a"))).peer()
    found = peer.send(get()).answer()
    assert (found.get(b"connection"), found.get(b"transfer-encoding")) == (b"close", None)
    assert peer.ended() == "eof"
    peer = serve(messages(start((b"connection", b"keep-alive")), piece(b"a"))).peer()
    assert peer.send(get("/", "Connection: close")).answer().get(b"connection") == b"close"


@pytest.mark.parametrize(
    "wrong",
    [[piece(b"x")], [start(), start(), piece(b"")], [{"type": "http.response.push"}]],
    ids=["no-start", "two-starts", "unknown"],
)
def test_an_app_that_does_not_speak_asgi_is_a_500(wrong: list[dict[str, object]], serve: Serve) -> None:
    assert serve(messages(*wrong)).ask(get()).status == 500


def test_nothing_can_follow_the_end(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    peer = serve(messages(start(), piece(b"a"), piece(b"b"))).peer()
    assert [peer.send(get()).answer().body for _ in range(2)] == [b"a", b"a"]
    assert "a body after its end" in caplog.text


def test_a_client_that_does_not_read_stops_the_app(serve: Serve) -> None:
    sent: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(256):
            await send(piece(b"x" * (1 << 20), more=True))
            sent.append(number)
        await send(piece(b""))

    peer = serve(app).peer(receive_buffer=65536).send(get())
    time.sleep(0.4)
    assert len(sent) < 64
    assert len(peer.answer().body) == 256 << 20


def test_a_client_that_goes_is_told_to_the_app(serve: Serve) -> None:
    ended: list[BaseException] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            while True:
                await send(piece(b"x" * (1 << 20), more=True))
        except OSError as error:
            ended.append(error)
            raise

    live = serve(app)
    peer = live.peer().send(get())
    peer.take(100_000)
    peer.close()
    live.settle()
    assert isinstance(ended[0], PeerGone)


def test_work_after_the_answer_does_not_hold_up_the_next_request(serve: Serve) -> None:
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, scope["raw_path"])
        if scope["raw_path"] == b"/first":
            await asyncio.wait_for(release.wait(), 5)

    live = serve(app)
    peer = live.peer().send(get("/first") + get("/second"))
    assert [peer.answer().body, peer.answer().body] == [b"/first", b"/second"]
    live.settle(1)
    live.loop.call_soon_threadsafe(release.set)


def test_the_same_over_tls(serve: Serve, tls: object) -> None:
    app = Recorder()
    peer = serve(app, tls=tls).peer()
    body = b"x" * 5_000_000
    for _ in range(2):
        assert peer.send(put(body)).answer().body == body
    assert app.scopes[0]["scheme"] == "https"
    assert peer.send(b"GET / HTTP/1.1\r\n\r\n").answer().status == 400
