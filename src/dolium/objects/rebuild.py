"""Bring back what was written after a backup, from the blobs that it does not know.

    plan = draw_up(service)        # changes nothing
    carry_out(service, plan)

Of the versions of one key the one with the highest sequence stands, whether the catalog has it or a store. A blob that
the catalog does not know comes back; it may have been deleted or replaced by a small object just before the end, which
nobody can tell, so each is listed. What is known to have been deleted does not come back: the sweep has left word of it,
or had begun to delete it. Nor do objects of the catalog stay of which that is known, or of which the bytes are gone: they
are listed, and their rows go. No blob is deleted.

Each step is a transaction and asks again what is there, so a rebuild that is cut off is simply made again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from dolium.catalog import blobs, buckets, fences, objects, salvage, uploads
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Read, Transaction
from dolium.catalog.fences import Loss
from dolium.catalog.objects import Body, NewObject, ObjectRow, Part
from dolium.catalog.uploads import Upload
from dolium.crashpoints import reach
from dolium.objects.blob_keys import written_ns
from dolium.objects.service import ObjectService
from dolium.objects.survey import Found, FoundPart, Kind, Origin, Survey, resolve, size_of, survey
from dolium.values import ChecksumAlgorithm
from dolium.wire.checksums import hasher

__all__ = ["Entry", "Plan", "What", "carry_out", "draw_up"]

_BATCH = 100
_PIECE = 1 << 20
_MANY = 1 << 30  # so many sequences were not handed out: the catalog began anew in between


class What(StrEnum):
    """What becomes of an object, a part or a blob."""

    NEW = "brought back"
    NEWER = "in place of older"
    SOURCE = "source of a copy"
    PART = "part brought back"
    GONE = "bytes are gone"
    PART_GONE = "part is gone"
    DELETED = "was deleted"
    OLDER = "replaced"
    LOOSE = "part of nothing"
    UNKNOWN = "not described"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a plan. `key` None: nobody knows."""

    what: What
    tenancy: str | None
    bucket: str | None
    key: str | None
    size: int
    sequence: int | None
    blob: str | None


@dataclass(slots=True)
class Plan:
    """`since`: the sequence of the backup. `unaccounted`: at most so many writes after it are in no store; None if
    nobody can tell. `small`: objects that lie in the catalog itself, and stay as the backup has them.
    """

    since: int
    unaccounted: int | None
    entries: list[Entry] = field(default_factory=list)
    back: list[Found] = field(default_factory=list)
    parts: list[FoundPart] = field(default_factory=list)
    gone: list[tuple[Bucket, ObjectRow]] = field(default_factory=list)
    gone_parts: list[tuple[Upload, Part]] = field(default_factory=list)
    words: list[tuple[int, str]] = field(default_factory=list)
    even_deleted: bool = False
    small: int = 0

    @property
    def empty(self) -> bool:
        return not (self.back or self.parts or self.gone or self.gone_parts)


def draw_up(service: ObjectService, *, even_deleted: bool = False) -> Plan | None:
    """What a rebuild would do; None for a catalog that has lost nothing. Raises StoreUnavailable, CatalogUnavailable.

    `even_deleted`: what is known to have been deleted comes back, if its bytes are there. Nobody may serve the folder,
    and the fence must stand at this moment (`catalog.fences`).
    """
    losses = fences.losses(service.database)
    if not losses:
        return None
    seen = survey(service)
    if even_deleted:
        seen.discarded.clear()
    since = max(loss.sequence for loss in losses)
    plan = Plan(since, _unaccounted(since, losses, seen), words=seen.words, even_deleted=even_deleted)
    used = _plan_objects(service, plan, seen)
    _list_sources(service, plan, used)
    _plan_parts(service, plan, seen, used)
    _plan_gone(service, plan, seen, used, before_ms=max(loss.found_ms for loss in losses))
    [[plan.small]] = service.database.all(
        "SELECT count(*) FROM objects WHERE inline = 1 AND sequence <= $1", since
    )
    plan.entries += [
        Entry(What.UNKNOWN, None, None, None, orphan.size, None, orphan.key) for _, orphan in seen.unknown
    ]
    return plan


def _unaccounted(since: int, losses: list[Loss], seen: Survey) -> int | None:
    highest = max([since, *(loss.highest for loss in losses), *seen.sequences])
    if not since or highest - since > _MANY:
        return None
    return highest - since - sum(since < number <= highest for number in seen.sequences)


@dataclass(slots=True)
class _Used:
    """Blobs that something stands on that comes back, those of them that it was copied from, and uploads that are
    completed by it.
    """

    blobs: set[str] = field(default_factory=set)
    copied: set[str] = field(default_factory=set)
    uploads: set[str] = field(default_factory=set)


