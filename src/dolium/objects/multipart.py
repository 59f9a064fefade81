"""Multipart uploads: parts are blobs, and the object they become is a list of them. Complete copies nothing.

Complete leaves a small manifest blob that names the parts, so that the object can be found again from the
store alone, and publishes the version in the same transaction that closes the upload. It may be repeated:
the answer is remembered for as long as the object stands.
"""

from __future__ import annotations

import io
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dolium import errands
from dolium.catalog import blobs, damage, objects, uploads
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Pending, Refused, Transaction
from dolium.catalog.objects import Body, Check, NewObject, ObjectRow, Part
from dolium.catalog.uploads import Upload
from dolium.crashpoints import reach
from dolium.errors import DoliumError, Malformed, StoreFull, StoreReadOnly, StoreUnavailable
from dolium.objects.get import ObjectReader
from dolium.objects.publish import behind, refuse, require_fresh
from dolium.objects.receive import Digests, Receiver
from dolium.objects.service import ObjectService, description
from dolium.stores.contract import PutOptions
from dolium.values import Checksum, ChecksumAlgorithm, ChecksumType
from dolium.wire.checksums import combined_checksum, multipart_etag

__all__ = ["ChosenPart", "Completed", "PartIntake", "begin", "complete", "copy_part", "home"]

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class ChosenPart:
    """A part as Complete names it; the checksum, if given, must be the part's."""

    number: int
    etag: str
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """The answer to Complete."""

    etag: str
    checksum: Checksum | None
    size: int


def begin(
    service: ObjectService,
    bucket: Bucket,
    key: str,
    *,
    owner_id: int | None,
    initiator: str,
    headers: str,
    algorithm: ChecksumAlgorithm | None,
    kind: ChecksumType | None,
) -> Pending[Upload]:
    """Open an upload. Its id is time-ordered, so that listings show them as they were begun. Raises StoreFull."""
    service.room.require()
    upload_id = f"{time.time_ns():016x}{secrets.token_hex(16)}"
    new = Upload(
        0, upload_id, bucket.id, key, owner_id, initiator, algorithm or "", kind or "", headers, 0, None
    )
    return service.database.submit(lambda tx: uploads.begin(tx, bucket, new))


