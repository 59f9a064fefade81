"""SigV2: the examples of AWS's developer guide, and botocore as a second opinion."""

from __future__ import annotations

import hmac
from base64 import b64encode
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from dolium.errors import Malformed
from dolium.wire import sigv2
from dolium.wire.canonical import encode
from dolium.wire.claims import Payload
from dolium.wire.dates import parse_http_date
from dolium.wire.schemes import Scheme, detect

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
DATE = b"Tue, 27 Mar 2007 19:36:42 +0000"
NOW = float(parse_http_date(DATE) or 0)


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "signature"),
    [
        ("GET", b"/photos/puppy.jpg", b"", [], b"bWq2s1WEIj+Ydj0vQ697zp+IXMU="),
        (
            "PUT",
            b"/photos/puppy.jpg",
            b"",
            [
                (b"content-type", b"image/jpeg"),
                (b"content-length", b"94328"),
                (b"date", b"Tue, 27 Mar 2007 21:15:45 +0000"),
            ],
            b"MyyxeRY7whkBe+bq8fHCL/2kKUg=",
        ),
        (
            "GET",
            b"/",
            b"prefix=photos&max-keys=50&marker=puppy",
            [(b"date", b"Tue, 27 Mar 2007 19:42:41 +0000")],
            b"htDYFYduRNen8P9ZfE/s9SuKy0U=",
        ),
        (
            "GET",
            b"/",
            b"acl",
            [(b"date", b"Tue, 27 Mar 2007 19:44:46 +0000")],
            b"c2WLPFtWHVgbEmeEG93a4cG37dM=",
        ),
    ],
)
def test_examples_of_aws(
    method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], signature: bytes
) -> None:
    dated = headers if b"date" in dict(headers) else [*headers, (b"date", DATE)]
    now = float(parse_http_date(dict(dated)[b"date"]) or 0)
    authorization = (b"authorization", b"AWS " + KEY_ID.encode() + b":" + signature)
    claim = sigv2.read_header(method, path, query, [*dated, authorization], now, bucket="johnsmith")
    assert claim.access_key == KEY_ID
    assert sigv2.verify(claim, SECRET).ok
    assert not sigv2.verify(claim, SECRET + "x").ok
    in_path = sigv2.read_header(method, b"/johnsmith" + path, query, [*dated, authorization], now)
    assert sigv2.verify(in_path, SECRET).ok
    with_acl = sigv2.read_header(
        method, path, query + b"&attributes", [*dated, authorization], now, bucket="johnsmith"
    )
    assert not sigv2.verify(with_acl, SECRET).ok


def test_presigned_example_of_aws() -> None:
    query = (
        b"AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=1175139620&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"
    )
    claim = sigv2.read_query("GET", b"/photos/puppy.jpg", query, [], 1175139619.0, bucket="johnsmith")
    assert sigv2.verify(claim, SECRET).ok
    with pytest.raises(Malformed, match="expired") as refusal:
        sigv2.read_query("GET", b"/photos/puppy.jpg", query, [], 1175139620.0, bucket="johnsmith")
    assert refusal.value.code == "AccessDenied"


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["GET", "PUT", "DELETE"]),
    texts,
    st.dictionaries(
        st.sampled_from(["prefix", "acl", "versionId", "uploadId", "response-content-type", "partNumber"]),
        texts,
        max_size=4,
    ),
    st.sampled_from([HmacV1Auth, HmacV1QueryAuth]),
)
def test_what_botocore_signs(method: str, key: str, query: dict[str, str], signer: type[HmacV1Auth]) -> None:
    now = datetime.now(UTC).timestamp()
    path = encode(("/bucket/" + key).encode(), slash=True).decode()
    # botocore takes a text apart itself, and does not encode the names that it finds there
    parameters = "&".join(f"{name}={encode(value.encode()).decode()}" for name, value in query.items())
    headers = {"x-amz-meta-b": "two", "x-amz-meta-a": " one", "content-type": "text/plain"}
    request = AWSRequest(
        method=method,
        url=f"http://127.0.0.1:9000{path}" + (f"?{parameters}" if parameters else ""),
        headers=headers,
    )
    signer(Credentials(KEY_ID, SECRET)).add_auth(request)
    prepared = request.prepare()
    url = urlsplit(prepared.url)
    sent = [(name.lower().encode(), str(value).encode()) for name, value in prepared.headers.items()]
    if signer is HmacV1QueryAuth:
        claim = sigv2.read_query(method, url.path.encode(), url.query.encode(), [], now)
        assert (b"x-amz-meta-b", b"two") in claim.hoisted
        assert detect(None, url.query.encode()) is Scheme.V2_QUERY
    else:
        claim = sigv2.read_header(method, url.path.encode(), url.query.encode(), sent, now)
        assert detect(dict(sent)[b"authorization"], url.query.encode()) is Scheme.V2_HEADER
    assert sigv2.verify(claim, SECRET).ok
    assert claim.payload is Payload.UNSIGNED


