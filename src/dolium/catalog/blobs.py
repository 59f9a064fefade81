"""Blobs that rows point at: sharing, release, and the garbage that is deleted later.

A blob has one owner unless `shared_blobs` counts more. Released blobs go to `garbage` and are removed from
their store once no reader of the old version can still be there.
"""

from __future__ import annotations

from dataclasses import dataclass

from dolium.catalog.database import Read, Transaction

__all__ = ["Garbage", "discard", "due", "forget", "release", "share"]


@dataclass(frozen=True, slots=True)
class Garbage:
    """A blob to delete."""

    id: int
    store_id: int
    blob_key: str


def share(tx: Transaction, store_id: int, blob_key: str) -> None:
    """One more row points at the blob."""
    tx.run(
        "INSERT INTO shared_blobs (store_id, blob_key, refs) VALUES ($1, $2, 2) "
        "ON CONFLICT (store_id, blob_key) DO UPDATE SET refs = refs + 1",
        store_id, blob_key,
    )  # fmt: skip


def release(tx: Transaction, store_id: int, blob_key: str, grace_ms: int) -> None:
    """One row less points at the blob; the last one makes it garbage."""
    shared = tx.one("SELECT refs FROM shared_blobs WHERE store_id = $1 AND blob_key = $2", store_id, blob_key)
    if shared is None:
        discard(tx, store_id, blob_key, grace_ms)
    elif shared[0] > 2:
        tx.run(
            "UPDATE shared_blobs SET refs = refs - 1 WHERE store_id = $1 AND blob_key = $2",
            store_id,
            blob_key,
        )
    else:
        tx.run("DELETE FROM shared_blobs WHERE store_id = $1 AND blob_key = $2", store_id, blob_key)


def discard(tx: Transaction, store_id: int, blob_key: str, grace_ms: int) -> None:
    """Delete the blob once `grace_ms` have passed."""
    tx.run(
        "INSERT INTO garbage (store_id, blob_key, due_ms) VALUES ($1, $2, $3)",
        store_id, blob_key, tx.now_ms + grace_ms,
    )  # fmt: skip


def due(read: Read, now_ms: int, limit: int) -> list[Garbage]:
    """Blobs whose grace is over, the longest due first."""
    rows = read.all(
        "SELECT id, store_id, blob_key FROM garbage WHERE due_ms <= $1 ORDER BY due_ms LIMIT $2",
        now_ms,
        limit,
    )
    return [Garbage(*row) for row in rows]


def forget(tx: Transaction, garbage: list[Garbage]) -> None:
    """These have been deleted from their stores."""
    tx.run_many("DELETE FROM garbage WHERE id = $1", [(item.id,) for item in garbage])
