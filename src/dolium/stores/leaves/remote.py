"""What all remote leaves share: blobs as objects of a service that is spoken to through a `Client`.

An object has the name of its blob, behind the prefix of the store, so that other programs find it there. A description
travels with the object as metadata where it is short enough and known in time. Else it lies beside it, in an object of
its own that is written first: `.dolium-about-<digest of the name>-<token>`, and the metadata of the blob names the
token, so that a description is always that of the bytes. A service without metadata (WebDAV) has one such object a
blob, which tells the size that it describes.

`.dolium-store.json` beside the blobs says whose store it is, as on a disk. It is looked at, together with the
container itself, before *not found* is said: a bucket that is gone, or another's, is down and not empty.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, unquote

from dolium.errors import BlobCorrupt, BlobNotFound, DoliumError, StoreUnavailable
from dolium.stores.contract import BlobReader, BlobStore, BlobWriter, PutOptions
from dolium.stores.keys import RESERVED, check_key
from dolium.stores.leaves.remote_bodies import Source, Watched
from dolium.stores.leaves.remote_writer import RemoteWriter
from dolium.stores.transfer import PIECE
from dolium.values import BlobInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dolium.stores.contract import Reader
    from dolium.values import ByteRange

__all__ = ["About", "Client", "Head", "Incoming", "Remote"]

_IDENTITY: Final = f"{RESERVED}-store.json"
_ABOUT: Final = f"{RESERVED}-about-"
_FORMAT: Final = 1
_BESIDE: Final = "beside:"
_UNSAYABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TRUST_SECONDS: Final = 5.0
"""For so long the container is taken to be there once it was."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a service says of an object. `metadata`: the one text that goes with it; `mark`: its ETag, or nothing."""

    name: str
    size: int
    modified_ns: int
    metadata: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """Where a description lies beside its blob, and what the metadata of the blob says of it."""

    token: str
    metadata: str


class Incoming(Protocol):
    """An object that is being received: bytes `start` up to `stop` of `size`."""

    size: int
    start: int
    stop: int

    def pieces(self) -> Iterator[bytes]:
        """The bytes as they come. Raises StoreUnavailable if the connection breaks."""

    def close(self) -> None: ...


class Client(Protocol):
    """One container of one service. Errors as in the contract; BlobNotFound for whatever it calls not found."""

    metadata_limit: int
    """Bytes of text that go with an object; 0: none."""

    def put(self, name: str, body: bytes | Iterator[bytes], metadata: str, size: int | None) -> str:
        """Store it, all or nothing, and give its mark. What the iterator raises passes, and nothing is stored."""

    def get(self, name: str, wanted: ByteRange | None) -> Incoming: ...

    def head(self, name: str) -> Head: ...

    def list(self, prefix: str, after: str) -> Iterator[Head]:
        """At least the names that start with `prefix` and are greater than `after`, in the order of their bytes."""

    def delete(self, name: str) -> None:
        """An absent one is fine."""

    def require(self) -> None:
        """Raises StoreUnavailable unless the container is there and lets us in."""

    def close(self) -> None: ...


