"""Rows for what was found in stores, where the catalog that had them is lost (`objects.rebuild`)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence

from dolium.catalog import blobs, buckets, tenancies
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Read, Transaction
from dolium.catalog.objects import ObjectRow, Part
from dolium.catalog.uploads import Upload

__all__ = [
    "bucket",
    "enter_upload",
    "forget_part",
    "known_owner",
    "open_parts",
    "open_upload",
    "owners_of",
    "stand_on",
    "stored_rows",
    "tenancy_of",
]

_PAGE = 1000


def bucket(tx: Transaction, tenancy_id: int, name: str, owner_id: int | None) -> Bucket:
    """The bucket; if need be it is made, and so is its tenancy, under a name that says that nobody knows its own."""
    found = buckets.find(tx, tenancy_id, name)
    if found is not None:
        return found
    if tx.one("SELECT 1 FROM tenancies WHERE id = $1", tenancy_id) is None:
        placeholder = f"tenancy-{tenancy_id}"
        if tenancies.find(tx, placeholder) is not None:
            placeholder = f"{placeholder}-{secrets.token_hex(4)}"
        tx.run(
            "INSERT INTO tenancies (id, name, title, canonical_id, created_ms) VALUES ($1, $2, $3, $4, $5)",
            tenancy_id, placeholder, "found again without its name", secrets.token_hex(32), tx.now_ms,
        )  # fmt: skip
    return buckets.create(tx, tenancy_id, name, owner_id)


def tenancy_of(read: Read, tenancy_id: int) -> str | None:
    """The name of a tenancy, if it is known."""
    row = read.one("SELECT name FROM tenancies WHERE id = $1", tenancy_id)
    return str(row[0]) if row else None


def known_owner(read: Read, person_id: int) -> int | None:
    """The person, if known, else a site admin. 0, the tenancy itself, stays so: None."""
    if not person_id:
        return None
    row = read.one(
        "SELECT id FROM people WHERE id = $1 OR site_admin = 1 ORDER BY id = $1 DESC, id LIMIT 1", person_id
    )
    return int(row[0]) if row else None


def open_upload(read: Read, upload_id: str) -> Upload | None:
    """The upload of that id, if it is open."""
    row = read.one(
        "SELECT id, upload_id, bucket_id, key, owner_id, initiator, algorithm, type, headers, created_ms, completed "
        "FROM uploads WHERE upload_id = $1 AND completed IS NULL",
        upload_id,
    )
    return Upload(*row) if row else None


def enter_upload(tx: Transaction, upload: Upload, parts: Sequence[Part], *, grace_ms: int) -> int:
    """A completed upload with exactly these parts, which no object stands on yet; its number. One that is open is
    closed with them, one that is completed stays as it is.
    """
    row = tx.one("SELECT id, completed FROM uploads WHERE upload_id = $1", upload.upload_id)
    if row is not None and row[1] is not None:
        return int(row[0])
    if row is None:
        number = tx.insert(
            "INSERT INTO uploads (upload_id, bucket_id, key, owner_id, initiator, algorithm, type, headers, created_ms, "
            "completed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
            upload.upload_id, upload.bucket_id, upload.key, upload.owner_id, upload.initiator, upload.algorithm,
            upload.type, upload.headers, upload.created_ms, upload.completed,
        )  # fmt: skip
    else:
        number = int(row[0])
        tx.run("UPDATE uploads SET completed = $1 WHERE id = $2", upload.completed, number)
    wanted = {part.blob_key for part in parts}
    for store_id, blob_key in tx.all("SELECT store_id, blob_key FROM parts WHERE upload = $1", number):
        if blob_key not in wanted:
            blobs.release(tx, store_id, blob_key, grace_ms)
    tx.run("DELETE FROM parts WHERE upload = $1", number)
    for part in parts:
        blobs.take_back(tx, part.store_id, part.blob_key)
        tx.run(
            "INSERT INTO parts (upload, number, size, etag, checksum, store_id, blob_key, modified_ms) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            number, part.number, part.size, part.etag, part.checksum, part.store_id, part.blob_key,
            part.modified_ms,
        )  # fmt: skip
    return number


def stand_on(tx: Transaction, upload: int) -> None:
    """One more object, or the first, stands on the parts of a completed upload."""
    tx.run("UPDATE uploads SET refs = refs + 1 WHERE id = $1", upload)


_ROW = (
    "bucket_id, key, sequence, version, kind, size, etag, checksum, modified_ms, owner_id, headers, inline, store_id, "
    "blob_key, upload, manifest"
)


def stored_rows(read: Read, up_to: int) -> Iterator[tuple[Bucket, ObjectRow]]:
    """Versions up to a sequence whose bytes lie in a store, as they are while one asks for them."""
    known = _buckets(read)
    bucket_id, key = 0, ""
    while True:
        rows = read.all(
            f"SELECT {_ROW} FROM objects WHERE (bucket_id, key) > ($1, $2) AND store_id IS NOT NULL "
            "AND sequence <= $3 ORDER BY bucket_id, key LIMIT $4",
            bucket_id, key, up_to, _PAGE,
        )  # fmt: skip
        yield from ((known[row[0]], ObjectRow(*row)) for row in rows)
        if len(rows) < _PAGE:
            return
        bucket_id, key = rows[-1][0], rows[-1][1]


def owners_of(read: Read, blob_key: str) -> list[tuple[Bucket, ObjectRow]]:
    """The rows whose own bytes a blob is, or whose manifest of parts; not copies, which only share it."""
    rows = read.all(f"SELECT {_ROW} FROM objects WHERE blob_key = $1 AND manifest IS NULL", blob_key)
    known = _buckets(read) if rows else {}
    return [(known[row[0]], ObjectRow(*row)) for row in rows]


def _buckets(read: Read) -> dict[int, Bucket]:
    return {
        bucket.id: bucket
        for tenancy in tenancies.every(read)
        for bucket in buckets.in_tenancy(read, tenancy.id, limit=-1)
    }


def open_parts(read: Read, before_ms: int) -> list[tuple[Upload, Part]]:
    """The parts of open uploads that were sent before that time."""
    rows = read.all(
        "SELECT u.id, u.upload_id, u.bucket_id, u.key, u.owner_id, u.initiator, u.algorithm, u.type, u.headers, "
        "u.created_ms, u.completed, p.number, p.size, p.etag, p.checksum, p.store_id, p.blob_key, p.modified_ms "
        "FROM parts p JOIN uploads u ON u.id = p.upload WHERE u.completed IS NULL AND p.modified_ms <= $1",
        before_ms,
    )
    return [(Upload(*row[:11]), Part(*row[11:])) for row in rows]


def forget_part(tx: Transaction, upload: Upload, part: Part) -> None:
    """The bytes of a part of an open upload are gone."""
    tx.run(
        "DELETE FROM parts WHERE upload = $1 AND number = $2 AND blob_key = $3",
        upload.id, part.number, part.blob_key,
    )  # fmt: skip
