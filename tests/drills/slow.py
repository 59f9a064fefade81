"""A client that takes its time over a download."""

import http.client
import socket
import ssl
from typing import Self

from dolium.testing.server import Site
from tests.s3.client import head_of
from tests.s3.signing import sign_v4

__all__ = ["SlowReader"]

_BUFFER = 4096


class SlowReader:
    """Has sent its request and read the head of the answer; the kernels hold little of the body. A context manager."""

    def __init__(self, site: Site, path: str, headers: dict[str, str] | None = None) -> None:
        host, _, port = site.host.rpartition(":")
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        plain.settimeout(20)
        plain.connect((host, int(port)))
        self._socket = plain
        if site.secure:
            context = ssl.create_default_context(cafile=str(site.ca_file))
            self._socket = context.wrap_socket(plain, server_hostname=host)
        signed, _ = sign_v4(site, "GET", path, headers)
        self._socket.sendall(head_of("GET", path, signed))
        self._answer = http.client.HTTPResponse(self._socket)
        self._answer.begin()
        self.status = self._answer.status
        self.length = int(self._answer.headers["content-length"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()
        self._socket.close()

    def read(self, size: int) -> bytes:
        """So many bytes."""
        return self._answer.read(size)

    def rest(self) -> tuple[bytes, bool]:
        """All that still comes, and whether that was the end that the head has promised."""
        pieces = []
        try:
            while piece := self._answer.read1(1 << 20):
                pieces.append(piece)
        except (OSError, http.client.IncompleteRead):
            return b"".join(pieces), False
        return b"".join(pieces), self._answer.length == 0