class PartIntake:
    """One UploadPart. Use as `put.Intake`; the result is the part."""

    in_memory = False

    def __init__(
        self,
        service: ObjectService,
        upload: Upload,
        number: int,
        *,
        size: int | None,
        digests: Digests,
    ) -> None:
        """Raises Malformed EntityTooLarge for a declared size over the limit, StoreFull."""
        service.room.require()
        if size is not None and size > service.limits.object_bytes:
            raise Malformed("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        self._service = service
        self._upload = upload
        self._number = number
        self._receiver = Receiver(
            service, size, digests, inline=False, bucket_id=upload.bucket_id, wanted=upload
        )
        self.write = self._receiver.write
        self.write_all = self._receiver.write_all
        self.abort = self._receiver.abort

    @property
    def store_id(self) -> int:
        return self._receiver.store_id

    def finish(self, trailer: Checksum | None = None) -> Pending[Part]:
        """Verify, make durable, enter. Raises as `put.Intake.finish`; UploadNotFound comes out of the result."""
        service, upload, receiver = self._service, self._upload, self._receiver
        try:
            checksum = receiver.verify(trailer)
            reach("part.received")
            sequence = service.database.reserve_sequence()
            facts = {
                "dolium": json.dumps(
                    {
                        "upload": upload.upload_id,
                        "part": self._number,
                        "sequence": sequence,
                        "etag": receiver.md5_hex,
                    },
                    separators=(",", ":"),
                )
            }
            blob = receiver.store(facts, checksum)
            reach("part.stored")
        except BaseException:
            receiver.abort()
            raise
        part = Part(
            self._number, blob.size, blob.md5.hex(), checksum.value if checksum else "",
            receiver.store_id, receiver.blob_key, time.time_ns() // 1_000_000,
        )  # fmt: skip
        return _enter(service, upload, part, blob.body, sequence)


def _enter(service: ObjectService, upload: Upload, part: Part, body: Body, sequence: int) -> Pending[Part]:
    grace_ms = service.limits.grace_ms
    errand = errands.current()

    def write(tx: Transaction) -> Part | Refused:
        try:
            errand.require_awaited()
            require_fresh(tx, body)
            uploads.put_part(tx, upload, part, grace_ms=grace_ms)
            tx.note_sequence(sequence)
        except DoliumError as error:
            return refuse(tx, body, error)
        return part

    return service.database.submit(write)


def copy_part(
    service: ObjectService, upload: Upload, number: int, source: ObjectRow, start: int, stop: int
) -> Part:
    """UploadPartCopy: bytes `start` up to `stop` of `source` become a part. Blocking."""
    algorithm = ChecksumAlgorithm(upload.algorithm) if upload.algorithm else None
    intake = PartIntake(service, upload, number, size=stop - start, digests=Digests(algorithm=algorithm))
    reader = ObjectReader(service, source, start, stop)
    try:
        while piece := reader.read(_PIECE):
            intake.write(piece)
            errands.current().step()
        return intake.finish().result()
    except BaseException:
        intake.abort()
        raise
    finally:
        reader.close()


def home(service: ObjectService, upload: Upload) -> int:
    """A store that holds parts of the upload, or would take them."""
    if service.placing is None:
        return service.default_store
    row = service.database.one("SELECT store_id FROM parts WHERE upload = $1 LIMIT 1", upload.id)
    return int(row[0]) if row else service.default_store


def complete(
    service: ObjectService,
    bucket: Bucket,
    upload: Upload,
    chosen: Sequence[ChosenPart],
    *,
    expected: Checksum | None = None,
    size: int | None = None,
    check: Check | None = None,
    quota: int | None = None,
) -> Completed:
    """Make the object. Blocking.

    `expected`: the checksum that the whole object must have; `size`: its length. Raises Malformed
    (InvalidPartOrder, InvalidPart, EntityTooSmall, MalformedXML, BadDigest, InvalidRequest), UploadNotFound,
    what `check` raises, QuotaExceeded, StoreError. A completed upload gives the same answer again.
    """
    if upload.completed is not None:
        return _answer(upload.completed)
    present = {part.number: part for part in objects.parts_of(service.database, upload.id)}
    taken = _choose(service, upload, present, chosen)
    checksum = _checksum_of(upload, taken, expected)
    total = sum(part.size for part in taken)
    if size is not None and size != total:
        raise Malformed("InvalidRequest", "The object's size is not the one in x-amz-mp-object-size")
    reach("complete.chosen")
    done = Completed(multipart_etag([part.etag for part in taken]), checksum, total)
    return behind(lambda: _publish(service, bucket, upload, taken, done, check=check, quota=quota))


def _choose(
    service: ObjectService, upload: Upload, present: Mapping[int, Part], chosen: Sequence[ChosenPart]
) -> list[Part]:
    if not chosen:
        raise Malformed("MalformedXML", "You must specify at least one part")
    taken: list[Part] = []
    for position, wanted in enumerate(chosen, 1):
        if position < len(chosen) and chosen[position].number == wanted.number:
            continue  # a part that was sent again while it was being sent: the last one listed counts
        if taken and wanted.number <= taken[-1].number:
            raise Malformed("InvalidPartOrder", "The list of parts was not in ascending order.")
        part = present.get(wanted.number)
        same = part is not None and part.etag == wanted.etag.strip('"')
        if part is not None and wanted.checksum is not None:
            same = (
                same
                and wanted.checksum.algorithm == upload.algorithm
                and wanted.checksum.value == part.checksum
            )
        if part is None or not same:
            raise Malformed(
                "InvalidPart",
                "One or more of the specified parts could not be found. The part may not have been uploaded, "
                "or the specified entity tag may not match the part's entity tag.",
                UploadId=upload.upload_id,
                PartNumber=str(wanted.number),
                ETag=wanted.etag,
            )
        taken.append(part)
    for part in taken[:-1]:
        if part.size < service.limits.part_bytes:
            raise Malformed(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                ProposedSize=str(part.size),
                MinSizeAllowed=str(service.limits.part_bytes),
                PartNumber=str(part.number),
                ETag=part.etag,
            )
    return taken


def _checksum_of(upload: Upload, taken: Sequence[Part], expected: Checksum | None) -> Checksum | None:
    """From the checksums of the parts; nothing is read again."""
    if not upload.algorithm:
        return None
    algorithm, kind = ChecksumAlgorithm(upload.algorithm), ChecksumType(upload.type)
    checksum = combined_checksum(algorithm, kind, [(part.checksum, part.size) for part in taken])
    if expected is not None and (
        expected.algorithm != algorithm
        or expected.value.partition("-")[0] != checksum.value.partition("-")[0]
    ):
        raise Malformed("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")
    return checksum


def _publish(
    service: ObjectService,
    bucket: Bucket,
    upload: Upload,
    taken: Sequence[Part],
    done: Completed,
    *,
    check: Check | None,
    quota: int | None,
) -> Completed:
    sequence = service.database.reserve_sequence()
    checksum = (
        f"{done.checksum.algorithm} {done.checksum.type} {done.checksum.value}" if done.checksum else ""
    )
    facts = description(
        bucket, upload.key, sequence, etag=done.etag, size=done.size, headers=upload.headers,
        checksum=checksum, owner=upload.owner_id or 0, upload=upload.upload_id,
    )  # fmt: skip
    listed = [[part.number, part.size, part.etag, part.checksum, part.blob_key] for part in taken]
    manifest = json.dumps(
        {"object": json.loads(facts["dolium"]), "parts": listed}, ensure_ascii=False
    ).encode()
    key = service.new_blob_key()
    store_id = _put_manifest(service, upload, taken[0].store_id, key, manifest, facts)
    reach("complete.manifest")
    body = Body(store_id=store_id, blob_key=key, upload=upload.id)
    new = NewObject(
        upload.key, done.size, done.etag, checksum, upload.owner_id, upload.headers, body, sequence
    )
    answer = json.dumps({"etag": done.etag, "checksum": checksum, "size": done.size})
    grace_ms = service.limits.grace_ms
    errand = errands.current()

    def write(tx: Transaction) -> Completed | Refused:
        try:
            errand.require_awaited()
            raced = uploads.find(tx, bucket.id, upload.key, upload.upload_id, completed=True)
            if raced.completed is not None:
                # Another Complete of this upload was first: its answer is ours too.
                blobs.discard(tx, store_id, key, grace_ms=0)
                return _answer(raced.completed)
            require_fresh(tx, body)
            _refuse_corrupt(tx, upload, taken)
            current = objects.find(tx, bucket.id, upload.key)
            if check is not None:
                check(current)
            objects.require_newest(current, new)
            objects.admit(tx, bucket, current, done.size, quota)
            uploads.complete(tx, upload, taken, answer, grace_ms=grace_ms)
        except DoliumError as error:
            return refuse(tx, body, error)
        objects.publish(tx, bucket, new, grace_ms=grace_ms)
        return done

    return service.database.write(write)


def _refuse_corrupt(tx: Transaction, upload: Upload, taken: Sequence[Part]) -> None:
    """Raises Malformed InvalidPart for a part that a scrub has found damaged: it can still be sent again."""
    corrupt = damage.corrupt_parts(tx, upload.id).intersection(part.number for part in taken)
    if corrupt:
        raise Malformed(
            "InvalidPart", "A part of the upload is damaged in the store. Please upload it again.",
            UploadId=upload.upload_id, PartNumber=str(min(corrupt)),
        )  # fmt: skip


def _put_manifest(
    service: ObjectService, upload: Upload, first: int, key: str, manifest: bytes, facts: dict[str, str]
) -> int:
    """Where the first part lies, if that store takes it; else where a new blob would go."""
    candidates = [first]
    if service.placing is not None:
        more = service.candidates(upload.bucket_id, upload, len(manifest))
        candidates += [store_id for store_id in more if store_id != first]
    for position, store_id in enumerate(candidates, 1):
        try:
            service.store(store_id).put(
                key, io.BytesIO(manifest), options=PutOptions(size=len(manifest), description=facts)
            )
        except (StoreFull, StoreReadOnly, StoreUnavailable):
            if position == len(candidates):
                raise
        else:
            return store_id
    raise AssertionError("there is always a candidate")


def _answer(text: str) -> Completed:
    facts = json.loads(text)
    checksum = None
    if facts["checksum"]:
        algorithm, kind, value = facts["checksum"].split(" ")
        checksum = Checksum(ChecksumAlgorithm(algorithm), value, ChecksumType(kind))
    return Completed(facts["etag"], checksum, facts["size"])
