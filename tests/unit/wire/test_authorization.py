"""What is refused of an Authorization header before a secret is looked up."""

from __future__ import annotations

import pytest

from dolium.errors import Malformed
from dolium.wire import authorization, sigv4
from dolium.wire.claims import Claim, Payload
from dolium.wire.dates import parse_amz_stamp

DAY = parse_amz_stamp(b"20130524T000000Z") or 0
HOST = (b"host", b"examplebucket.s3.amazonaws.com")
KEY = sigv4.signing_key("secret", "20130524", "us-east-1")


def auth(
    signed: bytes, signature: bytes, scope: bytes = b"20130524/us-east-1/s3/aws4_request"
) -> tuple[bytes, bytes]:
    return (
        b"authorization",
        b"AWS4-HMAC-SHA256 Credential=%b/%b,SignedHeaders=%b,Signature=%b"
        % (b"AK", scope, signed, signature),
    )


BASE = [HOST, (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"), (b"x-amz-date", b"20130524T000000Z")]
SIGNED = b"host;x-amz-content-sha256;x-amz-date"


def read(
    *more: tuple[bytes, bytes],
    without: bytes = b"",
    value: bytes | None = None,
    signed: bytes = SIGNED,
    scope: bytes = b"20130524/us-east-1/s3/aws4_request",
    now: float = DAY,
) -> Claim:
    headers = [field for field in BASE if field[0] != without] + list(more)
    headers.append(auth(signed, b"0" * 64, scope) if value is None else (b"authorization", value))
    return authorization.read_header(headers, b"", now)


@pytest.mark.parametrize(
    "scope",
    [
        b"20130524//s3/aws4_request",
        b"20130524/US/s3/aws4_request",
        b"20130524/" + b"x" * 99 + b"/s3/aws4_request",
    ],
)
def test_any_region(scope: bytes) -> None:
    assert read(scope=scope).region == scope.split(b"/")[1].decode()


@pytest.mark.parametrize(
    "scope",
    [
        b"20130524/us-east-1/ec2/aws4_request",
        b"20130524/us-east-1/s3/aws5_request",
        b"20130525/us-east-1/s3/aws4_request",
        b"2013-05-24/us-east-1/s3/aws4_request",
        b"20130524/us-east-1/aws4_request",
        b"20130524",
    ],
)
def test_malformed_scope(scope: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        read(scope=scope)
    assert refusal.value.code == "AuthorizationHeaderMalformed"


@pytest.mark.parametrize(
    "value",
    [
        b"AWS4-HMAC-SHA256",
        b"AWS4-HMAC-SHA256 ",
        b"AWS4-HMAC-SHA256 nonsense",
        b"AWS4-HMAC-SHA256 Credential=AK/20130524/r/s3/aws4_request, SignedHeaders=host",
        b"AWS4-HMAC-SHA256 Credential=/20130524/r/s3/aws4_request, SignedHeaders=host, Signature="
        + b"0" * 64,
        b"AWS4-HMAC-SHA256 Credential=a, Credential=b, SignedHeaders=host, Signature=0",
        b"AWS4-HMAC-SHA256 SignedHeaders=host, Signature=" + b"0" * 64,
    ],
)
def test_malformed_header(value: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        read(value=value)
    assert refusal.value.code == "AuthorizationHeaderMalformed"


def test_parts_in_another_order() -> None:
    claim = read(
        value=b"AWS4-HMAC-SHA256 Signature=%b,SignedHeaders=%b , Credential=A/B/20130524/r/s3/aws4_request"
        % (b"1" * 64, SIGNED)
    )
    assert (claim.access_key, claim.signature, claim.signed_line) == ("A/B", b"1" * 64, SIGNED)


@pytest.mark.parametrize(
    ("offset", "code"), [(900, ""), (-900, ""), (901, "RequestTimeTooSkewed"), (-901, "RequestTimeTooSkewed")]
)
def test_skew(offset: int, code: str) -> None:
    if not code:
        assert read(now=DAY + offset).date == "20130524"
        return
    with pytest.raises(Malformed) as refusal:
        read(now=DAY + offset)
    assert refusal.value.code == code
    assert refusal.value.fields["MaxAllowedSkewMilliseconds"] == "900000"


@pytest.mark.parametrize("dates", [[], [(b"date", b"yesterday")], [(b"x-amz-date", b"20131324T000000Z")]])
def test_no_usable_date(dates: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Malformed) as refusal:
        read(*dates, without=b"x-amz-date")
    assert refusal.value.code == "AccessDenied"


def test_payload_hash_is_required() -> None:
    with pytest.raises(Malformed) as refusal:
        read(without=b"x-amz-content-sha256")
    assert refusal.value.code == "InvalidRequest"


@pytest.mark.parametrize("kind", [kind for kind in Payload if kind is not Payload.SIGNED_SHA256])
def test_payload_kinds(kind: Payload) -> None:
    claim = read((b"x-amz-content-sha256", kind.value.encode()), without=b"x-amz-content-sha256")
    assert claim.payload is kind
    assert kind.chunked == kind.value.startswith("STREAMING")
    assert kind.signed_chunks == kind.value.startswith("STREAMING-AWS4")


@pytest.mark.parametrize(
    "value",
    [b"", b"garbage", b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", b"z" * 64, b"0" * 63, b"unsigned-payload"],
)
def test_unknown_payload(value: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        read((b"x-amz-content-sha256", value), without=b"x-amz-content-sha256")
    assert refusal.value.code == "InvalidArgument"


@pytest.mark.parametrize("name", [b"x-amz-copy-source", b"x-amz-acl", b"content-md5", b"x-amz-meta-x"])
def test_unsigned_headers_are_refused(name: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        read((name, b"x"))
    assert refusal.value.code == "AccessDenied"
    assert refusal.value.fields == {"HeadersNotSigned": name.decode()}
    assert name in read((name, b"x"), signed=SIGNED + b";" + name).fields


def test_host_must_be_signed() -> None:
    with pytest.raises(Malformed) as refusal:
        read(signed=b"x-amz-content-sha256;x-amz-date")
    assert (refusal.value.code, refusal.value.fields) == ("AccessDenied", {"HeadersNotSigned": "host"})


def test_a_signed_header_that_is_absent_counts_as_empty() -> None:
    claim = read(signed=b"host;range;x-amz-content-sha256;x-amz-date")
    assert b"\nrange:\n" in sigv4.verify(claim, "GET", b"/", KEY).canonical_request


def test_repeated_headers_are_joined_and_folded() -> None:
    more = [(b"x-amz-meta-a", b" one  two "), (b"x-amz-meta-a", b"three\t")]
    claim = read(*more, signed=SIGNED + b";x-amz-meta-a")
    assert b"\nx-amz-meta-a:one two,three\n" in sigv4.verify(claim, "GET", b"/", KEY).canonical_request
