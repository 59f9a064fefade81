"""Blobs that rows point at: sharing, release, and the garbage that is deleted later.

A blob has one owner unless `shared_blobs` counts more. Released blobs go to `garbage` and are removed from
their store once no reader of the old version can still be there.
"""

from __future__ import annotations

from dataclasses import dataclass

from dolium.catalog.database import Read, Transaction

__all__ = [
    "Garbage",
    "discard",
    "due",
    "forget",
    "hold",
    "holding",
    "name",
    "named",
    "release",
    "share",
    "take_back",
]


@dataclass(frozen=True, slots=True)
class Garbage:
    """A blob to delete. `since_ms`: when the last row that named it went. `held`: its time was put off, since a
    backup may name it.
    """

    id: int
    store_id: int
    blob_key: str
    due_ms: int
    since_ms: int
    held: int


_GARBAGE = "id, store_id, blob_key, due_ms, since_ms, held"


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


def discard(tx: Transaction, store_id: int, blob_key: str, grace_ms: int, *, held: bool = False) -> None:
    """Delete the blob once `grace_ms` have passed; `held`: it lies there because of a backup."""
    tx.run(
        "INSERT INTO garbage (store_id, blob_key, due_ms, since_ms, held) VALUES ($1, $2, $3, $4, $5)",
        store_id, blob_key, tx.now_ms + grace_ms, tx.now_ms, int(held),
    )  # fmt: skip


def due(read: Read, now_ms: int, limit: int, *, after: Garbage | None = None) -> list[Garbage]:
    """Blobs whose grace is over, the longest due first, behind `after`."""
    rows = read.all(
        f"SELECT {_GARBAGE} FROM garbage WHERE due_ms <= $1 AND (due_ms, id) > ($2, $3) "
        "ORDER BY due_ms, id LIMIT $4",
        now_ms, after.due_ms if after else -1, after.id if after else -1, limit,
    )  # fmt: skip
    return [Garbage(*row) for row in rows]


def hold(tx: Transaction, until: list[tuple[int, Garbage]]) -> None:
    """Put these off to the moments (in milliseconds) beside them: a backup may name them."""
    tx.run_many(
        "UPDATE garbage SET due_ms = $1, held = 1 WHERE id = $2", [(ms, item.id) for ms, item in until]
    )


def holding(read: Read, store_id: int, limit: int) -> list[Garbage]:
    """What stays in a store because of a backup, the longest held first."""
    rows = read.all(
        f"SELECT {_GARBAGE} FROM garbage WHERE held = 1 AND store_id = $1 ORDER BY due_ms LIMIT $2",
        store_id,
        limit,
    )
    return [Garbage(*row) for row in rows]


def name(tx: Transaction, store_id: int, blob_key: str) -> None:
    """A row is about to name a blob that others may name already, or none."""
    take_back(tx, store_id, blob_key)
    [[others]] = tx.all(
        "SELECT count(*) FROM objects WHERE blob_key = $1 AND store_id = $2", blob_key, store_id
    )
    if others:
        share(tx, store_id, blob_key)


def take_back(tx: Transaction, store_id: int, blob_key: str) -> None:
    """The blob is no garbage after all. Only while nobody sweeps."""
    tx.run("DELETE FROM garbage WHERE blob_key = $1 AND store_id = $2", blob_key, store_id)


_NAMED = (
    "SELECT blob_key FROM objects WHERE blob_key >= $1 AND blob_key <= $2 AND store_id = $3 "
    "UNION SELECT manifest FROM objects WHERE manifest >= $1 AND manifest <= $2 AND store_id = $3 "
    "UNION SELECT blob_key FROM parts WHERE blob_key >= $1 AND blob_key <= $2 AND store_id = $3 "
    "UNION SELECT blob_key FROM shared_blobs WHERE blob_key >= $1 AND blob_key <= $2 AND store_id = $3 "
    "UNION SELECT blob_key FROM garbage WHERE blob_key >= $1 AND blob_key <= $2 AND store_id = $3"
)


def named(read: Read, store_id: int, first: str, last: str) -> set[str]:
    """The blobs with keys from `first` to `last` that any row names: of an object, its manifest, a part, what is
    shared, and garbage.
    """
    return {row[0] for row in read.all(_NAMED, first, last, store_id)}


def forget(tx: Transaction, garbage: list[Garbage]) -> None:
    """These have been deleted from their stores."""
    tx.run_many("DELETE FROM garbage WHERE id = $1", [(item.id,) for item in garbage])
