"""Delete the blobs that no row points at any more, once their grace is over.

What a backup may name stays for longer (`Limits.hold_ms`, docs/backup.md): a blob that was written before the backup
was taken and discarded after. It is looked at once when its grace is over, and then put off, so that no round of the
sweep reads what it cannot delete. A small blob beside it tells a later rebuild that it was discarded.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable
from itertools import groupby

from dolium.catalog import backups, blobs
from dolium.catalog.backups import Span
from dolium.catalog.blobs import Garbage
from dolium.catalog.database import Transaction
from dolium.crashpoints import reach
from dolium.errors import DoliumError, StoreError
from dolium.objects.blob_keys import written_ns
from dolium.objects.service import ObjectService
from dolium.stores.contract import DeletesMany, PutOptions, unwrap

__all__ = ["WORD", "release_held", "sweep"]

WORD = "discarded"
"""Of the description of a blob that lists the keys of discarded ones, a line each."""

_BATCH = 500


def sweep(
    service: ObjectService, *, now_ms: int | None = None, go_on: Callable[[], bool] = lambda: True
) -> int:
    """Delete what is due; how many blobs went. What cannot be deleted now stays for the next time, and keeps
    nothing else from going. `go_on` is asked every 500 blobs, and where a store deletes them one by one, before each.
    """
    moment = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    swept = 0
    last: Garbage | None = None
    while go_on():
        garbage = blobs.due(service.database, moment, _BATCH, after=last)
        due = _without_held(service, garbage, moment)
        swept += _delete_all(service, due, go_on)
        if len(garbage) < _BATCH:
            break
        last = garbage[-1]
    return swept


def release_held(service: ObjectService, store_id: int, *, enough: Callable[[], bool]) -> int:
    """Delete from a store what only a backup may name, the longest held first, until there is `enough` room; how many
    blobs went.
    """
    released = 0
    while not enough():
        gone = _delete_all(service, blobs.holding(service.database, store_id, _BATCH), lambda: True)
        if not gone:
            break
        released += gone
    return released


def _without_held(service: ObjectService, garbage: list[Garbage], moment: int) -> list[Garbage]:
    """Those that no backup may name; the others are put off, and word of them is left."""
    hold_ms = service.limits.hold_ms
    fresh = [item for item in garbage if not item.held and item.since_ms + hold_ms > moment]
    if not fresh:
        return garbage
    taken = backups.spans(service.database)
    held = [item for item in fresh if _is_named(item, taken)]
    if held:
        words = _leave_word(service, held)
        until = [(item.since_ms + hold_ms, item) for item in held]

        def write(tx: Transaction) -> None:
            blobs.hold(tx, until)
            for store_id, blob_key in words:
                blobs.discard(tx, store_id, blob_key, hold_ms, held=True)

        service.database.write(write)
    kept = {item.id for item in held}
    return [item for item in garbage if item.id not in kept]


def _leave_word(service: ObjectService, held: list[Garbage]) -> list[tuple[int, str]]:
    """In each store a blob that lists what was discarded: should the catalog be lost, and an older one come in its
    place, that one can know what was deleted since. Where a store takes none, nothing is left.
    """
    words = []
    for store_id in {item.store_id for item in held}:
        text = "\n".join(item.blob_key for item in held if item.store_id == store_id).encode()
        blob_key = service.new_blob_key()
        options = PutOptions(size=len(text), description={"dolium": json.dumps({WORD: len(held)})})
        with contextlib.suppress(StoreError):
            service.store(store_id).put(blob_key, io.BytesIO(text), options=options)
            words.append((store_id, blob_key))
    reach("sweep.told")
    return words


def _is_named(item: Garbage, taken: list[Span]) -> bool:
    written_ms = (written_ns(item.blob_key) or 0) // 1_000_000
    return any(span.may_name(written_ms, item.since_ms) for span in taken)


def _delete_all(service: ObjectService, garbage: list[Garbage], go_on: Callable[[], bool]) -> int:
    gone: list[Garbage] = []
    for store_id, items in groupby(sorted(garbage, key=_store_of), key=_store_of):
        gone += _delete(service, store_id, list(items), go_on)
    if gone:
        reach("sweep.deleted")
        service.database.write(lambda tx: blobs.forget(tx, gone))
        reach("sweep.forgotten")
    return len(gone)


def _store_of(item: Garbage) -> int:
    return item.store_id


def _delete(
    service: ObjectService, store_id: int, items: list[Garbage], go_on: Callable[[], bool]
) -> list[Garbage]:
    """Those that are gone."""
    try:
        store = service.store(store_id)
        power = unwrap(store, DeletesMany)
        if power is not None:
            deleted = power.delete_many([item.blob_key for item in items])
            return [item for item in items if item.blob_key in deleted]
    except DoliumError:
        return []
    gone = []
    for item in items:
        if not go_on():
            break
        try:
            store.delete(item.blob_key)
        except DoliumError:
            continue
        gone.append(item)
    return gone
