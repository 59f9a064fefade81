"""What is held open for a reader, how much of it, and that it is given back."""

import os
from pathlib import Path
from threading import BoundedSemaphore

import pytest

from dolium.catalog.buckets import Bucket
from dolium.catalog.objects import ObjectRow
from dolium.errors import StoreUnavailable, VersionGone
from dolium.objects import ahead, delete, get
from dolium.objects.ahead import OpenAhead
from dolium.objects.get import OpenFile
from dolium.objects.service import ObjectService
from dolium.objects.sweep import sweep
from dolium.stores.leaves import disk
from dolium.stores.leaves.memory import Memory
from tests.unit.objects.test_overtaken import FAR, FILE, uploaded


def held() -> int:
    """Blobs that this process has open."""
    return sum("/store/" in str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists())


@pytest.fixture(autouse=True)
def _window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_AHEAD", 3)


@pytest.fixture
def row(service: ObjectService, bucket: Bucket) -> ObjectRow:
    return uploaded(service, bucket, "k", parts=6)


def opened(service: ObjectService, row: ObjectRow) -> OpenAhead:
    return OpenAhead(service, get.segments(service, row, 0, row.size))


def take(opened: OpenAhead) -> bytes | None:
    """The bytes of the next segment; None behind the last."""
    segment = opened.next()
    if segment is None:
        return None
    if isinstance(segment, OpenFile):
        data = os.pread(segment.descriptor, segment.length, segment.offset)
        os.close(segment.descriptor)
        return data
    with segment:
        return segment.read()


def test_the_next_few_are_open_and_no_more(service: ObjectService, row: ObjectRow) -> None:
    before = held()
    one = opened(service, row)
    one.fill()
    assert held() - before == 3
    assert [take(one) for _ in range(7)] == [FILE] * 6 + [None]
    assert held() == before
    one.close()


def test_beyond_them_a_sweep_breaks_the_reading(
    service: ObjectService, bucket: Bucket, row: ObjectRow
) -> None:
    one = opened(service, row)
    one.fill()
    delete.delete(service, bucket, "k").result()
    sweep(service, now_ms=FAR)
    before = held()
    with pytest.raises(VersionGone):
        take(one)
    one.close()
    assert held() == before - 3


def test_closed_in_the_midst_it_gives_all_back(service: ObjectService, row: ObjectRow) -> None:
    before = held()
    one = opened(service, row)
    assert take(one) == FILE
    one.close()
    one.close()
    assert held() == before
    assert take(one) is None


def test_all_readers_together_hold_no_more_than_is_allowed(
    service: ObjectService, row: ObjectRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_allowance", BoundedSemaphore(1))
    before = held()
    first, second = opened(service, row), opened(service, row)
    first.fill()
    second.fill()
    assert held() - before == 3  # two, and one
    assert [take(second) for _ in range(7)] == [FILE] * 6 + [None]
    assert [take(first) for _ in range(7)] == [FILE] * 6 + [None]
    first.close()
    second.close()
    assert held() == before


def test_without_a_descriptor_what_is_ahead_waits(
    service: ObjectService, row: ObjectRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = opened(service, row)
    real = disk.Disk.open_checked

    def none_left(*_: object) -> None:
        raise StoreUnavailable("default", "the store's disk answers EMFILE")

    assert take(one) == FILE
    monkeypatch.setattr(disk.Disk, "open_checked", none_left)
    assert [take(one), take(one)] == [FILE, FILE]
    monkeypatch.setattr(disk.Disk, "open_checked", real)
    assert [take(one) for _ in range(4)] == [FILE] * 3 + [None]
    other = opened(service, row)
    monkeypatch.setattr(disk.Disk, "open_checked", none_left)
    with pytest.raises(StoreUnavailable):
        other.fill()
    other.close()


def test_a_store_without_files_is_opened_one_blob_at_a_time(
    service: ObjectService, row: ObjectRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory()
    for info in service.store(service.default_store).list():
        with service.store(service.default_store).get(info.key) as reader:
            memory.put(info.key, reader)
    gets: list[str] = []
    real = memory.get

    def get_and_count(key: str, **more: object) -> object:
        gets.append(key)
        return real(key, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(memory, "get", get_and_count)
    monkeypatch.setattr(service, "stores", {service.default_store: memory})
    one = opened(service, row)
    one.fill()
    assert len(gets) == 1
    assert [take(one) for _ in range(7)] == [FILE] * 6 + [None]
    one.close()
