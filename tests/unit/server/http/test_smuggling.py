"""Where two parsers could read different requests: refused, never repaired; nothing after it is heard."""

import pytest

from dolium.asgi.messages import Receive, Scope, Send
from tests.unit.server.http.conftest import Serve
from tests.unit.server.http.live import Recorder, answer, get

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
    "coding-after-control": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKED,
    "coding-and-comma": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked,\r\n\r\n" + CHUNKED,
    "coding-space-before-colon": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding : chunked\r\n\r\n"
    + CHUNKED,
    "content-length-and-coding-in-1.0": b"PUT / HTTP/1.0\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    "content-length-after-control": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: \x0b3\r\n\r\nabc",
    "content-length-two-words": b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 3 3\r\n\r\nabc",
    "upgrade-with-chunks": b"PUT / HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "coding-in-1.0": b"PUT / HTTP/1.0\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "chunk-size-negative": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
    "chunk-size-0x": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "chunk-size-spaced": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
    "chunk-bare-lf": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "chunk-size-underscore": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\nabc\r\n0\r\n\r\n",
    "chunk-size-beyond-64-bits": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "chunk-extension-bare-lf": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n",
    "chunk-extension-crlf-in-quotes": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'3;a="b\r\n"\r\nabc\r\n0\r\n\r\n',
    "chunk-extension-empty": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3;\r\nabc\r\n0\r\n\r\n",
    "chunk-end-bare-lf": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
    "chunk-end-missing": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n",
    "chunk-last-bare-lf": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\n\n",
    "trailer-content-length": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n",
    "trailer-coding": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "trailer-obs-fold": b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n",
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
    "host-with-words-for-a-port": b"GET / HTTP/1.1\r\nHost: s:abc\r\n\r\n",
    "host-with-two-ports": b"GET / HTTP/1.1\r\nHost: s:1:2\r\n\r\n",
    "host-with-no-port": b"GET / HTTP/1.1\r\nHost: s:\r\n\r\n",
    "host-with-escapes": b"GET / HTTP/1.1\r\nHost: a%2Eb\r\n\r\n",
    "host-with-space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host-not-ascii": b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n",
    "host-half-an-address": b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "absolute-form-other-host": b"GET http://t/ HTTP/1.1\r\nHost: s\r\n\r\n",
    "absolute-form-with-user": b"GET http://a@s/ HTTP/1.1\r\nHost: s\r\n\r\n",
    "absolute-form-other-scheme": b"GET ftp://s/ HTTP/1.1\r\nHost: s\r\n\r\n",
    "authority-form": b"GET s:80 HTTP/1.1\r\nHost: s:80\r\n\r\n",
    "connect": b"CONNECT s:80 HTTP/1.1\r\nHost: s:80\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: s\r\n\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nHost: s\r\n\r\n",
    "fragment-in-query": b"GET /a?b#c HTTP/1.1\r\nHost: s\r\n\r\n",
    "absolute-form-default-port": b"GET http://s:80/ HTTP/1.1\r\nHost: s\r\n\r\n",
    "absolute-form-without-host": b"GET http://s/ HTTP/1.0\r\n\r\n",
    "target-with-space": b"GET /a b HTTP/1.1\r\nHost: s\r\n\r\n",
    "target-with-tab": b"GET /a\tb HTTP/1.1\r\nHost: s\r\n\r\n",
    "target-with-delete": b"GET /a\x7f HTTP/1.1\r\nHost: s\r\n\r\n",
    "tabs-in-the-first-line": b"GET\t/\tHTTP/1.1\r\nHost: s\r\n\r\n",
    "space-behind-the-first-line": b"GET / HTTP/1.1 \r\nHost: s\r\n\r\n",
    "space-before-the-first-line": b" GET / HTTP/1.1\r\nHost: s\r\n\r\n",
    "two-carriage-returns": b"GET / HTTP/1.1\r\r\nHost: s\r\n\r\n",
    "control-in-value": b"GET / HTTP/1.1\r\nHost: s\r\nX: a\x01b\r\n\r\n",
    "bracket-in-name": b"GET / HTTP/1.1\r\nHost: s\r\nX(y): a\r\n\r\n",
    "name-not-ascii": b"GET / HTTP/1.1\r\nHost: s\r\nX\xff: a\r\n\r\n",
    "http-lower-case": b"GET / http/1.1\r\nHost: s\r\n\r\n",
    "http-1.10": b"GET / HTTP/1.10\r\nHost: s\r\n\r\n",
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


CHUNKS = b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"

