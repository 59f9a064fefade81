"""The `Authorization: AWS4-HMAC-SHA256 …` header, as a claim."""

from __future__ import annotations

import re
from functools import lru_cache

from dolium.errors import Malformed
from dolium.wire.canonical import Headers, canonical_query, fields_of
from dolium.wire.claims import (
    MAX_REMEMBERED,
    MAX_SKEW,
    Claim,
    Scope,
    check_skew,
    not_signed,
    read_payload,
    read_scope,
)
from dolium.wire.dates import amz_stamp, parse_amz_stamp, parse_http_date

__all__ = ["read_header"]


def read_header(headers: Headers, raw_query: bytes, now: float) -> Claim:
    """The claim of an `Authorization: AWS4-HMAC-SHA256 …` header.

    Raises Malformed: AuthorizationHeaderMalformed, AccessDenied (no date; headers not signed),
    RequestTimeTooSkewed, InvalidRequest or InvalidArgument (x-amz-content-sha256).
    """
    fields = fields_of(headers)
    value = fields[b"authorization"]
    start, _, signature = value.rpartition(b"Signature=")
    if len(signature) != 64:
        start, signature = _reorder(value)
    scope = _parse_start(start) if len(start) <= MAX_REMEMBERED else _parse_start.__wrapped__(start)
    stamp, seconds = _dated(fields)
    if not stamp.startswith(scope.date):
        raise _header_malformed(
            f'Invalid credential date "{scope.date.decode()}". '
            f'This date is not the same as X-Amz-Date: "{stamp[:8].decode()}".'
        )
    if not -MAX_SKEW <= seconds - now <= MAX_SKEW:
        check_skew(seconds, now)
    payload_hash = fields.get(b"x-amz-content-sha256")
    if payload_hash is None:
        raise Malformed("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    name_set = scope.name_set
    for name in fields:
        if name[:6] == b"x-amz-" and name not in name_set:
            raise not_signed(fields, name_set)
    if b"content-md5" in fields and b"content-md5" not in name_set:
        raise not_signed(fields, name_set)
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
        payload_hash,
        fields,
        canonical_query(raw_query) if raw_query else b"",
        False,
    )


def _dated(fields: dict[bytes, bytes]) -> tuple[bytes, int]:
    stamp = fields.get(b"x-amz-date")
    if stamp is not None:
        seconds = parse_amz_stamp(stamp)
        if seconds is None:
            seconds = parse_http_date(stamp)
            stamp = b"" if seconds is None else amz_stamp(seconds)
    else:
        seconds = parse_http_date(fields.get(b"date", b""))
        stamp = b"" if seconds is None else amz_stamp(seconds)
    if seconds is None:
        raise Malformed("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    return stamp, seconds


def _reorder(value: bytes) -> tuple[bytes, bytes]:
    """Parts in another order than usual, as (everything before the signature in usual order, signature)."""
    algorithm, _, rest = value.partition(b" ")
    parts: dict[bytes, bytes] = {}
    for part in rest.split(b","):
        name, equals, text = part.strip().partition(b"=")
        if not equals or name in parts:
            raise _header_malformed(
                f'the authorization component "{part.strip().decode("latin-1")}" is malformed.'
            )
        parts[name] = text
    for name in (b"Credential", b"SignedHeaders", b"Signature"):
        if name not in parts:
            raise _header_malformed(f"the authorization header requires {name.decode()}.")
    start = b"%b Credential=%b, SignedHeaders=%b, " % (
        algorithm,
        parts[b"Credential"],
        parts[b"SignedHeaders"],
    )
    return start, parts[b"Signature"]


_start = re.compile(rb"AWS4-HMAC-SHA256\s+Credential=([^,]+?)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*").fullmatch


@lru_cache(maxsize=1024)
def _parse_start(start: bytes) -> Scope:
    """All of the header before its signature; a client sends the same all day long."""
    match = _start(start)
    if match is None:
        raise _header_malformed(
            f'the authorization component "{start.decode("latin-1").strip()}" is malformed.'
        )
    credential, signed_line = match.groups()
    return read_scope(
        credential, signed_line, "AuthorizationHeaderMalformed", "The authorization header is malformed; "
    )


def _header_malformed(what: str) -> Malformed:
    return Malformed("AuthorizationHeaderMalformed", f"The authorization header is malformed; {what}")
