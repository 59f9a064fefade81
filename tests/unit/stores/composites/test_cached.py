"""A cache in front of a far store: what is fetched, what stays, what goes, and what is never served."""

import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dolium.errors import (
    BlobNotFound,
    RangeNotSatisfiable,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from dolium.stores.composites import cache_shelf
from dolium.stores.composites.cache_index import WHOLE
from dolium.stores.composites.cached import Cached, CacheOptions
from dolium.stores.contract import BlobReader, LocalPaths, PutOptions, Reader, TakesChunks, unwrap
from dolium.stores.leaves.memory import Memory
from dolium.stores.transfer import read_bytes
from dolium.testing.caches import check_accounts
from dolium.testing.faults import CountingStore, FailingStore, SlowStore
from dolium.testing.powers import keys, put
from dolium.values import BlobInfo, ByteRange
from tests.unit.stores.composites.clock import Clock

DOWN = StoreUnavailable("far", "down")
FOREVER = float("inf")


class Far(FailingStore):
    """Counts, and fails when told to; `memory` is what lies there."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.counted = CountingStore(self.memory)
        super().__init__(self.counted)

    @property
    def calls(self) -> dict[str, int]:
        return {verb: count for verb, count in self.counted.calls.items() if verb != "read"}

    def forget(self) -> None:
        self.counted.calls.clear()


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., Cached]


@pytest.fixture
def make(far: Far, clock: Clock, tmp_path: Path) -> Iterator[Make]:
    """At the end what is counted is what lies there."""
    made: list[Cached] = []

    def build(**options: float | None) -> Cached:
        chosen = CacheOptions(tmp_path / "cache", **({"fresh_seconds": FOREVER} | options))  # type: ignore[arg-type]
        made.append(Cached(far, chosen, clock=clock))
        return made[-1]

    yield build
    for store in made:
        store.close()
    check_accounts(tmp_path / "cache")


def _files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache/files").rglob("*") if path.is_file()]


def _used(tmp_path: Path) -> int:
    return sum(path.stat().st_size for path in _files(tmp_path))


# What is fetched.


def test_what_was_read_is_read_here_the_next_time(make: Make, far: Far) -> None:
    store = make(keep_writes=False)
    put(store, "a", b"0123456789")
    far.forget()
    assert read_bytes(store, "a") == b"0123456789"
    assert far.calls == {"stat": 1, "get": 1}
    assert read_bytes(store, "a", range=ByteRange(2, 4)) == b"234"
    assert store.stat("a") == far.memory.stat("a")
    assert far.calls == {"stat": 1, "get": 1}


def test_what_was_written_is_read_here(make: Make, far: Far) -> None:
    store = make()
    put(store, "a", b"bytes")
    chunks = unwrap(store, TakesChunks)
    assert chunks is None, "the far store takes none"
    far.forget()
    assert read_bytes(store, "a") == b"bytes"
    assert far.calls == {}


@pytest.mark.parametrize("size", [0, 5])
def test_an_empty_blob_is_one_like_others(make: Make, far: Far, size: int) -> None:
    store = make()
    put(store, "a", b"x" * size)
    put(store, "a", b"")
    assert read_bytes(store, "a") == far.memory.get("a").read() == b""
    far.forget()
    for _ in range(3):
        assert store.stat("a").size == 0
        assert read_bytes(store, "a") == b""
    assert far.calls == {}


def test_of_a_large_blob_the_parts_are_fetched_that_are_wanted(make: Make, far: Far) -> None:
    store = make(block_bytes=100, eager_bytes=1000, keep_writes=False)
    body = bytes(range(250)) * 10
    put(store, "a", body)
    far.forget()
    assert read_bytes(store, "a", range=ByteRange(150, 349)) == body[150:350]
    assert far.calls == {"stat": 1, "get": 1}
    assert read_bytes(store, "a", range=ByteRange(100, 399)) == body[100:400]
    assert far.calls == {"stat": 1, "get": 1}, "three blocks"
    assert read_bytes(store, "a", range=ByteRange(0, 499)) == body[:500]
    assert far.calls == {"stat": 1, "get": 2}
    assert read_bytes(store, "a", range=ByteRange(None, 1)) == body[-1:]
    assert far.calls == {"stat": 1, "get": 3}
    assert read_bytes(store, "a", range=ByteRange(0, 1999)) == body[:2000]
    assert far.calls == {"stat": 1, "get": 4}, "too much at once: it streams"


def test_all_of_a_large_blob_streams_and_stays(make: Make, far: Far, tmp_path: Path) -> None:
    store = make(block_bytes=100, eager_bytes=1000, keep_writes=False)
    put(store, "a", b"x" * 5000)
    far.forget()
    with store.get("a") as reader, store.get("a") as second:
        assert reader.read(10) == b"x" * 10
        assert second.read() == b"x" * 5000
        assert _used(tmp_path) < 5000 or len(_files(tmp_path)) == 1
        assert reader.read() == b"x" * 4990
    assert far.calls == {"stat": 2, "get": 2}
    assert read_bytes(store, "a") == b"x" * 5000
    assert far.calls == {"stat": 2, "get": 2}
    assert _used(tmp_path) == 5000


def test_what_is_read_in_part_leaves_nothing(make: Make, far: Far, tmp_path: Path) -> None:
    store = make(block_bytes=100, eager_bytes=1000, keep_writes=False)
    put(store, "a", b"x" * 5000)
    with store.get("a") as reader:
        reader.read(10)
    assert _files(tmp_path) == []


@pytest.mark.parametrize("keep", [True, False])
def test_what_is_larger_than_the_cache_streams_through(
    make: Make, far: Far, tmp_path: Path, *, keep: bool
) -> None:
    store = make(size_bytes=1000, block_bytes=100, keep_writes=keep)
    body = bytes(range(250)) * 10
    put(store, "a", body)
    put(store, "b", b"small")
    assert read_bytes(store, "a") == body
    assert read_bytes(store, "a", range=ByteRange(0, 1999)) == body[:2000]
    assert read_bytes(store, "a", range=ByteRange(500, 600)) == body[500:601], "by blocks"
    assert 0 < _used(tmp_path) <= 1000
    paths = unwrap(store, LocalPaths)
    assert paths is not None
    with pytest.raises(StoreFull):
        paths.local_path("a")
    assert paths.local_path("b").read_bytes() == b"small"


def test_one_fetches_and_the_others_wait(make: Make, far: Far, tmp_path: Path) -> None:
    make()  # of two caches over one folder, as in two processes
    slow = SlowStore(far, 0.05)
    stores = [Cached(slow, CacheOptions(tmp_path / "cache", fresh_seconds=FOREVER)) for _ in range(2)]
    put(far, "a", b"x" * 100_000)
    far.forget()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: read_bytes(stores[number % 2], "a"), range(16)))
    assert found == [b"x" * 100_000] * 16
    assert far.calls["get"] == 1
    for store in stores:
        store.close()


def test_many_keys_are_fetched_side_by_side(make: Make, far: Far) -> None:
    store = make()
    barrier = threading.Barrier(4, timeout=30)
    for number in range(4):
        put(far, f"{number}", b"x")
    real = far.get

    def get(key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002
        barrier.wait()
        return real(key, range=range)

    far.get = get  # type: ignore[method-assign]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda number: read_bytes(store, f"{number}"), range(4))) == [b"x"] * 4


# What stays, what goes.


def test_what_was_used_least_goes_first_and_the_limit_holds(
    make: Make, far: Far, clock: Clock, tmp_path: Path
) -> None:
    store = make(size_bytes=1000)
    for number in range(10):
        clock.now += 1
        put(store, f"{number}", b"x" * 100)
    assert _used(tmp_path) == 1000
    clock.now += 1
    read_bytes(store, "0")
    clock.now += 1
    put(store, "new", b"x" * 150)
    assert _used(tmp_path) <= 1000
    far.forget()
    for key in ("0", "new", "3", "9"):
        assert read_bytes(store, key)
    assert far.calls == {}
    for key in ("1", "2"):
        assert read_bytes(store, key) == b"x" * 100
    assert far.calls == {"get": 2, "stat": 2}
    assert _used(tmp_path) <= 1000


def test_a_file_that_is_read_stays(make: Make, far: Far, clock: Clock, tmp_path: Path) -> None:
    store = make(size_bytes=1000)
    put(store, "a", b"a" * 600)
    with store.get("a") as reader:
        assert reader.read(1) == b"a"
        for number in range(5):
            clock.now += 1
            put(store, f"{number}", b"x" * 300)
            assert _used(tmp_path) <= 1000
        put(store, "large", b"y" * 700)
        assert read_bytes(store, "large") == b"y" * 700, "there is no room, and it streams"
        far.forget()
        assert read_bytes(store, "a") == b"a" * 600
        assert far.calls == {}
        assert reader.read() == b"a" * 599
    put(store, "large", b"y" * 700)
    far.forget()
    assert read_bytes(store, "large") == b"y" * 700
    assert far.calls == {}
    assert read_bytes(store, "a") == b"a" * 600
    assert far.calls == {"get": 1, "stat": 1}


def test_a_path_stays_for_its_time(make: Make, far: Far, clock: Clock, tmp_path: Path) -> None:
    store = make(size_bytes=1000, pin_seconds=60.0)
    put(store, "a", b"a" * 600)
    path = store.local_path("a")
    clock.now += 59
    put(store, "b", b"b" * 600)
    assert path.read_bytes() == b"a" * 600
    with pytest.raises(StoreFull):
        store.local_path("b")
    clock.now += 2
    assert store.local_path("b").read_bytes() == b"b" * 600
    assert not path.exists()
    assert _used(tmp_path) == 600


def test_a_path_stays_also_when_its_blob_is_replaced_or_deleted(make: Make, clock: Clock) -> None:
    store = make(pin_seconds=60.0)
    put(store, "a", b"old")
    path = store.local_path("a")
    put(store, "a", b"new")
    assert store.local_path("a").read_bytes() == b"new"
    store.delete("a")
    assert path.read_bytes() == b"old"
    clock.now += 61
    put(store, "b", b"x")
    put(store, "c", b"x")
    assert not path.exists()


def test_old_copies_do_not_pile_up_where_there_is_no_limit(make: Make, tmp_path: Path) -> None:
    store = make()
    for number in range(50):
        put(store, "a", b"%d" % number)
        read_bytes(store, "a")
    assert len(_files(tmp_path)) <= 2


# What is never served.


def test_a_put_and_a_delete_are_seen_by_all_caches_of_the_folder(make: Make, far: Far) -> None:
    one, two = make(), make()
    put(one, "a", b"old")
    assert read_bytes(two, "a") == b"old"
    put(two, "a", b"new")
    assert read_bytes(one, "a") == b"new"
    assert one.stat("a") == far.memory.stat("a")
    two.delete("a")
    with pytest.raises(BlobNotFound):
        one.get("a")
    with pytest.raises(BlobNotFound):
        one.stat("a")


@pytest.mark.parametrize("same_size", [True, False])
def test_what_others_change_is_seen_after_the_time_of_freshness(
    make: Make, far: Far, clock: Clock, *, same_size: bool
) -> None:
    store = make(fresh_seconds=10.0)
    put(store, "a", b"old")
    put(far.memory, "a", b"new" if same_size else b"longer")
    assert read_bytes(store, "a") == b"old"
    clock.now += 10.1
    assert read_bytes(store, "a") == far.memory.get("a").read()
    far.memory.delete("a")
    clock.now += 10.1
    with pytest.raises(BlobNotFound):
        store.get("a")


def test_what_has_not_changed_is_not_fetched_again(make: Make, far: Far, clock: Clock) -> None:
    store = make(fresh_seconds=10.0)
    put(store, "a", b"bytes")
    far.forget()
    for _ in range(3):
        clock.now += 10.1
        read_bytes(store, "a")
        read_bytes(store, "a")
    assert far.calls == {"stat": 3}


def test_blocks_of_two_blobs_are_never_put_together(make: Make, far: Far, clock: Clock) -> None:
    store = make(block_bytes=10, fresh_seconds=10.0, keep_writes=False)
    put(store, "a", b"a" * 100)
    assert read_bytes(store, "a", range=ByteRange(0, 9)) == b"a" * 10
    put(far.memory, "a", b"b" * 100)
    assert read_bytes(store, "a", range=ByteRange(0, 49)) == b"b" * 50
    put(far.memory, "a", b"c" * 99)
    assert read_bytes(store, "a", range=ByteRange(0, 60)) == b"c" * 61


@pytest.mark.parametrize("error", [DOWN, StoreFull("full")])
@pytest.mark.parametrize("known", [True, False])
def test_a_put_that_fails_raises_and_leaves_nothing(
    make: Make, far: Far, tmp_path: Path, error: StoreError, *, known: bool
) -> None:
    store = make()
    put(store, "a", b"old")
    far.fail("put", error)
    size = 3 if known else None
    with pytest.raises(type(error)):
        store.put("a", io.BytesIO(b"new"), options=PutOptions(size=size))
    assert read_bytes(store, "a") == b"old"
    far.fail("put", error)
    with pytest.raises(type(error)):
        put(store, "b", b"new")
    with pytest.raises(BlobNotFound):
        store.get("b")
    assert _used(tmp_path) == 3


def test_a_put_that_came_to_something_after_all_is_not_hidden(make: Make, far: Far) -> None:
    store = make()
    put(store, "a", b"old")
    real = far.put

    def put_and_fail(*arguments: object, **options: object) -> BlobInfo:
        assert read_bytes(store, "a") == b"old", "which brings it back into the cache"
        real(*arguments, **options)  # type: ignore[arg-type]
        raise DOWN

    far.put = put_and_fail  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        put(store, "a", b"new")
    assert read_bytes(store, "a") == b"new"


def test_a_slow_reader_does_not_bring_back_what_was_replaced(make: Make, far: Far) -> None:
    store, other = make(keep_writes=False), make(keep_writes=False)
    put(store, "a", b"old")
    reading, go_on = threading.Event(), threading.Event()
    real = far.get

    def get(key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002
        reader = real(key, range=range)
        reading.set()
        assert go_on.wait(30)
        return reader

    far.get = get  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(read_bytes, store, "a")
        assert reading.wait(30)
        far.get = real  # type: ignore[method-assign]
        put(other, "a", b"new")
        go_on.set()
        assert slow.result() == b"old", "it began before"
    assert read_bytes(store, "a") == b"new"
    assert read_bytes(other, "a") == b"new"


def test_of_two_puts_at_once_the_cache_has_the_one_that_the_far_store_has(make: Make, far: Far) -> None:
    store = make()
    stop = time.monotonic() + 1.0
    count = 0
    with ThreadPoolExecutor(4) as pool:
        while time.monotonic() < stop and count < 60:
            count += 1
            list(pool.map(lambda n: put(store, "a", b"%d" % n), range(4)))
            assert read_bytes(store, "a") == far.memory.get("a").read()
    assert count > 5


def test_a_copy_of_a_put_that_another_has_overtaken_is_not_served(make: Make, far: Far) -> None:
    store = make()
    real = far.put

    def overtaken(key: str, body: Reader, *, options: PutOptions) -> BlobInfo:
        info = real(key, body, options=options)
        far.put = real  # type: ignore[method-assign]
        put(store, "a", b"new")
        return info

    far.put = overtaken  # type: ignore[method-assign, assignment]
    put(store, "a", b"old")
    assert read_bytes(store, "a") == far.memory.get("a").read() == b"new"


# A far store that is down.


def test_what_is_here_and_fresh_is_read_while_the_far_store_is_down(
    make: Make, far: Far, clock: Clock
) -> None:
    store = make(fresh_seconds=10.0)
    put(store, "a", b"bytes")
    for verb in ("get", "stat", "put", "delete"):
        far.fail(verb, DOWN, for_good=True)
    assert read_bytes(store, "a") == b"bytes"
    clock.now += 11
    for call in (
        lambda: store.get("a"),
        lambda: store.stat("a"),
        lambda: store.get("absent"),
        lambda: put(store, "b", b"x"),
        lambda: store.delete("a"),
    ):
        with pytest.raises(StoreUnavailable):
            call()
    far.heal()
    assert read_bytes(store, "a") == b"bytes"
    assert keys(store) == ["a"]


def test_an_error_of_a_fetch_passes_and_leaves_nothing(make: Make, far: Far, tmp_path: Path) -> None:
    store = make(keep_writes=False, block_bytes=100)
    put(store, "a", b"x" * 1_000_000)
    for asked in (None, ByteRange(50, 450)):
        far.fail("get", DOWN)
        with pytest.raises(StoreUnavailable):
            store.get("a", range=asked)
    assert _files(tmp_path) == []
    assert read_bytes(store, "a") == b"x" * 1_000_000


# A cache that is harmed.


def test_files_that_vanish_are_fetched_again(far: Far, tmp_path: Path) -> None:
    store = Cached(far, CacheOptions(tmp_path / "cache", size_bytes=1000, block_bytes=10))
    put(store, "a", b"a" * 100)
    put(store, "b", b"b" * 300)
    for path in _files(tmp_path):
        path.unlink()
    assert read_bytes(store, "a") == b"a" * 100
    assert read_bytes(store, "b", range=ByteRange(5, 25)) == b"b" * 21
    for path in _files(tmp_path):
        path.unlink()
    for number in range(10):
        put(store, f"{number}", b"x" * 200)
    assert store.local_path("a").read_bytes() == b"a" * 100
    assert 0 < _used(tmp_path) <= 1000
    store.close()


def test_files_that_are_cut_are_fetched_again(make: Make, tmp_path: Path) -> None:
    store = make()
    put(store, "a", b"a" * 100)
    (file,) = _files(tmp_path)
    os.truncate(file, 50)
    assert read_bytes(store, "a") == b"a" * 100
    with store.get("a") as reader:
        os.truncate(_files(tmp_path)[0], 50)
        with pytest.raises(StoreUnavailable):
            reader.read()
    assert read_bytes(store, "a") == b"a" * 100


def test_a_folder_that_vanishes_is_passed_by(far: Far, tmp_path: Path, clock: Clock) -> None:
    store = Cached(far, CacheOptions(tmp_path / "other", fresh_seconds=FOREVER), clock=clock)
    put(store, "a", b"bytes")
    for path in sorted((tmp_path / "other").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "other").rmdir()
    assert read_bytes(store, "a") == b"bytes"
    put(far, "b", b"more")
    assert read_bytes(store, "b") == b"more"
    store.close()


@pytest.mark.parametrize("harm", [b"no database at all", b""])
def test_an_index_that_is_damaged_is_begun_anew(make: Make, far: Far, tmp_path: Path, harm: bytes) -> None:
    store = make()
    put(store, "a", b"bytes")
    store.close()
    (tmp_path / "cache/index.sqlite").write_bytes(harm * 1000)
    again = make()
    assert _files(tmp_path) == []
    assert read_bytes(again, "a") == b"bytes"
    assert len(_files(tmp_path)) == 1


def test_after_a_power_cut_rows_and_files_are_compared(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_shelf, "_SYNCED", 12)
    store = make()
    for name in ("kept", "cut", "gone", "in"):
        put(store, name, b"bytes of " + name.encode())
    paths = {name: store.local_path(name) for name in ("kept", "cut", "gone", "in")}
    store.close()
    os.truncate(paths["cut"], 3)
    paths["gone"].unlink()
    (paths["kept"].parent / "999999").write_bytes(b"of no row")
    monkeypatch.setattr(cache_shelf, "_boot", lambda: "another")
    again = make()
    assert _files(tmp_path) == [paths["kept"]]
    for name in paths:
        assert read_bytes(again, name) == b"bytes of " + name.encode()


def test_a_cache_that_cannot_be_written_is_passed_by_for_reads(
    make: Make, far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make()
    put(far, "a", b"bytes" * 100)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert read_bytes(store, "a") == b"bytes" * 100
    put(store, "b", b"new")
    monkeypatch.undo()
    assert _files(tmp_path) == []
    assert read_bytes(store, "b") == b"new"


def test_scopes_keep_stores_apart_in_one_folder(tmp_path: Path) -> None:
    options = CacheOptions(tmp_path / "cache", size_bytes=1000, fresh_seconds=FOREVER)
    one, two = (Cached(Memory(), options, scope=name) for name in ("1", "2"))
    put(one, "a", b"one")
    put(two, "a", b"two")
    assert (read_bytes(one, "a"), read_bytes(two, "a")) == (b"one", b"two")
    put(one, "b", b"x" * 900)
    put(two, "c", b"x" * 900)
    assert _used(tmp_path) <= 1000
    one.close()
    two.close()


def test_a_range_behind_the_end_is_refused_and_leaks_nothing(make: Make) -> None:
    store = make()
    put(store, "a", b"bytes")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(RangeNotSatisfiable):
            store.get("a", range=ByteRange(5, None))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# A cache that an administrator removes while it is used.


def test_an_index_that_is_damaged_while_it_is_used_is_begun_anew(
    make: Make, far: Far, tmp_path: Path
) -> None:
    store, other = make(), make()
    put(store, "a", b"bytes")
    with (tmp_path / "cache/index.sqlite").open("r+b") as index:
        index.write(b"no database at all" * 1000)
    for one in (store, other):
        assert read_bytes(one, "a") == b"bytes"
        assert read_bytes(one, "a") == b"bytes"
    put(store, "b", b"more")
    far.forget()
    for one in (store, other):
        assert read_bytes(one, "b") == b"more"
        assert one.local_path("a").read_bytes() == b"bytes"
    assert far.calls == {}


@pytest.mark.parametrize("what", ["", "files", "index.sqlite", "lock", "flights"])
def test_what_is_removed_by_hand_is_made_again(make: Make, far: Far, tmp_path: Path, what: str) -> None:
    """Also for another that shares the folder: they do not part ways."""
    store, other = make(size_bytes=1000), make(size_bytes=1000)
    put(store, "a", b"a" * 100)
    put(store, "b", b"b" * 300)
    with store.get("b") as reader:
        gone = tmp_path / "cache" / what
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        assert read_bytes(store, "a") == b"a" * 100
        put(store, "c", b"c" * 100)
        far.forget()
        for one in (store, other):
            assert read_bytes(one, "c") == b"c" * 100
            assert one.local_path("a").read_bytes() == b"a" * 100
        assert far.calls == {}, "both have the one cache that is there now"
        other.delete("c")
        with pytest.raises(BlobNotFound):
            store.stat("c")
        assert reader.read() == b"b" * 300
    for number in range(10):
        put((store, other)[number % 2], f"{number}", b"x" * 200)
    for name in "ab":  # what lies there no more is found out
        read_bytes(store, name)
    assert _used(tmp_path) <= 1000


def test_a_copy_that_was_begun_before_the_cache_was_removed_is_not_published(
    make: Make, far: Far, tmp_path: Path
) -> None:
    """The new index knows nothing of the put in between."""
    store = make(keep_writes=False)
    put(store, "a", b"old" * 100)
    with store.far.get("a") as old:
        info = store.stat("a")
        filling = store._shelf.fill("\0a", WHOLE, info.size)
        assert filling is not None
        filling.write(old.read())
        put(store, "a", b"new" * 100)
        shutil.rmtree(tmp_path / "cache")
        put(store, "b", b"x")
        assert filling.finish(info) is None
    assert read_bytes(store, "a") == b"new" * 100


# A file that was given out and written to.


def _edit(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("data", [b"edited", b"longer than it was", b""])
def test_what_is_written_to_a_path_is_nobodys_copy_until_it_is_put(
    make: Make, far: Far, clock: Clock, data: bytes
) -> None:
    store, other = make(), make()
    put(store, "a", b"remote")
    path = store.local_path("a")
    assert store.put_edited("a") is None
    _edit(path, data)
    for one in (store, other):
        assert read_bytes(one, "a") == b"remote"
        assert one.local_path("a").read_bytes() == b"remote"
    assert path.read_bytes() == data, "it stays"
    assert make().stat("a").size == 6, "also when another process begins"
    info = other.put_edited("a")
    assert info is not None
    assert info.size == len(data)
    for one in (store, other):
        assert read_bytes(one, "a") == data
        assert one.put_edited("a") is None, "once is enough"
    assert read_bytes(far.memory, "a") == data
    _edit(path, b"and again")
    assert store.put_edited("a") is not None
    assert read_bytes(other, "a") == b"and again"
    clock.now += 86401
    put(store, "b", b"x")
    put(store, "c", b"x")
    assert not path.exists()


def test_a_path_that_is_written_to_while_it_is_read_ends_the_reader(make: Make) -> None:
    store = make()
    put(store, "a", b"remote" * 10)
    path = store.local_path("a")
    with store.get("a") as reader:
        assert reader.read(6) == b"remote"
        _edit(path, b"edited" * 10)
        with pytest.raises(StoreUnavailable, match="written to"):
            reader.read(6)


def test_an_edit_that_cannot_be_put_is_not_lost(make: Make, far: Far) -> None:
    store = make()
    put(store, "a", b"remote")
    path = store.local_path("a")
    _edit(path, b"edited")
    far.fail("put", DOWN)
    with pytest.raises(StoreUnavailable):
        store.put_edited("a")
    assert read_bytes(store, "a") == b"remote"
    assert store.put_edited("a") is not None
    assert read_bytes(far.memory, "a") == b"edited"


@pytest.mark.parametrize("keep_writes", [True, False])
def test_an_edit_is_of_no_account_once_the_blob_was_put_or_deleted(
    make: Make, far: Far, keep_writes: bool
) -> None:
    store, other = make(keep_writes=keep_writes), make()
    put(store, "a", b"remote")
    path = store.local_path("a")
    _edit(path, b"edited")
    with path.open("rb") as body:
        store.put("a", body)  # as who names the path itself
    put(other, "a", b"newer")
    assert store.put_edited("a") is None
    _edit(path, b"edited again")
    put(store, "a", b"newest")
    assert store.put_edited("a") is None
    _edit(path, b"and again")
    far.fail("put", DOWN)
    with pytest.raises(StoreUnavailable):
        put(store, "a", b"never")
    assert store.put_edited("a") is not None, "nothing came of that"
    assert read_bytes(other, "a") == b"and again"
    _edit(path, b"for the last time")
    store.delete("a")
    assert store.put_edited("a") is None
    with pytest.raises(BlobNotFound):
        other.stat("a")


def test_a_file_that_was_moved_over_a_path_is_an_edit(make: Make, tmp_path: Path) -> None:
    store = make()
    put(store, "a", b"remote")
    (tmp_path / "other").write_bytes(b"edited")
    (tmp_path / "other").replace(store.local_path("a"))
    assert read_bytes(store, "a") == b"remote"
    assert store.put_edited("a") is not None
    assert read_bytes(store, "a") == b"edited"
