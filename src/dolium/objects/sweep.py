"""Delete the blobs that no row points at any more, once their grace is over."""

from __future__ import annotations

import time

from dolium.catalog import blobs
from dolium.errors import StoreError
from dolium.objects.service import ObjectService

__all__ = ["sweep"]

_BATCH = 500


def sweep(service: ObjectService, *, now_ms: int | None = None) -> int:
    """Delete what is due; how many blobs went. Blobs of a store that is down stay for the next time."""
    moment = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    swept = 0
    while True:
        garbage = blobs.due(service.database, moment, _BATCH)
        gone = []
        for item in garbage:
            try:
                service.store(item.store_id).delete(item.blob_key)
            except StoreError:
                continue
            gone.append(item)
        if gone:
            service.database.write(lambda tx, gone=gone: blobs.forget(tx, gone))  # type: ignore[misc]
        swept += len(gone)
        if len(gone) < _BATCH:
            return swept
