"""Objects and their versions: publish, find, remove.

The newest version of a key has the highest sequence. In a bucket without versioning a key has one row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dolium.catalog import blobs, buckets
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Read, Transaction
from dolium.crashpoints import reach
from dolium.errors import BlobCorrupt, ObjectNotFound, Overtaken, QuotaExceeded
from dolium.wire.checksums import crc32c

__all__ = [
    "MARKER",
    "OBJECT",
    "Body",
    "Check",
    "NewObject",
    "ObjectRow",
    "Part",
    "admit",
    "body_crc",
    "body_of",
    "expect_room",
    "find",
    "is_there",
    "parts_of",
    "publish",
    "release_parts",
    "remove",
    "require_newest",
    "require_sound",
    "required",
]

OBJECT, MARKER = 0, 1


@dataclass(frozen=True, slots=True)
class Body:
    """Where bytes lie: in `data`; in one blob; or in the parts of `upload`, with `blob_key` its manifest.

    `manifest`: the description of a copy that shares its bytes with another row.
    """

    data: bytes | None = None
    store_id: int | None = None
    blob_key: str | None = None
    upload: int | None = None
    manifest: str | None = None


@dataclass(frozen=True, slots=True)
class NewObject:
    """A version to publish. `sequence` None: take the next one in the transaction. `modified_ms` None: now."""

    key: str
    size: int
    etag: str
    checksum: str
    owner_id: int | None
    headers: str
    body: Body
    sequence: int | None = None
    modified_ms: int | None = None


class ObjectRow(NamedTuple):
    """A version as it stands in the catalog; the fields are those of the table.

    A tuple, like every row that is made once per request or a thousand times per page: a frozen dataclass
    of this size costs 4 µs.
    """

    bucket_id: int
    key: str
    sequence: int
    version: str
    kind: int
    size: int
    etag: str
    checksum: str
    modified_ms: int
    owner_id: int | None
    headers: str
    inline: int
    store_id: int | None
    blob_key: str | None
    upload: int | None
    manifest: str | None
    damaged: int = 0
    data: bytes | None = None
    crc: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart object or upload."""

    number: int
    size: int
    etag: str
    checksum: str
    store_id: int
    blob_key: str
    modified_ms: int


Check = Callable[[ObjectRow | None], None]
"""Raises PreconditionFailed or ObjectNotFound if the current version is not what the caller demands."""

_COLUMNS = (
    "bucket_id, key, sequence, version, kind, size, etag, checksum, modified_ms, owner_id, headers, "
    "inline, store_id, blob_key, upload, manifest"
)
_CURRENT = f"SELECT {_COLUMNS}, damaged FROM objects WHERE bucket_id = $1 AND key = $2 ORDER BY sequence DESC LIMIT 1"
_CURRENT_BODY = (
    "SELECT o.bucket_id, o.key, o.sequence, o.version, o.kind, o.size, o.etag, o.checksum, o.modified_ms, o.owner_id, "
    "o.headers, o.inline, o.store_id, o.blob_key, o.upload, o.manifest, o.damaged, b.data, b.crc "
    "FROM objects o LEFT JOIN bodies b ON b.sequence = CASE o.inline WHEN 1 THEN o.sequence END "
    "WHERE o.bucket_id = $1 AND o.key = $2 ORDER BY o.sequence DESC LIMIT 1"
)
_INSERT = (
    f"INSERT INTO objects ({_COLUMNS}) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
)


_FULL = "The tenancy's quota would be exceeded. Delete objects, or ask its managers for more space."


def find(read: Read, bucket_id: int, key: str, *, with_body: bool = False) -> ObjectRow | None:
    """The newest version, a delete marker included; with its inline bytes, if it has any and they are
    asked for: both in one statement, so that they belong together.
    """
    row = read.one(_CURRENT_BODY if with_body else _CURRENT, bucket_id, key)
    return ObjectRow(*row) if row else None


def is_there(read: Read, row: ObjectRow) -> bool:
    """Whether the version has been neither replaced nor deleted since it was found."""
    return (
        read.one(
            "SELECT 1 FROM objects WHERE bucket_id = $1 AND key = $2 AND sequence = $3",
            row.bucket_id, row.key, row.sequence,
        )
        is not None
    )  # fmt: skip


def body_of(read: Read, sequence: int) -> bytes | None:
    """The inline bytes of a version. Raises BlobCorrupt."""
    row = read.one("SELECT data, crc FROM bodies WHERE sequence = $1", sequence)
    if row is None:
        return None
    require_sound(row[0], row[1], sequence)
    return bytes(row[0])


def body_crc(data: bytes, sequence: int) -> int:
    """Of inline bytes, so that they are told from those of another version as well."""
    return crc32c(data, sequence & 0xFFFFFFFF)


def require_sound(data: bytes, crc: int | None, sequence: int) -> None:
    """Raises BlobCorrupt for inline bytes that are not those that were written. None: nobody can tell."""
    if crc is not None and body_crc(data, sequence) != crc:
        raise BlobCorrupt("the inline bytes are not those that were written")


def parts_of(read: Read, upload: int) -> list[Part]:
    """The parts of an upload (or of the object it became), by number."""
    rows = read.all(
        "SELECT number, size, etag, checksum, store_id, blob_key, modified_ms FROM parts WHERE upload = $1 ORDER BY number",
        upload,
    )
    return [Part(*row) for row in rows]


