"""The contract of a store: five verbs and close. All else is an optional power.

A store is a flat, sorted space of keys, each with bytes. Keys are `/`-separated strings of at most 1,024
bytes of UTF-8. Their segments are 1 to 255 bytes of any characters but control characters, none of them `.`,
`..` or beginning with `.dolium`, which is the stores' own (decision 6; the service makes opaque keys). Another
key is a ValueError (`keys.check_key`). Keys are never normalised: two spellings of `é` are two keys. A store
over a file system cannot hold `a` beside `a/b`: the second to be put raises Conflict, and nothing has changed.
Every method may be called from many threads at once.

Errors, in every verb: `StoreUnavailable` when nothing can be known (down, hung, suspect, another's
identity), `StoreFull`, `StoreReadOnly`; never a bare OSError or an SDK's error. *Down is not gone*:
`BlobNotFound` is raised only by a store that is certainly up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from dolium.errors import BlobCorrupt
    from dolium.values import BlobInfo, ByteRange, Space

__all__ = [
    "Audit",
    "BlobReader",
    "BlobStore",
    "BlobWriter",
    "BlockSums",
    "Buffer",
    "ChecksBlobs",
    "CopiesWithin",
    "DeletesMany",
    "HasSomeFiles",
    "KeepsCopies",
    "KeepsDescriptions",
    "LocalFiles",
    "LocalPaths",
    "OfOneCopy",
    "Probes",
    "PutOptions",
    "Reader",
    "ReadsOrigin",
    "ReportsSpace",
    "SignsUrls",
    "TakesChunks",
    "unwrap",
]

Power = TypeVar("Power")
Buffer = bytes | bytearray | memoryview


class Reader(Protocol):
    """A source of bytes. `read(n)` gives 1..n bytes, or `b""` at the end and ever after."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PutOptions:
    """`size`: expected length, checked if given. `description`: what to keep beside the bytes, so that
    the catalog can be rebuilt from the store (DESIGN §2.6); small, JSON-like text values.
    """

    size: int | None = None
    description: Mapping[str, str] = field(default_factory=dict)


class BlobReader(ABC):
    """An open blob, positioned at the start of what was asked for. A context manager.

    It reads the bytes as they were when `get` returned, whatever is put or deleted meanwhile.
    """

    size: int  # of the whole blob
    start: int  # the first byte that `read` gives
    stop: int  # one past the last

    @abstractmethod
    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes (all that is left if negative); `b""` only at the end.

        A blob shorter than `stop` raises BlobCorrupt, never ends early; so do bytes that are known to be wrong.
        """

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BlobStore(ABC):
    """What anything that keeps blobs satisfies.

    `local`: opening, statting and deleting take microseconds (memory, a file system of this machine), so
    they may run on an event loop; false for whatever a network can stop.
    """

    local: bool = False

    @abstractmethod
    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:
        """Store the bytes of `body` under `key`, replacing what was there. All or nothing.

        When it returns, the blob is as durable as the store's `durability` says; when it raises, the old
        blob (or none) is still there. A body whose length is not `options.size` raises BodyTruncated; of a
        longer one, no more is read than it takes to know.
        Whatever `body.read` raises passes through, and nothing is stored.
        """

    @abstractmethod
    def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002 - the field's word
        """Open for reading. Raises BlobNotFound, RangeNotSatisfiable."""

    @abstractmethod
    def stat(self, key: str) -> BlobInfo:
        """Raises BlobNotFound."""

    @abstractmethod
    def list(self, prefix: str = "", *, after: str = "") -> Iterator[BlobInfo]:
        """Every blob whose key starts with `prefix` and is greater than `after`, in order of the UTF-8
        bytes of the key. Blobs put or deleted meanwhile may or may not appear; all others do, once.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the blob. An absent one is fine. Durable when it returns."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held. Twice is fine; other verbs afterwards are an error of the caller."""


