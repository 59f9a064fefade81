"""Copy an object without copying its bytes, where that can be.

Inline bytes are read and written with the row. A blob is cloned inside its store (reflink) where the file
system can, else both rows point at one blob and the catalog counts them; then a small manifest blob carries
the description of the copy. Parts of multipart objects are shared by counting their upload.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

from dolium import errands
from dolium.catalog import blobs, buckets, objects, uploads
from dolium.catalog.buckets import Bucket
from dolium.catalog.damage import Subject
from dolium.catalog.database import Refused, Transaction
from dolium.catalog.objects import Body, Check, NewObject, ObjectRow
from dolium.crashpoints import reach
from dolium.errors import BlobCorrupt, BlobNotFound, DoliumError, ObjectNotFound, Overtaken, VersionGone
from dolium.objects import get
from dolium.objects.damage import report, require_undamaged
from dolium.objects.get import ObjectReader, inline_copy, missing
from dolium.objects.publish import behind, publish, refuse, require_fresh
from dolium.objects.put import Intake, PutRequest
from dolium.objects.receive import Digests
from dolium.objects.service import ObjectService, description
from dolium.stores.contract import CopiesWithin, PutOptions, unwrap
from dolium.values import ChecksumAlgorithm

__all__ = ["CopyRequest", "copy"]

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """`headers`: of the new object. `algorithm`: a checksum that must be there, computed if it is not."""

    key: str
    owner_id: int | None
    headers: str
    algorithm: ChecksumAlgorithm | None = None
    check: Check | None = None
    quota: int | None = None


def copy(
    service: ObjectService, source_bucket: Bucket, source: ObjectRow, target: Bucket, request: CopyRequest
) -> ObjectRow:
    """Publish a copy of `source`, as it was found. Blocking.

    Raises VersionGone if the source was replaced or deleted meanwhile, what `request.check` raises, QuotaExceeded,
    StoreError; BlobCorrupt if the source is known to be damaged.
    """
    service.room.require()
    require_undamaged(source)
    if request.algorithm is not None and not source.checksum.startswith(f"{request.algorithm} "):
        return _rewrite(service, source, target, request)
    if not source.inline and not _may_stay(service, source, target, request):
        return _rewrite(service, source, target, request)
    if source.inline:
        data = inline_copy(service, source)
        return publish(
            service, target, _new(source, request, Body(data=data)), check=request.check, quota=request.quota
        ).result()
    return behind(lambda: _publish(service, source_bucket, source, target, request))


def _publish(
    service: ObjectService, source_bucket: Bucket, source: ObjectRow, target: Bucket, request: CopyRequest
) -> ObjectRow:
    sequence = service.database.reserve_sequence()
    facts = description(
        target, request.key, sequence, etag=source.etag, size=source.size, headers=request.headers,
        checksum=source.checksum, owner=request.owner_id or 0, copy_of=source.blob_key or "",
    )  # fmt: skip
    reach("copy.described")
    cloned = _clone(service, source, facts) if source.upload is None and source.manifest is None else None
    if cloned is not None:
        new = replace(_new(source, request, cloned), sequence=sequence)
        return publish(service, target, new, check=request.check, quota=request.quota).result()
    return _share(service, source_bucket, source, target, request, facts, sequence)


def _may_stay(service: ObjectService, source: ObjectRow, target: Bucket, request: CopyRequest) -> bool:
    """Whether the bytes of the copy may lie where those of the source do: one store, or one that would be chosen."""
    if service.placing is None or source.store_id is None:
        return True
    candidates = service.candidates(target.id, request, source.size)
    stores = {source.store_id, *(part.store_id for part in get.parts(service, source))}
    return stores <= set(candidates)


def _new(source: ObjectRow, request: CopyRequest, body: Body) -> NewObject:
    return NewObject(
        request.key, source.size, source.etag, source.checksum, request.owner_id, request.headers, body
    )


def _clone(service: ObjectService, source: ObjectRow, facts: dict[str, str]) -> Body | None:
    """A blob of its own with the same extents, if the store can."""
    if source.store_id is None or source.blob_key is None:
        return None
    power = unwrap(service.store(source.store_id), CopiesWithin)
    if power is None:
        return None
    key = service.new_blob_key()
    try:
        info = power.copy_within(source.blob_key, key, options=PutOptions(description=facts))
    except BlobNotFound as error:
        subject = Subject(source.store_id, source.blob_key)
        raise missing(service, source, "a blob of the object is not in its store", subject) from error
    except BlobCorrupt as error:
        report(service, Subject(source.store_id, source.blob_key), source, error)
        raise
    return None if info is None else Body(store_id=source.store_id, blob_key=key)


def _share(
    service: ObjectService,
    source_bucket: Bucket,
    source: ObjectRow,
    target: Bucket,
    request: CopyRequest,
    facts: dict[str, str],
    sequence: int,
) -> ObjectRow:
    if source.store_id is None or source.blob_key is None:
        raise ObjectNotFound(source.key)
    store_id, blob_key = source.store_id, source.blob_key
    manifest = service.new_blob_key()
    text = facts["dolium"].encode()
    service.store(store_id).put(
        manifest, io.BytesIO(text), options=PutOptions(size=len(text), description=facts)
    )
    reach("copy.manifest")
    written = Body(store_id=store_id, manifest=manifest)
    body = Body(store_id=store_id, blob_key=blob_key, upload=source.upload, manifest=manifest)
    new = replace(_new(source, request, body), sequence=sequence)
    grace_ms = service.limits.grace_ms
    errand = errands.current()

    def write(tx: Transaction) -> ObjectRow | Refused:
        try:
            errand.require_awaited()
            require_fresh(tx, written)
            buckets.require(tx, target)
            present = objects.find(tx, source_bucket.id, source.key)
            if present is None or (present.sequence, present.store_id) != (source.sequence, store_id):
                raise VersionGone(source.key)
            require_undamaged(present)
            current = objects.find(tx, target.id, request.key)
            if request.check is not None:
                request.check(current)
            objects.require_newest(current, new)
            objects.admit(tx, target, current, new.size, request.quota)
        except DoliumError as error:
            return refuse(tx, written, error)
        # Shared before the publication, which may release the very row that is copied.
        blobs.share(tx, store_id, blob_key)
        if source.upload is not None:
            uploads.share(tx, source.upload)
        reach("copy.shared")
        return objects.publish(tx, target, new, grace_ms=grace_ms)

    return service.database.write(write)


def _rewrite(service: ObjectService, source: ObjectRow, target: Bucket, request: CopyRequest) -> ObjectRow:
    """Read every byte, since a checksum is wanted that nobody has computed."""
    intake = Intake(
        service,
        target,
        PutRequest(
            request.key,
            request.owner_id,
            request.headers,
            source.size,
            Digests(algorithm=request.algorithm),
            request.check,
            request.quota,
        ),
    )
    reader = ObjectReader(service, source, 0, source.size)
    try:
        while piece := reader.read(_PIECE):
            intake.write(piece)
            errands.current().step()
        try:
            return intake.finish().result()
        except Overtaken:
            return intake.finish_behind()
    except BaseException:
        intake.abort()
        raise
    finally:
        reader.close()
