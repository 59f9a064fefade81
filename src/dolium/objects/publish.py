"""Publish a version whose bytes are durable, in one transaction; what is refused becomes garbage in the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from dolium import errands
from dolium.catalog import blobs, fences, objects
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Pending, Refused, Transaction
from dolium.catalog.objects import Body, Check, NewObject, ObjectRow
from dolium.errors import (
    DoliumError,
    Overtaken,
)
from dolium.objects.blob_keys import written_ns
from dolium.objects.service import ObjectService

__all__ = ["behind", "publish", "refuse", "require_fresh"]

T = TypeVar("T")

# How often a version is published anew, behind one that was faster.
_TRIES = 16


def behind(publish: Callable[[], T]) -> T:
    """Publish anew as often as something else is faster. Raises what `publish` raises; Overtaken after many tries."""
    for _ in range(_TRIES - 1):
        try:
            return publish()
        except Overtaken:
            continue
    return publish()


def publish(
    service: ObjectService,
    bucket: Bucket,
    new: NewObject,
    *,
    check: Check | None,
    quota: int | None,
    keep: bool = False,
) -> Pending[ObjectRow]:
    """Commit the version; if the transaction refuses it, its blob and manifest become garbage. `keep`: not the blob,
    where it is overtaken.
    """
    grace_ms = service.limits.grace_ms
    errand = errands.current()

    def write(tx: Transaction) -> ObjectRow | Refused:
        try:
            errand.require_awaited()
            require_fresh(tx, new.body)
            return objects.publish(tx, bucket, new, grace_ms=grace_ms, check=check, quota=quota)
        except Overtaken as error:
            return refuse(tx, replace(new.body, blob_key=None) if keep else new.body, error)
        except DoliumError as error:
            return refuse(tx, new.body, error)

    return service.database.submit(write)


def require_fresh(tx: Transaction, body: Body) -> None:
    """Raises StoreUnavailable if what nothing names yet was written so long ago that it may have been swept."""
    for key in (body.blob_key, body.manifest):
        if body.store_id is not None and key is not None and (written := written_ns(key)) is not None:
            fences.require_fresh(tx, body.store_id, written)


def refuse(tx: Transaction, body: Body, error: DoliumError) -> Refused:
    """The error for the caller, after what was written for nothing has become garbage."""
    for key in (body.blob_key, body.manifest):
        if body.store_id is not None and key is not None:
            blobs.discard(tx, body.store_id, key, grace_ms=0)
    return Refused(error)
