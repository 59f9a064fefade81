"""Stores that blobs lie on: their names, identities and states."""

from __future__ import annotations

from dataclasses import dataclass

from dolium.catalog.database import Read, Row, Transaction
from dolium.errors import AlreadyExists

__all__ = [
    "Holding",
    "StoreRecord",
    "add",
    "every",
    "find",
    "holding",
    "holdings",
    "set_state",
    "unset_state",
]


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """`name` is Galaxy's object_store_id; `uuid` what the identity file in its root must say. `state` counts if it was
    `state_set`; else it is as the configuration says.
    """

    id: int
    name: str
    kind: str
    uuid: str
    state: str
    created_ms: int
    state_set: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """What rows name in a store: `objects` whose bytes, or whose list of parts, lie there, and `parts` of uploads; the
    `bytes` of both (of a copy that shares them, once more); blobs that wait to be deleted.
    """

    objects: int = 0
    parts: int = 0
    bytes: int = 0
    garbage: int = 0

    @property
    def blobs(self) -> int:
        return self.objects + self.parts + self.garbage


_SELECT = "SELECT id, name, kind, uuid, state, created_ms, state_set FROM stores"


def _record(row: Row) -> StoreRecord:
    number, name, kind, uuid, state, created_ms, state_set = row
    return StoreRecord(number, name, kind, uuid, state, created_ms, bool(state_set))


def every(read: Read) -> list[StoreRecord]:
    """All of them, oldest first."""
    return [_record(row) for row in read.all(f"{_SELECT} ORDER BY id")]


def find(read: Read, name: str) -> StoreRecord | None:
    """The store of that name."""
    row = read.one(f"{_SELECT} WHERE name = $1", name)
    return _record(row) if row else None


def add(tx: Transaction, name: str, kind: str, uuid: str) -> StoreRecord:
    """Raises AlreadyExists."""
    if find(tx, name) is not None:
        raise AlreadyExists("store", name)
    number = tx.insert(
        "INSERT INTO stores (name, kind, uuid, created_ms) VALUES ($1, $2, $3, $4) RETURNING id",
        name, kind, uuid, tx.now_ms,
    )  # fmt: skip
    tx.touch()
    return StoreRecord(number, name, kind, uuid, "online", tx.now_ms)


def set_state(tx: Transaction, store_id: int, state: str) -> None:
    """`online`, `read-only`, `draining` or `offline`, whatever the configuration says."""
    tx.run("UPDATE stores SET state = $1, state_set = 1 WHERE id = $2", state, store_id)
    tx.touch()


def unset_state(tx: Transaction, store_id: int) -> None:
    """As the configuration says."""
    tx.run("UPDATE stores SET state = 'online', state_set = 0 WHERE id = $1", store_id)
    tx.touch()


_HOLDINGS = (
    "SELECT store_id, sum(objects), sum(parts), sum(bytes), sum(garbage) FROM ("
    "SELECT store_id, count(*) AS objects, 0 AS parts, sum(iif(upload IS NULL, size, 0)) AS bytes, 0 AS garbage "
    "FROM objects WHERE store_id IS NOT NULL GROUP BY store_id "
    "UNION ALL SELECT store_id, 0, count(*), sum(size), 0 FROM parts GROUP BY store_id "
    "UNION ALL SELECT store_id, 0, 0, 0, count(*) FROM garbage GROUP BY store_id"
    ") GROUP BY store_id"
)


def holdings(read: Read) -> dict[int, Holding]:
    """By number, of the stores that hold something. Looks at every row: seconds where there are millions."""
    return {row[0]: Holding(*row[1:]) for row in read.all(_HOLDINGS)}


def holding(read: Read, store_id: int) -> Holding:
    """Of one store."""
    return holdings(read).get(store_id, Holding())
