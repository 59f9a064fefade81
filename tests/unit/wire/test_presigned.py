"""What is refused of a presigned URL before a secret is looked up."""

from __future__ import annotations

import pytest

from dolium.errors import Malformed
from dolium.wire import presigned, sigv4
from dolium.wire.claims import Claim, Payload
from dolium.wire.dates import parse_amz_stamp

DAY = parse_amz_stamp(b"20130524T000000Z") or 0
HOST = (b"host", b"examplebucket.s3.amazonaws.com")
EMPTY = sigv4.EMPTY_SHA256

PARAMETERS = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": "AK%2F20130524%2Fus-east-1%2Fs3%2Faws4_request",
    "X-Amz-Date": "20130524T000000Z",
    "X-Amz-Expires": "60",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": "0" * 64,
}


def read_url(
    *headers: tuple[bytes, bytes], now: float = DAY, changes: dict[str, str | None] | None = None
) -> Claim:
    values = {**PARAMETERS, **(changes or {})}
    query = "&".join(f"{name}={value}" for name, value in values.items() if value is not None)
    return presigned.read_query([HOST, *headers], query.encode(), now)


@pytest.mark.parametrize(
    "changes",
    [
        *[{name: None} for name in PARAMETERS],
        {"X-Amz-Algorithm": "AWS4-ECDSA-P256-SHA256"},
        {"X-Amz-Date": "20130524"},
        {"X-Amz-Date": "20130525T000000Z"},
        {"X-Amz-Expires": "-1"},
        {"X-Amz-Expires": "604801"},
        {"X-Amz-Expires": "soon"},
        {"X-Amz-Expires": "9" * 40},
        {"X-Amz-Expires": ""},
        {"X-Amz-Credential": "AK%2F20130524%2Fus-east-1%2Fec2%2Faws4_request"},
        {"X-Amz-Credential": "AK"},
    ],
)
def test_malformed_presigned_parameters(changes: dict[str, str | None]) -> None:
    with pytest.raises(Malformed) as refusal:
        read_url(changes=changes)
    assert refusal.value.code == "AuthorizationQueryParametersError"


@pytest.mark.parametrize(
    ("expires", "now", "text"),
    [
        ("60", DAY + 60, "Request has expired"),
        ("0", DAY, "Request has expired"),
        ("604800", DAY - 901, "not valid yet"),
    ],
)
def test_presigned_window(expires: str, now: float, text: str) -> None:
    with pytest.raises(Malformed, match=text) as refusal:
        read_url(changes={"X-Amz-Expires": expires}, now=now)
    assert refusal.value.code == "AccessDenied"


def test_a_presigned_week() -> None:
    assert read_url(changes={"X-Amz-Expires": "604800"}, now=DAY + 604_799).presigned


@pytest.mark.parametrize("name", [b"x-amz-acl", b"x-amz-copy-source", b"content-md5"])
def test_presigned_refuses_unsigned_headers(name: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        read_url((name, b"x"))
    assert refusal.value.fields == {"HeadersNotSigned": name.decode()}


def test_presigned_leaves_out_its_own_parameters() -> None:
    claim = read_url(
        (b"x-amz-content-sha256", EMPTY), (b"x-amz-date", b"20130524T000000Z"), (b"x-amz-expires", b"60")
    )
    assert claim.payload is Payload.SIGNED_SHA256
    assert (claim.payload_hash, claim.signed_hash) == (EMPTY, b"UNSIGNED-PAYLOAD")


def test_presigned_payload_in_parameter_or_signed_header() -> None:
    assert read_url(changes={"X-Amz-Content-Sha256": EMPTY.decode()}).signed_hash == EMPTY
    claim = read_url(
        (b"x-amz-content-sha256", EMPTY), changes={"X-Amz-SignedHeaders": "host%3Bx-amz-content-sha256"}
    )
    assert claim.signed_hash == EMPTY
    assert claim.signed_names == (b"host", b"x-amz-content-sha256")


def test_hoisted_headers() -> None:
    claim = presigned.read_query(
        [HOST],
        b"x-amz-acl=public-read&X-Amz-Meta-A=b%20c&prefix=x&"
        + "&".join(f"{name}={value}" for name, value in PARAMETERS.items()).encode(),
        DAY,
    )
    assert claim.hoisted == ((b"x-amz-acl", b"public-read"), (b"x-amz-meta-a", b"b c"))
