"""Both signature versions and aws-chunked bodies, from AWS's description and not from the code under test.

Everything that a test may want to be wrong is an argument.
"""

import base64
import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1, sha256
from urllib.parse import quote, quote_plus, unquote, unquote_to_bytes

from dolium.testing.server import Site

UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY = sha256().hexdigest()

# What version 2 signs of the query (AWS, "Signing and Authenticating REST Requests"), and sub-resources that came
# after it: a server that does not want them signed lets them be added to a URL.
_V2_NAMES = """
acl lifecycle location logging notification partNumber policy requestPayment uploadId uploads versionId versioning
versions website delete cors tagging response-content-type response-content-language response-expires
response-cache-control response-content-disposition response-content-encoding accelerate attributes encryption
legal-hold object-lock ownershipControls policyStatus publicAccessBlock replication retention
"""
_V2_PARAMETERS = frozenset(_V2_NAMES.split())


def sha(body: bytes) -> str:
    """The value of x-amz-content-sha256 for a whole body."""
    return sha256(body).hexdigest()


def stamp_of(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


@dataclass(frozen=True, slots=True)
class Seed:
    """What the signatures of chunks continue from."""

    key: bytes
    stamp: str
    scope: str
    signature: str


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _v4_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    return key


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


def _canonical_query(query: str) -> str:
    pairs = [part.partition("=") for part in query.split("&") if part]
    return "&".join(
        f"{name}={value}"
        for name, value in sorted(
            (
                quote(unquote_to_bytes(n), safe="-_.~"),
                quote(unquote_to_bytes(v.replace("+", " ")), safe="-_.~"),
            )
            for n, _, v in pairs
        )
    )


def _v4_signature(
    site: Site, method: str, path: str, headers: Mapping[str, str], payload: str, stamp: str, scope: str
) -> tuple[str, str]:
    """(signed header names, signature)."""
    route, _, query = path.partition("?")
    lower = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = ";".join(sorted(lower))
    lines = "".join(f"{name}:{lower[name]}\n" for name in sorted(lower))
    request = "\n".join(
        [
            method,
            quote(unquote_to_bytes(route), safe="/-_.~"),
            _canonical_query(query),
            lines,
            names,
            payload,
        ]
    )
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha(request.encode('latin-1'))}"
    return names, _mac(_v4_key(site.secret_key, scope), text).hex()


def sign_v4(
    site: Site,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    payload: str = UNSIGNED,
    *,
    at: float | None = None,
    scope: str = "",
) -> tuple[dict[str, str], Seed]:
    """The headers of a request, all signed, and what chunks continue from. `scope`: another than the usual."""
    stamp = stamp_of(time.time() if at is None else at)
    scope = scope or f"{stamp[:8]}/{site.region}/s3/aws4_request"
    own = {"host": site.host, "x-amz-date": stamp, "x-amz-content-sha256": payload}
    signed = {**{name.lower(): value for name, value in (headers or {}).items()}, **own}
    names, signature = _v4_signature(site, method, path, signed, payload, stamp, scope)
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={site.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signed, Seed(_v4_key(site.secret_key, scope), stamp, scope, signature)


def presign_v4(
    site: Site,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    expires: int | str = 600,
    at: float | None = None,
    scope: str = "",
    parameters: Mapping[str, str] | None = None,
) -> str:
    """The path with its signed query. `headers` are signed too, and must be sent with it."""
    return presign_v4_seed(
        site, method, path, headers, expires=expires, at=at, scope=scope, parameters=parameters
    )[0]


def presign_v4_seed(
    site: Site,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    expires: int | str = 600,
    at: float | None = None,
    scope: str = "",
    parameters: Mapping[str, str] | None = None,
) -> tuple[str, Seed]:
    """`presign_v4`, and what chunks continue from."""
    stamp = stamp_of(time.time() if at is None else at)
    scope = scope or f"{stamp[:8]}/{site.region}/s3/aws4_request"
    signed = {**{name.lower(): value for name, value in (headers or {}).items()}, "host": site.host}
    own = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{site.access_key}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(expires),
        "X-Amz-SignedHeaders": ";".join(sorted(signed)),
        **(parameters or {}),
    }
    query = "&".join(f"{_encode(name)}={_encode(value)}" for name, value in own.items())
    path = f"{path}{'&' if '?' in path else '?'}{query}"
    payload = signed.get("x-amz-content-sha256", UNSIGNED)
    _, signature = _v4_signature(site, method, path, signed, payload, stamp, scope)
    return f"{path}&X-Amz-Signature={signature}", Seed(
        _v4_key(site.secret_key, scope), stamp, scope, signature
    )


