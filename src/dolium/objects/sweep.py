"""Delete the blobs that no row points at any more, once their grace is over."""

from __future__ import annotations

import time

from dolium.catalog import blobs
from dolium.catalog.blobs import Garbage
from dolium.crashpoints import reach
from dolium.errors import DoliumError
from dolium.objects.service import ObjectService

__all__ = ["sweep"]

_BATCH = 500


def sweep(service: ObjectService, *, now_ms: int | None = None) -> int:
    """Delete what is due; how many blobs went. What cannot be deleted now stays for the next time, and keeps
    nothing else from going.
    """
    moment = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    swept = 0
    last: Garbage | None = None
    while True:
        garbage = blobs.due(service.database, moment, _BATCH, after=last)
        gone = [item for item in garbage if _delete(service, item)]
        if gone:
            service.database.write(lambda tx, gone=gone: blobs.forget(tx, gone))  # type: ignore[misc]
            reach("sweep.forgotten")
        swept += len(gone)
        if len(garbage) < _BATCH:
            return swept
        last = garbage[-1]


def _delete(service: ObjectService, item: Garbage) -> bool:
    try:
        service.store(item.store_id).delete(item.blob_key)
    except DoliumError:
        return False
    reach("sweep.deleted")
    return True
