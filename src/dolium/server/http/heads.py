"""Request heads judged and answer heads written. No I/O.

What is refused, and why nothing of it is repaired: two parsers that read a head differently are how requests
are smuggled (RFC 9112 §11.2). llhttp refuses bare LF, obs-fold, a space before the colon, control characters,
Content-Length that is repeated, empty or no number, Content-Length together with Transfer-Encoding, unknown
methods and the HTTP/2 preface. The rest is refused here: a Transfer-Encoding other than `chunked` or in
HTTP/1.0, no Host or several or one that is none, CONNECT, `*`, a target in absolute form that names another
host than Host does, HTTP versions other than 1.0 and 1.1. All of it is a table in docs/security.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from dolium.asgi.messages import Headers
from dolium.server.http.options import Refusal, Refused

__all__ = [
    "FRAMING_FIELDS",
    "STATUS_LINES",
    "AnswerHead",
    "RequestHead",
    "decoded_path",
    "judge",
    "write_head",
]

FRAMING_FIELDS = frozenset((b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"))
_is_host = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_SERVERS_OWN = frozenset((b"transfer-encoding", b"connection"))
_BODILESS = frozenset((204, 304))
_FIELD = b": ".join  # of (name, value)

STATUS_LINES = {s.value: b"HTTP/1.1 %d %b" % (s.value, s.phrase.encode("ascii")) for s in HTTPStatus}


def bad_request(message: str) -> Refused:
    """400, and the connection ends: what follows on it cannot be trusted to be a request."""
    return Refused(Refusal(400, "BadRequest", message))


@dataclass(slots=True)
class RequestHead:
    """`length` of the body, None if it comes in chunks; `raw_path` and `query` as sent; `upgrade` if offered."""

    raw_path: bytes
    query: bytes
    length: int | None
    expects: bool
    upgrade: bool


def judge(method: bytes, target: bytes, version: str, fields: Headers) -> RequestHead:
    """What the head means; `fields` are those of FRAMING_FIELDS, in order. Raises Refused."""
    if version != "1.1" and version != "1.0":  # noqa: PLR1714 - half the price of a tuple, on every request
        raise bad_request("Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    host: bytes | None = None
    length: int | None = 0
    expects = upgrade = False
    for name, value in fields:
        if name == b"host":
            if host is not None:
                raise bad_request("The request has more than one Host header.")
            host = value
        elif name == b"content-length":
            length = int(value)  # llhttp has let through digits only, and once
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked" or version == "1.0":
                raise bad_request("The only Transfer-Encoding is chunked, in HTTP/1.1.")
            length = None
        elif name == b"expect":
            expects = expects or (value.lower() == b"100-continue" and version == "1.1")
        else:
            upgrade = True
    if not host:
        if version == "1.1" or host is not None:
            raise bad_request("The request has no Host header.")
    elif _is_host(host) is None:
        raise bad_request("The Host header is not a host.")
    if target[0] != 0x2F:  # "/"
        target = _from_absolute(method, target, host)
    raw_path, _, query = target.partition(b"?")
    if b"#" in target:
        raise bad_request("A request target has no fragment.")
    return RequestHead(raw_path, query, length, expects, upgrade)


def _from_absolute(method: bytes, target: bytes, host: bytes | None) -> bytes:
    """Path and query of a target in absolute form.

    RFC 9112 §3.2.2 lets its authority replace Host. Both are signed or routed by somebody, so they must agree.
    """
    scheme, found, rest = target.partition(b"://")
    if method == b"CONNECT" or not found or scheme.lower() not in (b"http", b"https"):
        raise bad_request("The request target is not a path.")
    cut = min((i for i in (rest.find(b"/"), rest.find(b"?")) if i >= 0), default=len(rest))
    if host is None or rest[:cut].lower() != host.lower():
        raise bad_request("The request target names another host than the Host header.")
    path = rest[cut:]
    return path if path[:1] == b"/" else b"/" + path


def decoded_path(raw_path: bytes) -> str:
    """The scope's `path`: percent-decoded, read as UTF-8. Lossy; who needs the truth reads `raw_path`."""
    if b"%" not in raw_path:
        return raw_path.decode("ascii")
    return unquote_to_bytes(raw_path).decode("utf-8", "replace")


class AnswerHead:
    """The bytes of a head, and what they promise of the body.

    `length` is None when the body comes in chunks, or until the connection ends (`chunked` is False then).
    """

    __slots__ = ("bodiless", "chunked", "close", "length", "text")

    def __init__(
        self, text: bytes, length: int | None, *, chunked: bool, close: bool, bodiless: bool
    ) -> None:
        self.text = text
        self.length = length
        self.chunked = chunked
        self.close = close
        self.bodiless = bodiless


def write_head(
    status: int,
    headers: Headers,
    *,
    head_request: bool,
    old: bool,
    close: bool,
    whole: int | None,
    date: bytes,
) -> AnswerHead:
    """The head of an answer. `old` is HTTP/1.0, `whole` the length of the body if all of it is there,
    `date` a ready line without its end. Raises ValueError for headers that would break the head.
    """
    names = dict(headers)
    if b"connection" in names or b"transfer-encoding" in names or status == 204:
        # The connection is the server's affair; the app may only ask to end it.
        close = close or names.get(b"connection", b"").lower() == b"close"
        unwanted = _SERVERS_OWN | {b"content-length"} if status == 204 else _SERVERS_OWN
        headers = [field for field in headers if field[0] not in unwanted]
    bodiless = head_request or status in _BODILESS or status < 200
    declared = names.get(b"content-length")
    length: int | None = None
    chunked = False
    lines = [STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status, *map(_FIELD, headers)]
    if b"date" not in names:
        lines.append(date)
    if declared is not None:
        if not declared.isdigit() or (len(names) < len(headers) and _repeated(headers)):
            raise ValueError("the answer has no usable content-length")
        length = int(declared)
    elif bodiless:
        pass
    elif whole is not None:
        length = whole
        lines.append(b"content-length: %d" % whole)
    elif old:
        close = True
    else:
        chunked = True
        lines.append(b"transfer-encoding: chunked")
    if close:
        lines.append(b"connection: close")
    elif old:
        lines.append(b"connection: keep-alive")
    lines.append(b"\r\n")
    text = b"\r\n".join(lines)
    # As many lines as were joined, or a value has brought its own CR or LF (response splitting).
    if len(text.splitlines()) != len(lines) or b"\0" in text:
        raise ValueError("a header of the answer holds CR, LF or NUL")
    return AnswerHead(text, length, chunked=chunked, close=close, bodiless=bodiless)


def _repeated(headers: Headers) -> bool:
    return sum(name == b"content-length" for name, _ in headers) > 1
