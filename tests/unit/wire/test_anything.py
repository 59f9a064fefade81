"""Whatever a stranger sends is refused with a code or read; no other error comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dolium.errors import DoliumError, Malformed
from dolium.wire import authorization, presigned, sigv2, sigv4
from dolium.wire.checksums import parse_content_md5, read_checksum
from dolium.wire.chunked import Decoder
from dolium.wire.claims import Payload
from dolium.wire.conditions import read_conditions, read_copy_conditions, read_write_conditions
from dolium.wire.documents import read_complete, read_delete, read_location
from dolium.wire.headers import object_header_lines, read_object_headers
from dolium.wire.names import Hosts, parse_copy_source, read_address
from dolium.wire.ranges import parse_copy_range, parse_range
from dolium.wire.render import error_document
from dolium.wire.schemes import detect

NOW = 1_767_323_045.0
KEY = sigv4.signing_key("secret", "20260102", "us-east-1")
HOSTS = Hosts(["{tenancy}.s3.example.org"])


def calmly(call: Callable[[], object]) -> None:
    try:
        call()
    except DoliumError as error:
        if isinstance(error, Malformed):
            error_document(error.code, error.message, "/", "id", error.fields)


def near(*words: bytes) -> st.SearchStrategy[bytes]:
    """Pieces of the right words among noise."""
    piece = st.sampled_from(words) | st.binary(max_size=4)
    return st.lists(piece, max_size=12).map(b"".join)


stamps = near(b"20260102", b"T030405Z", b"99991231T235959Z", b"00010101T000000Z", b"1")
dates = near(
    b"Fri, ", b"31 Dec 9999 23:59:60 -2359", b"01 Jan 0001 00:00:00 +2359", b"02 Jan 2026", b" 03:04:05 GMT"
)
signed = near(
    *[
        b"AWS4-HMAC-SHA256 ",
        b"Credential=",
        b"AK",
        b"/20260102",
        b"/us-east-1",
        b"/s3",
        b"/aws4_request",
        b", ",
    ],
    *[
        b"SignedHeaders=",
        b"host",
        b";x-amz-date",
        b"Signature=",
        b"0" * 64,
        b"AK/20260102/us-east-1/s3/aws4_request",
    ],
)


@settings(max_examples=150, deadline=None)
@given(
    signed,
    stamps,
    dates,
    near(b"UNSIGNED-PAYLOAD", b"STREAMING-"),
    st.sampled_from(["stamp", "date"]),
    near(b"a=b", b"&", b"%", b"="),
)
def test_authorization(
    value: bytes, stamp: bytes, date: bytes, payload: bytes, by: str, query: bytes
) -> None:
    headers = [
        (b"host", b"h"),
        (b"authorization", value),
        (b"x-amz-content-sha256", payload),
        (b"x-amz-date", stamp) if by == "stamp" else (b"date", date),
    ]

    def call() -> None:
        detect(value, query)
        sigv4.verify(authorization.read_header(headers, query, NOW), "GET", b"/" + query, KEY)

    calmly(call)
    calmly(lambda: sigv2.verify(sigv2.read_header("GET", b"/" + query, query, headers, NOW), "s"))


PARAMETERS = [
    *[
        b"X-Amz-Algorithm=AWS4-HMAC-SHA256&",
        b"X-Amz-Credential=AK%2F20260102%2Fus-east-1%2Fs3%2Faws4_request&",
    ],
    *[
        b"X-Amz-Date=20260102T030405Z&",
        b"X-Amz-Expires=60&",
        b"X-Amz-SignedHeaders=host&",
        b"X-Amz-Signature=00&",
    ],
    *[b"AWSAccessKeyId=AK&", b"Expires=1867323045&", b"Signature=x&", b"x-amz-acl=%ff&"],
]


@settings(max_examples=150, deadline=None)
@given(near(*PARAMETERS))
@example(b"".join(PARAMETERS))
@example(b"".join(PARAMETERS).replace(b"20260102", b"99991231"))
@example(b"".join(PARAMETERS).replace(b"20260102", b"00010101"))
def test_query(query: bytes) -> None:
    headers = [(b"host", b"h")]

    def call() -> None:
        detect(None, query)
        sigv4.verify(presigned.read_query(headers, query, NOW), "GET", b"/", KEY)

    calmly(call)
    calmly(lambda: sigv2.verify(sigv2.read_query("GET", b"/", query, headers, NOW), "s"))


NAMES = [
    *[
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"x-amz-copy-source-if-match",
    ],
    *[
        b"x-amz-checksum-crc32",
        b"x-amz-checksum-x",
        b"x-amz-trailer",
        b"x-amz-sdk-checksum-algorithm",
        b"expires",
    ],
    *[
        b"content-type",
        b"content-encoding",
        b"x-amz-meta-",
        b"x-amz-meta-\xff",
        b"x-amz-storage-class",
        b"expires",
    ],
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=30) | dates), max_size=6))
def test_headers(headers: list[tuple[bytes, bytes]]) -> None:
    for read in (read_conditions, read_copy_conditions, read_write_conditions, read_checksum):
        calmly(lambda read=read: read(headers))  # type: ignore[misc]
    calmly(lambda: object_header_lines(read_object_headers(headers)))


@settings(max_examples=150, deadline=None)
@given(
    near(b"/", b"bucket", b"%2", b"%2F", b"?versionId=", b"bytes=", b"0-", b"-9", b"\xff") | st.binary(),
    st.binary(),
)
def test_names_and_ranges(text: bytes, host: bytes) -> None:
    for read in (parse_copy_source, parse_range, parse_copy_range, parse_content_md5):
        calmly(lambda read=read: read(text))  # type: ignore[misc]
    calmly(lambda: read_address(text, host + b".s3.example.org", HOSTS))


TAGS = [
    b"<Delete>",
    b"<CompleteMultipartUpload>",
    b"<Object>",
    b"<Key>",
    b"k",
    b"</Key>",
    b"</Object>",
    b"</Delete>",
]


@settings(max_examples=150, deadline=None)
@given(near(*TAGS, b"<!DOCTYPE a>", b"&amp;", b"<?x ?>", b"\xef\xbb\xbf", b"<![CDATA[", b"]]>", b'<a b="c">'))
def test_documents(body: bytes) -> None:
    for read in (read_delete, read_complete, read_location):
        calmly(lambda read=read: read(body))  # type: ignore[misc]


class Signer(NamedTuple):
    key: sigv4.SigningKey
    stamp: bytes
    scope: bytes
    seed: bytes


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([kind for kind in Payload if kind.chunked]),
    st.lists(
        near(b"\r\n", b"3", b"abc", b"0", b";chunk-signature=" + b"0" * 64, b"x-amz-checksum-crc32:", b"\n"),
        max_size=6,
    ),
)
def test_chunks(kind: Payload, body: list[bytes]) -> None:
    signer = Signer(KEY, b"20260102T030405Z", b"20260102/us-east-1/s3/aws4_request", b"0" * 64)
    announced = None if kind is Payload.SIGNED_CHUNKS else b"x-amz-checksum-crc32"
    decoder = Decoder(kind, 3, signer=signer if kind.signed_chunks else None, announced=announced)

    def call() -> None:
        for data in body:
            decoder.feed(data)
        decoder.finish()

    calmly(call)


@pytest.mark.parametrize("length", [100, 100_000])
def test_long_texts_are_read_and_not_remembered(length: int) -> None:
    names = b"host;x-amz-date;x-amz-content-sha256;" + b"a" * length
    value = b"AWS4-HMAC-SHA256 Credential=AK/20260102/r/s3/aws4_request, SignedHeaders=%b, Signature=%b" % (
        names,
        b"0" * 64,
    )
    headers = [
        (b"host", b"h"),
        (b"authorization", value),
        (b"x-amz-date", b"20260102T030405Z"),
        (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
    ]
    before = authorization._parse_start.cache_info().currsize
    assert authorization.read_header(headers, b"", NOW).signed_line == names
    assert authorization._parse_start.cache_info().currsize == before + (length < 1000)
    query = b"".join(PARAMETERS[:6]).replace(b"host&", b"host%3B" + b"a" * length + b"&")
    before = presigned._parse_presigned.cache_info().currsize
    assert presigned.read_query([(b"host", b"h")], query.rstrip(b"&"), NOW).signed_names[1] == b"a" * length
    assert presigned._parse_presigned.cache_info().currsize == before + (length < 1000)
    assert HOSTS.read(b"a" * length + b".s3.example.org")[0] == ("a" * length if length < 1000 else None)
