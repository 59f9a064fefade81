"""Is one blob, or one inline body, still what was written? Reads it all, and decides; writes nothing in the catalog."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from dolium.catalog.damage import CORRUPT, NOTED
from dolium.catalog.holdings import Item
from dolium.catalog.objects import body_crc
from dolium.errors import BlobCorrupt, BlobNotFound
from dolium.stores.contract import Audit, BlobStore, ChecksBlobs, KeepsDescriptions, unwrap
from dolium.stores.transfer import open_origin

__all__ = ["Verdict", "at_blob", "at_body", "description"]

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """`state` is empty when all is well, else one of `catalog.damage`; `what` says it in words.

    `mended`: it had no sound checksum, and has one now (for a body: is to get it). `unknown`: there is nothing to hold
    the bytes against. `repaired`: copies in members of a replicated store that were written anew.
    """

    state: str = ""
    what: str = ""
    mended: bool = False
    unknown: bool = False
    repaired: int = 0


def at_body(sequence: int, size: int, etag: str, data: bytes | None, crc: int | None) -> Verdict:
    """The inline bytes of a version."""
    if data is None:
        return Verdict(CORRUPT, "the inline bytes are lost")
    if len(data) != size:
        return Verdict(CORRUPT, f"the inline bytes are {len(data)} and should be {size}")
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != etag:
        return Verdict(CORRUPT, "the inline bytes are not those of the ETag")
    return Verdict(mended=crc != body_crc(data, sequence))


def at_blob(store: BlobStore, item: Item, start: int, pace: Callable[[int], None]) -> Verdict:
    """A blob from `start` on, and what lies beside it. Raises StoreUnavailable, what `pace` raises."""
    is_list = item.size is None
    try:
        audit = _audit(store, item, start, pace)
        if item.size is not None and audit.size != item.size:
            raise BlobCorrupt(f"the blob has {audit.size} bytes and should have {item.size}")
        if item.parts is not None:
            _compare_parts(store, item)
    except BlobNotFound:
        # No byte of a manifest is ever sent: what it describes can be read without it.
        return Verdict(NOTED, "the manifest is lost") if is_list else Verdict(CORRUPT, "the blob is lost")
    except BlobCorrupt as error:
        return (
            Verdict(NOTED, f"the manifest: {error.message}") if is_list else Verdict(CORRUPT, error.message)
        )
    unknown = not audit.summed and not audit.mended and not is_list
    wrong = description(store, item)
    return Verdict(NOTED if wrong else "", wrong, mended=audit.mended, unknown=unknown)


def _audit(store: BlobStore, item: Item, start: int, pace: Callable[[int], None]) -> Audit:
    power = unwrap(store, ChecksBlobs)
    if power is not None:
        return power.audit(item.blob_key, md5=item.md5, start=start, pace=pace)
    hasher = hashlib.md5(usedforsecurity=False)
    with open_origin(store, item.blob_key) as reader:
        at = 0
        pace(at)
        while piece := reader.read(_PIECE):
            hasher.update(piece)
            at += len(piece)
            pace(at)
    if item.md5 and hasher.hexdigest() != item.md5:
        raise BlobCorrupt("the bytes are not those that were written: their MD5 is another")
    return Audit(at, summed=bool(item.md5), mended=False)


def _compare_parts(store: BlobStore, item: Item) -> None:
    try:
        with open_origin(store, item.blob_key) as reader:
            found = json.loads(reader.read())
        same = found["parts"] == item.parts
    except (ValueError, TypeError, KeyError):
        same = False
    if not same:
        raise BlobCorrupt("it does not list the parts of the object")


def description(store: BlobStore, item: Item) -> str:
    """What is wrong with the description, if something is. Raises StoreUnavailable."""
    power = unwrap(store, KeepsDescriptions)
    if power is None or not item.facts:
        return ""
    try:
        found = json.loads(power.description(item.blob_key).get("dolium", "{}"))
    except BlobNotFound:
        return "the blob is lost"
    except (BlobCorrupt, ValueError):
        return "the description is damaged"
    if not isinstance(found, dict) or not found:
        return "the description is lost"
    differs = [name for name, value in item.facts.items() if found.get(name) != value]
    return f"the description says otherwise of {', '.join(differs)}" if differs else ""
