"""Blobs as files of a WebDAV server (Nextcloud, ownCloud, Apache, rclone …), RFC 4918.

    kind: webdav
    url: https://cloud.example.org/remote.php/dav/files/galaxy
    username: galaxy
    password: env:WEBDAV_PASSWORD
    prefix: data

A blob is sent under a temporary name and then moved to its own, so that whoever reads sees the old one or the new.
How much of that survives a power cut is up to the server.
"""

from __future__ import annotations

import contextlib
import secrets
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

import urllib3

from dolium.errors import BlobNotFound, Conflict, StoreFull, StoreReadOnly, StoreUnavailable, Unsupported
from dolium.stores.keys import RESERVED
from dolium.stores.leaves.remote import Head, Remote
from dolium.stores.leaves.webdav_listing import Entry, read_listing
from dolium.values import ByteRange, Secret, Space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dolium.stores.leaves.remote import Incoming

__all__ = ["Options", "WebDav"]

_PIECE: Final = 1 << 18
_MISREAD: Final = frozenset("?#;%")
"""In the Destination of a MOVE, servers such as wsgidav decode these before they take the URL apart."""
_TEMPORARY: Final = f"{RESERVED}-tmp-"
_ROOM: Final = (
    b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/><quota-used-bytes/><quota-available-bytes/>'
    b"</prop></propfind>"
)
_ASKED: Final = (
    b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getlastmodified/>'
    b"<getetag/></prop></propfind>"
)


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of a WebDAV store. `url`: the folder of the server that it lies in, which must be there. The others as
    in `s3`.
    """

    url: str
    username: str = ""
    password: Secret | None = None
    prefix: str = ""
    verify_tls: bool = True
    ca_file: Path | None = None
    attempts: int = 4
    timeout_seconds: float = 30.0
    expected_uuid: str = ""


class WebDav(Remote):
    """Takes chunks, keeps descriptions, reports space where the server does (RFC 4331). As on a disk, a key cannot be a
    folder of another: Conflict.
    """

    client: _Client

    def __init__(self, options: Options, *, store_id: str = "webdav") -> None:
        super().__init__(
            _Client(options, store_id),
            store_id=store_id,
            prefix=options.prefix,
            expected_uuid=options.expected_uuid,
        )

    def space(self) -> Space | None:
        return self.client.space()


class _Client:
    metadata_limit = 0

    def __init__(self, options: Options, store_id: str) -> None:
        self._store_id = store_id
        self._base = options.url.rstrip("/")
        self._base_path = unquote(urlsplit(self._base).path).strip("/")
        self._headers = urllib3.make_headers(user_agent="dolium")
        if options.username and options.password is not None:
            login = f"{options.username}:{options.password.reveal()}"
            self._headers.update(urllib3.make_headers(basic_auth=login))
        self._attempts = options.attempts
        # Many servers remove what had the name before they move: no reader of this process sees the moment between.
        self._names = tuple(Lock() for _ in range(64))
        tls: dict[str, Any] = {}
        if not options.verify_tls:
            tls = {"cert_reqs": ssl.CERT_NONE}
        elif options.ca_file is not None:
            tls = {"ca_certs": str(options.ca_file)}
        self._pool = urllib3.PoolManager(
            maxsize=16, timeout=urllib3.Timeout(connect=min(options.timeout_seconds, 10.0), read=options.timeout_seconds),
            retries=False, **tls,
        )  # fmt: skip

    def put(self, name: str, body: bytes | Iterator[bytes], metadata: str, size: int | None) -> str:
        del metadata  # there is none: `metadata_limit`
        if set(name) & _MISREAD:
            return self._put_in_place(name, body)
        folder, slash, _ = name.rpartition("/")
        fresh = f"{folder}{slash}{_TEMPORARY}{secrets.token_hex(8)}"
        self._make_folder(folder)
        headers = {} if size is None else {"content-length": str(size)}
        try:
            sent = _Counted(body)
            try:
                self._ask("PUT", fresh, body=sent.body, headers=headers, repeats=isinstance(body, bytes))
            except Conflict:
                self.require()
                if not isinstance(body, bytes):
                    raise
                self._make_folder(folder)  # it was being made, or removed
                self._ask("PUT", fresh, body=body, headers=headers)
            kept = self.head(fresh).size
            if kept != sent.count:
                raise StoreUnavailable(
                    self._store_id, f"the store keeps {kept} bytes where {sent.count} were sent"
                )
            with self._lock_of(name):
                self._move(fresh, name)
        except BaseException:
            with contextlib.suppress(StoreUnavailable, BlobNotFound, StoreReadOnly):
                self._ask("DELETE", fresh)
            raise
        return ""

    def _put_in_place(self, name: str, body: bytes | Iterator[bytes]) -> str:
        """Under its own name: some servers would move it to another."""
        if not isinstance(body, bytes):
            raise Unsupported("a WebDAV store takes no blob above 8 MiB with ?, #, ; or % in its key")
        self._make_folder(name.rpartition("/")[0])
        with self._lock_of(name):
            self._ask("PUT", name, body=body)
        return ""

    def get(self, name: str, wanted: ByteRange | None) -> Incoming:
        if wanted is None:
            return self._open(name, 0, None)
        return self._open(name, *wanted.resolve(self.head(name).size))

    def head(self, name: str) -> Head:
        with self._lock_of(name):
            found = self._list(name, depth=0)
        if not found or found[0].is_folder:
            raise BlobNotFound(name)
        return _head(name, found[0])

    def list(self, prefix: str, after: str) -> Iterator[Head]:
        folder = prefix.rpartition("/")[0]
        if any(segment in {"", ".", ".."} for segment in folder.split("/")) and folder:
            return
        yield from self._walk(folder, prefix, after)

    def delete(self, name: str) -> None:
        try:
            if self._list(name, depth=0)[0].is_folder:
                return  # DELETE would take all that is in it
            self._ask("DELETE", name)
        except (BlobNotFound, IndexError):
            self.require()

    def require(self) -> None:
        try:
            self._list("", depth=0)
        except BlobNotFound as error:
            raise StoreUnavailable(self._store_id, "the store's folder does not exist") from error

    def space(self) -> Space | None:
        """Of the folder's quota, or of what lies behind it."""
        try:
            found = self._list("", depth=0, asked=_ROOM)[0]
        except (BlobNotFound, IndexError) as error:
            raise StoreUnavailable(self._store_id, "the store's folder does not exist") from error
        if found.used is None or found.available is None:
            return None
        return Space(total=found.used + found.available, free=found.available)

    def close(self) -> None:
        self._pool.clear()

    def _lock_of(self, name: str) -> Lock:
        return self._names[hash(name) % len(self._names)]

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[Head]:
        """In the order of the bytes of the names: a folder stands where its name with a `/` does."""
        try:
            found = self._list(folder, depth=1)
        except BlobNotFound:
            return
        inside = f"{folder}/" if folder else ""
        named = [
            (f"{inside}{entry.name}/" if entry.is_folder else f"{inside}{entry.name}", entry)
            for entry in found
            if entry.path != self._path_of(folder)
        ]
        for name, entry in sorted(named, key=lambda one: one[0].encode()):
            if not entry.is_folder:
                if name.startswith(prefix):
                    yield _head(name, entry)
            elif (name.startswith(prefix) or prefix.startswith(name)) and _may_follow(name, after):
                yield from self._walk(name[:-1], prefix, after)

    def _open(self, name: str, start: int, stop: int | None) -> _Incoming:
        headers = {} if stop is None else {"range": f"bytes={start}-{stop - 1}"}
        with self._lock_of(name):
            answer = self._ask("GET", name, headers=headers, streamed=True)
        length = int(answer.headers.get("content-length", -1))
        if length < 0 or (answer.status != 206 and stop is not None and start >= length):
            answer.close()
            raise StoreUnavailable(self._store_id, "the store's service tells no length")
        if answer.status == 206:
            size = int(answer.headers["content-range"].rpartition("/")[2])
            return _Incoming(self, answer, size, start, start + length, skip=0)
        return _Incoming(
            self, answer, length, start, length if stop is None else min(stop, length), skip=start
        )

    def _make_folder(self, folder: str) -> None:
        """And those above it; made anew each time, for anyone may have removed it. Raises Conflict if a blob is in the
        way.
        """
        made = []
        while folder:
            try:
                self._ask("MKCOL", folder)
            except _ParentAbsentError:
                made.append(folder)
                folder = folder.rpartition("/")[0]
                continue
            except _ThereError:
                with contextlib.suppress(BlobNotFound):  # it was emptied and removed meanwhile: PUT will tell
                    if not self._list(folder, depth=0)[0].is_folder:
                        raise Conflict("one key would be a folder of another") from None
            except StoreUnavailable:  # so wsgidav answers one of two who make a folder in the same moment
                if not self._is_folder(folder):
                    raise
            break
        for one in reversed(made):
            try:
                self._ask("MKCOL", one)
            except (_ThereError, _ParentAbsentError):
                continue  # others are at it; the PUT will tell
            except StoreUnavailable:
                if not self._is_folder(one):
                    raise

    def _is_folder(self, name: str) -> bool:
        with contextlib.suppress(BlobNotFound, StoreUnavailable):
            return self._list(name, depth=0)[0].is_folder
        return False

    def _move(self, fresh: str, name: str) -> None:
        with contextlib.suppress(BlobNotFound):
            if self._list(name, depth=0)[0].is_folder:
                self._drop_empty(name)
        self._ask("MOVE", fresh, headers={"destination": self._url_of(name), "overwrite": "T"})

    def _drop_empty(self, folder: str) -> None:
        """A folder that is left of keys below it. Raises Conflict if there are some."""
        if next(self._walk(folder, f"{folder}/", ""), None) is not None:
            raise Conflict("one key would be a folder of another")
        self._ask("DELETE", folder)

    def _list(self, name: str, *, depth: int, asked: bytes = _ASKED) -> tuple[Entry, ...]:
        answer = self._ask(
            "PROPFIND", name, body=asked, headers={"depth": str(depth), "content-type": "application/xml"}
        )
        try:
            return read_listing(answer.data)
        except ValueError as error:
            raise StoreUnavailable(
                self._store_id, "the store's service does not answer as it should"
            ) from error

    def _url_of(self, name: str) -> str:
        return f"{self._base}/{quote(name)}" if name else f"{self._base}/"

    def _path_of(self, name: str) -> str:
        return f"{self._base_path}/{name}".strip("/")

    def _ask(
        self,
        method: str,
        name: str,
        *,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        streamed: bool = False,
        repeats: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        retries = urllib3.Retry(
            total=self._attempts - 1 if repeats else 0, redirect=False, backoff_factor=0.1, backoff_max=3,
            status_forcelist=(423, 429, 502, 503, 504) if repeats else (), allowed_methods=None, raise_on_status=False,
        )  # fmt: skip
        try:
            answer = self._pool.request(
                method, self._url_of(name), body=body, headers={**self._headers, **(headers or {})},
                preload_content=not streamed, retries=retries,
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            raise self.broken(error) from error
        if answer.status >= 300:
            answer.close()
            raise self._refused(answer.status, method, name)
        return answer

    def _refused(self, status: int, method: str, name: str) -> Exception:
        """What a status means."""
        if method == "MKCOL" and status == 405:
            return _ThereError()
        if method == "MKCOL" and status == 409:
            return _ParentAbsentError()
        if status == 404 or (method == "GET" and (status == 405 or status < 400)):
            return BlobNotFound(name)  # or a folder, which servers refuse or redirect
        if status in {405, 409} and method in {"PUT", "MOVE"}:
            return Conflict("one key would be a folder of another")
        if status in {401, 403}:
            if method not in {"GET", "PROPFIND"} and status == 403:
                return StoreReadOnly("the store takes no writes")
            return StoreUnavailable(self._store_id, "the store's service refuses our credentials")
        if status in {413, 507}:
            return StoreFull("the store is full")
        return StoreUnavailable(self._store_id, f"the store's service answers {status}")

    def broken(self, error: Exception) -> StoreUnavailable:
        del error
        return StoreUnavailable(
            self._store_id, "the connection to the store's service broke, or was not made"
        )


class _ThereError(Exception):
    """MKCOL: something is there already."""


class _ParentAbsentError(Exception):
    """MKCOL: the folder above is not there."""


class _Counted:
    """A body, and how many bytes of it went."""

    def __init__(self, body: bytes | Iterator[bytes]) -> None:
        self.count = len(body) if isinstance(body, bytes) else 0
        self.body = body if isinstance(body, bytes) else self._pieces(body)

    def _pieces(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.count += len(piece)
            yield piece


class _Incoming:
    """Bytes `start` up to `stop`, after `skip` that are thrown away."""

    def __init__(
        self,
        client: _Client,
        answer: urllib3.BaseHTTPResponse,
        size: int,
        start: int,
        stop: int,
        *,
        skip: int,
    ) -> None:
        self.size, self.start, self.stop = size, start, stop
        self._client = client
        self._answer = answer
        self._skip = skip

    def pieces(self) -> Iterator[bytes]:
        with self._translating():
            for received in self._answer.stream(_PIECE):
                piece = received[self._skip :]
                self._skip = max(0, self._skip - len(received))
                if piece:
                    yield piece

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._client.broken(error) from error

    def close(self) -> None:
        self._answer.close()
        self._answer.release_conn()


def _head(name: str, entry: Entry) -> Head:
    return Head(name, entry.size, entry.modified_ns, "", entry.mark)


def _may_follow(folder: str, after: str) -> bool:
    """Whether a folder, with its `/`, can hold a name greater than `after`."""
    return after.startswith(folder) or folder.encode() > after.encode()
