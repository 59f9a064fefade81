"""Signed S3 requests: made in bulk for the load generators, and sent one by one to prepare and to check.

The signer is the load's own, so that a mistake in dolium's cannot hide here (SigV4: "Authenticating
Requests", Amazon S3 API Reference). Keys are of the unreserved characters and `/`, which need no escapes.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import time
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

__all__ = ["ACCESS_KEY", "SECRET_KEY", "UNSIGNED", "Answer", "Client", "Request", "Signer"]

ACCESS_KEY = "BENCHACCESSKEY000001"
SECRET_KEY = "benchSecretKey0123456789abcdefghijklmnop"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
REGION = "us-east-1"
Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A request without its body, ready for the wire."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def line(self) -> str:
        """One line of a request list: tabs stand for CRLF (see loads/wrk.lua)."""
        rest = "".join(f"\t{name}: {value}" for name, value in self.headers)
        return f"{self.method} {self.target} HTTP/1.1{rest}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `body` is whole."""

    status: int
    headers: dict[str, str]
    body: bytes


def _canonical(query: Query) -> str:
    return urlencode(sorted(query), quote_via=quote, safe="-_.~")


@dataclass(slots=True)
class Signer:
    """Signs for one server. The day's signing key is derived once, as every client library does."""

    host: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    _keys: dict[str, bytes] = field(default_factory=dict)

    def presigned(self, method: str, path: str, query: Query = (), expires: int = 3600) -> Request:
        """SigV4 in the query; the payload is unsigned."""
        stamp, scope = self._now()
        auth: Query = (
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", f"{self.access_key}/{scope}"),
            ("X-Amz-Date", stamp),
            ("X-Amz-Expires", str(expires)),
            ("X-Amz-SignedHeaders", "host"),
        )
        text = _canonical(query + auth)
        canonical = f"{method}\n{path}\n{text}\nhost:{self.host}\n\nhost\n{UNSIGNED}"
        signature = self._signature(stamp, scope, canonical)
        return Request(method, f"{path}?{text}&X-Amz-Signature={signature}", (("Host", self.host),))

    def signed(self, method: str, path: str, query: Query = (), payload: str = EMPTY_SHA256) -> Request:
        """SigV4 in the Authorization header; `payload` is the SHA-256 of the body, or UNSIGNED."""
        stamp, scope = self._now()
        text = _canonical(query)
        names = "host;x-amz-content-sha256;x-amz-date"
        canonical = (
            f"{method}\n{path}\n{text}\nhost:{self.host}\nx-amz-content-sha256:{payload}\n"
            f"x-amz-date:{stamp}\n\n{names}\n{payload}"
        )
        signature = self._signature(stamp, scope, canonical)
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        headers = (
            ("Host", self.host),
            ("x-amz-content-sha256", payload),
            ("x-amz-date", stamp),
            ("Authorization", authorization),
        )
        return Request(method, f"{path}?{text}" if text else path, headers)

    def _now(self) -> tuple[str, str]:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        return stamp, f"{stamp[:8]}/{REGION}/s3/aws4_request"

    def _signature(self, stamp: str, scope: str, canonical: str) -> str:
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        return hmac.digest(self._key(scope), text.encode(), "sha256").hex()

    def _key(self, scope: str) -> bytes:
        key = self._keys.get(scope)
        if key is None:
            key = b"AWS4" + self.secret_key.encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._keys[scope] = key
        return key


@dataclass(frozen=True, slots=True)
class Client:
    """One request at a time, for what stands around a measurement."""

    port: int
    signer: Signer

    @classmethod
    def at(cls, port: int) -> Client:
        return cls(port, Signer(f"127.0.0.1:{port}"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(self, request: Request, body: bytes = b"", timeout: float = 60) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            headers = dict(request.headers)
            if request.method in {"PUT", "POST"}:
                headers["Content-Length"] = str(len(body))
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def make_bucket(self, bucket: str) -> None:
        self._expect(self.send(self.signer.signed("PUT", f"/{bucket}")), f"make bucket {bucket}")

    def put(self, bucket: str, key: str, body: bytes) -> None:
        payload = hashlib.sha256(body).hexdigest()
        request = self.signer.signed("PUT", f"/{bucket}/{key}", payload=payload)
        self._expect(self.send(request, body), f"put {key}")

    def get(self, bucket: str, key: str) -> bytes:
        answer = self.send(self.signer.presigned("GET", f"/{bucket}/{key}"))
        self._expect(answer, f"get {key}")
        return answer.body

    def _expect(self, answer: Answer, what: str) -> None:
        if answer.status != 200:
            raise RuntimeError(f"{what}: {answer.status} {answer.body[:300]!r}")