# What may look odd and can be read in one way only: the method, path and body that it is.
TAKEN: dict[str, tuple[bytes, tuple[str, bytes, bytes]]] = {
    "host-with-port": (b"GET / HTTP/1.1\r\nHost: s:9000\r\n\r\n", ("GET", b"/", b"")),
    "host-in-capitals": (b"GET / HTTP/1.1\r\nHOST: S.Example.ORG\r\n\r\n", ("GET", b"/", b"")),
    "host-of-version-6": (b"GET / HTTP/1.1\r\nHost: [::1]:9000\r\n\r\n", ("GET", b"/", b"")),
    "body-of-a-get": (b"GET / HTTP/1.1\r\nHost: s\r\nContent-Length: 3\r\n\r\nabc", ("GET", b"/", b"abc")),
    "chunks-of-a-get": (b"GET / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED, ("GET", b"/", b"abc")),
    "coding-in-capitals": (b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: CHUNKED\r\n\r\n" + CHUNKED, ("PUT", b"/", b"abc")),
    "coding-behind-tab": (b"PUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding:\tchunked\r\n\r\n" + CHUNKED, ("PUT", b"/", b"abc")),
    "content-length-with-zeros": (b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 003\r\n\r\nabc", ("PUT", b"/", b"abc")),
    "content-length-and-blanks": (b"PUT / HTTP/1.1\r\nHost: s\r\nContent-Length:  3 \r\n\r\nabc", ("PUT", b"/", b"abc")),
    "underscores-are-another-name": (
        b"PUT / HTTP/1.1\r\nHost: s\r\nContent_Length: 90\r\nTransfer_Encoding: chunked\r\n\r\n", ("PUT", b"/", b"")),
    "chunk-extension": (CHUNKS + b"3;a=b;c\r\nabc\r\n0\r\n\r\n", ("PUT", b"/", b"abc")),
    "chunk-extension-in-quotes": (CHUNKS + b'3;a="0;\t"\r\nabc\r\n0\r\n\r\n', ("PUT", b"/", b"abc")),
    "chunk-size-with-zeros": (CHUNKS + b"0003\r\nabc\r\n000\r\n\r\n", ("PUT", b"/", b"abc")),
    "upgrade-to-http-2": (
        b"GET / HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", ("GET", b"/", b"")),
    "connection-names-headers": (
        b"GET / HTTP/1.1\r\nHost: s\r\nConnection: host, x-amz-date\r\n\r\n", ("GET", b"/", b"")),
    "empty-lines-first": (b"\r\n\r\nGET / HTTP/1.1\r\nHost: s\r\n\r\n", ("GET", b"/", b"")),
    "two-spaces": (b"GET  / HTTP/1.1\r\nHost: s\r\n\r\n", ("GET", b"/", b"")),
    "kept-alive-1.0": (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ("GET", b"/", b"")),
    "dots": (b"GET /a/../b/./c HTTP/1.1\r\nHost: s\r\n\r\n", ("GET", b"/a/../b/./c", b"")),
    "dots-encoded": (b"GET /a/%2e%2E/b%2Fc HTTP/1.1\r\nHost: s\r\n\r\n", ("GET", b"/a/%2e%2E/b%2Fc", b"")),
    "slashes-twice": (b"GET //a//b HTTP/1.1\r\nHost: s\r\n\r\n", ("GET", b"//a//b", b"")),
    "backslashes": (b"GET /a\\..\\b HTTP/1.1\r\nHost: s\r\n\r\n", ("GET", b"/a\\..\\b", b"")),
    "escapes-of-nothing": (b"GET /a%zz%00 HTTP/1.1\r\nHost: s\r\n\r\n", ("GET", b"/a%zz%00", b"")),
    "absolute-form-with-dots": (b"GET http://s/a/../b HTTP/1.1\r\nHost: s\r\n\r\n", ("GET", b"/a/../b", b"")),
    "value-not-ascii": (b"GET / HTTP/1.1\r\nHost: s\r\nX: a\xffb\r\n\r\n", ("GET", b"/", b"")),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_taken_as_one_request(name: str, serve: Serve) -> None:
    """And what follows is the next one, whole or byte by byte."""
    raw, (method, path, body) = TAKEN[name]
    app = Recorder()
    live = serve(app)
    for pieces in ([raw + SECOND], [bytes([byte]) for byte in raw + SECOND]):
        peer = live.peer()
        for piece in pieces:
            peer.send(piece)
        assert [peer.answer().status, peer.answer().body] == [200, b"/smuggled"]
        assert peer.silent(0.02)
    first, second = app.scopes[:2]
    assert (first["method"], first["raw_path"], app.bodies[0]) == (method, path, (body, "http.request"))
    assert [(one["method"], one["raw_path"]) for one in app.scopes[2:]] == [
        (one["method"], one["raw_path"]) for one in (first, second)
    ]
    assert app.bodies[2:] == app.bodies[:2]


def test_nothing_is_heard_behind_a_refused_request(serve: Serve) -> None:
    """Also when the app refuses and leaves a body behind: what is in it is no request, nor what comes after it."""
    seen: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["raw_path"])
        await answer(send, b"no", 403)

    live = serve(app)
    for size, heard in ((len(SECOND), True), (1 << 30, False)):
        seen.clear()
        head = b"PUT /refused HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n" % size
        peer = live.peer().send(head + SECOND + get("/next"))
        first = peer.answer()
        assert (first.status, first.get(b"connection")) == (403, None if heard else b"close")
        if heard:
            assert peer.answer().status == 403
        assert seen == [b"/refused", *([b"/next"] if heard else [])]


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
