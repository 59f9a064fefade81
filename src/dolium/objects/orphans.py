"""Find and delete blobs that nothing names: no row, part, manifest, shared blob or garbage.

A crash between the fsync of a blob and its commit leaves one, and so does a catalog that fails just then. Three
rules keep good blobs:

* Only blobs behind the fence of the store (`catalog.fences`) are looked at. The catalog refuses to publish those,
  so one that nothing names in a snapshot taken afterwards will never be named: whatever a request that is under way
  does, and however slow it is. At the start of a service, when nobody can be writing, the fence is raised to that
  moment; later it stays a week behind, which is how long one upload may take.
* A catalog that was restored from a backup does not name what was written after the backup. Blobs of that time are
  kept, and told of.
* Only blobs with a key of our making are looked at: an adopted tree stays as it is.

The members of a replicated store hold its blobs, and may have blobs of their own: all of them are looked at together,
in the replicated store.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile
from typing import Any

from dolium.catalog import blobs, fences
from dolium.catalog.database import Transaction
from dolium.crashpoints import reach
from dolium.errors import BlobCorrupt, BlobNotFound
from dolium.objects.blob_keys import blob_key, written_ns
from dolium.objects.service import ObjectService
from dolium.stores.contract import BlobStore, KeepsDescriptions, unwrap
from dolium.values import BlobInfo

__all__ = [
    "LONGEST_UPLOAD_NS",
    "Orphan",
    "SweptOrphans",
    "facts_of",
    "fence_of",
    "find",
    "named_in",
    "raise_fence",
    "sequence_in",
    "sweep_orphans",
]

LONGEST_UPLOAD_NS = 7 * 86400 * 10**9
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Orphan:
    """A blob that nothing names. `facts`: its description. `lost`: it may be of a time that the catalog has not
    seen, and is kept.
    """

    key: str
    size: int
    written_ns: int
    facts: dict[str, Any] = field(hash=False)
    lost: bool


@dataclass(frozen=True, slots=True)
class SweptOrphans:
    """`removed` of `size` bytes; `lost`: how many were kept."""

    removed: int = 0
    size: int = 0
    lost: int = 0


def raise_fence(service: ObjectService, store_id: int, *, now_ns: int | None = None) -> None:
    """To a week ago: uploads that take longer are refused at their end."""
    moment = time.time_ns() if now_ns is None else now_ns

    def write(tx: Transaction) -> None:
        for one in service.family(store_id):
            fences.raise_fence(tx, one, moment - LONGEST_UPLOAD_NS)

    service.database.write(write)


def fence_of(service: ObjectService, store_id: int) -> int:
    """Behind it, no blob that lies in the store can be published in whatever store shares it."""
    return min(fences.fence(service.database, one) for one in service.family(store_id))


def find(service: ObjectService, store_id: int) -> Iterator[Orphan]:
    """All orphans behind the fence, by key; none of a member. Raises StoreUnavailable, CatalogUnavailable."""
    if service.family(store_id)[0] != store_id:
        return
    for batch in _batches(service, store_id, 0):
        yield from _orphans(service, store_id, batch)


def sweep_orphans(
    service: ObjectService,
    store_id: int,
    *,
    whole: bool = False,
    even_lost: bool = False,
    go_on: Callable[[], bool] = lambda: True,
) -> SweptOrphans:
    """Delete the orphans behind the fence: those that came since the last time, or of the `whole` store.

    `even_lost`: also what a restored catalog has not seen. `go_on` is asked every 500 blobs; after its no, the next
    call begins there. Raises StoreError, CatalogUnavailable; then the next call begins where this one did.
    """
    swept = SweptOrphans()
    fence = reached = fence_of(service, store_id)
    start = 0 if whole else fences.walked(service.database, store_id)
    if service.family(store_id)[0] != store_id:
        service.database.write(lambda tx: fences.set_walked(tx, store_id, reached))
    elif start < fence:
        for batch in _batches(service, store_id, start):
            for orphan in _orphans(service, store_id, batch):
                if orphan.lost and not even_lost:
                    swept = replace(swept, lost=swept.lost + 1)
                    continue
                service.store(store_id).delete(orphan.key)
                reach("orphans.deleted")
                swept = replace(swept, removed=swept.removed + 1, size=swept.size + orphan.size)
            if not go_on():
                reached = written_ns(batch[-1].key) or 0
                break
        reach("orphans.walked")
        service.database.write(lambda tx: fences.set_walked(tx, store_id, reached))
    return swept


def _batches(service: ObjectService, store_id: int, after_ns: int) -> Iterator[list[BlobInfo]]:
    """Blobs of our making behind the fence, 500 at a time, whose uploads began at `after_ns` or later."""
    end = blob_key(fence_of(service, store_id), "")
    listed = service.store(store_id).list(after=blob_key(after_ns, ""))
    ours = (
        info for info in takewhile(lambda info: info.key < end, listed) if written_ns(info.key) is not None
    )
    while batch := list(islice(ours, _BATCH)):
        yield batch


def _orphans(service: ObjectService, store_id: int, batch: list[BlobInfo]) -> Iterator[Orphan]:
    """Those of a batch that nothing names, as the catalog is after the blobs were listed."""
    named = named_in(service, store_id, batch[0].key, batch[-1].key)
    losses = fences.losses(service.database)
    for info in batch:
        if info.key in named:
            continue
        facts = facts_of(service.store(store_id), info.key)
        if facts is None:
            continue
        written = written_ns(info.key) or 0
        lost = any(loss.covers(written, sequence_in(facts)) for loss in losses)
        yield Orphan(info.key, info.size, written, facts, lost)


def named_in(service: ObjectService, store_id: int, first: str, last: str) -> set[str]:
    """The keys from `first` to `last` that a row names in this store, or in one that shares its blobs."""
    family = service.family(store_id)
    with service.database.reading() as read:  # one moment: a blob of a member may become the group's
        return set().union(*(blobs.named(read, one, first, last) for one in family))


def facts_of(store: BlobStore, key: str) -> dict[str, Any] | None:
    """The description of a blob; empty if it has none that can be read, None if the blob is gone."""
    power = unwrap(store, KeepsDescriptions)
    if power is None:
        return {}
    try:
        found = json.loads(power.description(key).get("dolium", "{}"))
    except BlobNotFound:
        return None
    except (BlobCorrupt, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def sequence_in(facts: dict[str, Any]) -> int | None:
    sequence = facts.get("sequence")
    return sequence if isinstance(sequence, int) and sequence > 0 else None
