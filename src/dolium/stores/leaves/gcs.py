"""Blobs as objects in a bucket of Google Cloud Storage, through Google's own library.

    kind: gcs
    bucket: galaxy
    credentials_file: /etc/dolium/gcs.json

Without credentials they come from where Google's tools look for them; `anonymous` uses none. Those of a service account
sign URLs, without asking anybody.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import google.auth
import requests
from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, RetryError, Unauthorized
from google.auth.credentials import AnonymousCredentials, Signing
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from google.oauth2.service_account import Credentials

from dolium.errors import BlobNotFound, ConfigError, StoreUnavailable
from dolium.stores.leaves.remote import Head, Remote
from dolium.stores.stream import IterableReader
from dolium.values import ByteRange, Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dolium.stores.leaves.remote import Incoming

__all__ = ["Gcs", "Options"]

_CHUNK: Final = 8 << 20  # a multiple of 256 KiB, as resumable uploads demand
_FIELD: Final = "dolium"
_OPENS: Final = 20
"""Times that a blob is looked for again which is replaced just then."""
_SIGNED_AT_MOST: Final = 7 * 24 * 3600
"""Seconds; a signature of version 4 is valid no longer."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of a GCS store. `credentials`: the JSON of a service account. `endpoint`: another service than Google's
    own. The others as in `s3`.
    """

    bucket: str
    credentials_file: Path | None = None
    credentials: Secret | None = None
    endpoint: str = ""
    anonymous: bool = False
    prefix: str = ""
    attempts: int = 4
    timeout_seconds: float = 30.0
    expected_uuid: str = ""


class Gcs(Remote):
    """Takes chunks, keeps descriptions; signs URLs if its credentials can.

    Raises ConfigError for credentials that are none, or are not found.
    """

    client: _Client

    def __init__(self, options: Options, *, store_id: str = "gcs") -> None:
        client = _Client(options, store_id)
        super().__init__(
            client, store_id=store_id, prefix=options.prefix, threshold=_CHUNK,
            expected_uuid=options.expected_uuid,
        )  # fmt: skip
        if client.signs:
            self.sign_url = self._sign_url

    def _sign_url(
        self, key: str, *, seconds: int, content_disposition: str = "", content_type: str = ""
    ) -> str:
        """A URL that anyone may read the blob with, for so long, a week at most."""
        return self.client.sign(
            self.name_of(key), min(seconds, _SIGNED_AT_MOST), content_disposition, content_type
        )


class _Client:
    metadata_limit = 1800
    """Google takes 8 KiB of metadata; the others of this kind take less."""

    def __init__(self, options: Options, store_id: str) -> None:
        self._store_id = store_id
        self._endpoint = options.endpoint.rstrip("/")
        self._credentials = _credentials(options)
        self.signs = isinstance(self._credentials, Signing)
        self._service = storage.Client(
            project="dolium",  # names no bucket of ours: they are named alone
            credentials=self._credentials,
            client_options={"api_endpoint": self._endpoint} if self._endpoint else None,
        )
        self._bucket = self._service.bucket(options.bucket)
        self._retry = DEFAULT_RETRY.with_timeout(options.timeout_seconds * options.attempts)
        self._limits: dict[str, Any] = {"timeout": options.timeout_seconds, "retry": self._retry}

    def put(self, name: str, body: bytes | Iterator[bytes], metadata: str, size: int | None) -> str:
        blob = self._bucket.blob(name, chunk_size=None if isinstance(body, bytes) else _CHUNK)
        if metadata:
            blob.metadata = {_FIELD: metadata}
        with self._translating(name):
            if isinstance(body, bytes):
                blob.upload_from_string(body, content_type="application/octet-stream", **self._limits)
            else:
                blob.upload_from_file(
                    _Body(body), size=size, content_type="application/octet-stream", **self._limits
                )
        return str(blob.generation)

    def get(self, name: str, wanted: ByteRange | None) -> Incoming:
        for attempt in range(_OPENS):
            blob = self._find(name)
            size = int(blob.size or 0)
            start, stop = wanted.resolve(size) if wanted else (0, size)
            # Named by its generation: that one is read, and no other.
            found = self._bucket.blob(name, generation=blob.generation)
            try:
                return _Incoming(self, found, size, start, stop)
            except BlobNotFound:
                if attempt == _OPENS - 1:
                    raise
        raise BlobNotFound(name)

    def read(self, blob: storage.Blob, start: int, stop: int) -> bytes:
        with self._translating(str(blob.name)):
            found: bytes = blob.download_as_bytes(
                start=start, end=stop - 1, raw_download=True, **self._limits
            )
            return found

    def broken(self) -> StoreUnavailable:
        return StoreUnavailable(self._store_id, "the blob was replaced or deleted while it was read")

    def head(self, name: str) -> Head:
        return _head(self._find(name))

    def list(self, prefix: str, after: str) -> Iterator[Head]:
        found = self._service.list_blobs(
            self._bucket, prefix=prefix or None, start_offset=after or None, **self._limits
        )
        pages = found.pages
        while True:
            with self._translating(prefix):
                page = next(pages, None)
            if page is None:
                return
            yield from map(_head, page)

    def delete(self, name: str) -> None:
        try:
            with self._translating(name):
                self._bucket.blob(name).delete(**self._limits)
        except BlobNotFound:
            self.require()

    def sign(self, name: str, seconds: int, disposition: str, media_type: str) -> str:
        with self._translating(name):
            url: str = self._bucket.blob(name).generate_signed_url(
                version="v4", method="GET", expiration=timedelta(seconds=seconds),
                api_access_endpoint=self._endpoint or None, credentials=self._credentials,
                response_disposition=disposition or None, response_type=media_type or None,
            )  # fmt: skip
        return url

    def require(self) -> None:
        try:
            with self._translating(""):
                next(iter(self._service.list_blobs(self._bucket, max_results=1, **self._limits)), None)
        except BlobNotFound as error:
            raise StoreUnavailable(self._store_id, "the store's container does not exist") from error

    def close(self) -> None:
        self._service.close()

    def _find(self, name: str) -> storage.Blob:
        with self._translating(name):
            blob = self._bucket.get_blob(name, **self._limits)
        if blob is None:
            raise BlobNotFound(name)
        return blob

    @contextmanager
    def _translating(self, name: str) -> Iterator[None]:
        """The one place where errors of the library become ours. What a body raises passes."""
        try:
            yield
        except NotFound as error:
            raise BlobNotFound(name) from error
        except (Forbidden, Unauthorized, GoogleAuthError) as error:
            raise StoreUnavailable(self._store_id, "the store's service refuses our credentials") from error
        except (GoogleAPICallError, RetryError, requests.RequestException) as error:
            raise StoreUnavailable(
                self._store_id, "the store's service does not answer as it should"
            ) from error


class _Incoming:
    """Fetched a chunk at a time, the first at once; one that was replaced meanwhile is broken off."""

    def __init__(self, client: _Client, blob: storage.Blob, size: int, start: int, stop: int) -> None:
        self.size = size
        self.start, self.stop = start, stop
        self._client = client
        self._blob = blob
        self._first = client.read(blob, start, min(stop, start + _CHUNK)) if start < stop else b""

    def pieces(self) -> Iterator[bytes]:
        at = self.start
        piece, self._first = self._first, b""
        while piece:
            yield piece
            at += len(piece)
            if at >= self.stop:
                return
            try:
                piece = self._client.read(self._blob, at, min(self.stop, at + _CHUNK))
            except BlobNotFound as error:
                raise self._client.broken() from error

    def close(self) -> None:
        self._first = b""


class _Body:
    """A body as a file that can only be read; the library asks for whole chunks."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._reader = IterableReader(pieces)
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        gathered = bytearray()
        while size < 0 or len(gathered) < size:
            piece = self._reader.read(_CHUNK if size < 0 else size - len(gathered))
            if not piece:
                break
            gathered += piece
        self._at += len(gathered)
        return bytes(gathered)

    def tell(self) -> int:
        return self._at


def _head(blob: storage.Blob) -> Head:
    written = blob.time_created
    modified = int(written.timestamp()) * 10**9 if written is not None else 0
    metadata = (blob.metadata or {}).get(_FIELD, "")
    return Head(str(blob.name), int(blob.size or 0), modified, metadata, str(blob.generation))


def _credentials(options: Options) -> Any:
    """Those that are configured, else those that Google's tools find. Raises ConfigError."""
    if options.anonymous:
        return AnonymousCredentials()
    try:
        if options.credentials is not None:
            return Credentials.from_service_account_info(json.loads(options.credentials.reveal()))
        if options.credentials_file is not None:
            return Credentials.from_service_account_file(str(options.credentials_file))
        found, _ = google.auth.default(scopes=storage.Client.SCOPE)
    except OSError as error:
        raise ConfigError(
            f"the credentials of the gcs store cannot be read: {options.credentials_file}: {error.strerror}"
        ) from error
    except (ValueError, GoogleAuthError) as error:
        what = "are not those of a service account"
        if options.credentials is None and options.credentials_file is None:
            what = "are not configured, nor found where Google's tools look; anonymous: true asks with none"
        raise ConfigError(f"the credentials of the gcs store {what}") from error
    return found
