"""Which way of signing a request uses, decided once, before anything else is read of it."""

from __future__ import annotations

from enum import Enum, auto

from dolium.errors import Malformed

__all__ = ["Scheme", "detect"]


class Scheme(Enum):
    ANONYMOUS = auto()
    V4_HEADER = auto()
    V4_QUERY = auto()
    V2_HEADER = auto()
    V2_QUERY = auto()


_V4 = frozenset({b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Signature"})


def detect(authorization: bytes | None, raw_query: bytes) -> Scheme:
    """The scheme of a request with this Authorization header (None if it has none) and query.

    Raises Malformed: InvalidArgument (two schemes at once, or one that S3 does not know), InvalidRequest
    (AWS4 with another algorithm), AccessDenied (an empty header). Nothing unknown passes as anonymous.
    """
    in_query = Scheme.ANONYMOUS
    if b"X-Amz-" in raw_query or b"AWSAccessKeyId" in raw_query:
        names = {part.partition(b"=")[0] for part in raw_query.split(b"&")}
        if names & _V4:
            in_query = Scheme.V4_QUERY
        elif b"AWSAccessKeyId" in names:
            in_query = Scheme.V2_QUERY
    if authorization is None:
        return in_query
    if not authorization:
        raise Malformed("AccessDenied", "Access Denied")
    if in_query is not Scheme.ANONYMOUS:
        raise Malformed(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified",
            ArgumentName="Authorization",
        )
    kind = authorization.split(b" ", 1)[0]
    if kind == b"AWS4-HMAC-SHA256":
        return Scheme.V4_HEADER
    if kind == b"AWS":
        return Scheme.V2_HEADER
    if kind.startswith(b"AWS"):
        raise Malformed(
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        )
    raise Malformed("InvalidArgument", "Unsupported Authorization Type", ArgumentName="Authorization")
