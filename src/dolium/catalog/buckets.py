"""Buckets. Their names are unique in a tenancy."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from dolium.catalog.database import Read, Row, Transaction
from dolium.crashpoints import reach
from dolium.errors import AlreadyExists, BucketNotEmpty, BucketNotFound

__all__ = ["Bucket", "Usage", "create", "delete", "find", "in_tenancy", "require", "set_owner", "usage"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """`owner_id` None: the bucket belongs to the tenancy itself. `settings`: its sub-resources, by name."""

    id: int
    tenancy_id: int
    name: str
    owner_id: int | None
    created_ms: int
    settings: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """Objects and bytes, every version counted."""

    objects: int
    bytes: int


_SELECT = "SELECT id, tenancy_id, name, owner_id, created_ms, settings FROM buckets"
_FIND = f"{_SELECT} WHERE tenancy_id = $1 AND name = $2"


def _bucket(row: Row) -> Bucket:
    return Bucket(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]))


def find(read: Read, tenancy_id: int, name: str) -> Bucket | None:
    """The bucket of that name in the tenancy."""
    row = read.one(_FIND, tenancy_id, name)
    return _bucket(row) if row else None


def require(tx: Transaction, bucket: Bucket) -> None:
    """Raises BucketNotFound if the bucket has been deleted since it was looked up."""
    if bucket.id in tx.present:
        return
    if tx.one("SELECT 1 FROM buckets WHERE id = $1", bucket.id) is None:
        raise BucketNotFound(bucket.name)
    tx.present.add(bucket.id)


def in_tenancy(
    read: Read,
    tenancy_id: int,
    *,
    owner_id: int | None = None,
    prefix: str = "",
    after: str = "",
    limit: int = 10_000,
) -> list[Bucket]:
    """By name: those of one owner (or of all), starting with `prefix` and behind `after`."""
    rows = read.all(
        f"{_SELECT} WHERE tenancy_id = $1 AND name > $2 AND substr(name, 1, length($3)) = $3 "
        "AND ($4 IS NULL OR owner_id = $4) ORDER BY name LIMIT $5",
        tenancy_id, after, prefix, owner_id, limit,
    )  # fmt: skip
    return [_bucket(row) for row in rows]


def create(tx: Transaction, tenancy_id: int, name: str, owner_id: int | None) -> Bucket:
    """Raises AlreadyExists, with `own` if the same owner has it."""
    present = find(tx, tenancy_id, name)
    if present is not None:
        raise AlreadyExists("bucket", name, own=present.owner_id == owner_id)
    number = tx.insert(
        "INSERT INTO buckets (tenancy_id, name, owner_id, created_ms) VALUES ($1, $2, $3, $4) RETURNING id",
        tenancy_id, name, owner_id, tx.now_ms,
    )  # fmt: skip
    reach("bucket.created")
    tx.touch()
    return Bucket(number, tenancy_id, name, owner_id, tx.now_ms)


def delete(tx: Transaction, bucket: Bucket) -> None:
    """Raises BucketNotFound, and BucketNotEmpty while there is a version; open uploads are aborted first
    by the caller.
    """
    require(tx, bucket)
    if tx.one("SELECT 1 FROM objects WHERE bucket_id = $1 LIMIT 1", bucket.id) is not None:
        raise BucketNotEmpty(bucket.name)
    tx.run("DELETE FROM buckets WHERE id = $1", bucket.id)
    tx.present.discard(bucket.id)
    tx.run("DELETE FROM bucket_usage WHERE bucket_id = $1", bucket.id)
    reach("bucket.deleted")
    tx.touch()


def set_owner(tx: Transaction, bucket: Bucket, owner_id: int | None) -> None:
    """Hand the bucket over. Raises BucketNotFound."""
    require(tx, bucket)
    tx.run("UPDATE buckets SET owner_id = $1 WHERE id = $2", owner_id, bucket.id)
    tx.touch()


def usage(read: Read, bucket_id: int) -> Usage:
    """What the bucket holds now."""
    row = read.one("SELECT objects, bytes FROM bucket_usage WHERE bucket_id = $1", bucket_id)
    return Usage(*row) if row else Usage(0, 0)
