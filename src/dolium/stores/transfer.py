"""What can be done with any stores through the contract alone, so that no leaf can do it differently."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dolium.errors import BlobCorrupt
from dolium.stores.contract import PutOptions, ReadsOrigin, unwrap
from dolium.stores.stream import HashingReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dolium.stores.contract import BlobReader, BlobStore
    from dolium.values import BlobInfo, ByteRange

__all__ = ["PIECE", "copy", "digest", "open_origin", "read_bytes", "size_at_origin"]

PIECE = 1 << 18
"""Bytes asked for at a time when a body is passed on."""


def read_bytes(store: BlobStore, key: str, *, range: ByteRange | None = None) -> bytes:  # noqa: A002 - as `get`
    """The whole blob, or the range of it, at once: for what is known to be small."""
    with store.get(key, range=range) as reader:
        return reader.read()


def open_origin(store: BlobStore, key: str) -> BlobReader:
    """As `get`, but never of a copy in a cache."""
    power = unwrap(store, ReadsOrigin)
    return store.get(key) if power is None else power.get_origin(key)


def size_at_origin(store: BlobStore, key: str) -> int:
    """As `stat`, but never of a copy in a cache."""
    if unwrap(store, ReadsOrigin) is None:
        return store.stat(key).size
    with open_origin(store, key) as reader:
        return reader.size


def copy(
    source: BlobStore,
    key: str,
    target: BlobStore,
    to: str,
    *,
    description: Mapping[str, str] | None = None,
) -> BlobInfo:
    """Copy a blob from one store to another, and read it back before saying so.

    Raises BlobCorrupt, and leaves nothing at the target, if what comes back is not what went in; and what
    `get` and `put` raise.
    """
    hasher = hashlib.sha256()
    with source.get(key) as reader:
        body = HashingReader(reader, hasher)
        info = target.put(to, body, options=PutOptions(size=reader.size, description=description or {}))
        whole = body.count == reader.size
    if not whole or digest(target, to) != hasher.digest():
        target.delete(to)
        raise BlobCorrupt("the copy does not read back as it was written")
    return info


def digest(store: BlobStore, key: str) -> bytes:
    """The SHA-256 of the blob as it reads now. Raises what `get` and `read` do."""
    hasher = hashlib.sha256()
    with store.get(key) as reader:
        while piece := reader.read(PIECE):
            hasher.update(piece)
    return hasher.digest()
