"""Blobs as objects in a container of OpenStack Swift, over its own protocol, through python-swiftclient.

    kind: openstack_swift
    container: galaxy
    auth_url: https://swift.example.org/auth/v1.0
    auth_version: 1
    username: research:galaxy
    password: env:SWIFT_PASSWORD

One object has at most what the service takes in one request, which is 5 GiB as a rule.
"""

from __future__ import annotations

import calendar
import contextlib
import hashlib
import hmac
import io
import queue
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from swiftclient.client import Connection
from swiftclient.exceptions import ClientException

from dolium.errors import BlobNotFound, StoreFull, StoreUnavailable
from dolium.stores.leaves.remote import Head, Remote
from dolium.values import ByteRange, Secret, Space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dolium.stores.leaves.remote import Incoming

__all__ = ["OpenstackSwift", "Options"]

_FIELD: Final = "x-object-meta-dolium"
_PIECE: Final = 1 << 18
_PAGE: Final = 10_000
_AGAIN_SECONDS: Final = 0.05
"""After which an object that is not found is looked for once more: a server that is just replacing it finds none."""
_IDLE: Final = 8
"""Connections that are kept for the next request."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of a Swift store. `auth_version`: 1 (TempAuth: user and password), 2 or 3 (Keystone: also a project).
    `temp_url_key`: the key that the account or the container has for temporary URLs (TempURL); without it none are made.
    The others as in `s3`.
    """

    container: str
    auth_url: str
    username: str
    password: Secret
    auth_version: int = 3
    project: str = ""
    user_domain: str = "Default"
    project_domain: str = "Default"
    region: str = ""
    temp_url_key: Secret | None = None
    prefix: str = ""
    attempts: int = 4
    timeout_seconds: float = 30.0
    expected_uuid: str = ""


class OpenstackSwift(Remote):
    """Takes chunks, keeps descriptions, reports space where the container or the account has a quota; signs URLs if it has
    a key for that.
    """

    client: _Client

    def __init__(self, options: Options, *, store_id: str = "openstack_swift") -> None:
        client = _Client(options, store_id)
        super().__init__(
            client, store_id=store_id, prefix=options.prefix, expected_uuid=options.expected_uuid
        )
        if options.temp_url_key is not None:
            self.sign_url = self._sign_url

    def _sign_url(
        self, key: str, *, seconds: int, content_disposition: str = "", content_type: str = ""
    ) -> str:
        """A URL that anyone may read the blob with, for so long. Swift is asked for no headers."""
        del content_disposition, content_type
        return self.client.sign(self.name_of(key), seconds)

    def space(self) -> Space | None:
        return self.client.space()


