"""The use cases of the service, without HTTP: bytes in, bytes out, and nothing left behind."""

import base64
import hashlib
import os
import zlib

import pytest

from dolium.catalog import blobs, buckets, objects
from dolium.catalog.buckets import Bucket
from dolium.catalog.objects import ObjectRow
from dolium.errors import (
    BodyTruncated,
    ChecksumMismatch,
    Malformed,
    PreconditionFailed,
    QuotaExceeded,
    UploadNotFound,
    VersionGone,
)
from dolium.objects import copy, delete, get, multipart
from dolium.objects.copy import CopyRequest
from dolium.objects.get import ObjectReader
from dolium.objects.multipart import ChosenPart, PartIntake
from dolium.objects.put import Intake, PutRequest
from dolium.objects.receive import Digests
from dolium.objects.service import ObjectService
from dolium.objects.sweep import sweep
from dolium.values import Checksum, ChecksumAlgorithm, ChecksumType

FAR = 1 << 60


def request(key: str, data: bytes, **more: object) -> PutRequest:
    return PutRequest(key, None, "[]", len(data), **more)  # type: ignore[arg-type]


def put(service: ObjectService, bucket: Bucket, key: str, data: bytes, **more: object) -> ObjectRow:
    intake = Intake(service, bucket, request(key, data, **more))
    intake.write(data)
    return intake.finish().result()


def read(service: ObjectService, bucket: Bucket, key: str) -> bytes:
    row = get.find(service, bucket, key, with_body=False)
    reader = ObjectReader(service, row, 0, row.size)
    pieces = []
    while piece := reader.read(100_000):
        pieces.append(piece)
    reader.close()
    return b"".join(pieces)


def stored(service: ObjectService) -> list[str]:
    """The blobs of the store."""
    return [info.key for info in service.store(service.default_store).list()]


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 300_000])
def test_what_is_put_is_read(service: ObjectService, bucket: Bucket, size: int) -> None:
    data = os.urandom(size)
    row = put(service, bucket, "k", data)
    assert row.etag == hashlib.md5(data).hexdigest()
    assert read(service, bucket, "k") == data
    assert len(stored(service)) == (1 if size > 16_384 else 0)


@pytest.mark.parametrize(
    "sizes", [[2_000_000, 10], [10, 2_000_000, 10, 900_000, 3], [131_072] * 5, [20_000] * 40]
)
def test_pieces_are_hashed_in_their_order(service: ObjectService, bucket: Bucket, sizes: list[int]) -> None:
    pieces = [os.urandom(size) for size in sizes]
    data = b"".join(pieces)
    digests = Digests(sha256=hashlib.sha256(data).hexdigest(), algorithm=ChecksumAlgorithm.CRC32)
    intake = Intake(service, bucket, request("k", data, digests=digests))
    for piece in pieces:
        intake.write_all([piece])
    row = intake.finish().result()
    assert row.etag == hashlib.md5(data).hexdigest()
    assert (
        row.checksum == f"CRC32 FULL_OBJECT {base64.b64encode(zlib.crc32(data).to_bytes(4, 'big')).decode()}"
    )
    assert read(service, bucket, "k") == data


@pytest.mark.parametrize("size", [100, 100_000])
@pytest.mark.parametrize(
    ("digests", "error"),
    [
        (Digests(md5=b"0" * 16), ChecksumMismatch),
        (Digests(sha256="0" * 64), ChecksumMismatch),
        (
            Digests(checksum=Checksum(ChecksumAlgorithm.SHA1, "AAAA"), algorithm=ChecksumAlgorithm.SHA1),
            ChecksumMismatch,
        ),
    ],
)
def test_bytes_that_are_not_those_described_store_nothing(
    service: ObjectService, bucket: Bucket, size: int, digests: Digests, error: type[Exception]
) -> None:
    with pytest.raises(error):
        put(service, bucket, "k", os.urandom(size), digests=digests)
    assert objects.find(service.database, bucket.id, "k") is None
    assert stored(service) == []


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_body_of_another_length_stores_nothing(service: ObjectService, bucket: Bucket, size: int) -> None:
    short = Intake(service, bucket, PutRequest("k", None, "[]", size + 1))
    short.write(b"x" * size)
    with pytest.raises(BodyTruncated):
        short.finish()
    long = Intake(service, bucket, PutRequest("k", None, "[]", size - 1))
    with pytest.raises(BodyTruncated):
        long.write(b"x" * size)
    long.abort()
    assert stored(service) == []