def _plan_objects(service: ObjectService, plan: Plan, seen: Survey) -> _Used:
    used = _Used()
    older: set[str] = set()
    for found in sorted(seen.newest.values(), key=lambda one: one.sequence):
        current = _current(service.database, found)
        if current is not None and current.sequence >= found.sequence:
            plan.entries.append(_entry(service, What.OLDER, found))
            continue
        origin = None if found.blob_key in seen.discarded else resolve(service, found)
        if origin is None or _was_completed(service.database, origin):
            plan.entries.append(_entry(service, What.DELETED if origin is None else What.OLDER, found))
            continue
        used.blobs.update((origin.body, *(part.blob_key for part in origin.parts)))
        if origin.upload_id is not None:
            used.uploads.add(origin.upload_id)
        if found.kind is Kind.COPY:
            used.copied.add(origin.body)
        plan.back.append(found)
        if current is not None:
            older.add(found.blob_key)
    for found in plan.back:
        what = What.NEWER if found.blob_key in older else What.NEW
        plan.entries.append(_entry(service, What.SOURCE if found.blob_key in used.copied else what, found))
    # A version that was replaced may hold the bytes of a copy.
    plan.entries += [
        _entry(service, What.OLDER, found) for found in seen.older if found.blob_key not in used.blobs
    ]
    return used


def _list_sources(service: ObjectService, plan: Plan, used: _Used) -> None:
    """What the catalog has and was copied since: if it was deleted, the copy has kept its bytes, and nobody can tell."""
    newer = {found.place for found in plan.back}
    for blob_key in sorted(used.copied):
        for bucket, row in salvage.owners_of(service.database, blob_key):
            if (bucket.tenancy_id, bucket.name, row.key) not in newer:
                name = salvage.tenancy_of(service.database, bucket.tenancy_id)
                plan.entries.append(
                    Entry(What.SOURCE, name, bucket.name, row.key, row.size, row.sequence, blob_key)
                )


def _was_completed(read: Read, origin: Origin) -> bool:
    """Whether the catalog knows of the upload being completed by another manifest: this one came second."""
    if origin.found.kind is not Kind.PARTS:
        return False
    row = read.one("SELECT 1 FROM uploads WHERE upload_id = $1 AND completed IS NOT NULL", origin.upload_id)
    return row is not None


def _current(read: Read, found: Found) -> ObjectRow | None:
    bucket = buckets.find(read, found.tenancy, found.bucket)
    return None if bucket is None else objects.find(read, bucket.id, found.key)


def _plan_parts(service: ObjectService, plan: Plan, seen: Survey, used: _Used) -> None:
    """Of each part of an upload that is open the newest; those of others are listed."""
    newest: dict[tuple[str, int], FoundPart] = {}
    for part in sorted(seen.parts, key=lambda one: one.sequence):
        if part.blob_key in used.blobs:
            continue
        upload = salvage.open_upload(service.database, part.upload_id)
        if upload is None or part.upload_id in used.uploads or not _is_newer(service.database, upload, part):
            plan.entries.append(Entry(What.LOOSE, None, None, None, part.size, part.sequence, part.blob_key))
            continue
        newest[part.upload_id, part.number] = part
        plan.entries.append(Entry(What.PART, None, None, upload.key, part.size, part.sequence, part.blob_key))
    plan.parts += newest.values()


def _is_newer(read: Read, upload: Upload, part: FoundPart) -> bool:
    row = read.one("SELECT blob_key FROM parts WHERE upload = $1 AND number = $2", upload.id, part.number)
    return row is None or (written_ns(row[0]) or 0) < (written_ns(part.blob_key) or 0)


def _plan_gone(service: ObjectService, plan: Plan, seen: Survey, used: _Used, *, before_ms: int) -> None:
    """Rows that the backup has, and that were deleted since, or whose bytes are not there any more."""
    newer = {found.place for found in plan.back}
    for bucket, row in salvage.stored_rows(service.database, plan.since):
        what = What.DELETED if {row.blob_key, row.manifest} & seen.discarded else What.GONE
        if (bucket.tenancy_id, bucket.name, row.key) in newer:
            continue
        if what is What.GONE and _is_there(service, row):
            continue
        plan.gone.append((bucket, row))
        name = salvage.tenancy_of(service.database, bucket.tenancy_id)
        plan.entries.append(Entry(what, name, bucket.name, row.key, row.size, row.sequence, row.blob_key))
    for upload, part in salvage.open_parts(service.database, before_ms):
        if upload.upload_id not in used.uploads and size_of(service, part.store_id, part.blob_key) is None:
            plan.gone_parts.append((upload, part))
            plan.entries.append(Entry(What.PART_GONE, None, None, upload.key, part.size, None, part.blob_key))


def _is_there(service: ObjectService, row: ObjectRow) -> bool:
    if row.store_id is None:
        return True
    named = [key for key in (row.blob_key, row.manifest) if key is not None]
    if any(size_of(service, row.store_id, key) is None for key in named):
        return False
    parts = [] if row.upload is None else objects.parts_of(service.database, row.upload)
    return all(size_of(service, part.store_id, part.blob_key) is not None for part in parts)


