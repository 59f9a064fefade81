"""Do the catalog and its stores agree? A reader only, also of a service in use, and never with all of it in memory.

    progress = Progress()
    for finding in audit(service, progress):
        print(finding.kind, finding.text)

It shares nothing with the checker of the drills (`dolium.testing.checker`), which judges it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from dolium.catalog.audit import garbage_totals
from dolium.objects.audit.blobs import store_blobs
from dolium.objects.audit.books import rows, usage
from dolium.objects.audit.findings import LEFTOVERS, Finding, Kind, Progress
from dolium.objects.service import ObjectService

__all__ = ["LEFTOVERS", "Finding", "Kind", "Progress", "audit"]


def audit(service: ObjectService, progress: Progress, *, read: bool = False) -> Iterator[Finding]:
    """Everything that does not agree, as it is found. `read`: read every byte again.

    Raises StoreUnavailable, CatalogUnavailable.
    """
    yield from usage(service)
    yield from rows(service, progress, read=read)
    for store_id in service.stores:
        yield from store_blobs(service, store_id, progress, read=read)
    progress.garbage, progress.due = garbage_totals(service.database, time.time_ns() // 1_000_000)
