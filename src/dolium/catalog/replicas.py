"""Replicated stores: who their members are, and which copies are still to be made.

A blob of a replicated store is recorded in the group, and lies under its key in each member. A member that came later
is filled in the order of keys; a copy that was not written, or was found missing or damaged, is a row of `repairs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dolium.catalog.database import Read, Transaction
from dolium.crashpoints import reach

__all__ = [
    "Repair", "Replica", "due", "every", "fill_to", "forget", "join", "known_damaged", "leave", "manifests_of",
    "note", "postpone", "refill", "take_over", "waiting",
]  # fmt: skip

_JUST_NOW: int = 1_000
"""Milliseconds: the write that is short of a copy is about to be published."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A member of a group. `place`: blobs before this key have a copy in it, or a repair; None: all have."""

    group_id: int
    store_id: int
    added_ms: int
    place: str | None


@dataclass(frozen=True, slots=True)
class Repair:
    """A copy of `blob_key` that `store_id` is to get. `damaged`: it has one that is wrong."""

    group_id: int
    store_id: int
    blob_key: str
    damaged: bool
    noted_ms: int


def every(read: Read) -> list[Replica]:
    """All members of all groups."""
    rows = read.all("SELECT group_id, store_id, added_ms, place FROM replicas ORDER BY group_id, store_id")
    return [Replica(*row) for row in rows]


def join(tx: Transaction, group_id: int, store_id: int) -> None:
    """From now on it is one of the group, and is to be filled."""
    tx.run(
        "INSERT INTO replicas (group_id, store_id, added_ms, place) VALUES ($1, $2, $3, '')",
        group_id, store_id, tx.now_ms,
    )  # fmt: skip
    # What lies in it from an earlier time is looked through once more.
    tx.run("UPDATE stores SET walked_ns = 0 WHERE id = $1", group_id)
    tx.touch()


def leave(tx: Transaction, group_id: int, store_id: int) -> None:
    """It is not one of the group any more; its copies are nobody's."""
    tx.run("DELETE FROM replicas WHERE group_id = $1 AND store_id = $2", group_id, store_id)
    tx.run("DELETE FROM repairs WHERE group_id = $1 AND store_id = $2", group_id, store_id)
    tx.run("UPDATE stores SET walked_ns = 0 WHERE id = $1", store_id)
    tx.touch()


def fill_to(tx: Transaction, replica: Replica, place: str | None) -> None:
    """How far the member is filled."""
    tx.run(
        "UPDATE replicas SET place = $1 WHERE group_id = $2 AND store_id = $3",
        place, replica.group_id, replica.store_id,
    )  # fmt: skip


def refill(tx: Transaction) -> None:
    """The catalog is an older one: what the members were short of since is not known."""
    tx.run("UPDATE replicas SET place = ''")


def note(tx: Transaction, group_id: int, store_id: int, blob_key: str, *, damaged: bool) -> None:
    """The member is to get a copy; `damaged`: it has one, which is wrong."""
    tx.run(
        "INSERT INTO repairs (group_id, store_id, blob_key, damaged, noted_ms, due_ms) VALUES ($1, $2, $3, $4, $5, $6) "
        "ON CONFLICT (group_id, store_id, blob_key) DO UPDATE SET damaged = max(damaged, excluded.damaged)",
        group_id, store_id, blob_key, int(damaged), tx.now_ms, tx.now_ms + _JUST_NOW,
    )  # fmt: skip
    if damaged:
        tx.touch()  # every process reads another copy from now on


def due(read: Read, replica: Replica, now_ms: int, after: str, limit: int) -> list[Repair]:
    """What a member is to get now, by key."""
    rows = read.all(
        "SELECT group_id, store_id, blob_key, damaged, noted_ms FROM repairs "
        "WHERE group_id = $1 AND store_id = $2 AND blob_key > $3 AND due_ms <= $4 ORDER BY blob_key LIMIT $5",
        replica.group_id, replica.store_id, after, now_ms, limit,
    )  # fmt: skip
    return [Repair(row[0], row[1], row[2], bool(row[3]), row[4]) for row in rows]


def known_damaged(read: Read, limit: int = 1000) -> list[tuple[int, int, str]]:
    """(group, member, key) of copies that are known to be damaged."""
    rows = read.all("SELECT group_id, store_id, blob_key FROM repairs WHERE damaged = 1 LIMIT $1", limit)
    return [(row[0], row[1], row[2]) for row in rows]


def waiting(read: Read) -> dict[tuple[int, int], int]:
    """How many copies each member of a group is to get, without those of its filling."""
    rows = read.all("SELECT group_id, store_id, count(*) FROM repairs GROUP BY group_id, store_id")
    return {(row[0], row[1]): row[2] for row in rows}


def forget(tx: Transaction, repairs: Iterable[Repair]) -> None:
    """The copies are made, or not needed any more."""
    found = list(repairs)
    tx.run_many(
        "DELETE FROM repairs WHERE group_id = $1 AND store_id = $2 AND blob_key = $3",
        [(one.group_id, one.store_id, one.blob_key) for one in found],
    )
    if any(one.damaged for one in found):
        tx.touch()


def postpone(tx: Transaction, repairs: Iterable[Repair], delay_ms: int) -> None:
    """To be tried again later."""
    tx.run_many(
        "UPDATE repairs SET due_ms = $1 WHERE group_id = $2 AND store_id = $3 AND blob_key = $4",
        [(tx.now_ms + delay_ms, one.group_id, one.store_id, one.blob_key) for one in repairs],
    )


def manifests_of(read: Read, store_id: int, blob_key: str) -> set[str]:
    """Those of the copies that share a blob."""
    rows = read.all(
        "SELECT manifest FROM objects WHERE blob_key = $1 AND store_id = $2 AND manifest IS NOT NULL",
        blob_key, store_id,
    )  # fmt: skip
    return {row[0] for row in rows}


def take_over(tx: Transaction, group_id: int, store_id: int, blob_key: str, manifests: set[str]) -> bool:
    """The blob, which was the member's own, is the group's, with all rows that name it; False if one of these has a
    manifest that is not among those that are copied.
    """
    if not manifests_of(tx, store_id, blob_key) <= manifests:
        return False
    for table in ("objects", "parts", "shared_blobs"):
        tx.run(
            f"UPDATE {table} SET store_id = $1 WHERE blob_key = $2 AND store_id = $3",
            group_id, blob_key, store_id,
        )  # fmt: skip
        reach("copies.taken")
    for key in (blob_key, *manifests):
        tx.run(
            "UPDATE OR REPLACE damage SET store_id = $1 WHERE blob_key = $2 AND store_id = $3",
            group_id, key, store_id,
        )  # fmt: skip
    return True
