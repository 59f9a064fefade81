"""Create, delete and list buckets."""

from __future__ import annotations

from dolium.catalog import buckets, uploads
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Pending, Transaction
from dolium.objects.service import ObjectService

__all__ = ["create", "delete", "listing"]


def create(service: ObjectService, tenancy_id: int, name: str, owner_id: int | None) -> Pending[Bucket]:
    """Raises AlreadyExists, with `own` if the same owner has it."""
    return service.database.submit(lambda tx: buckets.create(tx, tenancy_id, name, owner_id))


def delete(service: ObjectService, bucket: Bucket) -> Pending[None]:
    """Open uploads are aborted with it. Raises BucketNotEmpty, BucketNotFound."""
    grace_ms = service.limits.grace_ms

    def write(tx: Transaction) -> None:
        buckets.delete(tx, bucket)
        uploads.abort_all(tx, bucket, grace_ms=grace_ms)

    return service.database.submit(write)


def listing(
    service: ObjectService,
    tenancy_id: int,
    *,
    owner_id: int | None,
    prefix: str = "",
    after: str = "",
    limit: int = 10_000,
) -> list[Bucket]:
    """By name: the buckets of one owner, or of the whole tenancy."""
    return buckets.in_tenancy(
        service.database, tenancy_id, owner_id=owner_id, prefix=prefix, after=after, limit=limit
    )
