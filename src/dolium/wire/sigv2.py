"""AWS Signature Version 2 for S3, which boto3, s3fs and s3cmd still presign with on custom endpoints.

Source: AWS "Signing and Authenticating REST Requests". What is signed is less than in version 4: method,
Content-MD5, Content-Type, date, every `x-amz-*` header, path and the sub-resources listed below. So that no
sub-resource can be added to a signed URL, the list also has those that came after version 2.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import NamedTuple

from dolium.errors import Malformed
from dolium.wire.canonical import Headers, decode, fields_of
from dolium.wire.claims import Payload, check_skew, read_payload
from dolium.wire.dates import iso_millis, parse_amz_stamp, parse_http_date
from dolium.wire.sigv4 import Verdict

__all__ = ["Claim", "read_header", "read_query", "verify"]

_SIGNED_PARAMETERS = frozenset(
    b"accelerate acl analytics attributes cors defaultObjectAcl delete encryption intelligent-tiering inventory "
    b"legal-hold lifecycle location logging metrics notification object-lock ownershipControls partNumber policy "
    b"policyStatus publicAccessBlock replication requestPayment restore retention select select-type storageClass "
    b"tagging torrent uploadId uploads versionId versioning versions website response-cache-control "
    b"response-content-disposition response-content-encoding response-content-language response-content-type "
    b"response-expires".split()
)


class Claim(NamedTuple):
    """Who says to have signed what. `hoisted` as in `claims.Claim`; `alternative`: see `_texts`."""

    access_key: str
    signature: bytes
    string_to_sign: bytes
    payload: Payload
    fields: dict[bytes, bytes]
    presigned: bool
    hoisted: tuple[tuple[bytes, bytes], ...] = ()
    alternative: bytes = b""


def read_header(
    method: str, raw_path: bytes, raw_query: bytes, headers: Headers, now: float, *, bucket: str | None = None
) -> Claim:
    """The claim of an `Authorization: AWS key:signature` header; `bucket` if the host named it.

    Raises Malformed: InvalidArgument (syntax, payload), AccessDenied (no date), RequestTimeTooSkewed.
    """
    fields = fields_of(headers)
    access_key, colon, signature = fields[b"authorization"].removeprefix(b"AWS").strip().rpartition(b":")
    if not colon or not access_key or not signature:
        raise Malformed(
            "InvalidArgument",
            "AWS authorization header is invalid. Expected AwsAccessKeyId:signature",
            ArgumentName="Authorization",
        )
    stamp = fields.get(b"x-amz-date")
    date = fields.get(b"date", b"") if stamp is None else stamp
    seconds = parse_http_date(date)
    if seconds is None:
        seconds = parse_amz_stamp(date)
    if seconds is None or seconds < 0:
        raise Malformed("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    check_skew(seconds, now)
    text, alternative = _texts(
        method, raw_path, raw_query, bucket, fields, b"" if stamp is not None else date
    )
    return Claim(
        access_key.decode("latin-1"),
        signature,
        text,
        _payload(fields),
        fields,
        presigned=False,
        alternative=alternative,
    )


def read_query(
    method: str, raw_path: bytes, raw_query: bytes, headers: Headers, now: float, *, bucket: str | None = None
) -> Claim:
    """The claim of a URL with AWSAccessKeyId, Expires and Signature. Raises Malformed: AccessDenied."""
    fields = fields_of(headers)
    # Names decoded too: whoever routes by them does not care how they were written.
    values = {
        decode(name): decode(value)
        for name, _, value in [part.partition(b"=") for part in raw_query.split(b"&")]
    }
    access_key, signature, expires = [
        values.get(name, b"") for name in (b"AWSAccessKeyId", b"Signature", b"Expires")
    ]
    if not (access_key and signature and expires):
        raise Malformed(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
        )
    if not expires.isdigit() or len(expires) > 12:
        raise Malformed(
            "AccessDenied", f"Invalid date (should be seconds since epoch): {expires.decode('latin-1')}"
        )
    if now >= int(expires):
        raise Malformed(
            "AccessDenied",
            "Request has expired",
            Expires=iso_millis(int(expires) * 1000),
            ServerTime=iso_millis(int(now) * 1000),
        )
    hoisted = tuple((name.lower(), value) for name, value in values.items() if name[:6].lower() == b"x-amz-")
    if any(name in fields for name, _ in hoisted):
        # Only one of the two could be signed, and the other would be heeded.
        raise Malformed("AccessDenied", "A header was sent both as a header and as a parameter")
    signed = {**fields, **dict(hoisted)}
    for name in (b"content-md5", b"content-type"):
        if name not in signed and name in values:
            signed[name] = values[name]
    text, alternative = _texts(method, raw_path, raw_query, bucket, signed, expires)
    return Claim(
        access_key.decode("latin-1"),
        signature,
        text,
        _payload(signed),
        fields,
        presigned=True,
        hoisted=hoisted,
        alternative=alternative,
    )


def verify(claim: Claim, secret: str) -> Verdict:
    """Check a claim with the secret of its access key."""
    texts = (claim.string_to_sign, claim.alternative) if claim.alternative else (claim.string_to_sign,)
    right = [_signs(secret, text, claim.signature) for text in texts]
    return Verdict(any(right), b"", claim.string_to_sign)


def _signs(secret: str, text: bytes, signature: bytes) -> bool:
    return hmac.compare_digest(b64encode(hmac.digest(secret.encode(), text, "sha1")), signature)


def _texts(
    method: str,
    raw_path: bytes,
    raw_query: bytes,
    bucket: str | None,
    fields: dict[bytes, bytes],
    date: bytes,
) -> tuple[bytes, bytes]:
    """What was signed, and what may have been instead, else b"".

    botocore asks for `/bucket` and signs `/bucket/`, the resource of a bucket as AWS describes it.
    """
    text = _string_to_sign(method, _resource(raw_path, raw_query, bucket), fields, date)
    if bucket is not None or raw_path == b"/" or b"/" in raw_path[1:]:
        return text, b""
    return text, _string_to_sign(method, _resource(raw_path + b"/", raw_query, None), fields, date)


def _payload(fields: dict[bytes, bytes]) -> Payload:
    value = fields.get(b"x-amz-content-sha256")
    if value is None:
        return Payload.UNSIGNED
    payload = read_payload(value)
    if payload.signed_chunks:
        raise Malformed(
            "InvalidArgument", "Signed chunks need AWS4-HMAC-SHA256", ArgumentName="x-amz-content-sha256"
        )
    return payload


def _resource(raw_path: bytes, raw_query: bytes, bucket: str | None) -> bytes:
    """The path as it was sent, after the bucket if the host named it, and the signed parameters, decoded."""
    resource = raw_path if bucket is None else b"/" + bucket.encode() + raw_path
    if not raw_query:
        return resource
    parts = sorted(
        (plain, equals + decode(value))
        for name, equals, value in [part.partition(b"=") for part in raw_query.split(b"&")]
        if (plain := decode(name)) in _SIGNED_PARAMETERS
    )
    return resource + b"?" + b"&".join([name + value for name, value in parts]) if parts else resource


def _string_to_sign(method: str, resource: bytes, fields: dict[bytes, bytes], date: bytes) -> bytes:
    amz = b"".join(
        [name + b":" + fields[name].strip() + b"\n" for name in sorted(fields) if name.startswith(b"x-amz-")]
    )
    return b"%b\n%b\n%b\n%b\n%b%b" % (
        method.encode(),
        fields.get(b"content-md5", b"").strip(),
        fields.get(b"content-type", b"").strip(),
        date,
        amz,
        resource,
    )
