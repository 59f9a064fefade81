"""One function for each parser: bytes in, nothing out, and an AssertionError or a foreign exception if it is wrong.

A parser may refuse with an error of ours whose document is XML, and nothing else may come out of it. Where something
independent can tell what is right, it is asked: the same bytes in other pieces, or a second and simpler reading.
Hypothesis runs them in CI (`tests/fuzz/test_targets.py`), atheris by hand (`tests/fuzz/run.py`).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes
from xml.etree import ElementTree as ET

from dolium.config.native import read_settings
from dolium.config.settings import Settings, require_sound
from dolium.errors import ConfigError, DoliumError, Malformed
from dolium.wire import authorization, presigned, sigv2, sigv4
from dolium.wire.canonical import canonical_path, canonical_query
from dolium.wire.checksums import parse_content_md5, read_checksum
from dolium.wire.chunked import Decoder
from dolium.wire.claims import Payload
from dolium.wire.conditions import (
    check_read,
    check_write,
    read_conditions,
    read_copy_conditions,
    read_write_conditions,
)
from dolium.wire.documents import read_complete, read_delete, read_location
from dolium.wire.headers import object_header_lines, read_object_headers
from dolium.wire.names import Hosts, parse_copy_source, read_address
from dolium.wire.ranges import parse_copy_range, parse_range
from dolium.wire.render import error_document
from dolium.wire.schemes import detect
from tests.fuzz.heads import events

__all__ = ["SEEDS", "TARGETS", "Target"]

Target = Callable[[bytes], None]

_NOW = 1_767_323_045.0  # 2026-01-02T03:04:05Z
_STAMP, _SCOPE = b"20260102T030405Z", b"20260102/us-east-1/s3/aws4_request"
_KEY = sigv4.signing_key("secret", "20260102", "us-east-1")
_HOSTS = Hosts(["{tenancy}.s3.example.org", "{bucket}.{tenancy}.s3.example.org"])
_TRAILER = b"x-amz-checksum-crc32"


class _Signer(NamedTuple):
    key: sigv4.SigningKey = _KEY
    stamp: bytes = _STAMP
    scope: bytes = _SCOPE
    seed: bytes = b"0" * 64


def _outcome(call: Callable[[], object]) -> object:
    """What comes of it; a refusal by its type and code."""
    try:
        return call()
    except Malformed as error:
        ET.fromstring(error_document(error.code, error.message, "/", "id", error.fields))
        return (Malformed, error.code)
    except DoliumError as error:
        return type(error)


def _fields(data: bytes, count: int) -> list[bytes]:
    """`count` texts, as the lines of the data; the last is all that is left."""
    parts = data.split(b"\n", count - 1)
    return parts + [b""] * (count - len(parts))


# Chunks ----------------------------------------------------------------------------------------------------

_KINDS = [kind for kind in Payload if kind.chunked]


def chunked(data: bytes) -> None:
    """In one piece, in others, and as a plain reading of the whole has it."""
    if len(data) < 4:
        return
    kind, announces = _KINDS[data[0] % len(_KINDS)], data[0] >= 0x80
    size, step, body = data[1], data[2] % 16 + 1, data[3:]
    whole = _outcome(lambda: _decode(kind, announces, size, [body]))
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    assert _outcome(lambda: _decode(kind, announces, size, pieces)) == whole
    if isinstance(whole, tuple) and whole[0] is not Malformed:
        assert len(whole[0]) == size
        if not kind.signed_chunks:
            assert _read_plainly(body, announces=announces) == whole


def _decode(
    kind: Payload, announces: bool, size: int, pieces: list[bytes]
) -> tuple[bytes, dict[bytes, bytes]]:
    decoder = Decoder(
        kind, size,
        signer=_Signer() if kind.signed_chunks else None, announced=_TRAILER if announces else None,
    )  # fmt: skip
    payload = b"".join(bytes(one) for piece in pieces for one in decoder.feed(piece))
    return payload, decoder.finish()


def _read_plainly(body: bytes, *, announces: bool) -> tuple[bytes, dict[bytes, bytes]]:
    """Unsigned chunks, read in steps of a line and a known length; only for what the decoder has let through."""
    if not body:
        return b"", {}
    payload = b""
    while size := int(body.split(b"\r\n", 1)[0], 16):
        body = body.split(b"\r\n", 1)[1]
        payload, body = payload + body[:size], body[size:]
        assert body.startswith(b"\r\n")
        body = body[2:]
    found = {}
    for line in body.split(b"\r\n", 1)[1].replace(b"\n\r\n", b"\n").splitlines():
        if line:
            name, _, value = line.partition(b":")
            found[name.lower()] = value.strip(b" \t")
    assert announces or not found
    return payload, found


# Who asks --------------------------------------------------------------------------------------------------


def authorize(data: bytes) -> None:
    """Authorization headers of every kind."""
    value, stamp, payload, names, query = _fields(data, 5)
    headers = [
        (b"host", b"h"), (b"authorization", value), (b"x-amz-date", stamp), (b"date", stamp),
        (b"x-amz-content-sha256", payload), (b"x-amz-meta-a", names),
    ]  # fmt: skip
    path = b"/" + names
    _outcome(lambda: detect(value, query))
    _outcome(lambda: sigv4.verify(authorization.read_header(headers, query, _NOW), "PUT", path, _KEY).ok)
    _outcome(lambda: sigv2.verify(sigv2.read_header("PUT", path, query, headers, _NOW), "secret").ok)


def links(data: bytes) -> None:
    """Presigned URLs of both versions: without the secret none of them is right."""
    path, query = _fields(data, 2)
    headers = [(b"host", b"h")]
    _outcome(lambda: detect(None, query))
    right = _outcome(lambda: sigv4.verify(presigned.read_query(headers, query, _NOW), "GET", path, _KEY).ok)
    assert right is not True
    right = _outcome(lambda: sigv2.verify(sigv2.read_query("GET", path, query, headers, _NOW), "secret").ok)
    assert right is not True


def canonical(data: bytes) -> None:
    """Paths and queries as AWS signs them, beside a second reading of its rule."""
    path, query = _fields(data, 2)
    found = canonical_path(path)
    assert found == (quote(unquote_to_bytes(path), safe="/-_.~").encode() or b"/")
    assert canonical_path(found) == found
    pairs = [part.partition(b"=") for part in query.split(b"&") if part]
    plain = [
        (quote(unquote_to_bytes(name.replace(b"+", b" ")), safe="-_.~"),
         quote(unquote_to_bytes(value.replace(b"+", b" ")), safe="-_.~"))
        for name, _, value in pairs
    ]  # fmt: skip
    found = canonical_query(query)
    assert found == "&".join(f"{name}={value}" for name, value in sorted(plain)).encode()
    assert canonical_query(found) == found


# What is asked ---------------------------------------------------------------------------------------------


def documents(data: bytes) -> None:
    """What is taken is XML to others too, and holds no more than it may."""
    for read in (read_delete, read_complete, read_location):
        found = _outcome(lambda read=read: read(data))  # type: ignore[misc]
        if isinstance(found, tuple):
            assert found[0] is Malformed
            continue
        if data.strip():
            ET.fromstring(data)
            assert b"<!DOCTYPE" not in data
    found = _outcome(lambda: read_delete(data))
    if not isinstance(found, tuple):
        assert len(found.keys) <= 1000  # type: ignore[attr-defined]


def ranges(data: bytes) -> None:
    """A range that is resolved lies within."""
    for size in (0, 1, 1000):
        asked = parse_range(data)
        if asked is not None:
            assert re.fullmatch(rb"\s*bytes=\d*-\d*\s*", data, re.IGNORECASE)
            span = _outcome(lambda asked=asked, size=size: asked.resolve(size))  # type: ignore[misc]
            assert isinstance(span, type) or 0 <= span[0] < span[1] <= size  # type: ignore[index]
    _outcome(lambda: parse_copy_range(data))


_CONDITIONS = (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")


def conditions(data: bytes) -> None:
    """Conditions of reads, copies and writes."""
    values = _fields(data, 5)
    headers = [(name, value) for name, value in zip(_CONDITIONS, values, strict=False) if value]
    headers += [(b"x-amz-copy-source-" + name, value) for name, value in headers]
    headers += [(b"if-match", values[4])] if values[4] else []
    _outcome(lambda: read_copy_conditions(headers))
    read = _outcome(lambda: read_conditions(headers))
    if read is not None and not isinstance(read, tuple | type):
        _outcome(lambda: check_read(read, "a" * 32, int(_NOW)))  # type: ignore[arg-type]
    write = _outcome(lambda: read_write_conditions(headers))
    if write is not None and not isinstance(write, tuple | type):
        for etag in (None, "a" * 32):
            _outcome(lambda etag=etag: check_write(write, etag))  # type: ignore[arg-type, misc]


def names(data: bytes) -> None:
    """Addresses and copy sources: a key never changes on its way."""
    path, host = _fields(data, 2)
    found = _outcome(lambda: read_address(b"/" + path, host, _HOSTS))
    if isinstance(found, tuple) and found[0] is not Malformed:
        _, bucket, key = found
        if key is not None and bucket is not None and bucket.encode() == path.split(b"/", 1)[0]:
            assert key.encode() == unquote_to_bytes(path.split(b"/", 1)[1])
    _outcome(lambda: parse_copy_source(path))
    _outcome(lambda: parse_content_md5(path))


_KEPT = (b"content-type", b"content-encoding", b"expires", b"x-amz-meta-a", b"x-amz-storage-class", b"x-amz-checksum-crc32",
         b"x-amz-sdk-checksum-algorithm", b"x-amz-trailer")  # fmt: skip


def headers(data: bytes) -> None:
    """Headers that are kept with an object: what is given back has no line break."""
    values = _fields(data, len(_KEPT) + 1)
    sent = [(name, value) for name, value in zip(_KEPT, values, strict=False) if value]
    sent += [(b"x-amz-meta-" + values[-1][:20], values[-1])]
    _outcome(lambda: read_checksum(sent))
    lines = _outcome(lambda: object_header_lines(read_object_headers(sent)))
    if isinstance(lines, list):
        for name, value in lines:
            assert not re.search(rb"[\r\n\0]", name + value)


# Beside S3 -------------------------------------------------------------------------------------------------


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """One for the whole process: making it takes longer than reading a file in it."""
    return tempfile.TemporaryDirectory(prefix="fuzz-")


def configuration(data: bytes) -> None:
    """Whatever is in the file: settings, or an error that names it."""
    file = Path(_folder().name) / "dolium.yml"
    file.write_bytes(data)
    found = _outcome(lambda: read_settings(file, {"SET": "x"}))
    if isinstance(found, Settings):
        found.as_json()
        assert _outcome(lambda: require_sound(found)) in (None, ConfigError)
    else:
        assert found is ConfigError


def http(data: bytes) -> None:
    """In one piece and byte by byte: the same requests, and the same end."""
    whole = events([data])
    step = len(data) % 7 + 1
    assert events([data[at : at + step] for at in range(0, len(data), step)]) == whole


TARGETS: dict[str, Target] = {
    one.__name__: one
    for one in (
        chunked, authorize, links, canonical, documents, ranges, conditions, names, headers, configuration, http,
    )
}  # fmt: skip

_AUTHORIZATION = (
    b"AWS4-HMAC-SHA256 Credential=AK/" + _SCOPE + b", SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64
)
_LINK = (
    b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20260102%2Fus-east-1%2Fs3%2Faws4_request&"
    b"X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=" + b"0" * 64
)
_CHUNKS = b"3\r\nabc\r\n0\r\n"

SEEDS: dict[str, tuple[bytes, ...]] = {
    "chunked": tuple(
        bytes([index + flag, 3, 1]) + body
        for index, kind in enumerate(_KINDS)
        for flag in (0, 0x80 - 0x80 % len(_KINDS) + len(_KINDS))
        for body in (
            _CHUNKS + b"\r\n", _CHUNKS + _TRAILER + b":NSRBwg==\r\n\r\n", _CHUNKS + _TRAILER + b":NSRBwg==\n\r\n\r\n",
            b"3;chunk-signature=" + b"0" * 64 + b"\r\nabc\r\n0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n",
        )
    ),
    "authorize": (
        _AUTHORIZATION + b"\n" + _STAMP + b"\nUNSIGNED-PAYLOAD\nbucket/key\nuploads",
        b"AWS AK:" + b"A" * 27 + b"=\nFri, 02 Jan 2026 03:04:05 GMT\nSTREAMING-UNSIGNED-PAYLOAD-TRAILER\nk\npartNumber=1",
    ),
    "links": (b"/bucket/key\n" + _LINK, b"/bucket\nAWSAccessKeyId=AK&Expires=1867323045&Signature=x%3D&acl"),
    "canonical": (b"/a/%2e%2E//b%2Fc+d\nb=%20&a=+&a=1&a-b=&%61", b"/\xff%zz\n&&=&=%&a%3d=%2b"),
    "documents": (
        b"<Delete><Quiet>true</Quiet><Object><Key>k</Key><ETag>e</ETag><Size>1</Size></Object></Delete>",
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&quot;e&quot;</ETag></Part></CompleteMultipartUpload>",
        b"<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint></CreateBucketConfiguration>",
        b'<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE a [<!ENTITY b "c">]><Delete>&b;<![CDATA[x]]></Delete>',
    ),
    "ranges": (b"bytes=0-9", b"bytes=-5", b"bytes=5-", b"bytes=0-0,2-3", b"BYTES = 1-2"),
    "conditions": (
        b'"a", W/"b"\n*\nFri, 02 Jan 2026 03:04:05 GMT\nFriday, 02-Jan-26 03:04:05 GMT\n*',
        b"a\n\nFri Jan  2 03:04:05 2026\n",
    ),
    "names": (b"bucket/a/..%2Fb\nclimate.s3.example.org:80", b"/bucket/key?versionId=null\nb.t.s3.example.org"),
    "headers": (b"text/plain\naws-chunked,gzip\nnever\n=?UTF-8?Q?a=C3=A9?=\nSTANDARD\nNSRBwg==\nCRC32\nx-amz-checksum-crc32\na",),
    "configuration": (
        b"data: /x\nlisten: [127.0.0.1:1, 'https://[::1]:2']\ntls: {cert: a, key: b}\nstore: {min_free: 10 GiB}\ndrain: 1m\n",
        b"limits: {connections: 20}\nproxies: [10.0.0.0/8]\nhosts: ['{tenancy}.x']\nmaster_key: env:SET\n",
        b"a: &a [*a]\n<<: *a\n? {}\n: !!python/object:os.system x\n",
    ),
    "http": (
        b"GET /a?b HTTP/1.1\r\nHost: s\r\n\r\nPUT / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKS + b"\r\n",
        b"PUT http://s/ HTTP/1.1\r\nHost: s\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabcGET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx",
    ),
}  # fmt: skip
"""What a fuzzer begins with: one of each kind."""
