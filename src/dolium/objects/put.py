"""Write bytes, then publish the version in one transaction.

    intake = Intake(service, bucket, request)
    for piece in body:
        intake.write(piece)
    row = intake.finish().result()

Nothing is visible before the commit, and an intake that is aborted leaves nothing.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

from dolium.catalog import blobs, objects
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Pending, Transaction
from dolium.catalog.objects import Check, NewObject, ObjectRow
from dolium.crashpoints import reach
from dolium.errors import (
    Malformed,
    Overtaken,
    StoreError,
)
from dolium.objects.publish import behind, publish
from dolium.objects.receive import Digests, Receiver, stored_checksum
from dolium.objects.service import ObjectService, description
from dolium.stores.contract import PutOptions
from dolium.values import Checksum

__all__ = ["Intake", "PutRequest"]


@dataclass(frozen=True, slots=True)
class PutRequest:
    """`headers`: JSON of stored headers and metadata. `size`: declared length, or None. `quota`: bytes that
    the tenancy may hold.
    """

    key: str
    owner_id: int | None
    headers: str
    size: int | None = None
    digests: Digests = Digests()  # noqa: RUF009 - frozen
    check: Check | None = None
    quota: int | None = None


class Intake:
    """One PUT of an object."""

    def __init__(self, service: ObjectService, bucket: Bucket, request: PutRequest) -> None:
        """Raises Malformed EntityTooLarge for a declared size that is over the limit, StoreFull, QuotaExceeded for one
        that there is no room for.
        """
        service.room.require()
        size = request.size
        if size is not None and size > service.limits.object_bytes:
            raise Malformed("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        if size is not None and request.quota is not None and size > service.limits.inline_bytes:
            # It is decided in the transaction; but nobody should send gigabytes to hear it.
            objects.expect_room(service.database, bucket, request.key, size, request.quota)
        self._service = service
        self._bucket = bucket
        self._request = request
        self._receiver = Receiver(
            service, request.size, request.digests, inline=True, bucket_id=bucket.id, wanted=request
        )
        self._new: NewObject | None = None
        self.write = self._receiver.write
        self.write_all = self._receiver.write_all
        self.abort = self._receiver.abort

    @property
    def in_memory(self) -> bool:
        return self._receiver.in_memory

    @property
    def store_id(self) -> int:
        return self._receiver.store_id

    def finish(self, trailer: Checksum | None = None) -> Pending[ObjectRow]:
        """Verify, make durable, publish. Raises ChecksumMismatch, BodyTruncated, StoreError at once; what the
        transaction raises comes out of the result. If that is Overtaken, go on with `finish_behind`.
        """
        service, bucket, request, receiver = self._service, self._bucket, self._request, self._receiver
        try:
            checksum = receiver.verify(trailer)
            reach("put.received")
            sequence = None
            facts: dict[str, str] = {}
            if not receiver.in_memory:
                # Handed out before the bytes are durable, so that their description can carry it.
                sequence = service.database.reserve_sequence()
                facts = self._describe(
                    sequence, receiver.md5_hex, receiver.received, stored_checksum(checksum)
                )
                reach("put.reserved")
            blob = receiver.store(facts, checksum)
            reach("put.stored")
        except BaseException:
            receiver.abort()
            raise
        new = NewObject(
            request.key, blob.size, blob.md5.hex(), stored_checksum(checksum), request.owner_id, request.headers,
            blob.body, sequence,
        )  # fmt: skip
        self._new = new
        return publish(service, bucket, new, check=request.check, quota=request.quota, keep=True)

    def finish_behind(self) -> ObjectRow:
        """Publish behind the version that was faster. Blocking. Raises as the result of `finish`.

        The sequence in the description of the blob is too low by now; the one that counts is in a manifest, as of a
        copy that shares its bytes.
        """
        service, bucket, request, new = self._service, self._bucket, self._request, self._new
        assert new is not None
        assert new.body.store_id is not None
        assert new.body.blob_key is not None
        store_id, blob_key = new.body.store_id, new.body.blob_key

        def give_up(tx: Transaction) -> None:
            blobs.discard(tx, store_id, blob_key, grace_ms=0)

        def once_more() -> ObjectRow:
            sequence = service.database.reserve_sequence()
            facts = self._describe(sequence, new.etag, new.size, new.checksum, copy_of=blob_key)
            manifest, text = service.new_blob_key(), facts["dolium"].encode()
            try:
                service.store(store_id).put(
                    manifest, io.BytesIO(text), options=PutOptions(size=len(text), description=facts)
                )
            except StoreError:
                service.database.write(give_up)
                raise
            later = replace(new, body=replace(new.body, manifest=manifest), sequence=sequence)
            return publish(
                service, bucket, later, check=request.check, quota=request.quota, keep=True
            ).result()

        try:
            return behind(once_more)
        except Overtaken:
            service.database.write(give_up)
            raise

    def _describe(self, sequence: int, etag: str, size: int, checksum: str, **more: str) -> dict[str, str]:
        request = self._request
        return description(
            self._bucket, request.key, sequence, etag=etag, size=size, headers=request.headers, checksum=checksum,
            owner=request.owner_id or 0, **more,
        )  # fmt: skip
