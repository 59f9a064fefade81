"""Presigned URLs: the `X-Amz-*` parameters of a query, as a claim."""

from __future__ import annotations

from functools import lru_cache

from dolium.errors import Malformed
from dolium.wire.canonical import Headers, decode, fields_of, join_parts, query_parts
from dolium.wire.claims import (
    MAX_REMEMBERED,
    MAX_SKEW,
    Claim,
    Scope,
    not_signed,
    read_payload,
    read_scope,
)
from dolium.wire.dates import http_date, iso_millis, parse_amz_stamp

__all__ = ["MAX_LIFE", "read_query"]

MAX_LIFE = 604_800

_PARAMETERS = (
    b"X-Amz-Algorithm",
    b"X-Amz-Credential",
    b"X-Amz-Date",
    b"X-Amz-Expires",
    b"X-Amz-SignedHeaders",
    b"X-Amz-Signature",
)
_OWN = frozenset({*(name.lower() for name in _PARAMETERS), b"x-amz-security-token", b"x-amz-content-sha256"})


def read_query(headers: Headers, raw_query: bytes, now: float) -> Claim:
    """The claim of a presigned URL.

    Raises Malformed: AuthorizationQueryParametersError, AccessDenied (expired, not yet valid, headers not
    signed), InvalidArgument (x-amz-content-sha256). Headers that repeat a parameter of the signature, and
    x-amz-content-sha256, need not be signed.
    """
    fields = fields_of(headers)
    parts = query_parts(raw_query)
    values: dict[bytes, bytes] = dict([part.split(b"=") for part in parts])
    try:
        algorithm, credential, stamp, expires, signed, signature = [values[name] for name in _PARAMETERS]
    except KeyError:
        raise _query_error(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        ) from None
    if algorithm != b"AWS4-HMAC-SHA256":
        raise _query_error('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    if len(credential) + len(signed) <= MAX_REMEMBERED:
        scope = _parse_presigned(credential, signed)
    else:
        scope = _parse_presigned.__wrapped__(credential, signed)
    seconds = parse_amz_stamp(stamp)
    if seconds is None:
        raise _query_error("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    if not stamp.startswith(scope.date):
        raise _query_error(
            f'Invalid credential date "{scope.date.decode()}". '
            f'This date is not the same as X-Amz-Date: "{stamp[:8].decode()}".'
        )
    _check_window(seconds, expires, now)
    name_set = scope.name_set
    for name in fields:
        if (name[:6] == b"x-amz-" or name == b"content-md5") and name not in name_set and name not in _OWN:
            raise not_signed(fields, name_set, _OWN)
    payload_hash, signed_hash = _payload_hashes(fields, values, name_set)
    hoisted: tuple[tuple[bytes, bytes], ...] = ()
    if len(parts) > len(_PARAMETERS):
        hoisted = tuple(
            (name.lower(), decode(value))
            for name, value in values.items()
            if name[:6].lower() == b"x-amz-" and name.lower() not in _OWN
        )
    return Claim(
        scope.access_key,
        scope.date.decode(),
        scope.region,
        scope.text,
        scope.signed_line,
        scope.names,
        signature,
        stamp,
        read_payload(payload_hash),
        payload_hash,
        signed_hash,
        fields,
        join_parts([part for part in parts if part[:16] != b"X-Amz-Signature="]),
        True,
        hoisted,
    )


def _check_window(seconds: int, expires: bytes, now: float) -> None:
    if not expires.isdigit() or len(expires) > 12:
        if expires[:1] == b"-" and expires[1:].isdigit():
            raise _query_error("X-Amz-Expires must be non-negative")
        raise _query_error("X-Amz-Expires should be a number")
    life = int(expires)
    if life > MAX_LIFE:
        raise _query_error(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            f"{MAX_LIFE} seconds"
        )
    if now >= seconds + life:
        raise Malformed(
            "AccessDenied",
            "Request has expired",
            **{
                "X-Amz-Expires": str(life),
                "Expires": iso_millis((seconds + life) * 1000),
                "ServerTime": iso_millis(int(now) * 1000),
            },
        )
    if seconds - now > MAX_SKEW:
        raise Malformed("AccessDenied", "Request is not valid yet", Date=http_date(seconds))


def _payload_hashes(
    fields: dict[bytes, bytes], values: dict[bytes, bytes], signed: frozenset[bytes]
) -> tuple[bytes, bytes]:
    """What is said of the body, and what stands for it in the canonical request."""
    parameter = values.get(b"X-Amz-Content-Sha256")
    if parameter is not None:
        return parameter, parameter
    header = fields.get(b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD")
    return header, header if b"x-amz-content-sha256" in signed else b"UNSIGNED-PAYLOAD"


def _query_error(message: str) -> Malformed:
    return Malformed("AuthorizationQueryParametersError", message)


@lru_cache(maxsize=1024)
def _parse_presigned(credential: bytes, signed_line: bytes) -> Scope:
    """Both still percent-encoded; every URL that a client makes in a day repeats them."""
    return read_scope(
        decode(credential),
        decode(signed_line),
        "AuthorizationQueryParametersError",
        "Error parsing the X-Amz-Credential parameter; ",
    )
