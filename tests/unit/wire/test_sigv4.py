"""The published examples of AWS, step by step, and botocore as a second opinion."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from dolium.wire import authorization, presigned, sigv4
from dolium.wire.canonical import encode
from dolium.wire.claims import Payload
from dolium.wire.dates import parse_amz_stamp

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
EMPTY = sigv4.EMPTY_SHA256
DAY = parse_amz_stamp(b"20130524T000000Z") or 0
KEY = sigv4.signing_key(SECRET, "20130524", "us-east-1")
HOST = (b"host", b"examplebucket.s3.amazonaws.com")


def auth(
    signed: bytes, signature: bytes, scope: bytes = b"20130524/us-east-1/s3/aws4_request"
) -> tuple[bytes, bytes]:
    return (
        b"authorization",
        b"AWS4-HMAC-SHA256 Credential=%b/%b,SignedHeaders=%b,Signature=%b"
        % (KEY_ID.encode(), scope, signed, signature),
    )


EXAMPLES = {
    "get object": (
        "GET",
        b"/test.txt",
        b"",
        [(b"range", b"bytes=0-9"), (b"x-amz-content-sha256", EMPTY), (b"x-amz-date", b"20130524T000000Z")],
        b"host;range;x-amz-content-sha256;x-amz-date",
        b"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put object dated by Date": (
        "PUT",
        b"/test$file.text",
        b"",
        [
            (b"date", b"Fri, 24 May 2013 00:00:00 GMT"),
            (b"x-amz-date", b"20130524T000000Z"),
            (b"x-amz-storage-class", b"REDUCED_REDUNDANCY"),
            (b"x-amz-content-sha256", hashlib.sha256(b"Welcome to Amazon S3.").hexdigest().encode()),
        ],
        b"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        b"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get bucket lifecycle": (
        "GET",
        b"/",
        b"lifecycle",
        [(b"x-amz-content-sha256", EMPTY), (b"x-amz-date", b"20130524T000000Z")],
        b"host;x-amz-content-sha256;x-amz-date",
        b"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        "GET",
        b"/",
        b"prefix=J&max-keys=2",
        [(b"x-amz-content-sha256", EMPTY), (b"x-amz-date", b"20130524T000000Z")],
        b"host;x-amz-content-sha256;x-amz-date",
        b"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_aws(name: str) -> None:
    method, path, query, headers, signed, signature = EXAMPLES[name]
    claim = authorization.read_header([HOST, *headers, auth(signed, signature)], query, DAY)
    assert sigv4.verify(claim, method, path, KEY).ok


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("change", ["method", "path", "query", "header", "secret", "signature"])
def test_any_change_breaks_the_signature(name: str, change: str) -> None:
    method, path, query, headers, signed, signature = EXAMPLES[name]
    key, host = KEY, HOST
    match change:
        case "method":
            method = "POST"
        case "path":
            path += b"x"
        case "query":
            query += b"&acl"
        case "header":
            host = (b"host", b"other.s3.amazonaws.com")
        case "secret":
            key = sigv4.signing_key(SECRET + "x", "20130524", "us-east-1")
        case "signature":
            signature = signature.translate(bytes.maketrans(b"0", b"1"))
    claim = authorization.read_header([host, *headers, auth(signed, signature)], query, DAY)
    assert not sigv4.verify(claim, method, path, key).ok


def test_the_steps_of_the_published_example() -> None:
    method, path, query, headers, signed, signature = EXAMPLES["get object"]
    verdict = sigv4.verify(
        authorization.read_header([HOST, *headers, auth(signed, signature)], query, DAY), method, path, KEY
    )
    assert verdict.canonical_request == (
        b"GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\n"
        b"x-amz-content-sha256:%b\nx-amz-date:20130524T000000Z\n\nhost;range;x-amz-content-sha256;x-amz-date\n%b"
        % (EMPTY, EMPTY)
    )
    assert verdict.string_to_sign == (
        b"AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"
        b"7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972"
    )


def test_presigned_example_of_aws() -> None:
    query = (
        b"X-Amz-Algorithm=AWS4-HMAC-SHA256"
        b"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        b"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        b"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    claim = presigned.read_query([HOST], query, DAY + 86399.5)
    assert claim.access_key == KEY_ID
    assert claim.payload is Payload.UNSIGNED
    assert sigv4.verify(claim, "GET", b"/test.txt", KEY).ok
    assert not sigv4.verify(claim, "GET", b"/test.tx%74x", KEY).ok
    assert sigv4.verify(claim, "GET", b"/test.tx%74", KEY).ok


def test_chunk_signatures_of_the_published_example() -> None:
    stamp, scope = b"20130524T000000Z", b"20130524/us-east-1/s3/aws4_request"
    previous = b"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    for size, expected in [
        (65536, b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1024, b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ]:
        digest = hashlib.sha256(b"a" * size).hexdigest().encode()
        previous = sigv4.chunk_signature(KEY, stamp, scope, previous, digest)
        assert previous == expected


def test_trailer_signature_of_the_published_example() -> None:
    stamp, scope = b"20130524T000000Z", b"20130524/us-east-1/s3/aws4_request"
    previous = b"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"
    assert (
        sigv4.trailer_signature(KEY, stamp, scope, previous, b"x-amz-checksum-crc32c:sOO8/Q==\n")
        == b"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    )


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_signing_key_is_hmac(raw: bytes, text: bytes) -> None:
    key = sigv4.SigningKey(raw)
    assert key.sign(text) == hmac.new(raw, text, "sha256").hexdigest().encode()
    assert key.sign(text) == hmac.new(raw, text, "sha256").hexdigest().encode()
    assert repr(key) == "SigningKey(***)"


# botocore signs, we verify -------------------------------------------------------------------------------


def botocore_request(
    method: str, key: str, query: dict[str, str], region: str, extra: dict[str, str], signer: str
) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    path = encode(("/bucket/" + key).encode(), slash=True).decode()
    request = AWSRequest(
        method=method,
        url="http://127.0.0.1:9000" + path,
        params=query,
        headers={"Host": "127.0.0.1:9000", **extra},
    )
    credentials = Credentials(KEY_ID, SECRET)
    if signer == "header":
        S3SigV4Auth(credentials, "s3", region).add_auth(request)
    else:
        S3SigV4QueryAuth(credentials, "s3", region, 60).add_auth(request)
    prepared = request.prepare()
    url = urlsplit(prepared.url)
    headers = [
        (name.lower().encode(), value.encode("latin-1"))
        for name, value in prepared.headers.items()
        if signer == "header" or name.lower() == "host"
    ]
    return url.path.encode(), url.query.encode(), headers


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["GET", "PUT", "DELETE"]),
    texts,
    st.dictionaries(
        st.sampled_from(["prefix", "delimiter", "list-type", "a", "a-b", "acl", "x y", "versionId"]),
        texts,
        max_size=4,
    ),
    st.sampled_from(["us-east-1", "US", "eu west", "x"]),
    st.sampled_from(["header", "query"]),
)
def test_what_botocore_signs(method: str, key: str, query: dict[str, str], region: str, signer: str) -> None:
    now = datetime.now(UTC).timestamp()
    path, raw_query, headers = botocore_request(
        method, key, query, region, {"x-amz-meta-blank": "  two   words "}, signer
    )
    claim = (
        authorization.read_header(headers, raw_query, now)
        if signer == "header"
        else presigned.read_query([*headers, (b"x-amz-meta-blank", b"two words")], raw_query, now)
    )
    assert claim.region == region
    secret_key = sigv4.signing_key(SECRET, claim.date, claim.region)
    assert sigv4.verify(claim, method, path, secret_key).ok
    assert not sigv4.verify(claim, method, path + b"x", secret_key).ok


def test_dated_by_the_date_header() -> None:
    """As botocore does when the caller sets Date: RFC 1123 with -0000."""
    now = datetime.now(UTC).timestamp()
    path, query, headers = botocore_request(
        "GET", "k", {}, "us-east-1", {"Date": "set by botocore"}, "header"
    )
    fields = dict(headers)
    assert b"x-amz-date" not in fields
    assert fields[b"date"].endswith(b"-0000")
    claim = authorization.read_header(headers, query, now)
    assert sigv4.verify(claim, "GET", path, sigv4.signing_key(SECRET, claim.date, "us-east-1")).ok
