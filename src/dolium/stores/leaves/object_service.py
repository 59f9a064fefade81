"""S3, Azure Blob and Google Cloud Storage through obstore (docs/decisions/0007): the only file that imports it.

Uploads of unknown length are multipart, and aborted when their body fails. Requests that are safe to repeat are, a
bounded number of times; a connection that gives nothing for `timeout_seconds` is broken off.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from dolium.errors import BlobNotFound, DoliumError, StoreUnavailable
from dolium.stores.leaves.remote import Head, Remote
from dolium.values import ByteRange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obstore import ClientConfig, GetResult
    from obstore.store import RetryConfig

    from dolium.stores.leaves.remote import Incoming

__all__ = ["AnswerHeaders", "ObjectService", "ServiceClient", "client_options", "retries"]

_FIELD: Final = "dolium"  # an Azure name of metadata is an identifier
_PIECE: Final = 1 << 20
_PLAIN: Final = re.compile(r"(?:[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]*/)*(?:[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]*)?")
_A_DAY: Final = timedelta(days=1)


def client_options(
    *, endpoint: str, timeout_seconds: float, verify_tls: bool = True, ca_file: Path | None = None
) -> ClientConfig:
    """How to connect: plain http only where the endpoint says so."""
    options: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=min(timeout_seconds, 10.0)),
        "read_timeout": timedelta(seconds=timeout_seconds),
        "timeout": _A_DAY,  # of a whole transfer: the one above is what finds a dead peer
        "user_agent": "dolium",
    }
    if not verify_tls:
        options["allow_invalid_certificates"] = True
    if ca_file is not None:
        options["root_certificate"] = ca_file.read_bytes()
    return options


def retries(attempts: int, timeout_seconds: float) -> RetryConfig:
    """`attempts` in all, spread over seconds."""
    return {
        "max_retries": attempts - 1,
        "retry_timeout": timedelta(seconds=timeout_seconds * attempts),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=3)},
    }


class AnswerHeaders(NamedTuple):
    """What the answer to a signed URL shall say of the blob; empty: what the service says by itself."""

    content_disposition: str
    content_type: str


class ServiceClient:
    """One container, as `remote.Client`."""

    metadata_limit = 1800
    """S3 takes 2 KiB of metadata with its names."""

    def __init__(
        self, service: Any, *, store_id: str, chunk: int, concurrency: int, attributes: dict[str, str]
    ) -> None:
        """`service`: a store of obstore. `attributes`: what every object gets, such as its storage class."""
        self.service = service
        self._store_id = store_id
        self._chunk = chunk
        self._concurrency = concurrency
        self._attributes = attributes

    def encoded(self, name: str) -> str:
        """What the service calls the object; the same, unless it cannot."""
        return name

    def decoded(self, name: str) -> str:
        """The way back."""
        return name

    def put(self, name: str, body: bytes | Iterator[bytes], metadata: str, size: int | None) -> str:
        del size
        attributes = self._attributes | ({_FIELD: metadata} if metadata else {})
        whole = isinstance(body, bytes)
        with self._translating(name):
            done = obstore.put(
                self.service,
                self.encoded(name),
                body,
                attributes=attributes or None,
                use_multipart=not whole,
                chunk_size=self._chunk,
                max_concurrency=self._concurrency,
            )
        return done["e_tag"] or ""

    def get(self, name: str, wanted: ByteRange | None) -> Incoming:
        if wanted is None:
            return self._open(name)
        try:
            with self._translating(name):
                result = obstore.get(self.service, self.encoded(name), options={"range": _asked(wanted)})
                return _Incoming(self, result, *result.range)
        except StoreUnavailable:
            # Out of range, or a service that answers with the whole.
            start, stop = wanted.resolve(self.head(name).size)
            return self._open(name, start, stop)

    def _open(self, name: str, start: int = 0, stop: int | None = None) -> _Incoming:
        with self._translating(name):
            result = obstore.get(self.service, self.encoded(name))
            size = result.meta["size"]
            return _Incoming(self, result, start, size if stop is None else min(stop, size))

    def head(self, name: str) -> Head:
        with self._translating(name):
            found = obstore.get(self.service, self.encoded(name), options={"head": True})
            return _head(name, found.meta, found.attributes.get(_FIELD, ""))

    def list(self, prefix: str, after: str) -> Iterator[Head]:
        folder = _plain(prefix).rpartition("/")[0]
        offset = _plain(_offset(prefix, after) or "")
        pages = iter(obstore.list(self.service, folder or None, offset=offset or None, chunk_size=1000))
        while True:
            with self._translating(prefix):
                page = next(pages, None)
            if page is None:
                return
            yield from (_head(self.decoded(meta["path"]), meta, "") for meta in page)

    def delete(self, name: str) -> None:
        try:
            with self._translating(name):
                obstore.delete(self.service, self.encoded(name))
        except BlobNotFound:
            self.require()

    def require(self) -> None:
        try:
            with self._translating(""):
                next(iter(obstore.list(self.service, chunk_size=1)), None)
        except (BlobNotFound, StoreUnavailable) as error:
            # An answer to a listing tells less than one to HEAD does: is it the key, or the container?
            with suppress(BlobNotFound):
                self.head("-")
                raise
            raise StoreUnavailable(
                self._store_id, "the store's container does not exist, or cannot be listed"
            ) from error

    def sign(self, name: str, method: str, seconds: int) -> str:
        with self._translating(name):
            return str(obstore.sign(self.service, method, self.encoded(name), timedelta(seconds=seconds)))

    def url(self, name: str, seconds: int, answer: AnswerHeaders) -> str:
        """For reading. `answer` is asked for where the credentials are known here: obstore signs nothing but the path."""
        del answer
        return self.sign(name, "GET", seconds)

    def close(self) -> None:
        """Connections go with the object."""

    @contextmanager
    def _translating(self, name: str) -> Iterator[None]:
        """The one place where errors of obstore become ours. What a body raises passes."""
        try:
            yield
        except FileNotFoundError as error:
            raise BlobNotFound(name) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StoreUnavailable(self._store_id, "the store's service refuses our credentials") from error
        except BaseError as error:
            raise StoreUnavailable(
                self._store_id, "the store's service does not answer as it should"
            ) from error

    def broken(self, error: Exception) -> DoliumError:
        del error
        return StoreUnavailable(self._store_id, "the connection to the store's service broke")


class ObjectService(Remote):
    """A `Remote` whose service signs URLs."""

    client: ServiceClient

    def sign_url(
        self, key: str, *, seconds: int, content_disposition: str = "", content_type: str = ""
    ) -> str:
        """A URL that anyone may read the blob with, for so long."""
        answer = AnswerHeaders(content_disposition, content_type)
        return self.client.url(self.name_of(key), seconds, answer)


class _Incoming:
    """Bytes `start` up to `stop` of what is received, which may begin earlier and end later."""

    def __init__(self, client: ServiceClient, result: GetResult, start: int, stop: int) -> None:
        self.size = result.meta["size"]
        self.start, self.stop = start, stop
        self._skip = start - result.range[0]
        self._client = client
        self._result: GetResult | None = result

    def pieces(self) -> Iterator[bytes]:
        if self._result is None:
            return
        stream = iter(self._result.stream(min_chunk_size=_PIECE))
        while self._result is not None:
            try:
                received = next(stream, None)
            except (BaseError, OSError) as error:
                raise self._client.broken(error) from error
            if received is None:
                return
            piece = bytes(received)[self._skip :]
            self._skip = max(0, self._skip - len(received))
            if piece:
                yield piece

    def close(self) -> None:
        self._result = None


def _head(name: str, meta: Any, metadata: str) -> Head:
    # Whole seconds: that is all an answer to HEAD has, and listings have more.
    modified = int(meta["last_modified"].timestamp())
    return Head(name, meta["size"], modified * 10**9, metadata, meta["e_tag"] or "")


def _asked(wanted: ByteRange) -> Any:
    if wanted.first is None:
        return {"suffix": wanted.last or 0}
    return {"offset": wanted.first} if wanted.last is None else (wanted.first, wanted.last + 1)


def _plain(name: str) -> str:
    """As much of the beginning as obstore takes for a path, which is not all that it takes for a name: with less, a
    listing begins earlier.
    """
    taken = _PLAIN.match(name)
    return taken[0] if taken is not None else ""


def _offset(prefix: str, after: str) -> str | None:
    """Where a listing may begin: at a name that is before all that is wanted."""
    if after >= prefix:
        return after or None
    before = ord(prefix[-1]) - 1 if prefix else 0
    if before < ord(" ") or chr(before) == "/" or not chr(before).isprintable():
        return None
    return prefix[:-1] + chr(before)