def publish(
    tx: Transaction,
    bucket: Bucket,
    new: NewObject,
    *,
    grace_ms: int,
    check: Check | None = None,
    quota: int | None = None,
) -> ObjectRow:
    """Make `new` the current version, and what it replaces garbage.

    Raises BucketNotFound, what `check` raises, QuotaExceeded if the tenancy would hold more than `quota` bytes, and
    Overtaken (`require_newest`).
    """
    buckets.require(tx, bucket)
    current = find(tx, bucket.id, new.key)
    if check is not None:
        check(current)
    require_newest(current, new)
    admit(tx, bucket, current, new.size, quota)
    sequence = tx.next_sequence() if new.sequence is None else tx.note_sequence(new.sequence)
    row = ObjectRow(
        bucket.id, new.key, sequence, "null", OBJECT, new.size, new.etag, new.checksum, _modified(tx, new, current),
        new.owner_id, new.headers, int(new.body.data is not None), new.body.store_id, new.body.blob_key,
        new.body.upload, new.body.manifest,
    )  # fmt: skip
    if current is not None:
        _drop(tx, current, grace_ms)
        reach("object.released")
    tx.run(
        _INSERT, row.bucket_id, row.key, row.sequence, row.version, row.kind, row.size, row.etag, row.checksum,
        row.modified_ms, row.owner_id, row.headers, row.inline, row.store_id, row.blob_key, row.upload, row.manifest,
    )  # fmt: skip
    reach("object.entered")
    if new.body.data is not None:
        tx.run(
            "INSERT INTO bodies (sequence, data, crc) VALUES ($1, $2, $3)",
            sequence, new.body.data, body_crc(new.body.data, sequence),
        )  # fmt: skip
        reach("object.body")
    else:
        reach("object.blob")
    if current is None:
        tx.count(bucket.id, bucket.tenancy_id, 1, new.size)
    else:
        tx.count(bucket.id, bucket.tenancy_id, 0, new.size - current.size)
    return row


def require_newest(current: ObjectRow | None, new: NewObject) -> None:
    """Raises Overtaken if the sequence of `new` was reserved before that of what is there: in the catalog and in the
    descriptions of the blobs the order must be the same.

    Nor can `new` be taken for one that was replaced as soon as it came: what is there may have demanded what it found.
    """
    if current is not None and new.sequence is not None and current.sequence > new.sequence:
        raise Overtaken(new.key)


def admit(tx: Transaction, bucket: Bucket, current: ObjectRow | None, size: int, quota: int | None) -> None:
    """Raises QuotaExceeded if `size` bytes in the place of `current` would take the tenancy over `quota`."""
    growth = size - (current.size if current else 0)
    if quota is not None and growth > 0 and tx.usage_of(bucket.tenancy_id) + growth > quota:
        raise QuotaExceeded(_FULL)


def expect_room(read: Read, bucket: Bucket, key: str, size: int, quota: int) -> None:
    """As `admit`, before the bytes are there: so that none are sent in vain. Raises QuotaExceeded."""
    usage = read.one("SELECT bytes FROM tenancy_usage WHERE tenancy_id = $1", bucket.tenancy_id)
    if (usage[0] if usage else 0) + size <= quota:
        return
    current = find(read, bucket.id, key)
    growth = size - (current.size if current else 0)
    if growth > 0 and (usage[0] if usage else 0) + growth > quota:
        raise QuotaExceeded(_FULL)


def _modified(tx: Transaction, new: NewObject, current: ObjectRow | None) -> int:
    """Last-Modified never goes backwards for a key, whatever the clock does."""
    moment = tx.now_ms if new.modified_ms is None else new.modified_ms
    return moment if current is None else max(moment, current.modified_ms)


def remove(
    tx: Transaction, bucket: Bucket, key: str, *, grace_ms: int, check: Check | None = None
) -> ObjectRow | None:
    """Remove the object; what was there, or None. Raises what `check` raises."""
    current = find(tx, bucket.id, key)
    if check is not None:
        check(current)
    if current is None:
        return None
    _drop(tx, current, grace_ms)
    reach("object.removed")
    tx.count(bucket.id, bucket.tenancy_id, -1, -current.size)
    return current


def _drop(tx: Transaction, row: ObjectRow, grace_ms: int) -> None:
    tx.run(
        "DELETE FROM objects WHERE bucket_id = $1 AND key = $2 AND sequence = $3",
        row.bucket_id,
        row.key,
        row.sequence,
    )
    _release(tx, row, grace_ms)


def _release(tx: Transaction, row: ObjectRow, grace_ms: int) -> None:
    """Give up the bytes of a row that is gone, or never came."""
    if row.inline:
        tx.run("DELETE FROM bodies WHERE sequence = $1", row.sequence)
    if row.store_id is None:
        return
    for blob_key in (row.blob_key, row.manifest):
        if blob_key is not None:
            blobs.release(tx, row.store_id, blob_key, grace_ms)
    if row.upload is not None:
        release_parts(tx, row.upload, grace_ms)


def release_parts(tx: Transaction, upload: int, grace_ms: int) -> None:
    """One object less stands on these parts; with the last one they become garbage and the upload is gone."""
    refs = tx.one("UPDATE uploads SET refs = refs - 1 WHERE id = $1 RETURNING refs", upload)
    if refs is not None and refs[0] > 0:
        return
    for part in parts_of(tx, upload):
        blobs.release(tx, part.store_id, part.blob_key, grace_ms)
    tx.run("DELETE FROM parts WHERE upload = $1", upload)
    tx.run("DELETE FROM uploads WHERE id = $1", upload)


def required(row: ObjectRow | None, key: str) -> ObjectRow:
    """The row, if it is an object. Raises ObjectNotFound."""
    if row is None:
        raise ObjectNotFound(key)
    if row.kind == MARKER:
        raise ObjectNotFound(key, version_id=row.version, is_delete_marker=True)
    return row
