"""Requests of one caller, byte for byte, and what every refusal must look like whatever it is for."""

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree as ET

from dolium.testing.server import Site
from tests.clients import raw
from tests.clients.raw import Answer, target
from tests.s3.signing import UNSIGNED, sign_v4

__all__ = [
    "Answer",
    "Client",
    "Refusal",
    "State",
    "Transport",
    "bare",
    "check_refusal",
    "complete_document",
    "head_of",
    "state_of",
    "target",
    "texts",
]

Refusal = tuple[int, str]
"""Status and S3 code."""

# Nothing of how the server is made may be in an answer.
_INSIDE = ("Traceback", 'File "', "dolium.", "sqlite", "apsw", "/data/", "/store/", "asyncio", "Error:")


class Transport(Protocol):
    """How a request gets to the server: `raw.send`, or straight into the app."""

    def __call__(
        self, site: Site, method: str, path: str, *, headers: Mapping[str, str], body: bytes
    ) -> Answer: ...


def _over_a_socket(site: Site, method: str, path: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
    return raw.send(site, method, path, headers=headers, body=body)


@dataclass(frozen=True, slots=True)
class Client:
    """Signs with the key of `site`."""

    site: Site
    transport: Transport = field(default=_over_a_socket)

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """As it stands, signed by nobody."""
        return self.transport(self.site, method, path, headers=headers or {}, body=body)

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        payload: str = UNSIGNED,
        unsigned: Mapping[str, str] | None = None,
    ) -> Answer:
        """Signed with SigV4; `unsigned`: headers added behind the signature."""
        signed, _ = sign_v4(self.site, method, path, headers, payload)
        return self.send(method, path, {**signed, **(unsigned or {})}, body)

    def done(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        payload: str = UNSIGNED,
    ) -> Answer:
        """`ask`, and it must succeed."""
        answer = self.ask(method, path, headers, body, payload=payload)
        assert 200 <= answer.status < 300, (method, path, answer)
        return answer

    def refused(
        self,
        refusal: Refusal,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        payload: str = UNSIGNED,
        unsigned: Mapping[str, str] | None = None,
    ) -> Answer:
        """`ask`, and it must be refused so."""
        answer = self.ask(method, path, headers, body, payload=payload, unsigned=unsigned)
        return check_refusal(answer, refusal, method, secret=self.site.secret_key)

    # The requests that most tests make on their way ---------------------------------------------------------

    def make_bucket(self, bucket: str) -> None:
        self.done("PUT", f"/{bucket}")

    def put(self, bucket: str, key: str, body: bytes = b"", **headers: str) -> Answer:
        """Headers as keywords, `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.done("PUT", target(bucket, key), named, body)

    def get(self, bucket: str, key: str) -> bytes:
        return self.done("GET", target(bucket, key)).body

    def has(self, bucket: str, key: str) -> bool:
        answer = self.ask("HEAD", target(bucket, key))
        assert answer.status in {200, 404}, answer
        return answer.status == 200

    def keys(self, bucket: str, query: str = "list-type=2") -> list[str]:
        return texts(self.done("GET", f"/{bucket}?{query}"), "Contents/Key")

    def begin(self, bucket: str, key: str, **headers: str) -> str:
        """The id of a new upload."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.done("POST", target(bucket, key, "uploads"), named).field("UploadId")

    def put_part(self, bucket: str, key: str, upload: str, number: int, body: bytes) -> str:
        """The ETag of the part, bare."""
        path = target(bucket, key, f"partNumber={number}&uploadId={upload}")
        return self.done("PUT", path, body=body).headers["etag"].strip('"')

    def complete(
        self, bucket: str, key: str, upload: str, parts: Mapping[int, str], **headers: str
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        path = target(bucket, key, f"uploadId={upload}")
        return self.ask("POST", path, named, complete_document(parts))


def bare(site: Site, request: bytes, *, ends: bool = False) -> Answer:
    """What is answered to these very bytes; `ends`: nothing comes behind them."""
    host, port = site.host.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as opened:
        opened.sendall(request)
        if ends:
            opened.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(opened, method=request.split(b" ", 1)[0].decode())
        answer.begin()
        return Answer(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())


def head_of(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def complete_document(parts: Mapping[int, str]) -> bytes:
    """The document of CompleteMultipartUpload, from ETag by number, in this order."""
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts.items()
    )
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


def texts(answer: Answer, path: str) -> list[str]:
    """The texts of the elements at `path`, in any namespace."""
    steps = "/".join(f"{{*}}{step}" for step in path.split("/"))
    return [one.text or "" for one in ET.fromstring(answer.body).findall(steps)]


def check_refusal(answer: Answer, refusal: Refusal, method: str, *, secret: str) -> Answer:
    """Code and status, the form of the document, and that nothing of the inside is told."""
    status, code = refusal
    if method == "HEAD":
        assert answer.status == status, answer
        assert answer.body == b"", "an answer to HEAD has no body"
    else:
        assert (answer.status, answer.code) == (status, code), answer
        assert answer.headers["content-type"] == "application/xml"
        root = ET.fromstring(answer.body)
        assert root.tag == "Error"
        assert root.findtext("Message"), answer
        assert root.findtext("RequestId") == answer.headers["x-amz-request-id"]
    assert answer.headers["x-amz-request-id"]
    assert status < 500 or status == 501, "no fault of a client is one of the server"
    told = answer.body.decode() + "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
    assert secret not in told
    for word in (*_INSIDE, str(Path(__file__).parents[2])):
        assert word not in told, word
    return answer


State = dict[str, Any]


def state_of(client: Client, *buckets: str) -> State:
    """Everything that S3 tells of some buckets: objects, open uploads and their parts."""
    state: State = {}
    for bucket in buckets:
        found = client.ask("GET", f"/{bucket}?list-type=2")
        state[bucket] = found.status
        if found.status != 200:
            continue
        listed = ET.fromstring(found.body).findall("{*}Contents")
        state[f"{bucket}:objects"] = [[child.text for child in one] for one in listed]
        uploads = client.done("GET", f"/{bucket}?uploads")
        ids = texts(uploads, "Upload/UploadId")
        state[f"{bucket}:uploads"] = ids
        for key, upload in zip(texts(uploads, "Upload/Key"), ids, strict=True):
            parts = client.done("GET", target(bucket, key, f"uploadId={upload}"))
            state[upload] = texts(parts, "Part/ETag")
    return state
