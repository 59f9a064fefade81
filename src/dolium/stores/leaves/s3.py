"""Blobs as objects in a bucket of any S3 service.

    kind: s3
    bucket: galaxy
    endpoint: https://s3.example.org
    access_key: DO5YIOSAMFUTTDR7KEM4
    secret_key: env:STORE_SECRET

Without an endpoint it is AWS; without keys the credentials come from where the AWS tools look for them.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from obstore.store import S3Store

from dolium.errors import StoreUnavailable
from dolium.stores.leaves.object_service import (
    AnswerHeaders,
    ObjectService,
    ServiceClient,
    client_options,
    retries,
)
from dolium.values import Secret
from dolium.wire.canonical import encode, header_lines, join_parts
from dolium.wire.sigv4 import canonical_request, signing_key, string_to_sign

__all__ = ["S3", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of an S3 store.

    `prefix`: before every key. `path_style`: the bucket is in the path, not in the host name. `create_bucket`: make it
    if it is absent. `multipart_threshold`: a blob above so many bytes is sent in parts, of `multipart_chunk` bytes, so
    many at once. `attempts`: of a request that may be repeated. `timeout_seconds`: how long the service may be silent.
    """

    bucket: str
    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: Secret | None = None
    session_token: Secret | None = None
    prefix: str = ""
    path_style: bool = True
    storage_class: str = ""
    create_bucket: bool = False
    verify_tls: bool = True
    ca_file: Path | None = None
    multipart_threshold: int = 8 << 20
    multipart_chunk: int = 8 << 20
    upload_concurrency: int = 4
    attempts: int = 4
    timeout_seconds: float = 30.0
    expected_uuid: str = ""


class S3(ObjectService):
    """Takes chunks, keeps descriptions, signs URLs."""

    def __init__(self, options: Options, *, store_id: str = "s3") -> None:
        config: dict[str, Any] = {
            "region": options.region or "us-east-1",
            "virtual_hosted_style_request": not options.path_style,
        }
        if options.endpoint:
            config["endpoint"] = options.endpoint.rstrip("/")
        if options.access_key and options.secret_key is not None:
            config["access_key_id"] = options.access_key
            config["secret_access_key"] = options.secret_key.reveal()
        if options.session_token is not None:
            config["session_token"] = options.session_token.reveal()
        service = S3Store(
            options.bucket,
            config=config,
            client_options=client_options(
                endpoint=options.endpoint, timeout_seconds=options.timeout_seconds,
                verify_tls=options.verify_tls, ca_file=options.ca_file,
            ),
            retry_config=retries(options.attempts, options.timeout_seconds),
        )  # fmt: skip
        client = _Client(
            service,
            store_id=store_id,
            chunk=max(options.multipart_chunk, 5 << 20),
            concurrency=options.upload_concurrency,
            attributes={"Storage-Class": options.storage_class} if options.storage_class else {},
        )
        client.creates = options.create_bucket
        client.tls = _tls(options)
        if options.access_key and options.secret_key is not None:
            client.keys = _Keys(
                options.access_key, options.secret_key, options.session_token, options.region or "us-east-1"
            )
        super().__init__(
            client, store_id=store_id, prefix=options.prefix, threshold=options.multipart_threshold,
            expected_uuid=options.expected_uuid,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Keys:
    access_key: str
    secret_key: Secret
    session_token: Secret | None
    region: str


class _Client(ServiceClient):
    creates = False
    tls: ssl.SSLContext | None = None
    keys: _Keys | None = None

    def url(self, name: str, seconds: int, answer: AnswerHeaders) -> str:
        plain = super().url(name, seconds, answer)
        return plain if self.keys is None or not any(answer) else _signed(plain, seconds, answer, self.keys)

    def require(self) -> None:
        try:
            super().require()
        except StoreUnavailable:
            if not self.creates:
                raise
            self._create()
            super().require()

    def _create(self) -> None:
        """Make the bucket, by a signed request: obstore has no call for it. A failure shows in what comes next."""
        request = urllib.request.Request(self.sign("", "PUT", 60), method="PUT")  # noqa: S310 - as configured
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.tls):  # noqa: S310 - as configured
                pass
        except (urllib.error.URLError, OSError):
            return


def _tls(options: Options) -> ssl.SSLContext:
    """Whom to trust, as obstore does."""
    found = ssl.create_default_context()
    if options.ca_file is not None:
        found.load_verify_locations(options.ca_file)
    if not options.verify_tls:
        found.check_hostname, found.verify_mode = False, ssl.CERT_NONE
    return found


def _signed(url: str, seconds: int, headers: AnswerHeaders, keys: _Keys) -> str:
    """SigV4 in the query. `url` without its own is where the object is."""
    place = urlsplit(url)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{keys.region}/s3/aws4_request"
    said = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{keys.access_key}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds),
        "X-Amz-Security-Token": "" if keys.session_token is None else keys.session_token.reveal(),
        "X-Amz-SignedHeaders": "host",
        "response-content-disposition": headers.content_disposition,
        "response-content-type": headers.content_type,
    }
    query = join_parts(
        [encode(name.encode()) + b"=" + encode(value.encode()) for name, value in said.items() if value]
    )
    lines = header_lines([b"host"], {b"host": place.netloc.encode()})
    request = canonical_request("GET", place.path.encode(), query, lines, b"host", b"UNSIGNED-PAYLOAD")
    key = signing_key(keys.secret_key.reveal(), stamp[:8], keys.region)
    signature = key.sign(string_to_sign(stamp.encode(), scope.encode(), request)).decode()
    return f"{place.scheme}://{place.netloc}{place.path}?{query.decode()}&X-Amz-Signature={signature}"
