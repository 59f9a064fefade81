"""Every limit and deadline of the HTTP server, with its default."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["LOOPBACK", "HttpOptions", "Network", "Refusal", "Refused", "plain_text"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that the server gives itself, before or instead of the app.

    `code` is the S3 error code that fits; `close` whether the connection ends with it.
    """

    status: int
    code: str
    message: str
    close: bool = True


class Refused(Exception):
    """The request cannot be let through."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def plain_text(refusal: Refusal) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """(headers, body) of a refusal, for whoever asked."""
    return [(b"content-type", b"text/plain; charset=utf-8")], f"{refusal.code}: {refusal.message}\n".encode()


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Sizes in bytes, times in seconds; all per process or per connection as said."""

    target_limit: int = 16 << 10
    """The request target; a presigned URL of a 1,024-byte key with a session token fits."""
    header_limit: int = 16 << 10
    """All header fields together; S3 itself stops at 8 KiB."""
    header_count: int = 200
    header_deadline: float = 10.0
    """From the first byte of a request, or from the start of a connection or a TLS handshake."""
    keep_alive: float = 75.0
    """How long a connection may be idle between requests."""
    minimum_rate: int = 1024
    """Bytes per second that a peer must send or take while it is waited for…"""
    patience: float = 60.0
    """…measured over so many seconds of waiting; so a peer that does nothing at all is dropped after them."""
    body_buffer: int = 1 << 20
    """Bytes of a request body that wait for the app before the socket is no longer read…"""
    all_buffers: int = 128 << 20
    """…and of all bodies together, per process: the more there are, the less each may have."""
    least_buffer: int = 64 << 10
    max_unsent: int = 256 << 20
    """Bytes of answers that wait for slow peers, per process. With more, whoever waits longest is dropped."""
    discard_limit: int = 256 << 10
    """The rest of a body that nobody wants is read and thrown away up to here, so that the connection lives;
    with more to come the connection is closed after the answer."""
    discard_deadline: float = 5.0
    linger_idle: float = 5.0
    """After a last answer, input is thrown away until the peer has closed, or is silent for this long…"""
    linger: float = 30.0
    """…or this long in all: a reset would take the answer from a client that is still sending."""
    disk_deadline: float = 120.0
    """How long one read of a file may take; then the connection is broken off."""
    max_connections: int = 10_000
    """Per process. One more gets 503."""
    max_per_peer: int = 5_000
    """Of these from one address (IPv6: one /64), those included that are in their TLS handshake."""
    uncounted: tuple[Network, ...] = LOOPBACK
    """Peers that may have all of them: proxies, for many people come through one."""
    max_requests: int = 1024
    """In the app at once, per process. One more gets 503 with Retry-After…"""
    always: frozenset[bytes] = frozenset()
    """…but for a GET of one of these paths: who asks whether a process lives must not hear of its load."""
    max_pipelined: int = 64
    """Requests sent ahead on one connection; the connection closes after so many answers."""
    retry_after: int = 1
    tick: float = 1.0
    """How often deadlines are looked at; a deadline is late by at most one tick."""
    render_refusal: Callable[[Refusal], tuple[list[tuple[bytes, bytes]], bytes]] = plain_text
    """(headers, body) of the server's own answers."""
