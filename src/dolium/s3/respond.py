"""Results and errors to answers."""

from __future__ import annotations

import json
from functools import lru_cache

from dolium.asgi.messages import Headers, Response
from dolium.catalog.objects import ObjectRow
from dolium.s3.codes import Fault
from dolium.values import Checksum, ChecksumAlgorithm, ChecksumType
from dolium.wire.dates import http_date
from dolium.wire.headers import encode_value
from dolium.wire.render import error_document

__all__ = [
    "XML",
    "checksum_headers",
    "checksum_of",
    "empty",
    "error_response",
    "kept_headers",
    "object_headers",
    "xml",
]

XML = (b"content-type", b"application/xml")


def xml(document: bytes, status: int = 200) -> Response:
    """An XML answer."""
    return Response(status, [XML, (b"content-length", b"%d" % len(document))], document)


def empty(status: int = 204, headers: Headers | None = None) -> Response:
    """An answer without a body."""
    found = [] if headers is None else headers
    if status not in (204, 304):
        found.append((b"content-length", b"0"))
    return Response(status, found)


def error_response(fault: Fault, method: str, raw_path: bytes, request_id: str) -> Response:
    """The error document; for HEAD the status alone."""
    headers: Headers = [*fault.headers]
    if method == "HEAD" or fault.status == 304:
        return Response(fault.status, headers)
    document = error_document(
        fault.code, fault.message, raw_path.decode("utf-8", "replace"), request_id, fault.fields
    )
    headers += [XML, (b"content-length", b"%d" % len(document))]
    return Response(fault.status, headers, document)


@lru_cache(maxsize=2048)
def kept_headers(text: str) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that were stored with an object; most objects of a site share a few sets of them."""
    return tuple((name.encode("latin-1"), encode_value(value)) for name, value in json.loads(text))


@lru_cache(maxsize=8192)
def _last_modified(seconds: int) -> bytes:
    return http_date(seconds).encode("ascii")


def object_headers(row: ObjectRow) -> Headers:
    """What GET and HEAD say of an object, without its length and its checksum."""
    return [
        (b"etag", b'"%b"' % row.etag.encode("ascii")),
        (b"last-modified", _last_modified(row.modified_ms // 1000)),
        (b"accept-ranges", b"bytes"),
        *kept_headers(row.headers),
    ]


def checksum_of(text: str) -> Checksum | None:
    """From the catalog's `CRC32 FULL_OBJECT <base64>`."""
    if not text:
        return None
    algorithm, kind, value = text.split(" ")
    return Checksum(ChecksumAlgorithm(algorithm), value, ChecksumType(kind))


def checksum_headers(checksum: Checksum | None) -> Headers:
    """`x-amz-checksum-…` and its type."""
    if checksum is None:
        return []
    return [
        (f"x-amz-checksum-{checksum.algorithm.lower()}".encode("ascii"), checksum.value.encode("ascii")),
        (b"x-amz-checksum-type", checksum.type.encode("ascii")),
    ]