def test_a_refused_put_leaves_garbage_that_is_swept(service: ObjectService, bucket: Bucket) -> None:
    def never(_: ObjectRow | None) -> None:
        raise PreconditionFailed("If-None-Match")

    with pytest.raises(PreconditionFailed):
        put(service, bucket, "k", b"x" * 100_000, check=never)
    intake = Intake(
        service, bucket, PutRequest("k", None, "[]", quota=10)
    )  # of a length that nobody declared
    intake.write(b"x" * 100_000)
    publication = intake.finish()
    with pytest.raises(QuotaExceeded):
        publication.result()
    assert len(stored(service)) == 2
    assert sweep(service, now_ms=FAR) == 2
    assert stored(service) == []


def test_what_a_quota_has_no_room_for_is_refused_before_its_bytes(
    service: ObjectService, bucket: Bucket
) -> None:
    put(service, bucket, "k", b"x" * 100_000)
    with pytest.raises(QuotaExceeded):
        Intake(service, bucket, request("new", b"x" * 100_000, quota=150_000))
    Intake(
        service, bucket, request("k", b"x" * 150_000, quota=150_000)
    ).abort()  # in the place of the old one
    with pytest.raises(QuotaExceeded):
        Intake(service, bucket, request("k", b"x" * 150_001, quota=150_000))
    assert len(stored(service)) == 1


def test_an_overwritten_blob_is_swept_and_the_new_one_stays(service: ObjectService, bucket: Bucket) -> None:
    put(service, bucket, "k", b"1" * 100_000)
    put(service, bucket, "k", b"2" * 100_000)
    assert sweep(service, now_ms=FAR) == 1
    assert read(service, bucket, "k") == b"2" * 100_000
    delete.delete(service, bucket, "k").result()
    sweep(service, now_ms=FAR)
    assert stored(service) == []
    assert buckets.usage(service.database, bucket.id) == buckets.Usage(0, 0)


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_copy_outlives_its_source(service: ObjectService, bucket: Bucket, size: int) -> None:
    data = os.urandom(size)
    source = put(service, bucket, "a", data)
    before = len(stored(service))
    copied = copy.copy(
        service, bucket, source, bucket, CopyRequest("b", None, '[["content-type","text/plain"]]')
    )
    assert (copied.etag, copied.size) == (source.etag, source.size)
    if size > 16_384:
        infos = list(service.store(service.default_store).list())
        assert len(infos) == before + 1
        assert min(info.size for info in infos) < 1000, "the copy has a manifest, not bytes"
    delete.delete(service, bucket, "a").result()
    sweep(service, now_ms=FAR)
    assert read(service, bucket, "b") == data
    delete.delete(service, bucket, "b").result()
    sweep(service, now_ms=FAR)
    assert stored(service) == []


def test_a_copy_onto_itself_keeps_its_bytes(service: ObjectService, bucket: Bucket) -> None:
    source = put(service, bucket, "a", b"x" * 100_000)
    for number in range(3):
        headers = f'[["x-amz-meta-n","{number}"]]'
        source = copy.copy(service, bucket, source, bucket, CopyRequest("a", None, headers))
        sweep(service, now_ms=FAR)
    assert read(service, bucket, "a") == b"x" * 100_000
    delete.delete(service, bucket, "a").result()
    sweep(service, now_ms=FAR)
    assert stored(service) == []


def test_a_copy_of_what_is_gone_is_refused(service: ObjectService, bucket: Bucket) -> None:
    source = put(service, bucket, "a", b"x" * 100_000)
    put(service, bucket, "a", b"y" * 100_000)
    with pytest.raises(VersionGone):
        copy.copy(service, bucket, source, bucket, CopyRequest("b", None, "[]"))
    assert objects.find(service.database, bucket.id, "b") is None
    sweep(service, now_ms=FAR)
    assert len(stored(service)) == 1


def test_a_copy_computes_a_checksum_that_is_asked_for(service: ObjectService, bucket: Bucket) -> None:
    data = os.urandom(50_000)
    source = put(service, bucket, "a", data)
    row = copy.copy(service, bucket, source, bucket, CopyRequest("b", None, "[]", ChecksumAlgorithm.SHA256))
    assert row.checksum == f"SHA256 FULL_OBJECT {base64.b64encode(hashlib.sha256(data).digest()).decode()}"


