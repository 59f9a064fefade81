"""Addresses to listening sockets, certificate files to a TLS context. What cannot be used is a ConfigError."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from dolium.config.settings import Listen
from dolium.errors import ConfigError

__all__ = ["Bound", "bind", "load_certificate", "tls_context"]

_BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Bound:
    """A listening socket; `listen` names the port that it really has."""

    listen: Listen
    socket: socket.socket


def bind(addresses: tuple[Listen, ...]) -> tuple[Bound, ...]:
    """Listen on all of them, or on none. A name is bound to each address that it has.

    `[::]` takes IPv6 only, so that it goes together with 0.0.0.0. Raises ConfigError.
    """
    with contextlib.ExitStack() as opened:
        bound: list[Bound] = []
        for listen in addresses:
            for sock in _bind_one(listen):
                opened.enter_context(sock)
                bound.append(Bound(Listen(listen.scheme, listen.host, sock.getsockname()[1]), sock))
        opened.pop_all()
        return tuple(bound)


def _bind_one(listen: Listen) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"cannot listen on {listen}: {error.strerror}") from None
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            failure = error
            if error.errno != errno.EADDRNOTAVAIL:  # a name may have an address that this machine lacks
                break
            continue
        sockets.append(sock)
        if listen.port == 0:
            break  # any port, but one
    if failure is not None and (not sockets or failure.errno != errno.EADDRNOTAVAIL):
        for sock in sockets:
            sock.close()
        raise ConfigError(f"cannot listen on {listen}: {failure.strerror}")
    return sockets


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 and later, HTTP/1.1 by ALPN. Raises ConfigError for files that do not go together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, certificate, key)
    return context


def load_certificate(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Handshakes from now on use these files. Raises ConfigError; then the context is as it was."""
    try:
        # Tried on another context: a chain that fails half-way must not stay in the one that is in use.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, _no_password)
        context.load_cert_chain(certificate, key, _no_password)
    except ssl.SSLError as error:
        raise ConfigError(
            f"this certificate and {key} cannot be used: {error.reason or error}", file=str(certificate)
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read this or {key}: {error.strerror}", file=str(certificate)) from None


def _no_password() -> str:
    """An encrypted key fails in words; OpenSSL would ask on the terminal."""
    return ""
