"""StoreSuite: the contract of a store as tests, for every store to inherit.

class TestMemory(StoreSuite, ChunksSuite, DescriptionsSuite, SpaceSuite):
    @pytest.fixture
    def store(self): return Memory()

A store inherits the suite of each power that it has, from `dolium.testing.powers`; that none is forgotten is a
test too.
"""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dolium.errors import BlobNotFound, BodyTruncated, Conflict, RangeNotSatisfiable
from dolium.stores.contract import BlobStore, PutOptions, unwrap
from dolium.stores.stream import IterableReader
from dolium.stores.transfer import read_bytes
from dolium.testing.powers import SUITES, keys, put
from dolium.values import ByteRange

__all__ = ["StoreSuite"]

BAD_KEYS = [
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    ".",
    "..",
    "../a",
    "a/..",
    "a/./b",
    "a\n",
    "a\0",
    "\x1f",
    "a\x7f",
    "a\x80/b",
    "\x9f",
    "a\ud800",
    "\udcff",  # a byte that is no UTF-8, as Python reads names of files
    ".dolium",
    ".dolium-store.json",
    "a/.dolium-x",
    ".dolium é",
    "a" * 256,
    "é" * 128,
    "/".join(["a" * 100] * 11),
    "/".join(["é" * 102] * 5 + ["é"]),
]
ODD_KEYS = [
    "a",
    "=",
    "+@-_.=",
    "...",
    ".a",
    "a..",
    "-",
    "a/.b/..c/d..",
    "A/a",
    "tmp/x",
    "a b",
    " ",
    " a/b ",
    "a\\b",
    "~",
    "*?[a]{b}$c%2F&#'\"<>|:;!,()`^",
    "é",
    "e\u0301",  # the same to the eye, and another key
    "\xa0/\u3000/\u202e",
    "データ/☃ \U0001f9ec.dat",
    "a" * 255,
    "é" * 127 + "a",
    "\U0001f9ec" * 63 + "abc",
    "/".join(["a" * 203] * 5 + ["b" * 4]),
    "/".join(["é" * 101] * 5 + ["é" * 4 + "a"]),
]
SIZES = [0, 1, 65_537, (1 << 20) + 3]


class BodyError(Exception):
    """What a failing body raises."""


def _failing(good: bytes, error: BaseException) -> IterableReader:
    def pieces() -> Iterator[bytes]:
        yield good
        raise error

    return IterableReader(pieces())


