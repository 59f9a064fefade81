"""What a request signed with AWS4-HMAC-SHA256 claims, before anybody looks up a secret.

Signature, scope, dates and payload are read and checked as far as they can be without the key:
`authorization.read_header` for the Authorization header, `presigned.read_query` for URLs. Codes and texts
are AWS's ("Authenticating Requests", "Signature Version 4 query parameters"). Any region is taken, also none.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from dolium.errors import Malformed
from dolium.wire.dates import amz_stamp, iso_millis

__all__ = [
    "MAX_REMEMBERED",
    "MAX_SKEW",
    "Claim",
    "Payload",
    "Scope",
    "check_skew",
    "not_signed",
    "read_payload",
    "read_scope",
]

MAX_SKEW = 900
"""Seconds between the clock of a client and ours."""

MAX_REMEMBERED = 1024
"""Longer texts of strangers are not kept in a cache."""


class Payload(Enum):
    """What `x-amz-content-sha256` says of the body."""

    SIGNED_SHA256 = "the SHA-256 of the body"
    UNSIGNED = "UNSIGNED-PAYLOAD"
    SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    UNSIGNED_CHUNKS_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    @property
    def chunked(self) -> bool:
        """The body is aws-chunked."""
        return self in _CHUNKED

    @property
    def signed_chunks(self) -> bool:
        """Every chunk carries a signature that continues the request's."""
        return self is Payload.SIGNED_CHUNKS or self is Payload.SIGNED_CHUNKS_TRAILER


_CHUNKED = frozenset({Payload.SIGNED_CHUNKS, Payload.SIGNED_CHUNKS_TRAILER, Payload.UNSIGNED_CHUNKS_TRAILER})
_NAMED = {kind.value.encode(): kind for kind in Payload if kind is not Payload.SIGNED_SHA256}
_sha256_hex = re.compile(rb"[0-9a-fA-F]{64}").fullmatch


class Claim(NamedTuple):
    """Who says to have signed, when and what. A named tuple, for it is made on every request.

    `payload_hash`: what x-amz-content-sha256 says; `signed_hash`: what stands for it in the canonical
    request, which for presigned URLs may be another. `hoisted`: the `x-amz-*` parameters of a presigned
    URL that stand for headers of that name.
    """

    access_key: str
    date: str
    region: str
    scope: bytes
    signed_line: bytes
    signed_names: tuple[bytes, ...]
    signature: bytes
    stamp: bytes
    payload: Payload
    payload_hash: bytes
    signed_hash: bytes
    fields: dict[bytes, bytes]
    query: bytes
    presigned: bool
    hoisted: tuple[tuple[bytes, bytes], ...] = ()


class Scope(NamedTuple):
    """The parts of a claim that a client repeats all day: credential and signed headers."""

    access_key: str
    date: bytes
    region: str
    text: bytes
    signed_line: bytes
    names: tuple[bytes, ...]
    name_set: frozenset[bytes]


def read_payload(value: bytes) -> Payload:
    """Raises InvalidArgument for a value that S3 does not know."""
    kind = _NAMED.get(value)
    if kind is not None:
        return kind
    if len(value) == 64 and _sha256_hex(value):
        return Payload.SIGNED_SHA256
    raise Malformed(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=value.decode("latin-1"),
    )


def check_skew(seconds: int, now: float) -> None:
    """Raises RequestTimeTooSkewed if more than 15 minutes lie between."""
    if not -MAX_SKEW <= seconds - now <= MAX_SKEW:
        raise Malformed(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            RequestTime=amz_stamp(seconds).decode(),
            ServerTime=iso_millis(int(now) * 1000),
            MaxAllowedSkewMilliseconds=str(MAX_SKEW * 1000),
        )


def read_scope(credential: bytes, signed_line: bytes, code: str, opening: str) -> Scope:
    """Take a credential and a list of signed headers apart; errors have `code` and begin with `opening`."""
    parts = credential.rsplit(b"/", 4)
    if len(parts) != 5 or not parts[0]:
        raise Malformed(
            code,
            f'{opening}the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
        )
    access_key, date, region, service, terminal = parts
    if len(date) != 8 or not date.isdigit():
        raise Malformed(
            code,
            f'{opening}incorrect date format "{date.decode("latin-1")}". This date must be in the format "yyyyMMdd".',
        )
    if service != b"s3":
        raise Malformed(
            code, f'{opening}incorrect service "{service.decode("latin-1")}". This endpoint belongs to "s3".'
        )
    if terminal != b"aws4_request":
        raise Malformed(
            code,
            f'{opening}incorrect terminal "{terminal.decode("latin-1")}". This endpoint uses "aws4_request".',
        )
    names = tuple(signed_line.split(b";"))
    name_set = frozenset(names)
    if b"host" not in name_set:
        raise not_signed({b"host": b""}, name_set)
    text = b"/".join(parts[1:])
    return Scope(
        access_key.decode("latin-1"), date, region.decode("latin-1"), text, signed_line, names, name_set
    )


def not_signed(
    fields: dict[bytes, bytes], signed: frozenset[bytes], exempt: frozenset[bytes] = frozenset()
) -> Malformed:
    """The refusal of a request whose headers could have been changed or added on the way."""
    missing = [
        name.decode("latin-1")
        for name in sorted(fields)
        if (name.startswith(b"x-amz-") or name in (b"host", b"content-md5")) and name not in signed | exempt
    ]
    return Malformed(
        "AccessDenied",
        "There were headers present in the request which were not signed",
        HeadersNotSigned=", ".join(missing),
    )