@pytest.mark.parametrize(
    ("sent", "signed", "ok"),
    [
        (b"/bucket", b"/bucket", True),
        (b"/bucket", b"/bucket/", True),  # as botocore does
        (b"/bucket/", b"/bucket", False),
        (b"/bucket/key", b"/bucket/key/", False),
        (b"/", b"//", False),
    ],
)
def test_a_bucket_may_be_signed_with_a_slash(sent: bytes, signed: bytes, *, ok: bool) -> None:
    text = b"GET\n\n\n\nx-amz-date:%b\n%b?uploads" % (DATE, signed)
    signature = b64encode(hmac.digest(SECRET.encode(), text, "sha1"))
    headers = [(b"x-amz-date", DATE), (b"authorization", b"AWS " + KEY_ID.encode() + b":" + signature)]
    assert sigv2.verify(sigv2.read_header("GET", sent, b"uploads", headers, NOW), SECRET).ok is ok


def test_x_amz_date_takes_the_place_of_date() -> None:
    text = b"GET\n\n\n\nx-amz-date:%b\n/bucket/key" % DATE
    signature = b64encode(hmac.digest(SECRET.encode(), text, "sha1"))
    headers = [(b"date", b"whenever"), (b"x-amz-date", DATE), (b"authorization", b"AWS a:b:" + signature)]
    claim = sigv2.read_header("GET", b"/bucket/key", b"", headers, NOW)
    assert (claim.access_key, claim.string_to_sign) == ("a:b", text)
    assert sigv2.verify(claim, SECRET).ok


@pytest.mark.parametrize("value", [b"AWS HAHAHA", b"AWS", b"AWS :sig", b"AWS key:"])
def test_malformed_header(value: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        sigv2.read_header("GET", b"/", b"", [(b"date", DATE), (b"authorization", value)], NOW)
    assert refusal.value.code == "InvalidArgument"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "AccessDenied"),
        ([(b"date", b"")], "AccessDenied"),
        ([(b"date", b"Bad Date")], "AccessDenied"),
        ([(b"date", b"Tue, 07 Jul 1950 21:53:04 GMT")], "AccessDenied"),
        ([(b"date", b"Tue, 07 Jul 2010 21:53:04 GMT")], "RequestTimeTooSkewed"),
        ([(b"date", b"Tue, 07 Jul 9999 21:53:04 GMT")], "RequestTimeTooSkewed"),
        (
            [(b"date", DATE), (b"x-amz-content-sha256", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD")],
            "InvalidArgument",
        ),
    ],
)
def test_refused_headers(headers: list[tuple[bytes, bytes]], code: str) -> None:
    with pytest.raises(Malformed) as refusal:
        sigv2.read_header("GET", b"/", b"", [*headers, (b"authorization", b"AWS a:b")], NOW)
    assert refusal.value.code == code


def test_unsigned_chunks_are_taken() -> None:
    headers = [
        (b"date", DATE),
        (b"x-amz-content-sha256", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        (b"authorization", b"AWS a:b"),
    ]
    assert sigv2.read_header("PUT", b"/", b"", headers, NOW).payload is Payload.UNSIGNED_CHUNKS_TRAILER


@pytest.mark.parametrize(
    "query",
    [
        b"AWSAccessKeyId=a&Expires=9999999999",
        b"AWSAccessKeyId=a&Signature=b",
        b"Expires=9999999999&Signature=b",
        b"AWSAccessKeyId=a&Expires=soon&Signature=b",
        b"AWSAccessKeyId=a&Expires=-1&Signature=b",
        b"AWSAccessKeyId=a&Expires=1&Signature=b",
    ],
)
def test_refused_urls(query: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        sigv2.read_query("GET", b"/", query, [], NOW)
    assert refusal.value.code == "AccessDenied"


@pytest.mark.parametrize(
    ("authorization", "query", "scheme"),
    [
        (None, b"", Scheme.ANONYMOUS),
        (None, b"prefix=X-Amz-Signature", Scheme.ANONYMOUS),
        (None, b"prefix=AWSAccessKeyId", Scheme.ANONYMOUS),
        (None, b"X-Amz-Signature=x", Scheme.V4_QUERY),
        (None, b"a=b&X-Amz-Algorithm=x", Scheme.V4_QUERY),
        (None, b"AWSAccessKeyId=x", Scheme.V2_QUERY),
        (b"AWS4-HMAC-SHA256 x", b"", Scheme.V4_HEADER),
        (b"AWS x:y", b"acl", Scheme.V2_HEADER),
    ],
)
def test_schemes(authorization: bytes | None, query: bytes, scheme: Scheme) -> None:
    assert detect(authorization, query) is scheme


@pytest.mark.parametrize(
    ("authorization", "query", "code"),
    [
        (b"", b"", "AccessDenied"),
        (b"Basic eDp5", b"", "InvalidArgument"),
        (b"Bearer x", b"", "InvalidArgument"),
        (b"aws4-hmac-sha256 x", b"", "InvalidArgument"),
        (b"AWS4-ECDSA-P256-SHA256 x", b"", "InvalidRequest"),
        (b"AWS x:y", b"X-Amz-Signature=x", "InvalidArgument"),
        (b"AWS4-HMAC-SHA256 x", b"AWSAccessKeyId=x", "InvalidArgument"),
    ],
)
def test_refused_schemes(authorization: bytes, query: bytes, code: str) -> None:
    with pytest.raises(Malformed) as refusal:
        detect(authorization, query)
    assert refusal.value.code == code
