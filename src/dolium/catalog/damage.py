"""Blobs, and inline bodies, with which something is not as it should be; and the objects that are held back for it.

*suspect*: a read met wrong bytes. Other reads go on, each checks what it sends; a scrub looks soon.
*corrupt*: a scrub has looked. The objects are marked, and no read of them is answered; what lies in the store stays.
*noted*: the bytes are right, what lies beside them (a description, a manifest) is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dolium.catalog.database import Read, Transaction
from dolium.crashpoints import reach

__all__ = [
    "CORRUPT", "INLINE", "NOTED", "SUSPECT", "Finding", "Subject", "clear", "corrupt_parts", "counts", "enter", "every",
    "find", "forget_unnamed", "places", "suspect",
]  # fmt: skip

INLINE: Final = 0
"""The store id of inline bodies."""

STATES: Final = ("suspect", "corrupt", "noted")
SUSPECT, CORRUPT, NOTED = STATES


@dataclass(frozen=True, slots=True)
class Subject:
    """What a finding is about: a blob of a store, or the inline body of the version with the sequence `blob_key`."""

    store_id: int
    blob_key: str
    bucket_id: int | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """`what`: in words. `seen_ms`: when it was looked at last."""

    id: int
    subject: Subject
    state: str
    what: str
    found_ms: int
    seen_ms: int


_SELECT = "SELECT id, store_id, blob_key, bucket_id, key, state, what, found_ms, seen_ms FROM damage"


def every(read: Read, *, state: str = "", after: int = 0, limit: int = 1000) -> list[Finding]:
    """The oldest first, from behind `after`; of one state, or of all."""
    rows = read.all(
        f"{_SELECT} WHERE id > $1 AND (state = $2 OR $2 = '') ORDER BY id LIMIT $3", after, state, limit
    )
    return [Finding(row[0], Subject(*row[1:5]), *row[5:]) for row in rows]


def find(read: Read, subject: Subject) -> Finding | None:
    """What is known of a blob."""
    row = read.one(f"{_SELECT} WHERE store_id = $1 AND blob_key = $2", subject.store_id, subject.blob_key)
    return Finding(row[0], Subject(*row[1:5]), *row[5:]) if row else None


def counts(read: Read) -> dict[str, int]:
    """How many findings there are of each state."""
    return {row[0]: row[1] for row in read.all("SELECT state, count(*) FROM damage GROUP BY state")}


def suspect(tx: Transaction, subject: Subject, what: str) -> bool:
    """A read met it; whether that is news."""
    if not _is_named(tx, subject) or find(tx, subject) is not None:
        return False
    _write(tx, subject, SUSPECT, what)
    return True


def enter(tx: Transaction, subject: Subject, state: str, what: str) -> bool:
    """A scrub has looked, and it is so. False if nothing names the blob any more: then it is nobody's damage."""
    if not _is_named(tx, subject):
        tx.run("DELETE FROM damage WHERE store_id = $1 AND blob_key = $2", subject.store_id, subject.blob_key)
        return False
    _write(tx, subject, state, what)
    reach("scrub.found")
    _mark(tx, subject)
    return True


def clear(tx: Transaction, subject: Subject) -> None:
    """A scrub has looked, and all is well."""
    tx.run("DELETE FROM damage WHERE store_id = $1 AND blob_key = $2", subject.store_id, subject.blob_key)
    _mark(tx, subject)


def forget_unnamed(tx: Transaction) -> None:
    """Drop findings about what was deleted or replaced since."""
    for finding in every(tx, limit=-1):
        if not _is_named(tx, finding.subject):
            tx.run("DELETE FROM damage WHERE id = $1", finding.id)


def corrupt_parts(read: Read, upload: int) -> set[int]:
    """The numbers of the parts of an upload that are known to be corrupt."""
    rows = read.all(
        "SELECT p.number FROM damage d CROSS JOIN parts p ON p.blob_key = d.blob_key AND p.store_id = d.store_id "
        "WHERE d.state = 'corrupt' AND p.upload = $1",
        upload,
    )
    return {row[0] for row in rows}


