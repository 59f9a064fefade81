"""Multipart uploads: begun, filled with parts, completed into an object or aborted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dolium.catalog import blobs, buckets
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Read, Row, Snapshot, Transaction
from dolium.catalog.objects import Part, parts_of
from dolium.crashpoints import reach
from dolium.errors import UploadNotFound

__all__ = [
    "Upload",
    "UploadPage",
    "abort",
    "abort_all",
    "begin",
    "complete",
    "find",
    "list_parts",
    "list_uploads",
    "put_part",
    "share",
]


@dataclass(frozen=True, slots=True)
class Upload:
    """`algorithm` and `type` are of the object's checksum, or empty. `completed`: the answer that was
    given, as JSON, or None while the upload is open.
    """

    id: int
    upload_id: str
    bucket_id: int
    key: str
    owner_id: int | None
    initiator: str
    algorithm: str
    type: str
    headers: str
    created_ms: int
    completed: str | None


@dataclass(frozen=True, slots=True)
class UploadPage:
    """`next_after` is (key, upload id) to go on with; None on the last page."""

    uploads: list[Upload]
    prefixes: list[str]
    next_after: tuple[str, str] | None


_SELECT = "SELECT id, upload_id, bucket_id, key, owner_id, initiator, algorithm, type, headers, created_ms, completed FROM uploads"


def _upload(row: Row) -> Upload:
    return Upload(*row)


def begin(tx: Transaction, bucket: Bucket, upload: Upload) -> Upload:
    """Open the upload; its `id` is given. Raises BucketNotFound."""
    buckets.require(tx, bucket)
    number = tx.insert(
        "INSERT INTO uploads (upload_id, bucket_id, key, owner_id, initiator, algorithm, type, headers, created_ms) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
        upload.upload_id, bucket.id, upload.key, upload.owner_id, upload.initiator, upload.algorithm,
        upload.type, upload.headers, tx.now_ms,
    )  # fmt: skip
    reach("upload.begun")
    return Upload(
        number, upload.upload_id, bucket.id, upload.key, upload.owner_id, upload.initiator, upload.algorithm,
        upload.type, upload.headers, tx.now_ms, None,
    )  # fmt: skip


def find(read: Read, bucket_id: int, key: str, upload_id: str, *, completed: bool = False) -> Upload:
    """Raises UploadNotFound; also for a completed one, unless those are asked for too."""
    row = read.one(
        f"{_SELECT} WHERE upload_id = $1 AND bucket_id = $2 AND key = $3", upload_id, bucket_id, key
    )
    if row is None or (row[10] is not None and not completed):
        raise UploadNotFound(upload_id)
    return _upload(row)


def put_part(tx: Transaction, upload: Upload, part: Part, *, grace_ms: int) -> None:
    """Add the part, or put it in the place of an earlier one. Raises UploadNotFound if the upload was
    completed or aborted meanwhile.
    """
    if tx.one("SELECT 1 FROM uploads WHERE id = $1 AND completed IS NULL", upload.id) is None:
        raise UploadNotFound(upload.upload_id)
    old = tx.one(
        "SELECT store_id, blob_key FROM parts WHERE upload = $1 AND number = $2", upload.id, part.number
    )
    if old is not None:
        blobs.release(tx, old[0], old[1], grace_ms)
        reach("part.released")
    tx.run(
        "INSERT INTO parts (upload, number, size, etag, checksum, store_id, blob_key, modified_ms) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (upload, number) DO UPDATE SET size = excluded.size, "
        "etag = excluded.etag, checksum = excluded.checksum, store_id = excluded.store_id, "
        "blob_key = excluded.blob_key, modified_ms = excluded.modified_ms",
        upload.id, part.number, part.size, part.etag, part.checksum, part.store_id, part.blob_key, tx.now_ms,
    )  # fmt: skip
    reach("part.entered")


def complete(tx: Transaction, upload: Upload, chosen: Sequence[Part], answer: str, *, grace_ms: int) -> None:
    """Close the upload with exactly the parts `chosen`; others become garbage. The object's row, published
    in the same transaction, holds the first reference. Raises UploadNotFound if it is no longer open, or if a
    part is not the one that was chosen.
    """
    if tx.one("SELECT 1 FROM uploads WHERE id = $1 AND completed IS NULL", upload.id) is None:
        raise UploadNotFound(upload.upload_id)
    wanted = {part.number: part.blob_key for part in chosen}
    present = parts_of(tx, upload.id)
    if sum(wanted.get(part.number) == part.blob_key for part in present) != len(wanted):
        raise UploadNotFound(upload.upload_id)
    for part in present:
        if part.number not in wanted:
            blobs.release(tx, part.store_id, part.blob_key, grace_ms)
            tx.run("DELETE FROM parts WHERE upload = $1 AND number = $2", upload.id, part.number)
    tx.run("UPDATE uploads SET completed = $1, refs = 1 WHERE id = $2", answer, upload.id)
    reach("upload.closed")


def share(tx: Transaction, upload: int) -> None:
    """One more object stands on the parts of a completed upload. Raises UploadNotFound."""
    if tx.one("UPDATE uploads SET refs = refs + 1 WHERE id = $1 AND refs > 0 RETURNING refs", upload) is None:
        raise UploadNotFound("")


def abort(tx: Transaction, upload: Upload, *, grace_ms: int) -> None:
    """Forget the upload and its parts. Raises UploadNotFound if it is no longer open."""
    if tx.one("SELECT 1 FROM uploads WHERE id = $1 AND completed IS NULL", upload.id) is None:
        raise UploadNotFound(upload.upload_id)
    for part in parts_of(tx, upload.id):
        blobs.release(tx, part.store_id, part.blob_key, grace_ms)
    reach("abort.released")
    tx.run("DELETE FROM parts WHERE upload = $1", upload.id)
    tx.run("DELETE FROM uploads WHERE id = $1", upload.id)
    reach("abort.forgotten")


def abort_all(tx: Transaction, bucket: Bucket, *, grace_ms: int) -> None:
    """Abort every open upload of a bucket that is being deleted."""
    for row in tx.all(f"{_SELECT} WHERE bucket_id = $1 AND completed IS NULL", bucket.id):
        abort(tx, _upload(row), grace_ms=grace_ms)


def list_parts(read: Read, upload: int, *, after: int = 0, limit: int = 1000) -> list[Part]:
    """Parts numbered above `after`."""
    rows = read.all(
        "SELECT number, size, etag, checksum, store_id, blob_key, modified_ms FROM parts "
        "WHERE upload = $1 AND number > $2 ORDER BY number LIMIT $3",
        upload, after, limit,
    )  # fmt: skip
    return [Part(*row) for row in rows]


def list_uploads(
    read: Snapshot,
    bucket_id: int,
    *,
    prefix: str = "",
    delimiter: str = "",
    after: tuple[str, str] = ("", ""),
    limit: int = 1000,
) -> UploadPage:
    """Open uploads by key, then by upload id (which is time-ordered), behind `after`.

    `after` with an empty upload id means behind every upload of that key.
    """
    uploads: list[Upload] = []
    prefixes: list[str] = []
    last: tuple[str, str] | None = None
    key, upload_id = after
    rows = read.rows(
        f"{_SELECT} WHERE bucket_id = $1 AND completed IS NULL AND key >= $2 ORDER BY key, upload_id",
        bucket_id, max(key, prefix),
    )  # fmt: skip
    for row in rows:
        upload = _upload(row)
        if not upload.key.startswith(prefix):
            break
        if (upload.key, upload.upload_id) <= (key, upload_id) or (upload.key == key and not upload_id):
            continue
        cut = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        folded = upload.key[: cut + len(delimiter)] if cut >= 0 else None
        if folded is not None and (folded in prefixes[-1:] or (key.startswith(folded) and not upload_id)):
            continue
        if len(uploads) + len(prefixes) == limit:
            return UploadPage(uploads, prefixes, last)
        if folded is None:
            uploads.append(upload)
            last = (upload.key, upload.upload_id)
        else:
            prefixes.append(folded)
            last = (folded, "")
    return UploadPage(uploads, prefixes, None)