class _Client:
    metadata_limit = 256
    """What Swift takes as one value of metadata, unless told otherwise."""

    def __init__(self, options: Options, store_id: str) -> None:
        self._options = options
        self._store_id = store_id
        self._container = options.container
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue(_IDLE)

    def put(self, name: str, body: bytes | Iterator[bytes], metadata: str, size: int | None) -> str:
        del size  # sent in chunks: of a body that is too long all is seen, and nothing stored
        headers = {_FIELD: metadata} if metadata else {}
        whole = isinstance(body, bytes)
        with self._connected(name, reused=whole) as connection:
            if isinstance(body, bytes):
                return str(
                    connection.put_object(
                        self._container, name, io.BytesIO(body), content_length=len(body), headers=headers
                    )
                )
            # What has been read of the body cannot be read again: a fresh token, and no second try.
            connection.url, connection.token = connection.get_auth()
            connection.retries = 0
            return str(
                connection.put_object(self._container, name, _Body(body), headers=headers, chunk_size=_PIECE)
            )

    def get(self, name: str, wanted: ByteRange | None) -> Incoming:
        if wanted is not None:
            start, stop = wanted.resolve(self.head(name).size)
            return self._open(name, start, stop)
        return self._open(name, 0, None)

    def _open(self, name: str, start: int, stop: int | None) -> _Incoming:
        try:
            return self._open_once(name, start, stop)
        except BlobNotFound:
            time.sleep(_AGAIN_SECONDS)
            return self._open_once(name, start, stop)

    def _open_once(self, name: str, start: int, stop: int | None) -> _Incoming:
        headers = {} if stop is None else {"range": f"bytes={start}-{stop - 1}"}
        connection = self._take()
        try:
            with self._translating(name):
                found, body = connection.get_object(
                    self._container, name, resp_chunk_size=_PIECE, headers=headers
                )
        except BaseException:
            connection.close()
            raise
        length = int(found["content-length"])
        size = int(found["content-range"].rpartition("/")[2]) if "content-range" in found else length
        return _Incoming(self, connection, body, size, start, start + length)

    def head(self, name: str) -> Head:
        try:
            return self._head_once(name)
        except BlobNotFound:
            time.sleep(_AGAIN_SECONDS)
            return self._head_once(name)

    def _head_once(self, name: str) -> Head:
        with self._connected(name) as connection:
            found: Mapping[str, str] = connection.head_object(self._container, name)
        return Head(
            name, int(found["content-length"]), int(float(found["x-timestamp"])) * 10**9, found.get(_FIELD, ""),
            found.get("etag", "").strip('"'),
        )  # fmt: skip

    def list(self, prefix: str, after: str) -> Iterator[Head]:
        marker = after
        while True:
            with self._connected(prefix) as connection:
                _, page = connection.get_container(
                    self._container, prefix=prefix or None, marker=marker or None, limit=_PAGE
                )
            if not page:
                return
            for entry in page:
                yield Head(
                    entry["name"], int(entry["bytes"]), _moment(entry["last_modified"]), "", entry["hash"]
                )
            marker = page[-1]["name"]

    def delete(self, name: str) -> None:
        try:
            with self._connected(name) as connection:
                connection.delete_object(self._container, name)
        except BlobNotFound:
            self.require()

    def sign(self, name: str, seconds: int) -> str:
        key = self._options.temp_url_key
        assert key is not None, "without a key there is no power to sign"
        with self._connected(name) as connection:
            if not connection.url:  # it has not asked for anything yet
                connection.url, connection.token = connection.get_auth()
            service = urlsplit(connection.url)
        path = f"{service.path}/{self._container}/{name}"
        expires = int(time.time()) + seconds
        text = f"GET\n{expires}\n{path}".encode()
        signature = hmac.new(key.reveal().encode(), text, hashlib.sha256).hexdigest()
        return f"{service.scheme}://{service.netloc}{quote(path)}?temp_url_sig={signature}&temp_url_expires={expires}"

    def require(self) -> None:
        try:
            with self._connected("") as connection:
                connection.head_container(self._container)
        except BlobNotFound as error:
            raise StoreUnavailable(self._store_id, "the store's container does not exist") from error

    def space(self) -> Space | None:
        """What is left of the smaller quota, as Swift counts, which is some seconds behind."""
        try:
            with self._connected("") as connection:
                container: Mapping[str, str] = connection.head_container(self._container)
                account: Mapping[str, str] = {}
                with contextlib.suppress(ClientException):  # who may use a container need not see its account
                    account = connection.head_account()
        except BlobNotFound as error:
            raise StoreUnavailable(self._store_id, "the store's container does not exist") from error
        quotas = (
            (container.get("x-container-meta-quota-bytes"), container.get("x-container-bytes-used")),
            (account.get("x-account-meta-quota-bytes"), account.get("x-account-bytes-used")),
        )
        known = [
            Space(total=int(quota), free=max(0, int(quota) - int(used or 0)))
            for quota, used in quotas
            if quota and quota.isdecimal()
        ]
        return min(known, key=lambda space: space.free, default=None)

    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _take(self) -> Connection:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            pass
        options = self._options
        scope = {
            "project_name": options.project,
            "user_domain_name": options.user_domain,
            "project_domain_name": options.project_domain,
            "region_name": options.region,
        }
        return Connection(
            authurl=options.auth_url,
            user=options.username,
            key=options.password.reveal(),
            auth_version=str(options.auth_version),
            os_options={}
            if options.auth_version == 1
            else {name: value for name, value in scope.items() if value},
            retries=options.attempts - 1,
            starting_backoff=0.1,
            max_backoff=3,
            timeout=options.timeout_seconds,
        )

    def give_back(self, connection: Connection) -> None:
        """For the next request: of one that came to its end."""
        connection.retries = self._options.attempts - 1
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()

    @contextmanager
    def _connected(self, name: str, *, reused: bool = True) -> Iterator[Connection]:
        """A connection of one's own; after an error, and unless it is to be `reused`, it is not used again."""
        connection = self._take()
        try:
            with self._translating(name):
                yield connection
        except BlobNotFound:
            self.give_back(connection)
            raise
        except BaseException:
            connection.close()
            raise
        if reused:
            self.give_back(connection)
        else:
            connection.close()

    @contextmanager
    def _translating(self, name: str) -> Iterator[None]:
        """The one place where errors of the library become ours. What a body raises passes."""
        try:
            yield
        except ClientException as error:
            status = error.http_status
            if status == 404:
                raise BlobNotFound(name) from error
            if status in {413, 507}:
                raise StoreFull("the store takes no blob of this size") from error
            # Keystone's own errors are what the client's came of; it gives them no status.
            came_of = type(error.__context__).__name__
            if came_of == "EndpointNotFound":
                raise StoreUnavailable(
                    self._store_id, "the cloud has no object store for this project and region"
                ) from error
            if status in {401, 403} or came_of == "Unauthorized":
                raise StoreUnavailable(
                    self._store_id, "the store's service refuses our credentials"
                ) from error
            raise StoreUnavailable(
                self._store_id, "the store's service does not answer as it should"
            ) from error
        except OSError as error:
            raise StoreUnavailable(self._store_id, "the connection to the store's service broke") from error


class _Incoming:
    def __init__(
        self, client: _Client, connection: Connection, body: Any, size: int, start: int, stop: int
    ) -> None:
        self.size, self.start, self.stop = size, start, stop
        self._client = client
        self._connection: Connection | None = connection
        self._body = body

    def pieces(self) -> Iterator[bytes]:
        with self._client._translating(""):  # noqa: SLF001 - of the same file
            yield from self._body

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._body.close()
            connection.close()


class _Body:
    """A body as a file that can only be read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        end = len(self._rest) if size < 0 else size
        given, self._rest = self._rest[:end], self._rest[end:]
        return given


def _moment(text: str) -> int:
    """A time of a listing, in whole seconds, as HEAD gives it."""
    return calendar.timegm(time.strptime(text.partition(".")[0], "%Y-%m-%dT%H:%M:%S")) * 10**9