class BlobWriter(ABC):
    """A blob being written piece by piece; nothing is visible until `commit` returns.

    Used by one thread at a time. A context manager: leaving it without `commit` is `abort`. To write to or
    commit one that is committed or aborted is a ValueError.
    """

    @abstractmethod
    def write(self, data: Buffer, /) -> None:
        """Take all of `data`; the buffer may be reused when this returns. An error aborts the writer."""

    @abstractmethod
    def commit(self, description: Mapping[str, str] | None = None) -> BlobInfo:
        """Make the blob durable and visible, all at once, with `description` in the place of the one in the
        options, if given: what describes a blob is often known only at its end. After an error nothing is
        visible and the writer is aborted. Raises BodyTruncated if `options.size` was given and is not what came.
        """

    @abstractmethod
    def abort(self) -> None:
        """Forget what was written. Never raises; a second time, or after `commit`, it does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


@runtime_checkable
class TakesChunks(Protocol):
    """Takes a blob in pushes, so that a slow sender holds no thread."""

    def open_writer(self, key: str, *, options: PutOptions = ...) -> BlobWriter: ...


@runtime_checkable
class LocalPaths(Protocol):
    """The blob is a file of this machine."""

    def local_path(self, key: str) -> Path:
        """Where the bytes lie. Raises BlobNotFound, StoreUnavailable."""
        ...


@runtime_checkable
class LocalFiles(Protocol):
    """Opens the blob as a file descriptor, for reads straight from the page cache."""

    def open_file(self, key: str) -> tuple[int, int]:
        """(descriptor opened for reading, size of the blob); the caller closes it. Raises BlobNotFound."""
        ...


class BlockSums(Protocol):
    """What the bytes of one blob are checked against, `block` bytes at a time."""

    block: int
    size: int

    def check(self, offset: int, data: Buffer, /) -> None:
        """Raises BlobCorrupt unless `data` is what was written at `offset`, a multiple of `block`: whole blocks, or
        up to the end of the blob.
        """
        ...


@runtime_checkable
class HasSomeFiles(Protocol):
    """Has files of this machine for some of its blobs, or some of their copies."""

    def open_if_file(self, key: str) -> tuple[int, int, BlockSums | None] | None:
        """As `ChecksBlobs.open_checked`, with nothing to check against where that is not wished; None if the bytes are to
        be read through `get`, which also says what is wrong if something is.
        """
        ...


@runtime_checkable
class OfOneCopy(Protocol):
    """`BlockSums` of one copy of several: another may be right where this one is wrong."""

    def distrust(self, error: BlobCorrupt, /) -> None:
        """The bytes of this copy could not be read, or were wrong: the next read takes another."""
        ...


@dataclass(frozen=True, slots=True)
class Audit:
    """How a blob was found to be sound. `summed`: by its checksums; `mended`: they were absent or damaged, and were
    written anew. Neither: there was nothing to hold its bytes against.
    """

    size: int
    summed: bool
    mended: bool


@runtime_checkable
class ChecksBlobs(Protocol):
    """Keeps a checksum for each block of a blob. Its `get` checks what it gives."""

    verify_reads: bool
    """Whether those who read files (`LocalFiles`) are to check, too."""

    def open_checked(self, key: str) -> tuple[int, int, BlockSums | None]:
        """As `LocalFiles.open_file`, and what the bytes are checked against; None for a blob that was put without.

        Raises BlobCorrupt for a blob of another size than was written, or of another key; SumsDamaged.
        """
        ...

    def audit(self, key: str, *, md5: str = "", start: int = 0, pace: Callable[[int], None] = ...) -> Audit:
        """Read the blob from its disk, not from memory, and check it from block `start` on.

        A blob without sound checksums is held against `md5` as a whole, if that is known, and gets checksums. `pace`
        is told, before bytes are read, up to where all is checked; what it raises passes through. Raises BlobNotFound,
        BlobCorrupt, StoreUnavailable.
        """
        ...


@runtime_checkable
class CopiesWithin(Protocol):
    """Copies a blob inside the store without reading it (reflink, server-side copy)."""

    def copy_within(self, source: str, target: str, *, options: PutOptions = ...) -> BlobInfo | None:
        """None if this pair cannot be copied so. Raises BlobNotFound. As durable as `put`."""
        ...


@runtime_checkable
class DeletesMany(Protocol):
    """Deletes many blobs for little more than it takes to delete one."""

    def delete_many(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that are gone (or were absent), as durably as by `delete`; of the others nothing is known.
        Raises StoreUnavailable, StoreReadOnly if none can be deleted.
        """
        ...


@runtime_checkable
class KeepsDescriptions(Protocol):
    """Gives back what `PutOptions.description` said, so that a lost catalog can be rebuilt."""

    def description(self, key: str) -> dict[str, str]:
        """Empty if the blob was put without one. Raises BlobNotFound."""
        ...


@runtime_checkable
class KeepsCopies(Protocol):
    """Has copies of blobs at hand, for when the blobs themselves are out of reach."""

    def get_copy(self, key: str, *, range: ByteRange | None = None) -> BlobReader | None:  # noqa: A002 - as `get`
        """As `get`, from a copy that is here and fresh, without asking anybody; None if there is none."""
        ...


@runtime_checkable
class ReadsOrigin(Protocol):
    """Keeps copies of blobs, and reads past them: for those who want to know how the blob itself is."""

    def get_origin(self, key: str) -> BlobReader:
        """As `get`, from where the blob lies. Raises BlobNotFound."""
        ...


@runtime_checkable
class SignsUrls(Protocol):
    """Lets others read a blob without us."""

    def sign_url(
        self, key: str, *, seconds: int, content_disposition: str = "", content_type: str = ""
    ) -> str:
        """A URL by which whoever has it can GET the blob for so long, whether there is one or not.

        `content_disposition`, `content_type`: what the answer shall say of the blob, as far as the service and our
        credentials allow to ask for that; else the URL is what it is without.
        """
        ...


@runtime_checkable
class Probes(Protocol):
    """Can be asked whether it works."""

    def probe(self) -> None:
        """Ask the store itself now, whatever is thought of it. Raises StoreUnavailable."""
        ...


@runtime_checkable
class ReportsSpace(Protocol):
    """May know how full it is."""

    def space(self) -> Space | None:
        """None where it cannot be known, as of a service that does not tell. Raises StoreUnavailable."""
        ...


def unwrap(store: object, power: type[Power]) -> Power | None:
    """The store itself if it offers `power`, else what a transparent layer wraps, else None.

    A layer that changes keys, bytes or rights is not transparent: it offers a power itself or hides it.
    """
    current: object | None = store
    while current is not None:
        if isinstance(current, power):
            return current
        current = current.child if getattr(current, "transparent", False) else None  # type: ignore[attr-defined]
    return None