class StoreSuite:
    """Inherit, and give a fixture `store`: an empty store."""

    @pytest.fixture
    def store(self) -> Iterator[BlobStore]:
        raise TypeError("a StoreSuite gives its own fixture `store`")

    def test_every_power_has_its_suite(self, store: BlobStore) -> None:
        for power, suite in SUITES.items():
            assert (unwrap(store, power) is not None) == isinstance(self, suite), power.__name__

    # Put and get.

    @pytest.mark.parametrize("size", SIZES)
    def test_what_was_put_comes_back(self, store: BlobStore, size: int) -> None:
        data = bytes(itertools.islice(itertools.cycle(range(251)), size))
        info = store.put("ab/cd/1", io.BytesIO(data), options=PutOptions(size=size))
        assert (info.key, info.size) == ("ab/cd/1", size)
        assert abs(info.modified_ns - time.time_ns()) < 3600 * 10**9
        assert store.stat("ab/cd/1") == info
        assert list(store.list()) == [info]
        with store.get("ab/cd/1") as reader:
            assert (reader.size, reader.start, reader.stop) == (size, 0, size)
            assert reader.read() == data

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_odd_keys_are_keys(self, store: BlobStore, key: str) -> None:
        put(store, key, b"odd")
        assert read_bytes(store, key) == b"odd"
        assert keys(store) == [key]
        store.delete(key)
        assert keys(store) == []

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_other_keys_are_refused(self, store: BlobStore, key: str) -> None:
        verbs: list[Callable[[], object]] = [
            lambda: put(store, key, b""),
            lambda: store.get(key),
            lambda: store.stat(key),
            lambda: store.delete(key),
        ]
        for verb in verbs:
            with pytest.raises(ValueError, match="key"):
                verb()
        assert keys(store) == []

    def test_a_put_replaces(self, store: BlobStore) -> None:
        put(store, "a", b"the old one")
        put(store, "a", b"new")
        assert read_bytes(store, "a") == b"new"
        assert store.stat("a").size == 3
        assert keys(store) == ["a"]

    def test_a_body_may_come_in_any_pieces(self, store: BlobStore) -> None:
        store.put("a", IterableReader([b"1", b"", b"23", b"4" * 70_000]))
        assert read_bytes(store, "a") == b"123" + b"4" * 70_000

    @pytest.mark.parametrize(
        "error", [BodyError(), ConnectionResetError(), KeyboardInterrupt(), TimeoutError()]
    )
    @pytest.mark.parametrize("good", [b"", b"x" * 600_000])
    def test_what_the_body_raises_passes_and_nothing_is_stored(
        self, store: BlobStore, good: bytes, error: BaseException
    ) -> None:
        put(store, "old", b"old")
        for key in ("new", "old"):
            with pytest.raises(type(error)) as raised:
                store.put(key, _failing(good, error))
            assert raised.value is error
        assert keys(store) == ["old"]
        assert read_bytes(store, "old") == b"old"

    @pytest.mark.parametrize("size", [0, 2, 4, 1 << 30])
    def test_a_body_of_another_length_is_not_stored(self, store: BlobStore, size: int) -> None:
        put(store, "old", b"old")
        for key in ("new", "old"):
            with pytest.raises(BodyTruncated):
                store.put(key, io.BytesIO(b"abc"), options=PutOptions(size=size))
        assert keys(store) == ["old"]
        assert read_bytes(store, "old") == b"old"

    def test_of_an_endless_body_no_more_is_read_than_it_takes(self, store: BlobStore) -> None:
        with pytest.raises(BodyTruncated):
            store.put("a", IterableReader(itertools.repeat(b"x" * 1000)), options=PutOptions(size=10))
        assert keys(store) == []

    # Absent blobs, and folders that are none.

    def test_an_absent_blob_is_not_found(self, store: BlobStore) -> None:
        put(store, "a/b", b"there")
        for key in ("b", "a", "a/b/c", "a/c"):
            with pytest.raises(BlobNotFound) as raised:
                store.get(key)
            assert raised.value.key == key
            with pytest.raises(BlobNotFound):
                store.stat(key)

    def test_delete_removes_and_an_absent_blob_is_fine(self, store: BlobStore) -> None:
        put(store, "a/b", b"there")
        for key in ("b", "a", "a/b/c", "a/c", "c/d"):
            store.delete(key)
        assert keys(store) == ["a/b"]
        store.delete("a/b")
        store.delete("a/b")
        assert keys(store) == []
        with pytest.raises(BlobNotFound):
            store.stat("a/b")

    @pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b/c", "a"), ("a/b", "a/b/c/d")])
    def test_a_key_that_is_a_folder_of_another_conflicts_or_is_held(
        self, store: BlobStore, first: str, second: str
    ) -> None:
        put(store, first, b"first")
        try:
            put(store, second, b"second")
        except Conflict:
            assert keys(store) == [first]
        else:
            assert read_bytes(store, second) == b"second"
            assert keys(store) == sorted([first, second])
        assert read_bytes(store, first) == b"first"

    @pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b/c", "a"), ("a/b", "a/b/c/d")])
    def test_a_key_is_free_again_when_what_was_in_its_way_is_gone(
        self, store: BlobStore, first: str, second: str
    ) -> None:
        put(store, first, b"first")
        store.delete(first)
        put(store, second, b"second")
        assert keys(store) == [second]

    # Ranges and readers.

    def test_a_range_is_that_slice(self, store: BlobStore) -> None:
        data = b"0123456789"
        put(store, "a", data)
        expected = {ByteRange(None, n): data[-n:] for n in (1, 9, 10, 1000)}
        expected |= {ByteRange(n, None): data[n:] for n in (0, 1, 9)}
        expected |= {ByteRange(m, n): data[m : n + 1] for m in (0, 1, 9) for n in (9, 10, 1000)}
        expected |= {ByteRange(0, 0): data[:1], ByteRange(3, 4): data[3:5]}
        for asked, slice_ in expected.items():
            with store.get("a", range=asked) as reader:
                assert reader.size == 10
                assert data[reader.start : reader.stop] == slice_
                assert reader.read() == slice_
        for behind in (ByteRange(10, None), ByteRange(10, 20), ByteRange(11, 11), ByteRange(None, 0)):
            with pytest.raises(RangeNotSatisfiable) as raised:
                store.get("a", range=behind)
            assert raised.value.size == 10

    def test_no_range_of_an_empty_blob(self, store: BlobStore) -> None:
        put(store, "a", b"")
        for range_ in (ByteRange(0, None), ByteRange(0, 0), ByteRange(None, 1)):
            with pytest.raises(RangeNotSatisfiable):
                store.get("a", range=range_)

    def test_a_reader_gives_what_is_asked_and_then_the_end_for_ever(self, store: BlobStore) -> None:
        put(store, "a", b"0123456789")
        with store.get("a", range=ByteRange(2, 8)) as reader:
            assert 1 <= len(first := reader.read(3)) <= 3
            assert first + reader.read() == b"2345678"
            assert reader.read(1) == reader.read() == reader.read(1) == b""
        reader.close()

    def test_a_reader_keeps_its_blob(self, store: BlobStore) -> None:
        put(store, "a", b"old" * 100_000)
        put(store, "b", b"old" * 100_000)
        with store.get("a") as first, store.get("b") as second:
            assert first.read(3) == b"old"
            put(store, "a", b"new")
            store.delete("b")
            assert first.read() == b"old" * 99_999
            assert second.read() == b"old" * 100_000
        assert read_bytes(store, "a") == b"new"

    # Lists.

    KEYS = (
        *(
            "a b/x",
            "a!",
            "a+b",
            "a-b",
            "a.b",
            "a/b",
            "a/b.c",
            "a/c/d",
            "a/é",
            "a0",
            "a=b",
            "aa",
            "aé",
            "a\uff5e",
        ),
        *("a\U0001f9ec/x", "b", "b.a/x", "b@", "b_", "é"),
    )

    def _fill(self, store: BlobStore) -> None:
        for key in reversed(self.KEYS):
            put(store, key, key.encode())

    def test_a_list_is_in_the_order_of_the_bytes_of_the_keys(self, store: BlobStore) -> None:
        self._fill(store)
        assert list(self.KEYS) == sorted(self.KEYS, key=str.encode)
        assert [(info.key, info.size) for info in store.list()] == [
            (key, len(key.encode())) for key in self.KEYS
        ]
        assert [store.stat(info.key) for info in store.list()] == list(store.list())

    def test_a_list_begins_with_the_prefix_and_after_the_key(self, store: BlobStore) -> None:
        self._fill(store)
        prefixes = [
            "",
            "a",
            "a/",
            "a/b",
            "a/c",
            "a/c/",
            "a ",
            "b.",
            "c",
            "/",
            "../",
            "a//",
            "é",
            "a\0/",
            "\ud800",
        ]
        afters = [
            "",
            "a",
            "a.b",
            "a.c",
            "a/",
            "a/b",
            "a/b.c",
            "a/z",
            "aé",
            "a\uffff",
            "b",
            "b_",
            "z",
            "é",
            "\U00010000",
        ]
        for prefix, after in itertools.product(prefixes, afters):
            expected = [key for key in self.KEYS if key.startswith(prefix) and key > after]
            assert [info.key for info in store.list(prefix, after=after)] == expected, (prefix, after)

    def test_a_list_goes_on_while_others_put_and_delete(self, store: BlobStore) -> None:
        self._fill(store)
        seen = []
        for info in store.list():
            seen.append(info.key)
            if info.key == "a-b":
                store.delete("a-b")
                store.delete("b")
                put(store, "0", b"")
                put(store, "c", b"")
        assert seen == sorted(set(seen))
        assert set(self.KEYS) - {"b"} <= set(seen) <= {*self.KEYS, "c"}

    # Many at once.

    def test_of_concurrent_puts_of_one_key_each_reader_sees_one_whole(self, store: BlobStore) -> None:
        bodies = [bytes([65 + n]) * (50_000 + n) for n in range(4)]
        put(store, "a/b", bodies[0])

        def write(body: bytes) -> None:
            for _ in range(8):
                put(store, "a/b", body)

        def read() -> None:
            for _ in range(30):
                assert read_bytes(store, "a/b") in bodies
                assert store.stat("a/b").size in map(len, bodies)

        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(write, body) for body in bodies] + [pool.submit(read) for _ in range(3)]
            for job in jobs:
                job.result()
        assert read_bytes(store, "a/b") in bodies
        assert keys(store) == ["a/b"]

    def test_many_threads_put_and_delete_side_by_side(self, store: BlobStore) -> None:
        def work(thread: int) -> None:
            for number in range(8):
                put(store, f"new/{number}/{thread}", b"x" * thread)
                if number % 2:
                    store.delete(f"new/{number}/{thread}")

        with ThreadPoolExecutor(8) as pool:
            for job in [pool.submit(work, thread) for thread in range(8)]:
                job.result()
        assert keys(store) == [f"new/{number}/{thread}" for number in (0, 2, 4, 6) for thread in range(8)]

    def test_closing_twice_is_fine(self, store: BlobStore) -> None:
        store.close()
        store.close()