def _entry(service: ObjectService, what: What, found: Found) -> Entry:
    name = salvage.tenancy_of(service.database, found.tenancy) or f"tenancy-{found.tenancy}"
    return Entry(what, name, found.bucket, found.key, found.size, found.sequence, found.blob_key)


def carry_out(service: ObjectService, plan: Plan, *, tell: Callable[[int], None] = lambda _: None) -> None:
    """Do what is planned. `tell` is called with the number of objects that are back so far. Raises StoreUnavailable,
    CatalogUnavailable.
    """
    for at in range(0, len(plan.back), _BATCH):
        known = [
            origin for found in plan.back[at : at + _BATCH] if (origin := resolve(service, found)) is not None
        ]
        service.database.write(lambda tx, known=known: _bring_back(service, tx, known))  # type: ignore[misc]
        reach("rebuild.batch")
        tell(at + len(known))
    for part in plan.parts:
        upload = salvage.open_upload(service.database, part.upload_id)
        if upload is not None:
            _bring_back_part(service, upload, part)
            reach("rebuild.part")
    # Longer than the usual grace: some of their bytes may be there, and somebody may want to look.
    grace_ms = max(service.limits.grace_ms, service.limits.hold_ms)

    def write(tx: Transaction) -> None:
        for bucket, row in plan.gone:
            current = objects.find(tx, bucket.id, row.key)
            if current is not None and current.sequence == row.sequence:
                objects.remove(tx, bucket, row.key, grace_ms=grace_ms)
        for upload, part in plan.gone_parts:
            salvage.forget_part(tx, upload, part)
        for store_id, blob_key in plan.words:
            blobs.take_back(tx, store_id, blob_key)
            # What was taken back must not be known as deleted another time.
            blobs.discard(
                tx, store_id, blob_key, 0 if plan.even_deleted else service.limits.hold_ms, held=True
            )

    service.database.write(write)
    reach("rebuild.gone")


def _bring_back(service: ObjectService, tx: Transaction, known: list[Origin]) -> None:
    grace_ms = service.limits.grace_ms
    for origin in known:
        found, facts = origin.found, origin.facts
        owner = salvage.known_owner(tx, facts["owner"])
        bucket = salvage.bucket(tx, found.tenancy, found.bucket, owner)
        current = objects.find(tx, bucket.id, found.key)
        if current is not None and current.sequence >= found.sequence:
            continue
        upload = None
        if origin.upload_id is not None:
            upload = salvage.enter_upload(tx, _upload(origin, bucket, owner), origin.parts, grace_ms=grace_ms)
            salvage.stand_on(tx, upload)
        # Before the publication, which may release the very row that names it.
        blobs.name(tx, found.store_id, origin.body)
        body = Body(
            store_id=found.store_id,
            blob_key=origin.body,
            upload=upload,
            manifest=found.blob_key if found.kind is Kind.COPY else None,
        )
        new = NewObject(
            found.key, found.size, facts["etag"], facts["checksum"], owner, facts["headers"], body, found.sequence,
            (written_ns(found.blob_key) or 0) // 1_000_000,
        )  # fmt: skip
        objects.publish(tx, bucket, new, grace_ms=grace_ms)
        reach("rebuild.each")


def _upload(origin: Origin, bucket: Bucket, owner: int | None) -> Upload:
    """As it stood when it was completed. Who began it is not known."""
    whole = origin.whole
    algorithm, _, rest = whole["checksum"].partition(" ")
    answer = json.dumps({"etag": whole["etag"], "checksum": whole["checksum"], "size": whole["size"]})
    begun_ms = min(part.modified_ms for part in origin.parts)
    return Upload(
        0, origin.upload_id or "", bucket.id, whole["key"], owner, "", algorithm, rest.partition(" ")[0],
        whole["headers"], begun_ms, answer,
    )  # fmt: skip


def _bring_back_part(service: ObjectService, upload: Upload, found: FoundPart) -> None:
    checksum = _checksum_of(service, upload, found) if upload.algorithm else ""
    modified_ms = (written_ns(found.blob_key) or 0) // 1_000_000
    part = Part(found.number, found.size, found.etag, checksum, found.store_id, found.blob_key, modified_ms)

    def write(tx: Transaction) -> None:
        if _is_newer(tx, upload, found):
            uploads.put_part(tx, upload, part, grace_ms=service.limits.grace_ms)
            tx.note_sequence(found.sequence)

    service.database.write(write)


def _checksum_of(service: ObjectService, upload: Upload, found: FoundPart) -> str:
    """Of the bytes: the description of a part does not tell it."""
    computed = hasher(ChecksumAlgorithm(upload.algorithm))
    with service.store(found.store_id).get(found.blob_key) as reader:
        while piece := reader.read(_PIECE):
            computed.update(piece)
    return base64.b64encode(computed.digest()).decode("ascii")