def _v2_text(method: str, path: str, headers: Mapping[str, str], date: str) -> str:
    route, _, query = path.partition("?")
    if route.count("/") == 1 and route != "/":
        route += "/"
    wanted = sorted(part for part in query.split("&") if part.partition("=")[0] in _V2_PARAMETERS)
    resource = route + ("?" + unquote("&".join(wanted)) if wanted else "")
    amz = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-amz-"))
    md5, kind = headers.get("content-md5", ""), headers.get("content-type", "")
    return f"{method}\n{md5}\n{kind}\n{date}\n{amz}{resource}"


def _v2_signature(site: Site, text: str) -> str:
    return base64.b64encode(hmac.digest(site.secret_key.encode(), text.encode(), sha1)).decode()


def sign_v2(
    site: Site, method: str, path: str, headers: Mapping[str, str] | None = None, *, at: float | None = None
) -> dict[str, str]:
    """The headers of a request signed with version 2."""
    moment = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    date = moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
    signed = {**{name.lower(): value for name, value in (headers or {}).items()}, "date": date}
    signature = _v2_signature(site, _v2_text(method, path, signed, date))
    return {**signed, "host": site.host, "authorization": f"AWS {site.access_key}:{signature}"}


def presign_v2(
    site: Site,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    expires: int = 600,
    at: float | None = None,
) -> str:
    """The path with its signed query, in version 2."""
    until = str(int((time.time() if at is None else at) + expires))
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    signature = _v2_signature(site, _v2_text(method, path, lower, until))
    query = f"AWSAccessKeyId={site.access_key}&Expires={until}&Signature={quote_plus(signature)}"
    return f"{path}{'&' if '?' in path else '?'}{query}"


def chunk_signature(seed: Seed, previous: str, data: bytes) -> str:
    text = f"AWS4-HMAC-SHA256-PAYLOAD\n{seed.stamp}\n{seed.scope}\n{previous}\n{EMPTY}\n{sha(data)}"
    return _mac(seed.key, text).hex()


def signed_chunks(seed: Seed, pieces: Sequence[bytes], trailers: Mapping[str, str] | None = None) -> bytes:
    """An aws-chunked body, each piece a signed chunk; with `trailers` (or {}) their signature behind them."""
    framed, previous = [], seed.signature
    for piece in (*pieces, b""):
        previous = chunk_signature(seed, previous, piece)
        framed.append(f"{len(piece):x};chunk-signature={previous}\r\n".encode() + piece)
        framed.append(b"\r\n" if piece else b"")
    if trailers is None:
        return b"".join([*framed, b"\r\n"])
    lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
    text = f"AWS4-HMAC-SHA256-TRAILER\n{seed.stamp}\n{seed.scope}\n{previous}\n{sha(lines.encode())}"
    behind = lines.replace("\n", "\r\n") + f"x-amz-trailer-signature:{_mac(seed.key, text).hex()}\r\n"
    return b"".join([*framed, behind.encode(), b"\r\n"])


def plain_chunks(pieces: Sequence[bytes], trailers: Mapping[str, str] | None = None) -> bytes:
    """An aws-chunked body without signatures."""
    framed = [f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces]
    behind = "".join(f"{name}:{value}\r\n" for name, value in (trailers or {}).items())
    return b"".join([*framed, b"0\r\n", behind.encode(), b"\r\n"])
