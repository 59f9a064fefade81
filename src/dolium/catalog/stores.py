"""Stores that blobs lie on: their names, identities and states."""

from __future__ import annotations

from dataclasses import dataclass

from dolium.catalog.database import Read, Row, Transaction
from dolium.errors import AlreadyExists

__all__ = ["StoreRecord", "add", "every", "find", "set_state"]


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """`name` is Galaxy's object_store_id; `uuid` what the identity file in its root must say."""

    id: int
    name: str
    kind: str
    uuid: str
    state: str
    created_ms: int


_SELECT = "SELECT id, name, kind, uuid, state, created_ms FROM stores"


def _record(row: Row) -> StoreRecord:
    return StoreRecord(*row)


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
    """`online`, `read-only`, `draining` or `offline`."""
    tx.run("UPDATE stores SET state = $1 WHERE id = $2", state, store_id)
    tx.touch()
