"""From bytes to requests: heads and bodies of one connection, in order, within the limits of size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httptools

from dolium.asgi.messages import GUARDED
from dolium.server.http.exchange import Exchange
from dolium.server.http.heads import FRAMING_FIELDS, decoded_path, judge
from dolium.server.http.options import Refusal, Refused

if TYPE_CHECKING:
    from dolium.server.http.connection import Connection

__all__ = ["RequestReader"]

_METHODS = {
    name: name.decode("ascii") for name in (b"GET", b"HEAD", b"PUT", b"POST", b"DELETE", b"OPTIONS", b"PATCH")
}
_ASGI = {"version": "3.0", "spec_version": "2.4"}
_EXTENSIONS: dict[str, dict[str, Any]] = {"http.response.zerocopysend": {}, GUARDED: {}}
# Chunk framing may cost a client 16 bytes for each of the body, and this much more (extensions, trailers).
_CHUNK_ALLOWANCE = 64 << 10

_TOO_LARGE = Refusal(400, "RequestHeaderSectionTooLarge", "The head of the request is too large.")
_UNHEARD = Refusal(400, "BadRequest", "Nothing is heard after the last request.")  # only leaves the parser


class RequestReader:
    """The methods named `on_…` are called by the parser.

    It tells the connection of each request (`begun`), of the end of its body (`ended`) and of what is no request
    (`refuse`).
    """

    __slots__ = (
        "_chunk_fed", "_client", "_connection", "_direct", "_fed", "_fields", "_framing", "_local", "_options",
        "_parser", "_partial", "_scheme", "_target", "_unparsed", "first", "in_head", "receiving",
    )  # fmt: skip

    def __init__(
        self, connection: Connection, client: tuple[str, int] | None, local: tuple[str, int] | None
    ) -> None:
        self._connection = connection
        self._options = connection.server.options
        self._scheme = "https" if connection.secure else "http"
        self._client = client
        self._local = local
        self.receiving: Exchange | None = None  # the request whose body comes in
        self.in_head = False
        self.first = True  # no request has come yet
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._framing: list[tuple[bytes, bytes]] = []
        self._fed = 0  # size of the bytes that the parser has in hand
        self._partial = 0  # bytes of a head that has come in more than one piece, from the second on
        self._chunk_fed = 0
        self._direct = False  # the body in hand has a known length, its bytes go past the parser
        self._unparsed = False  # llhttp is about to call a body complete that it has not seen

    def close(self) -> None:
        self._parser = None  # it refers back here

    def feed(self, data: bytes) -> None:
        """Bytes have come."""
        if self._direct:
            data = self._take_direct(data)
        if data:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None
        self._fed = len(data)
        continued = self.in_head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, Refused):
                raise
            if not self._connection.deaf:
                self._connection.refuse(error.__context__.refusal)
            return
        except httptools.HttpParserError as error:
            if not self._connection.deaf:
                self._connection.refuse(
                    Refusal(400, "BadRequest", f"This is not HTTP as spoken here: {error}.")
                )
            return
        receiving = self.receiving
        if receiving is not None:
            if receiving.left > 0:
                self._direct = True
            elif receiving.chunked:
                self._chunk_fed += len(data)
                if self._chunk_fed > _CHUNK_ALLOWANCE + 16 * receiving.received:
                    self._connection.refuse(Refusal(400, "BadRequest", "There is more framing than body."))
        elif self.in_head and continued:
            options = self._options
            self._partial += len(data)
            if self._partial > options.target_limit + options.header_limit:
                self._connection.refuse(_TOO_LARGE)

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """No other protocol is spoken here: RFC 9110 §7.8 lets a server go on as if it had not been offered.

        llhttp takes the body, too, for the other protocol; so it never sees it.
        """
        self._parser = httptools.HttpRequestParser(self)
        if self.receiving is not None:
            self._direct = True
            rest = self._take_direct(rest) if rest else rest
        if rest and not self._connection.deaf:
            self._parse(rest)

    def _take_direct(self, data: bytes) -> bytes:
        """Bytes of a body whose length is known; returns what follows it."""
        receiving = self.receiving
        assert receiving is not None
        left = receiving.left
        if len(data) < left:
            receiving.feed(data)
            return b""
        rest = b""
        if len(data) > left:
            data, rest = data[:left], data[left:]
        receiving.feed(data)
        self._direct = False
        self._parser = httptools.HttpRequestParser(self)  # the old one still waits for these bytes
        self.on_message_complete()
        return b"" if self._connection.deaf else rest

    def on_message_begin(self) -> None:
        if self._connection.deaf:
            raise Refused(_UNHEARD)
        self.in_head = True
        self._target = b""
        self._fields = []
        self._framing = []
        self._partial = 0
        self._connection.heard()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:
            name = name.lower()
            value = value.rstrip(b" \t")
            if name in FRAMING_FIELDS:
                self._framing.append((name, value))
            self._fields.append((name, value))
        # Else it is a trailer, which is no header; chunk framing has its own bound (`_parse`).

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        options = self._options
        self.in_head = self.first = False
        self._chunk_fed = 0
        if (
            len(self._target) > options.target_limit
            or len(self._fields) > options.header_count
            or (self._fed + self._partial > options.header_limit and self._section() > options.header_limit)
        ):
            raise Refused(_TOO_LARGE)
        connection = self._connection
        if connection.waiting >= options.max_pipelined:
            raise Refused(Refusal(400, "BadRequest", "Too many requests sent ahead."))
        version = parser.get_http_version()
        method = parser.get_method()
        head = judge(method, self._target, version, self._framing)
        if head.upgrade and head.length != 0 and parser.should_upgrade():
            if head.length is None:
                raise Refused(Refusal(400, "BadRequest", "An upgrade is not offered with a body in chunks."))
            self._unparsed = True
        scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": _METHODS.get(method) or method.decode("ascii"),
            "scheme": self._scheme,
            "path": decoded_path(head.raw_path),
            "raw_path": head.raw_path,
            "query_string": head.query,
            "root_path": "",
            "headers": self._fields,
            "client": self._client,
            "server": self._local,
            "extensions": _EXTENSIONS,
        }
        exchange = Exchange(connection, scope, head, old=version == "1.0", keep=parser.should_keep_alive())
        self.receiving = exchange
        connection.begun(exchange)

    def _section(self) -> int:
        """Bytes of the header section."""
        return sum(len(name) + len(value) + 4 for name, value in self._fields)

    def on_body(self, body: bytes) -> None:
        assert self.receiving is not None
        self.receiving.feed(body)

    def on_message_complete(self) -> None:
        if self._unparsed:  # see _go_on_without_upgrade
            self._unparsed = False
            return
        exchange = self.receiving
        assert exchange is not None
        self.receiving = None
        exchange.finish_body()
        self._connection.ended(exchange)
