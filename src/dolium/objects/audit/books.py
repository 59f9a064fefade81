"""The catalog with itself: usage, rows and what they stand on.

What must agree is read in one snapshot, a page of rows (for the usage: a bucket) at a time, so that what others commit
meanwhile is seen as a whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from dolium.catalog import audit, objects
from dolium.catalog.audit import Entry, Standing, Totals
from dolium.errors import BlobCorrupt
from dolium.objects.audit.findings import Finding, Kind, Numbers, Progress
from dolium.objects.service import ObjectService
from dolium.values import ChecksumAlgorithm
from dolium.wire.checksums import checksum_of

__all__ = ["rows", "usage"]

_PAGE = 500


def usage(service: ObjectService) -> Iterator[Finding]:
    """The usage of buckets and tenancies is the sum of their rows."""
    for bucket_id in _buckets(service):
        with service.database.reading() as read:
            totals = audit.bucket_totals(read, bucket_id)
        if not totals.exists and (totals.said is not None or totals.true != (0, 0)):
            yield Finding(Kind.STRAY_ROW, _said_of_a_bucket_that_is_gone(totals), bucket_id=bucket_id)
        elif (totals.said or (0, 0)) != totals.true:
            yield Finding(Kind.WRONG_USAGE, f"bucket {bucket_id}: {_said(totals)}", bucket_id=bucket_id)
    with service.database.reading() as read:
        tenancies = audit.tenancy_totals(read)
    for totals in tenancies:
        if (totals.said or (0, 0)) != totals.true:
            yield Finding(Kind.WRONG_USAGE, f"tenancy {totals.id}: {_said(totals)}")


def _buckets(service: ObjectService) -> Iterator[int]:
    found = audit.bucket_of_rows_after(service.database, 0)
    while found is not None:
        yield found
        found = audit.bucket_of_rows_after(service.database, found)


def _said(totals: Totals) -> str:
    objects_, size = totals.said or (0, 0)
    return f"the usage says {objects_} objects of {size} bytes, and it holds {totals.true[0]} of {totals.true[1]} bytes"


def _said_of_a_bucket_that_is_gone(totals: Totals) -> str:
    return f"bucket {totals.id} is gone, and has {totals.true[0]} objects and a usage of {(totals.said or (0, 0))[1]} bytes"


def rows(service: ObjectService, progress: Progress, *, read: bool) -> Iterator[Finding]:
    """Every version has its bytes, or something to stand on; and nothing is there for no version."""
    start = audit.highest_sequence(service.database)
    inline, uploads = Numbers(), Numbers()
    for bucket_id in _buckets(service):
        after = ("", 0)
        while True:
            with service.database.reading() as snapshot:
                page = audit.entries(snapshot, bucket_id, after, _PAGE)
                highest = audit.highest_sequence(snapshot)
                standing = {
                    entry.upload: audit.standing(snapshot, entry.upload, entry.blob_key)
                    for entry in page
                    if entry.upload is not None
                }
            progress.advance()
            for entry in page:
                if entry.inline:
                    inline.add(entry.sequence)
                if entry.upload is not None:
                    uploads.add(entry.upload)
                progress.objects += 1
                progress.bytes += entry.size
                stands_on = None if entry.upload is None else standing[entry.upload]
                yield from _judge(service, entry, stands_on, highest)
                if read and entry.inline and entry.body == entry.size:
                    progress.reread += entry.size
                    yield from _reread(service, entry)
            if len(page) < _PAGE:
                break
            after = (page[-1].key, page[-1].sequence)
    yield from _bodies(service, inline, start)
    yield from _uploads(service, uploads)
    yield from _parts(service)


def _of(entry: Entry, kind: Kind, text: str) -> Finding:
    return Finding(kind, text, entry.bucket_id, entry.key, entry.store_id, entry.blob_key)


def _judge(
    service: ObjectService, entry: Entry, standing: Standing | None, highest: int
) -> Iterator[Finding]:
    if entry.sequence > highest:
        yield _of(
            entry,
            Kind.STRAY_ROW,
            f"has sequence {entry.sequence}, and the catalog knows none above {highest}",
        )
    if entry.inline:
        if entry.body is None:
            yield _of(entry, Kind.LOST_BYTES, "has no bytes in the catalog, where they should be")
        elif entry.body != entry.size:
            yield _of(entry, Kind.WRONG_SIZE, f"has {entry.body} bytes, and should have {entry.size}")
        return
    if entry.store_id is None or entry.blob_key is None:
        yield _of(entry, Kind.LOST_BYTES, "is in no store and not in the catalog")
    elif entry.store_id not in service.stores:
        yield _of(entry, Kind.UNKNOWN_STORE, f"lies in store {entry.store_id}, which is not configured")
    if entry.upload is None:
        return
    if standing is None:
        yield _of(entry, Kind.LOST_BYTES, "stands on parts that are gone")
        return
    if (standing.size, standing.etag) != (entry.size, entry.etag):
        yield _of(entry, Kind.WRONG_SIZE, f"is not the sum of its {standing.parts} parts")
    if standing.refs != standing.versions or not standing.completed:
        text = f"has parts on which {standing.versions} objects stand, and {standing.refs} are counted"
        yield _of(entry, Kind.WRONG_COUNT, text)


def _reread(service: ObjectService, entry: Entry) -> Iterator[Finding]:
    try:
        data = objects.body_of(service.database, entry.sequence)
    except BlobCorrupt as error:
        yield _of(entry, Kind.WRONG_BYTES, f"is damaged: {error.message}")
        return
    if data is None:
        return  # replaced meanwhile, or found missing in a snapshot
    algorithm, _, value = entry.checksum.partition(" FULL_OBJECT ")
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != entry.etag:
        yield _of(entry, Kind.WRONG_BYTES, "has bytes that are not those of its ETag")
    elif value and checksum_of(ChecksumAlgorithm(algorithm), data).value != value:
        yield _of(entry, Kind.WRONG_BYTES, f"has bytes that are not those of its {algorithm}")


def _bodies(service: ObjectService, known: Numbers, start: int) -> Iterator[Finding]:
    """Bytes in the catalog that are of no version. Those that came after the start are not looked at."""
    after = 0
    while page := audit.bodies_after(service.database, after, _PAGE):
        after = page[-1]
        for sequence in page:
            if sequence <= start and sequence not in known:
                if audit.bodies_after(service.database, sequence - 1, 1) != [sequence]:
                    continue  # deleted meanwhile, and its version with it
                yield Finding(Kind.STRAY_ROW, f"inline bytes {sequence} are of no version")


def _uploads(service: ObjectService, known: Numbers) -> Iterator[Finding]:
    after = 0
    while page := audit.uploads_after(service.database, after, _PAGE):
        after = page[-1][0]
        for upload, completed, has_bucket in page:
            if not completed and not has_bucket:
                yield Finding(Kind.STRAY_ROW, f"upload {upload} is open in a bucket that is gone")
            # One that was completed meanwhile is not known; such are few, and each is looked for.
            if completed and upload not in known and not _stands(service, upload):
                yield Finding(Kind.STRAY_ROW, f"upload {upload} is completed, and no object stands on it")


def _stands(service: ObjectService, upload: int) -> bool:
    """Whether a version stands on the upload, or it is gone by now."""
    with service.database.reading() as read:
        there = audit.uploads_after(read, upload - 1, 1)[:1]
        return not there or there[0][0] != upload or audit.stands_somewhere(read, upload)


def _parts(service: ObjectService) -> Iterator[Finding]:
    after = 0
    while (owner := audit.part_owner_after(service.database, after)) is not None:
        after, there = owner
        if not there:
            yield Finding(Kind.STRAY_ROW, f"there are parts of upload {after}, which is gone")
