"""Walks through everything that is stored: how far each came, and what it saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dolium.catalog.database import Read, Row, Transaction
from dolium.catalog.objects import body_crc

__all__ = ["Run", "begin", "bodies", "end", "latest", "mend_body", "save"]

_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Run:
    """`place`: where it goes on, as JSON of whoever walks. `ended_ms` None: under way, or cut off.

    `mended`: blobs that got new checksums. `unknown`: blobs that could be held against nothing. `repaired`: copies in
    members of replicated stores that were written anew.
    """

    id: int
    started_ms: int
    ended_ms: int | None
    place: str
    bodies: int = 0
    blobs: int = 0
    bytes: int = 0
    mended: int = 0
    unknown: int = 0
    repaired: int = 0


def latest(read: Read) -> Run | None:
    """The newest, ended or not."""
    row = read.one(
        "SELECT id, started_ms, ended_ms, place, bodies, blobs, bytes, mended, unknown, repaired FROM scrubs "
        "ORDER BY id DESC LIMIT 1"
    )
    return Run(*row) if row else None


def begin(tx: Transaction, place: str) -> Run:
    """A new one."""
    number = tx.insert(
        "INSERT INTO scrubs (started_ms, place) VALUES ($1, $2) RETURNING id", tx.now_ms, place
    )
    tx.run("DELETE FROM scrubs WHERE id <= $1", number - _KEPT)
    return Run(number, tx.now_ms, None, place)


def save(tx: Transaction, run: Run) -> None:
    """How far it came."""
    tx.run(
        "UPDATE scrubs SET place = $1, bodies = $2, blobs = $3, bytes = $4, mended = $5, unknown = $6, repaired = $7 "
        "WHERE id = $8",
        run.place, run.bodies, run.blobs, run.bytes, run.mended, run.unknown, run.repaired, run.id,
    )  # fmt: skip


def end(tx: Transaction, run: Run) -> None:
    """It has seen everything."""
    save(tx, run)
    tx.run("UPDATE scrubs SET ended_ms = $1 WHERE id = $2", tx.now_ms, run.id)


_BODY = (
    "SELECT o.bucket_id, o.key, o.sequence, o.inline, o.size, o.etag, b.data, b.crc FROM objects o "
    "LEFT JOIN bodies b ON b.sequence = CASE o.inline WHEN 1 THEN o.sequence END "
)


def bodies(read: Read, bucket_id: int, key: str, sequence: int, limit: int) -> list[Row]:
    """(bucket id, key, sequence, inline, size, etag, data, crc) of the versions that come after this one."""
    rows = read.all(
        f"{_BODY} WHERE o.bucket_id = $1 AND o.key = $2 AND o.sequence < $3 ORDER BY o.sequence DESC LIMIT $4",
        bucket_id, key, sequence, limit,
    )  # fmt: skip
    if len(rows) < limit:
        rows += read.all(
            f"{_BODY} WHERE (o.bucket_id, o.key) > ($1, $2) ORDER BY o.bucket_id, o.key, o.sequence DESC LIMIT $3",
            bucket_id, key, limit - len(rows),
        )  # fmt: skip
    return rows


def mend_body(tx: Transaction, sequence: int) -> None:
    """Give inline bytes a checksum: they were held against their ETag, and are right."""
    row = tx.one("SELECT data FROM bodies WHERE sequence = $1", sequence)
    if row is not None:
        tx.run("UPDATE bodies SET crc = $1 WHERE sequence = $2", body_crc(row[0], sequence), sequence)