class _Upload:
    """A multipart upload in the making."""

    def __init__(
        self, service: ObjectService, bucket: Bucket, algorithm: ChecksumAlgorithm | None = None
    ) -> None:
        kind = ChecksumType.FULL_OBJECT if algorithm else None
        self.service, self.bucket, self.algorithm = service, bucket, algorithm
        self.upload = multipart.begin(
            service,
            bucket,
            "big",
            owner_id=None,
            initiator="AK",
            headers="[]",
            algorithm=algorithm,
            kind=kind,
        ).result()
        self.chosen: list[ChosenPart] = []

    def part(self, number: int, data: bytes) -> None:
        digests = Digests(algorithm=self.algorithm)
        intake = PartIntake(self.service, self.upload, number, size=len(data), digests=digests)
        intake.write_all([data])
        part = intake.finish().result()
        self.chosen = [*(one for one in self.chosen if one.number != number), ChosenPart(number, part.etag)]

    def complete(self, **more: object) -> multipart.Completed:
        return multipart.complete(self.service, self.bucket, self.upload, self.chosen, **more)  # type: ignore[arg-type]


def test_complete_copies_no_bytes_and_can_be_repeated(service: ObjectService, bucket: Bucket) -> None:
    upload = _Upload(service, bucket, ChecksumAlgorithm.CRC64NVME)
    one, two = os.urandom(200_000), os.urandom(70_000)
    upload.part(1, b"an early try" * 1000)
    upload.part(1, one)
    upload.part(2, two)
    before = set(stored(service))
    done = upload.complete()
    new = set(stored(service)) - before
    assert len(new) == 1
    assert service.store(service.default_store).stat(new.pop()).size < 1000, "only a manifest came"
    assert done.size == 270_000
    assert done.etag.endswith("-2")
    assert upload.complete() == done
    sweep(service, now_ms=FAR)
    assert read(service, bucket, "big") == one + two
    row = get.find(service, bucket, "big", with_body=False)
    assert [(part.offset, part.length) for part in get.segments(service, row, 199_990, 200_010)] == [
        (199_990, 10),
        (0, 10),
    ]
    copy.copy(service, bucket, row, bucket, CopyRequest("copy", None, "[]"))
    delete.delete(service, bucket, "big").result()
    sweep(service, now_ms=FAR)
    assert read(service, bucket, "copy") == one + two
    delete.delete(service, bucket, "copy").result()
    sweep(service, now_ms=FAR)
    assert stored(service) == []
    assert blobs.due(service.database, FAR, 10) == []


def test_complete_refuses_what_does_not_fit(service: ObjectService, bucket: Bucket) -> None:
    upload = _Upload(service, bucket)
    upload.part(1, b"x" * 100)
    upload.part(2, b"y" * 100)
    with pytest.raises(Malformed) as small:
        upload.complete()
    assert small.value.code == "EntityTooSmall"
    good = upload.chosen
    for chosen, code in (
        ([good[1], good[0]], "InvalidPartOrder"),
        ([ChosenPart(1, "0" * 32)], "InvalidPart"),
        ([ChosenPart(7, good[0].etag)], "InvalidPart"),
        ([], "MalformedXML"),
    ):
        upload.chosen = chosen
        with pytest.raises(Malformed) as caught:
            upload.complete()
        assert caught.value.code == code
    upload.chosen = good[1:]
    assert upload.complete().size == 100


def test_a_failed_condition_leaves_the_upload_open(service: ObjectService, bucket: Bucket) -> None:
    def never(_: ObjectRow | None) -> None:
        raise PreconditionFailed("If-Match")

    upload = _Upload(service, bucket)
    upload.part(1, b"x" * 100)
    with pytest.raises(PreconditionFailed):
        upload.complete(check=never)
    assert upload.complete().size == 100
    sweep(service, now_ms=FAR)
    assert read(service, bucket, "big") == b"x" * 100


def test_a_part_for_an_upload_that_is_gone_is_garbage(service: ObjectService, bucket: Bucket) -> None:
    upload = _Upload(service, bucket)
    upload.part(1, b"x" * 100)
    upload.complete()
    with pytest.raises(UploadNotFound):
        upload.part(2, b"y" * 100)
    sweep(service, now_ms=FAR)
    assert len(stored(service)) == 2, "one part and the manifest"