class Remote(BlobStore):
    """Takes chunks and keeps descriptions. A blob up to `threshold` bytes goes in one request, a larger one as it
    comes; nothing holds a whole large one.
    """

    def __init__(
        self,
        client: Client,
        *,
        store_id: str,
        prefix: str = "",
        threshold: int = 8 << 20,
        expected_uuid: str = "",
    ) -> None:
        self.store_id = store_id
        self.client = client
        self.threshold = threshold
        self._prefix = f"{prefix}/" if prefix else ""
        self._expected_uuid = expected_uuid
        self._trusted = float("-inf")  # when the container was last seen to be there

    # Identity.

    def initialise(self) -> str:
        """Make it a store and give its UUID; one that is a store keeps its own. Raises StoreUnavailable."""
        self.client.require()
        name = self._prefix + _IDENTITY
        try:
            self.client.head(name)
        except BlobNotFound:
            text = json.dumps({"format": _FORMAT, "uuid": str(uuid.uuid4())}) + "\n"
            self._put(name, text.encode(), "", len(text))
        return self.identify()

    def identify(self) -> str:
        """The UUID of the store that lies there now. Raises StoreUnavailable."""
        try:
            found = json.loads(self._read(self._prefix + _IDENTITY))
            version, name = int(found["format"]), str(found["uuid"])
        except BlobNotFound as error:
            raise StoreUnavailable(self.store_id, "the store's identity is absent") from error
        except (ValueError, TypeError, KeyError) as error:
            raise StoreUnavailable(self.store_id, "the store's identity is damaged") from error
        if version > _FORMAT:
            raise StoreUnavailable(self.store_id, f"the store is of format {version}, made by a newer dolium")
        if self._expected_uuid and name != self._expected_uuid:
            raise StoreUnavailable(self.store_id, "another store lies where this one should be")
        return name

    def probe(self) -> None:
        """Ask the service itself. Raises StoreUnavailable."""
        self._trusted = float("-inf")
        self._require()

    def _require(self) -> None:
        """Raises StoreUnavailable unless it is certain that the container is there, and ours."""
        now = time.monotonic()
        if now - self._trusted < _TRUST_SECONDS:
            return
        self.client.require()
        if self._expected_uuid:
            self.identify()
        self._trusted = now

    # The verbs.

    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:  # noqa: B008 - frozen
        check_key(key)
        source = Source(body, options.size)
        first = source.first(self.threshold)
        if first is not None:
            return self.publish(key, first, len(first), options.description)
        about = self.begin_about()
        early = bool(about.token) or options.size is not None
        if options.description and early:
            self.write_about(key, about, options.size, options.description)
        try:
            mark = self.send(key, source.rest(), about, options.size)
        except BaseException:
            self.drop_about(key, about)
            raise
        if options.description and not early:
            self.write_about(key, about, source.count, options.description)
        return self.finish(key, about, source.count, mark, described=bool(options.description))

    def open_writer(self, key: str, *, options: PutOptions = PutOptions()) -> BlobWriter:  # noqa: B008 - frozen
        check_key(key)
        return RemoteWriter(self, key, options)

    def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002 - as the contract
        check_key(key)
        try:
            incoming = self.client.get(self._prefix + key, range)
        except BlobNotFound as error:
            raise self._absent(key) from error
        return _RemoteReader(incoming)

    def stat(self, key: str) -> BlobInfo:
        check_key(key)
        head = self._head(key)
        return BlobInfo(key=key, size=head.size, modified_ns=head.modified_ns)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[BlobInfo]:
        self._require()
        if _sayable(prefix) != prefix:
            return  # no key begins so
        wanted, begin = self._prefix + prefix, self._prefix + after
        skip = len(self._prefix)
        # The order of characters is that of their bytes in UTF-8.
        for head in self.client.list(wanted, _sayable(begin)):
            if not head.name.startswith(wanted):
                if head.name > wanted:
                    return
                continue
            key = head.name[skip:]
            if head.name > begin and _is_blob(key):
                yield BlobInfo(key=key, size=head.size, modified_ns=head.modified_ns)

    def delete(self, key: str) -> None:
        check_key(key)
        self._require()  # many services find nothing wrong with a container that is not there
        self.client.delete(self._prefix + key)
        self._drop_others(key, "")

    def close(self) -> None:
        self.client.close()

    def description(self, key: str) -> dict[str, str]:
        check_key(key)
        head = self._head(key)
        try:
            if self.client.metadata_limit == 0:
                found = self._read_about(key, "")
                return {} if found.get("size") != head.size else _described(found["description"])
            if head.metadata.startswith(_BESIDE):
                return _described(self._read_about(key, head.metadata.removeprefix(_BESIDE)))
            return _described(json.loads(unquote(head.metadata))) if head.metadata else {}
        except (ValueError, KeyError) as error:
            raise BlobCorrupt("the description of the blob is damaged") from error

    # How a blob is published; `RemoteWriter` takes part.

    def publish(self, key: str, data: bytes, size: int, description: Mapping[str, str]) -> BlobInfo:
        """A blob that is known as a whole."""
        text = quote(json.dumps(dict(description), ensure_ascii=False)) if description else ""
        if len(text) <= self.client.metadata_limit:
            mark = self._put(self._prefix + key, data, text, size)
            return self.finish(key, About("", text), size, mark, described=False)
        about = self.begin_about()
        self.write_about(key, about, size, description)
        mark = self._put(self._prefix + key, data, about.metadata, size)
        return self.finish(key, about, size, mark, described=True)

    def begin_about(self) -> About:
        """A place for a description that does not travel with its blob."""
        if self.client.metadata_limit == 0:
            return About("", "")
        token = secrets.token_hex(8)
        return About(token, _BESIDE + token)

    def write_about(self, key: str, about: About, size: int | None, description: Mapping[str, str]) -> None:
        facts: dict[str, Any] = dict(description)
        if not about.token:
            facts = {"size": size, "description": facts}
        text = json.dumps(facts, ensure_ascii=False).encode()
        self._put(self._about_name(key, about.token), text, "", len(text))

    def drop_about(self, key: str, about: About) -> None:
        """The blob did not come. What cannot be deleted is garbage, and hides no other error."""
        if about.token:
            with suppress(DoliumError):
                self.client.delete(self._about_name(key, about.token))

    def finish(self, key: str, about: About, size: int, mark: str, *, described: bool) -> BlobInfo:
        """See that the service has what was sent, where it tells one from another by a mark; and drop what described
        an older blob.
        """
        if described or self.client.metadata_limit == 0:
            self._drop_others(key, about.token, keep=described)
        head = self.client.head(self._prefix + key)
        if mark and head.mark == mark and head.size != size:  # with another mark someone has put it anew
            raise StoreUnavailable(self.store_id, f"the store keeps {head.size} bytes where {size} were sent")
        return BlobInfo(key=key, size=size, modified_ns=head.modified_ns)

    def send(self, key: str, body: Iterator[bytes], about: About, size: int | None) -> str:
        """A blob as it comes; its mark. What the body raises passes as it is, whatever the library makes of it."""
        watched = Watched(body)
        try:
            return self._put(self._prefix + key, watched, about.metadata, size)
        except BaseException:
            if watched.failure is not None:
                raise watched.failure from None
            raise

    def _put(self, name: str, body: bytes | Iterator[bytes], metadata: str, size: int | None) -> str:
        try:
            return self.client.put(name, body, metadata, size)
        except BlobNotFound as error:  # what is put cannot be absent
            raise StoreUnavailable(self.store_id, "the store's container does not exist") from error

    def name_of(self, key: str) -> str:
        """The name of the object that a blob is. Raises ValueError for what is no key."""
        check_key(key)
        return self._prefix + key

    def _about_name(self, key: str, token: str) -> str:
        folder, slash, name = key.rpartition("/")
        digest = hashlib.blake2s(name.encode(), digest_size=16).hexdigest()
        return f"{self._prefix}{folder}{slash}{_ABOUT}{digest}{'-' if token else ''}{token}"

    def _drop_others(self, key: str, token: str, *, keep: bool = False) -> None:
        """Delete descriptions of blobs that had this key; `keep` the one of `token`."""
        kept = self._about_name(key, token) if keep else ""
        stem = self._about_name(key, "")
        if self.client.metadata_limit == 0:
            if not keep:
                self.client.delete(stem)
            return
        for name in [head.name for head in self.client.list(stem, "") if head.name.startswith(stem)]:
            if name != kept:
                self.client.delete(name)

    def _read_about(self, key: str, token: str) -> dict[str, Any]:
        try:
            found = json.loads(self._read(self._about_name(key, token)))
        except BlobNotFound:
            return {}
        if not isinstance(found, dict):
            raise ValueError("a description is an object")  # noqa: TRY004 - of JSON
        return found

    def _read(self, name: str) -> bytes:
        incoming = self.client.get(name, None)
        try:
            return b"".join(incoming.pieces())
        finally:
            incoming.close()

    def _head(self, key: str) -> Head:
        try:
            return self.client.head(self._prefix + key)
        except BlobNotFound as error:
            raise self._absent(key) from error

    def _absent(self, key: str) -> BlobNotFound:
        """Raises StoreUnavailable if it is not certain."""
        self._require()
        return BlobNotFound(key)


class _RemoteReader(BlobReader):
    def __init__(self, incoming: Incoming) -> None:
        self.size, self.start, self.stop = incoming.size, incoming.start, incoming.stop
        self._incoming = incoming
        self._pieces = incoming.pieces()
        self._left = incoming.stop - incoming.start
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(PIECE), b""))
        if not self._left or not size:
            return b""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                raise BlobCorrupt("the blob is shorter than it was")
            self._rest = memoryview(piece)
        given = bytes(self._rest[: min(size, self._left)])
        self._rest = self._rest[len(given) :]
        self._left -= len(given)
        return given

    def close(self) -> None:
        self._incoming.close()


def _sayable(text: str) -> str:
    """As much of its beginning as a key can have."""
    unsayable = _UNSAYABLE.search(text)
    return text if unsayable is None else text[: unsayable.start()]


def _is_blob(key: str) -> bool:
    return not any(segment.startswith(RESERVED) for segment in key.split("/"))


def _described(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        raise ValueError("a description is an object")  # noqa: TRY004 - of JSON
    return {str(name): str(value) for name, value in found.items()}