def places(read: Read, subject: Subject) -> list[tuple[str, str, str, int | None]]:
    """(tenancy, bucket, key, part) of the objects and open uploads whose blob it is."""
    if subject.store_id == INLINE:
        rows = read.all(
            "SELECT t.name, b.name FROM buckets b JOIN tenancies t ON t.id = b.tenancy_id WHERE b.id = $1",
            subject.bucket_id,
        )
        return [(*row, subject.key or "", None) for row in rows]
    found = read.all(
        f"SELECT t.name, b.name, o.key, NULL FROM objects o {_BUCKETS} "
        "WHERE o.blob_key = $1 AND o.store_id = $2 "
        f"UNION ALL SELECT t.name, b.name, o.key, NULL FROM objects o {_BUCKETS} "
        "WHERE o.manifest = $1 AND o.store_id = $2 "
        "UNION ALL SELECT t.name, b.name, o.key, p.number FROM parts p JOIN objects o ON o.upload = p.upload "
        f"{_BUCKETS} WHERE p.blob_key = $1 AND p.store_id = $2 "
        "UNION ALL SELECT t.name, b.name, o.key, p.number FROM parts p JOIN uploads o ON o.id = p.upload "
        f"{_BUCKETS} WHERE p.blob_key = $1 AND p.store_id = $2 AND o.completed IS NULL",
        subject.blob_key, subject.store_id,
    )  # fmt: skip
    return [(row[0], row[1], row[2], row[3]) for row in found]


_BUCKETS = "JOIN buckets b ON b.id = o.bucket_id JOIN tenancies t ON t.id = b.tenancy_id"


def _write(tx: Transaction, subject: Subject, state: str, what: str) -> None:
    tx.run(
        "INSERT INTO damage (store_id, blob_key, bucket_id, key, state, what, found_ms, seen_ms) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (store_id, blob_key) "
        "DO UPDATE SET state = excluded.state, what = excluded.what, seen_ms = excluded.seen_ms",
        subject.store_id, subject.blob_key, subject.bucket_id, subject.key, state, what, tx.now_ms,
    )  # fmt: skip


def _is_named(read: Read, subject: Subject) -> bool:
    if subject.store_id == INLINE:
        row = read.one(
            "SELECT 1 FROM objects WHERE bucket_id = $1 AND key = $2 AND sequence = $3",
            subject.bucket_id, subject.key, int(subject.blob_key),
        )  # fmt: skip
    else:
        row = read.one(
            "SELECT 1 FROM objects WHERE blob_key = $1 AND store_id = $2 "
            "UNION ALL SELECT 1 FROM objects WHERE manifest = $1 AND store_id = $2 "
            "UNION ALL SELECT 1 FROM parts WHERE blob_key = $1 AND store_id = $2 LIMIT 1",
            subject.blob_key, subject.store_id,
        )  # fmt: skip
    return row is not None


def _mark(tx: Transaction, subject: Subject) -> None:
    """Mark the objects whose bytes these are, or take the mark away if no damage to their bytes is left."""
    found = find(tx, subject)
    damaged = int(found is not None and found.state == CORRUPT)
    if subject.store_id == INLINE:
        tx.run(
            "UPDATE objects SET damaged = $1 WHERE bucket_id = $2 AND key = $3 AND sequence = $4",
            damaged, subject.bucket_id, subject.key, int(subject.blob_key),
        )  # fmt: skip
        return
    # What a multipart object has for a blob is its manifest: a list, of which no byte is sent.
    tx.run(
        "UPDATE objects SET damaged = $1 WHERE blob_key = $2 AND store_id = $3 AND upload IS NULL",
        damaged, subject.blob_key, subject.store_id,
    )  # fmt: skip
    parts = tx.all(
        "SELECT DISTINCT upload FROM parts WHERE blob_key = $1 AND store_id = $2",
        subject.blob_key, subject.store_id,
    )  # fmt: skip
    for (upload,) in parts:
        still = int(bool(corrupt_parts(tx, upload)))
        tx.run("UPDATE objects SET damaged = $1 WHERE upload = $2", still, upload)
