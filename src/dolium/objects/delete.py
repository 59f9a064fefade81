"""Delete one object, or up to a thousand in one transaction. Never refused for quota or a full disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dolium.catalog import objects
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Pending, Transaction
from dolium.catalog.objects import Check, ObjectRow
from dolium.crashpoints import reach
from dolium.errors import DoliumError
from dolium.objects.service import ObjectService

__all__ = ["Deletion", "delete", "delete_many"]


@dataclass(frozen=True, slots=True)
class Deletion:
    """One key of many: deleted (or absent, which is the same), unless there is an `error`."""

    key: str
    error: DoliumError | None = None


def delete(
    service: ObjectService, bucket: Bucket, key: str, check: Check | None = None
) -> Pending[ObjectRow | None]:
    """Remove the object. An absent one is fine, unless `check` demands it."""
    grace_ms = service.limits.grace_ms
    return service.database.submit(lambda tx: objects.remove(tx, bucket, key, grace_ms=grace_ms, check=check))


def delete_many(
    service: ObjectService, bucket: Bucket, wanted: Sequence[tuple[str, Check | None]]
) -> Pending[list[Deletion]]:
    """Each on its own: one that fails its check stays, the others go."""
    grace_ms = service.limits.grace_ms

    def write(tx: Transaction) -> list[Deletion]:
        done = []
        for key, check in wanted:
            try:
                objects.remove(tx, bucket, key, grace_ms=grace_ms, check=check)
                done.append(Deletion(key))
                reach("delete.each")
            except DoliumError as error:
                done.append(Deletion(key, error))
        return done

    return service.database.submit(write)
