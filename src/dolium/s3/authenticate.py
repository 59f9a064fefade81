"""Who is asking: once, before routing. A handler gets a verified caller or is never reached.

An unknown scheme or payload is a refusal. A key that is expired or revoked is told so only to whoever
could sign with it.
"""

from __future__ import annotations

from typing import NamedTuple

from dolium.errors import Malformed
from dolium.identity.keys import KeyRing, KnownKey, Refusal
from dolium.identity.principal import ANONYMOUS, Principal
from dolium.wire import authorization, presigned, sigv2, sigv4
from dolium.wire.canonical import Headers, fields_of
from dolium.wire.claims import Claim, Payload
from dolium.wire.schemes import Scheme, detect
from dolium.wire.sigv4 import SigningKey, Verdict

__all__ = ["Caller", "ChunkSigner", "authenticate"]


class ChunkSigner(NamedTuple):
    """What the signatures of aws-chunked chunks continue from."""

    key: SigningKey
    stamp: bytes
    scope: bytes
    seed: bytes


class Caller(NamedTuple):
    """An authenticated request. `fields`: its headers, joined by name. `hoisted`: parameters of a presigned
    URL that stand for headers.
    """

    principal: Principal
    payload: Payload
    payload_hash: bytes
    fields: dict[bytes, bytes]
    hoisted: tuple[tuple[bytes, bytes], ...]
    signer: ChunkSigner | None


def authenticate(
    method: str,
    raw_path: bytes,
    raw_query: bytes,
    headers: Headers,
    keys: KeyRing,
    now: float,
    host_bucket: str | None,
) -> Caller:
    """`now` in seconds. `host_bucket`: the bucket that the host named, which SigV2 signs.

    Raises Malformed with S3's code for every way to be refused.
    """
    scheme = detect(_authorization(headers), raw_query)
    if scheme is Scheme.ANONYMOUS:
        return Caller(ANONYMOUS, Payload.UNSIGNED, b"", fields_of(headers), (), None)
    if scheme is Scheme.V4_HEADER:
        return _version_4(method, raw_path, authorization.read_header(headers, raw_query, now), keys, now)
    if scheme is Scheme.V4_QUERY:
        return _version_4(method, raw_path, presigned.read_query(headers, raw_query, now), keys, now)
    read = sigv2.read_header if scheme is Scheme.V2_HEADER else sigv2.read_query
    claim = read(method, raw_path, raw_query, headers, now, bucket=host_bucket)
    known = _known(keys, claim.access_key, now)
    _settle(known, sigv2.verify(claim, known.secret.reveal()), claim.access_key, claim.signature)
    payload_hash = claim.fields.get(b"x-amz-content-sha256", b"")
    return Caller(known.principal, claim.payload, payload_hash, claim.fields, claim.hoisted, None)


def _authorization(headers: Headers) -> bytes | None:
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) > 1:
        raise Malformed(
            "InvalidArgument", "Only one Authorization header is allowed", ArgumentName="Authorization"
        )
    return found[0] if found else None


def _version_4(method: str, raw_path: bytes, claim: Claim, keys: KeyRing, now: float) -> Caller:
    known = _known(keys, claim.access_key, now)
    key = keys.signing_key(known, claim.date, claim.region)
    _settle(known, sigv4.verify(claim, method, raw_path, key), claim.access_key, claim.signature)
    signer = None
    if claim.payload.signed_chunks:
        signer = ChunkSigner(key, claim.stamp, claim.scope, claim.signature)
    return Caller(known.principal, claim.payload, claim.payload_hash, claim.fields, claim.hoisted, signer)


def _known(keys: KeyRing, key_id: str, now: float) -> KnownKey:
    known = keys.find(key_id, int(now * 1000))
    if known is None:
        raise Malformed("InvalidAccessKeyId", AWSAccessKeyId=key_id)
    return known


def _settle(known: KnownKey, verdict: Verdict, key_id: str, provided: bytes) -> None:
    if not verdict.ok:
        text, request = verdict.string_to_sign, verdict.canonical_request
        fields = {
            "AWSAccessKeyId": key_id,
            "StringToSign": text.decode("utf-8", "replace"),
            "SignatureProvided": provided.decode("latin-1"),
            "StringToSignBytes": text.hex(" "),
        }
        if request:
            fields["CanonicalRequest"] = request.decode("utf-8", "replace")
            fields["CanonicalRequestBytes"] = request.hex(" ")
        raise Malformed("SignatureDoesNotMatch", **fields)
    if known.refusal is Refusal.EXPIRED:
        raise Malformed(
            "InvalidAccessKeyId",
            "The access key has expired. Make a new one for this tenancy.",
            AWSAccessKeyId=key_id,
        )
    if known.refusal is Refusal.REVOKED:
        raise Malformed("InvalidAccessKeyId", "The access key has been revoked.", AWSAccessKeyId=key_id)
