"""A store with the catalog: the blobs that are there, and those that the catalog names, side by side by key.

The store is listed first and the catalog is asked afterwards, so on a store in use a blob can be named that was not
listed yet, and one can be listed that is gone. So what looks wrong is looked at again: a blob is lost only if it is
not there *now* and is named still *after* that, for it is there before it is named, and until after it is named no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby, islice

from dolium.catalog import audit, fences
from dolium.catalog.audit import Named
from dolium.errors import BlobCorrupt, BlobNotFound
from dolium.objects.audit.findings import Finding, Kind, Progress
from dolium.objects.audit.reread import reread
from dolium.objects.blob_keys import written_ns
from dolium.objects.orphans import facts_of, fence_of, named_in, sequence_in
from dolium.objects.service import ObjectService
from dolium.stores.transfer import size_at_origin
from dolium.values import BlobInfo

__all__ = ["store_blobs"]

_PAGE = 500
_NAMES = 5000
_END = "~"  # behind every key that a store can have
_OWNERS = frozenset({"object", "manifest", "note", "part"})


def store_blobs(
    service: ObjectService, store_id: int, progress: Progress, *, read: bool
) -> Iterator[Finding]:
    """Raises StoreUnavailable, CatalogUnavailable."""
    listed = service.store(store_id).list()
    shares = len(service.family(store_id)) > 1  # what is named in a store of the family is counted there
    infos: list[BlobInfo] = []
    after, ends = "", False
    while after != _END:
        if not infos and not ends:
            infos = list(islice(listed, _PAGE))
            ends = len(infos) < _PAGE
        up_to = _END if ends else infos[-1].key
        # The fence is read before the names: a blob behind it that is not named then never will be.
        fence = fence_of(service, store_id)
        named, up_to = _names(service, store_id, after, up_to)
        progress.advance()
        here = {info.key: info for info in infos if info.key <= up_to}
        infos = [info for info in infos if info.key > up_to]
        mentions = {key: list(found) for key, found in groupby(named, lambda one: one.blob_key)}
        for key in sorted(here.keys() | mentions.keys()):
            progress.blobs += key in here and (key in mentions or not shares)
            info = here.get(key)
            yield from _judge(service, store_id, key, info, mentions.get(key, []), fence)
            if read and info is not None and key in mentions:
                yield from reread(service, store_id, info, mentions[key], progress)
        after = up_to


def _names(service: ObjectService, store_id: int, after: str, up_to: str) -> tuple[list[Named], str]:
    """Mentions up to a key of which, and of all before, every mention is there; and that key."""
    limit = _NAMES
    while True:
        named = audit.names(service.database, store_id, after, up_to, limit)
        if len(named) < limit:
            return named, up_to
        last = named[-1].blob_key
        whole = [one for one in named if one.blob_key != last]
        if whole:
            return whole, whole[-1].blob_key
        limit *= 4  # a blob that is copied that often


def _judge(
    service: ObjectService, store_id: int, key: str, info: BlobInfo | None, mentions: list[Named], fence: int
) -> Iterator[Finding]:
    owners = [one for one in mentions if one.role in _OWNERS]
    owner = owners[0] if owners else None

    def found(kind: Kind, text: str) -> Finding:
        return Finding(
            kind, text, owner.bucket_id if owner else None, owner.key if owner else None, store_id, key
        )

    counted = next((one.sequence or 0 for one in mentions if one.role == "shared"), None)
    if (owners and len(owners) != (counted or 1)) or (counted is not None and counted < 2):
        yield found(
            Kind.WRONG_COUNT,
            f"is named {len(owners)} times, and counted {1 if counted is None else counted} times",
        )
    elif counted is not None and not owners:
        yield found(Kind.WRONG_COUNT, f"is not named, and counted {counted} times")
    if owners and any(one.role == "garbage" for one in mentions):
        yield found(Kind.IN_GARBAGE, "is named, and is to be deleted")
    if info is None:
        if owners:
            yield from _look_again(
                service, store_id, key, owners, found(Kind.LOST_BYTES, "is not in its store")
            )
        return
    size = next((one.size for one in owners if one.size is not None), info.size)
    if size != info.size:
        yield found(Kind.WRONG_SIZE, f"has {info.size} bytes, and should have {size}")
    if not mentions:
        yield from _orphan(service, store_id, info, fence)


def _look_again(
    service: ObjectService, store_id: int, key: str, owners: list[Named], lost: Finding
) -> Iterator[Finding]:
    try:
        found = size_at_origin(service.store(store_id), key)
    except BlobNotFound:
        if audit.is_named(service.database, store_id, key):
            yield lost
        return
    except BlobCorrupt as error:
        yield replace(lost, kind=Kind.UNREADABLE, text=f"cannot be read: {error.message}")
        return
    size = next((one.size for one in owners if one.size is not None), found)
    if size != found:
        yield replace(lost, kind=Kind.WRONG_SIZE, text=f"has {found} bytes, and should have {size}")


def _orphan(service: ObjectService, store_id: int, info: BlobInfo, fence: int) -> Iterator[Finding]:
    written = written_ns(info.key)
    if written is None or written >= fence:
        return  # somebody else's file; or an upload that is under way
    family = service.family(store_id)
    if family[0] != store_id or (len(family) > 1 and named_in(service, store_id, info.key, info.key)):
        return  # of another store that shares it, or told of there
    facts = facts_of(service.store(store_id), info.key)
    if facts is None:
        return  # it was garbage, and is swept by now
    lost = any(loss.covers(written, sequence_in(facts)) for loss in fences.losses(service.database))
    kind, text = Kind.ORPHAN, "is named by nothing"
    if lost:
        kind, text = Kind.KEPT_ORPHAN, "is newer than the catalog that was restored"
    of = f" of {facts['bucket']}/{facts['key']}" if "bucket" in facts and "key" in facts else ""
    yield Finding(kind, f"{text}; {info.size} bytes{of}", store_id=store_id, blob=info.key)
