"""Versions that meet on their way: what is published first, replaced first, or swept first."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from dolium.catalog import blobs, buckets, objects
from dolium.catalog.buckets import Bucket
from dolium.catalog.objects import ObjectRow
from dolium.catalog.uploads import Upload
from dolium.errors import BlobCorrupt, Overtaken, PreconditionFailed, StoreFull, VersionGone
from dolium.objects import copy, get, multipart, put
from dolium.objects.copy import CopyRequest
from dolium.objects.get import ObjectReader
from dolium.objects.multipart import ChosenPart, PartIntake
from dolium.objects.put import Intake, PutRequest
from dolium.objects.receive import Digests
from dolium.objects.service import ObjectService
from dolium.objects.sweep import sweep
from dolium.testing.checker import check

FILE = b"f" * 20_000
FAR = 1 << 60


def intake_of(service: ObjectService, bucket: Bucket, key: str, body: bytes, **more: object) -> Intake:
    intake = Intake(service, bucket, PutRequest(key, None, "[]", len(body), **more))  # type: ignore[arg-type]
    intake.write(body)
    return intake


def only_first(current: ObjectRow | None) -> None:
    if current is not None:
        raise PreconditionFailed("If-None-Match")


@pytest.fixture
def when(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Does something when a crash point is reached: so many times."""

    def when(module: ModuleType, point: str, act: Callable[[], object], times: int = 1) -> None:
        left = [times]

        def reach(name: str) -> None:
            if name == point and left[0]:
                left[0] -= 1
                act()

        monkeypatch.setattr(module, "reach", reach)

    return when


When = Callable[..., None]


def assert_sound(service: ObjectService, folder: Path) -> None:
    """Nothing is wrong, and after a sweep nothing is left."""
    assert check(folder).problems == []
    sweep(service, now_ms=FAR)
    report = check(folder)
    assert (report.problems, report.leftovers) == ([], [])


def read(service: ObjectService, bucket: Bucket, key: str) -> bytes:
    row = get.find(service, bucket, key, with_body=False)
    reader = ObjectReader(service, row, 0, row.size)
    pieces = []
    while piece := reader.read(100_000):
        pieces.append(piece)
    reader.close()
    return b"".join(pieces)


def test_a_put_that_is_overtaken_comes_behind(
    service: ObjectService, bucket: Bucket, when: When, tmp_path: Path
) -> None:
    """The other one found nothing, as it demanded: so this one cannot have been there before."""
    intake = intake_of(service, bucket, "k", FILE)
    other = intake_of(service, bucket, "k", b"small", check=only_first)
    when(put, "put.stored", lambda: other.finish().result())
    with pytest.raises(Overtaken):
        intake.finish().result()
    assert read(service, bucket, "k") == b"small"
    intake.finish_behind()
    assert read(service, bucket, "k") == FILE
    assert buckets.usage(service.database, bucket.id) == buckets.Usage(1, len(FILE))
    assert_sound(service, tmp_path)


def test_behind_the_other_its_own_demand_is_looked_at_again(
    service: ObjectService, bucket: Bucket, when: When, tmp_path: Path
) -> None:
    first = intake_of(service, bucket, "k", FILE, check=only_first)
    other = intake_of(service, bucket, "k", b"small")
    when(put, "put.stored", lambda: other.finish().result())
    with pytest.raises(PreconditionFailed):
        first.finish().result()
    assert read(service, bucket, "k") == b"small"
    assert_sound(service, tmp_path)


def test_one_that_is_overtaken_again_and_again_gives_up(
    service: ObjectService, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, when: When, tmp_path: Path
) -> None:
    intake = intake_of(service, bucket, "k", FILE)
    reserve, faster = service.database.reserve_sequence, 0

    def overtaken() -> int:
        nonlocal faster
        sequence = reserve()
        faster += 1
        intake_of(service, bucket, "k", b"small").finish().result()
        return sequence

    monkeypatch.setattr(service.database, "reserve_sequence", overtaken)
    with pytest.raises(Overtaken):
        intake.finish().result()
    with pytest.raises(Overtaken):
        intake.finish_behind()
    assert faster == 17
    assert read(service, bucket, "k") == b"small"
    assert_sound(service, tmp_path)


