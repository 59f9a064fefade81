"""Where two parsers could read different requests: refused, never repaired; nothing after it is heard."""

import pytest

from tests.unit.server.http.conftest import Serve
from tests.unit.server.http.live import Recorder, get

SECOND = b"GET /smuggled HTTP/1.1\r\nHost: store\r\n\r\n"
CHUNKED = b"3\r\nabc\r\n0\r\n\r\n"

REFUSED = {
    "content-length-twice": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "content-length-twice-equal": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "content-length-list": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 3, 3\r\n\r\nabc",
    "content-length-and-chunked": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "chunked-and-content-length": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 3\r\n\r\n" + CHUNKED,
    "content-length-negative": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: -1\r\n\r\n",
    "content-length-plus": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: +3\r\n\r\nabc",
    "content-length-empty": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length:\r\n\r\n",
    "content-length-blank": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length:  \r\n\r\n",
    "content-length-hex": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 0x3\r\n\r\nabc",
    "content-length-huge": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "coding-unknown": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: gzip\r\n\r\n" + CHUNKED,
    "coding-before-chunked": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    + CHUNKED,
    "coding-after-chunked": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"
    + CHUNKED,
    "coding-identity": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: identity\r\n\r\n" + CHUNKED,
    "coding-almost-chunked": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: xchunked\r\n\r\n" + CHUNKED,
    "coding-quoted": b'PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: "chunked"\r\n\r\n' + CHUNKED,
    "coding-empty": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding:\r\n\r\n" + CHUNKED,
    "coding-twice": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "coding-in-1.0": b"PUT / HTTP/1.0\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "chunk-size-negative": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
    "chunk-size-0x": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "chunk-size-spaced": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
    "chunk-bare-lf": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "chunk-too-long": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "bare-lf": b"GET / HTTP/1.1\nHost: s\n\n",
    "bare-lf-in-fields": b"GET / HTTP/1.1\r\nHost: s\nX: y\r\n\r\n",
    "bare-cr": b"GET / HTTP/1.1\r\nHost: s\r\nX: a\rb\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\nHost: s\r\nX: a\r\n b\r\n\r\n",
    "space-before-fields": b"GET / HTTP/1.1\r\n Host: s\r\n\r\n",
    "space-before-colon": b"GET / HTTP/1.1\r\nHost : s\r\n\r\n",
    "no-colon": b"GET / HTTP/1.1\r\nHost: s\r\nX\r\n\r\n",
    "empty-name": b"GET / HTTP/1.1\r\nHost: s\r\n: x\r\n\r\n",
    "nul-in-value": b"GET / HTTP/1.1\r\nHost: s\r\nX: a\0b\r\n\r\n",
    "nul-in-name": b"GET / HTTP/1.1\r\nHost: s\r\nX\0: a\r\n\r\n",
    "nul-in-target": b"GET /\0 HTTP/1.1\r\nHost: s\r\n\r\n",
    "host-missing": b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
    "host-empty": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "host-twice": b"GET / HTTP/1.1\r\nHost: s\r\nHost: t\r\n\r\n",
    "host-twice-equal": b"GET / HTTP/1.1\r\nHost: s\r\nHost: s\r\n\r\n",
    "host-with-path": b"GET / HTTP/1.1\r\nHost: s/x\r\n\r\n",
    "host-with-user": b"GET / HTTP/1.1\r\nHost: a@s\r\n\r\n",
    "host-list": b"GET / HTTP/1.1\r\nHost: s, t\r\n\r\n",
    "absolute-form-other-host": b"GET http://t/ HTTP/1.1\r\nHost: s\r\n\r\n",
    "absolute-form-with-user": b"GET http://a@s/ HTTP/1.1\r\nHost: s\r\n\r\n",
    "absolute-form-other-scheme": b"GET ftp://s/ HTTP/1.1\r\nHost: s\r\n\r\n",
    "authority-form": b"GET s:80 HTTP/1.1\r\nHost: s:80\r\n\r\n",
    "connect": b"CONNECT s:80 HTTP/1.1\r\nHost: s:80\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: s\r\n\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nHost: s\r\n\r\n",
    "fragment-in-query": b"GET /a?b#c HTTP/1.1\r\nHost: s\r\n\r\n",
    "target-not-a-path": b"GET a HTTP/1.1\r\nHost: s\r\n\r\n",
    "target-not-ascii": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: s\r\n\r\n",
    "method-unknown": b"STEAL / HTTP/1.1\r\nHost: s\r\n\r\n",
    "method-lower-case": b"get / HTTP/1.1\r\nHost: s\r\n\r\n",
    "http-0.9": b"GET /\r\n\r\n",
    "http-0.9-by-number": b"GET / HTTP/0.9\r\nHost: s\r\n\r\n",
    "http-1.2": b"GET / HTTP/1.2\r\nHost: s\r\n\r\n",
    "http-2": b"GET / HTTP/2.0\r\nHost: s\r\n\r\n",
    "http-2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls-to-plain": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "nothing-like-it": b"hello\r\n\r\n",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_refused_and_closed(raw: bytes, serve: Serve) -> None:
    app = Recorder()
    live = serve(app)
    peer = live.peer().send(raw + SECOND)
    refusal = peer.answer()
    assert (refusal.status, refusal.get(b"connection")) == (400, b"close")
    assert peer.ended() == "eof"
    assert [scope["raw_path"] for scope in app.scopes] in ([], [b"/"])
    assert all(ended == "http.disconnect" for _, ended in app.bodies)
    assert live.server.refused == 1


def test_requests_before_a_refused_one_are_answered_first(serve: Serve) -> None:
    peer = serve(Recorder()).peer().send(get("/one") + get("/two") + REFUSED["host-twice"] + SECOND)
    assert [peer.answer().body for _ in range(2)] == [b"/one", b"/two"]
    assert peer.answer().status == 400
    assert peer.ended() == "eof"


def test_a_target_in_absolute_form_that_names_the_same_host_is_its_path(serve: Serve) -> None:
    app = Recorder()
    live = serve(app)
    for target in (b"http://Store:90/a%2Fb?c=d", b"HTTPS://store:90/a%2Fb?c=d"):
        assert live.ask(b"GET " + target + b" HTTP/1.1\r\nHost: store:90\r\n\r\n").status == 200
    assert live.ask(b"GET http://store?c=d HTTP/1.1\r\nHost: store\r\n\r\n").status == 200
    assert [(scope["raw_path"], scope["query_string"]) for scope in app.scopes] == [
        (b"/a%2Fb", b"c=d"), (b"/a%2Fb", b"c=d"), (b"/", b"c=d"),
    ]  # fmt: skip


def test_trailers_are_no_headers(serve: Serve) -> None:
    app = Recorder()
    raw = b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nHost: evil\r\nX: y\r\n\r\n"
    peer = serve(app).peer().send(raw + get("/next"))
    assert [peer.answer().body, peer.answer().body] == [b"abc", b"/next"]
    assert [name for name, _ in app.scopes[0]["headers"]] == [b"host", b"transfer-encoding"]
    assert app.scopes[1]["headers"] == [(b"host", b"store")]