def test_one_that_cannot_come_behind_leaves_nothing(
    service: ObjectService, bucket: Bucket, when: When, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    intake = intake_of(service, bucket, "k", FILE)
    when(put, "put.stored", lambda: intake_of(service, bucket, "k", b"small").finish().result())
    with pytest.raises(Overtaken):
        intake.finish().result()

    def full(*_: object, **__: object) -> None:
        raise StoreFull("full")

    with monkeypatch.context() as patched:
        patched.setattr(service.store(service.default_store), "put", full)
        with pytest.raises(StoreFull):
            intake.finish_behind()
    assert_sound(service, tmp_path)


def test_a_copy_that_is_overtaken_comes_behind(
    service: ObjectService, bucket: Bucket, when: When, tmp_path: Path
) -> None:
    source = intake_of(service, bucket, "source", FILE).finish().result()
    other = intake_of(service, bucket, "k", b"small", check=only_first)
    when(copy, "copy.described", lambda: other.finish().result())
    copy.copy(service, bucket, source, bucket, CopyRequest("k", None, "[]"))
    assert read(service, bucket, "k") == FILE
    assert_sound(service, tmp_path)


def begun(service: ObjectService, bucket: Bucket, key: str) -> Upload:
    return multipart.begin(
        service, bucket, key, owner_id=None, initiator="", headers="[]", algorithm=None, kind=None
    ).result()


def uploaded(service: ObjectService, bucket: Bucket, key: str, parts: int = 1) -> ObjectRow:
    """A multipart object of `parts` parts."""
    upload, chosen = begun(service, bucket, key), []
    for number in range(1, parts + 1):
        intake = PartIntake(service, upload, number, size=None, digests=Digests())
        intake.write(FILE)
        chosen.append(ChosenPart(number, intake.finish().result().etag))
    multipart.complete(service, bucket, upload, chosen)
    return get.find(service, bucket, key, with_body=False)


def test_a_complete_that_is_overtaken_comes_behind(
    service: ObjectService, bucket: Bucket, when: When, tmp_path: Path
) -> None:
    other = intake_of(service, bucket, "k", b"small", check=only_first)
    when(multipart, "complete.manifest", lambda: other.finish().result())
    uploaded(service, bucket, "k")
    assert read(service, bucket, "k") == FILE
    assert_sound(service, tmp_path)


def overwrite(service: ObjectService, bucket: Bucket, key: str) -> None:
    """And sweep what was there."""
    intake_of(service, bucket, key, b"n" * 20_000).finish().result()
    sweep(service, now_ms=FAR)


@pytest.mark.parametrize("parts", [0, 2], ids=["file", "parts"])
def test_what_was_replaced_since_it_was_found_is_gone_and_not_lost(
    service: ObjectService, bucket: Bucket, parts: int
) -> None:
    if parts:
        row = uploaded(service, bucket, "k", parts)
    else:
        row = intake_of(service, bucket, "k", FILE).finish().result()
    segments = get.segments(service, row, 0, row.size)
    overwrite(service, bucket, "k")
    with pytest.raises(VersionGone):
        get.open_segment(service, segments[0])
    with pytest.raises(VersionGone):
        ObjectReader(service, row, 0, row.size).read(1)
    with pytest.raises(VersionGone):
        copy.copy(service, bucket, row, bucket, CopyRequest("copy", None, "[]"))
    if parts:
        with pytest.raises(VersionGone):
            get.segments(service, row, 0, row.size)


def test_inline_bytes_that_were_replaced_are_gone_and_not_lost(
    service: ObjectService, bucket: Bucket
) -> None:
    row = intake_of(service, bucket, "k", b"small").finish().result()
    overwrite(service, bucket, "k")
    with pytest.raises(VersionGone):
        copy.copy(service, bucket, row, bucket, CopyRequest("copy", None, "[]"))
    with pytest.raises(VersionGone):
        ObjectReader(service, row, 0, row.size)


def test_bytes_that_are_missing_without_a_reason_are_lost(service: ObjectService, bucket: Bucket) -> None:
    row = intake_of(service, bucket, "k", FILE).finish().result()
    [segment] = get.segments(service, row, 0, row.size)
    service.store(segment.store_id).delete(segment.blob_key)
    for act in (
        lambda: get.open_segment(service, segment),
        lambda: ObjectReader(service, row, 0, row.size).read(1),
    ):
        with pytest.raises(BlobCorrupt):
            act()
    assert objects.is_there(service.database, row)
    assert blobs.due(service.database, FAR, 10) == []
