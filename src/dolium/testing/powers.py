"""What each power of a store promises, as tests; and which suite is for which power."""

from __future__ import annotations

import io
import os
import random
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Final

import pytest

from dolium.errors import BlobCorrupt, BlobNotFound, BodyTruncated, RecordNotFound
from dolium.stores.composites.placement import Request
from dolium.stores.composites.places import Places
from dolium.stores.contract import (
    Audit,
    BlobStore,
    ChecksBlobs,
    CopiesWithin,
    DeletesMany,
    KeepsDescriptions,
    LocalFiles,
    LocalPaths,
    PutOptions,
    ReadsOrigin,
    ReportsSpace,
    SignsUrls,
    TakesChunks,
    unwrap,
)
from dolium.stores.transfer import read_bytes
from dolium.values import BlobInfo

__all__ = [
    "SUITES",
    "ChecksSuite",
    "ChunksSuite",
    "CopiesSuite",
    "DeletesSuite",
    "DescriptionsSuite",
    "FilesSuite",
    "OriginSuite",
    "PathsSuite",
    "PlacesSuite",
    "SignsAnswersSuite",
    "SignsSuite",
    "SpaceSuite",
    "keys",
    "put",
]

LARGE: Final = {"key": "k" * 1024, "metadata": "m" * 2048, "headers": "h" * 2048}
"""As large as the description of an object gets; more than an attribute of ext4 holds."""


def put(store: BlobStore, key: str, data: bytes, description: Mapping[str, str] | None = None) -> BlobInfo:
    return store.put(key, io.BytesIO(data), options=PutOptions(description=description or {}))


def keys(store: BlobStore) -> list[str]:
    return [info.key for info in store.list()]


class ChunksSuite:
    """TakesChunks."""

    @pytest.fixture
    def chunks(self, store: BlobStore) -> TakesChunks:
        power = unwrap(store, TakesChunks)
        assert power is not None
        return power

    def test_nothing_is_visible_before_the_commit(self, store: BlobStore, chunks: TakesChunks) -> None:
        with chunks.open_writer("a/b") as writer:
            writer.write(b"one ")
            writer.write(b"")
            writer.write(b"two")
            assert keys(store) == []
            info = writer.commit()
        assert store.stat("a/b") == info
        assert read_bytes(store, "a/b") == b"one two"

    def test_a_writer_of_nothing_makes_an_empty_blob(self, store: BlobStore, chunks: TakesChunks) -> None:
        assert chunks.open_writer("a").commit().size == 0
        assert read_bytes(store, "a") == b""

    def test_the_buffer_may_be_used_again(self, store: BlobStore, chunks: TakesChunks) -> None:
        with chunks.open_writer("a") as writer:
            buffer = bytearray(b"abc")
            writer.write(buffer)
            buffer[:] = b"xyz"
            writer.write(memoryview(buffer)[1:])
            buffer[:] = b"..."
            writer.commit()
        assert read_bytes(store, "a") == b"abcyz"

    def test_what_is_aborted_or_left_was_never_there(self, store: BlobStore, chunks: TakesChunks) -> None:
        put(store, "old", b"old")
        for key in ("old", "new"):
            writer = chunks.open_writer(key)
            writer.write(b"x" * 100_000)
            writer.abort()
            writer.abort()
            with chunks.open_writer(key) as left:
                left.write(b"x")
        assert keys(store) == ["old"]
        assert read_bytes(store, "old") == b"old"

    def test_a_writer_that_is_done_takes_no_more(self, store: BlobStore, chunks: TakesChunks) -> None:
        for end in ("commit", "abort"):
            writer = chunks.open_writer(end)
            getattr(writer, end)()
            with pytest.raises(ValueError, match="closed"):
                writer.write(b"x")
            with pytest.raises(ValueError, match="closed"):
                writer.commit()
            writer.abort()
        assert keys(store) == ["commit"]
        assert read_bytes(store, "commit") == b""

    @pytest.mark.parametrize("size", [0, 2, 4, 1 << 30])
    def test_another_length_than_announced_is_not_committed(
        self, store: BlobStore, chunks: TakesChunks, size: int
    ) -> None:
        put(store, "old", b"old")
        for key in ("new", "old"):
            writer = chunks.open_writer(key, options=PutOptions(size=size))
            writer.write(b"abc")
            with pytest.raises(BodyTruncated):
                writer.commit()
            with pytest.raises(ValueError, match="closed"):
                writer.commit()
        assert keys(store) == ["old"]
        assert read_bytes(store, "old") == b"old"

    def test_large_pieces_of_known_and_unknown_size(self, store: BlobStore, chunks: TakesChunks) -> None:
        piece = bytes(range(256)) * 4096
        for key, size in (("known", 20 * len(piece)), ("unknown", None)):
            with chunks.open_writer(key, options=PutOptions(size=size)) as writer:
                for _ in range(20):
                    writer.write(piece)
                assert writer.commit().size == 20 * len(piece)
            assert read_bytes(store, key) == piece * 20

    def test_of_two_writers_of_a_key_the_last_to_commit_wins(
        self, store: BlobStore, chunks: TakesChunks
    ) -> None:
        first, second = chunks.open_writer("a"), chunks.open_writer("a")
        second.write(b"second")
        first.write(b"first")
        second.commit()
        assert read_bytes(store, "a") == b"second"
        first.commit()
        assert read_bytes(store, "a") == b"first"

    def test_other_keys_are_refused_at_once(self, store: BlobStore, chunks: TakesChunks) -> None:
        with pytest.raises(ValueError, match="key"):
            chunks.open_writer("../a")
        assert keys(store) == []


class ChecksSuite:
    """ChecksBlobs, where nothing is wrong. What is wrong must be seen: that is for the tests of each store."""

    @pytest.fixture
    def checks(self, store: BlobStore) -> ChecksBlobs:
        power = unwrap(store, ChecksBlobs)
        assert power is not None
        return power

    @pytest.mark.parametrize("size", [0, 1, 131_071, 131_072, 131_073, (1 << 20) + 3])
    def test_what_was_put_is_what_it_should_be(
        self, store: BlobStore, checks: ChecksBlobs, size: int
    ) -> None:
        data = random.Random(size).randbytes(size)
        put(store, "a/b", data)
        descriptor, found, sums = checks.open_checked("a/b")
        os.close(descriptor)
        assert sums is not None
        assert (found, sums.size) == (size, size)
        for begin in range(0, size, sums.block):
            block = bytearray(data[begin : begin + sums.block])
            sums.check(begin, block)
            block[-1] ^= 1
            with pytest.raises(BlobCorrupt):
                sums.check(begin, block)
        sums.check(0, data)
        seen: list[int] = []
        assert checks.audit("a/b", pace=seen.append) == Audit(size, summed=True, mended=False)
        assert seen == sorted(seen)
        assert seen[-1] == size

    def test_an_absent_one_is_not_found(self, checks: ChecksBlobs) -> None:
        for verb in (checks.open_checked, checks.audit):
            with pytest.raises(BlobNotFound):
                verb("a")


class DescriptionsSuite:
    """KeepsDescriptions."""

    @pytest.fixture
    def descriptions(self, store: BlobStore) -> KeepsDescriptions:
        power = unwrap(store, KeepsDescriptions)
        assert power is not None
        return power

    @pytest.mark.parametrize("given", [{}, {"key": "ä/☃ ", "": ""}, LARGE])
    def test_a_description_comes_back(
        self, store: BlobStore, descriptions: KeepsDescriptions, given: dict[str, str]
    ) -> None:
        put(store, "a/b", b"bytes", given)
        put(store, "a" * 255, b"bytes", given)
        assert descriptions.description("a/b") == descriptions.description("a" * 255) == given
        assert read_bytes(store, "a/b") == b"bytes"
        assert keys(store) == ["a/b", "a" * 255]

    @pytest.mark.parametrize("first", [{}, {"n": "1"}, LARGE])
    @pytest.mark.parametrize("second", [{}, {"n": "2"}, LARGE | {"n": "2"}])
    def test_a_put_replaces_the_description(
        self,
        store: BlobStore,
        descriptions: KeepsDescriptions,
        first: dict[str, str],
        second: dict[str, str],
    ) -> None:
        put(store, "a", b"1", first)
        put(store, "a", b"2", second)
        assert descriptions.description("a") == second
        store.delete("a")
        with pytest.raises(BlobNotFound):
            descriptions.description("a")
        put(store, "a", b"3")
        assert descriptions.description("a") == {}

    @pytest.mark.parametrize("given", [{"n": "1"}, LARGE])
    def test_a_put_that_fails_leaves_the_old_description(
        self, store: BlobStore, descriptions: KeepsDescriptions, given: dict[str, str]
    ) -> None:
        put(store, "a", b"1", given)
        with pytest.raises(BodyTruncated):
            store.put("a", io.BytesIO(b"2"), options=PutOptions(size=5, description=LARGE | {"n": "2"}))
        assert descriptions.description("a") == given

    def test_a_writer_may_be_told_at_the_end(self, store: BlobStore, descriptions: KeepsDescriptions) -> None:
        power = unwrap(store, TakesChunks)
        assert power is not None
        early = PutOptions(description={"said": "early"})
        power.open_writer("kept", options=early).commit()
        power.open_writer("late", options=early).commit({"said": "late"})
        power.open_writer("none", options=early).commit({})
        assert [descriptions.description(key) for key in ("kept", "late", "none")] == [
            {"said": "early"},
            {"said": "late"},
            {},
        ]


class PathsSuite:
    """LocalPaths."""

    def test_the_path_leads_to_the_bytes(self, store: BlobStore) -> None:
        power = unwrap(store, LocalPaths)
        assert power is not None
        put(store, "a/b", b"bytes")
        assert power.local_path("a/b").read_bytes() == b"bytes"
        for absent in ("a", "b", "a/b/c"):
            with pytest.raises(BlobNotFound):
                power.local_path(absent)


class FilesSuite:
    """LocalFiles."""

    def test_a_file_is_open_for_reading_and_keeps_its_blob(self, store: BlobStore) -> None:
        power = unwrap(store, LocalFiles)
        assert power is not None
        put(store, "a/b", b"bytes")
        descriptor, size = power.open_file("a/b")
        try:
            put(store, "a/b", b"other")
            assert os.pread(descriptor, 100, 0) == b"bytes"
            assert size == 5
            assert not os.get_inheritable(descriptor)
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.write(descriptor, b"x")
        finally:
            os.close(descriptor)
        for absent in ("a", "b", "a/b/c"):
            with pytest.raises(BlobNotFound):
                power.open_file(absent)


class CopiesSuite:
    """CopiesWithin. A store may answer None to any pair, and then has made nothing."""

    @pytest.fixture
    def copies(self, store: BlobStore) -> CopiesWithin:
        power = unwrap(store, CopiesWithin)
        assert power is not None
        return power

    def test_a_copy_is_a_blob_of_its_own_or_there_is_none(
        self, store: BlobStore, copies: CopiesWithin
    ) -> None:
        put(store, "a/b", b"bytes", {"of": "a"})
        info = copies.copy_within("a/b", "c/d", options=PutOptions(description={"of": "c"}))
        if info is None:
            assert keys(store) == ["a/b"]
            return
        store.delete("a/b")
        assert store.stat("c/d") == info
        assert read_bytes(store, "c/d") == b"bytes"
        descriptions = unwrap(store, KeepsDescriptions)
        assert descriptions is None or descriptions.description("c/d") == {"of": "c"}

    def test_an_absent_source_is_not_found(self, store: BlobStore, copies: CopiesWithin) -> None:
        with pytest.raises(BlobNotFound):
            copies.copy_within("a", "b")
        assert keys(store) == []

    def test_another_size_than_announced_is_not_copied(self, store: BlobStore, copies: CopiesWithin) -> None:
        put(store, "a", b"bytes")
        with pytest.raises(BodyTruncated):
            copies.copy_within("a", "b", options=PutOptions(size=4))
        assert keys(store) == ["a"]


class DeletesSuite:
    """DeletesMany."""

    def test_many_are_gone_and_no_others(self, store: BlobStore) -> None:
        power = unwrap(store, DeletesMany)
        assert power is not None
        for key in ("a/1", "a/2", "a/3", "b/1", "c"):
            put(store, key, b"bytes", LARGE)
        wanted = ["b/1", "a/1", "absent", "a/2", "none/absent", "c"]
        assert power.delete_many(wanted) == set(wanted)
        assert keys(store) == ["a/3"]
        assert power.delete_many([]) == set()
        with pytest.raises(ValueError, match="key"):
            power.delete_many(["a/3", "../x"])
        assert keys(store) == ["a/3"]


class SpaceSuite:
    """ReportsSpace."""

    def test_the_free_is_part_of_the_total(self, store: BlobStore) -> None:
        power = unwrap(store, ReportsSpace)
        assert power is not None
        space = power.space()
        assert space is not None
        assert 0 < space.free <= space.total


class OriginSuite:
    """ReadsOrigin."""

    def test_the_blob_itself_is_read(self, store: BlobStore) -> None:
        power = unwrap(store, ReadsOrigin)
        assert power is not None
        put(store, "a/b", b"bytes")
        assert read_bytes(store, "a/b") == b"bytes"
        with power.get_origin("a/b") as reader:
            assert (reader.size, reader.read(), reader.read(1)) == (5, b"bytes", b"")
        with pytest.raises(BlobNotFound):
            power.get_origin("a/c")
        with pytest.raises(ValueError, match="key"):
            power.get_origin("../a")


class PlacesSuite:
    """Places."""

    @pytest.fixture
    def places(self, store: BlobStore) -> Places:
        power = unwrap(store, Places)
        assert power is not None
        return power

    def test_a_blob_is_found_whatever_the_hint(self, store: BlobStore, places: Places) -> None:
        put(store, "a/b", b"bytes")
        here = places.find("a/b")
        assert read_bytes(places.member(here), "a/b") == b"bytes"
        for hint in (None, "", "unknown", *places.ids()):
            assert places.find("a/b", hint=hint) == here
            with pytest.raises(BlobNotFound):
                places.find("absent", hint=hint)
        with pytest.raises(ValueError, match="key"):
            places.find("../a")

    def test_a_blob_lies_in_one_place(self, store: BlobStore, places: Places) -> None:
        for name in places.ids():
            put(places.member(name), "a", name.encode())
            assert read_bytes(store, "a") == name.encode()
            store.delete("a")
            assert [keys(places.member(other)) for other in places.ids()] == [[]] * len(places.ids())

    def test_a_chosen_member_takes_a_blob(self, store: BlobStore, places: Places) -> None:
        chosen = places.choose(Request(key="a", size=1))
        assert 0 < len(chosen) == len(set(chosen))
        assert set(chosen) <= set(places.ids())
        for name in chosen:
            put(places.member(name), name, b"x")
            assert places.find(name) == name
        assert keys(store) == sorted(chosen)

    def test_who_is_asked_for_comes_first(self, places: Places) -> None:
        for name in places.ids():
            assert places.choose(Request(wanted=name))[0] == name
            assert places.choose(Request(wanted=name, only=True)) == (name,)
            assert any(name in line for line in places.explain(Request(wanted=name)))

    def test_an_unknown_member_is_none(self, places: Places) -> None:
        with pytest.raises(RecordNotFound):
            places.member("unknown")


class SignsSuite:
    """SignsUrls."""

    def test_a_signed_url_gives_the_bytes_to_anybody(self, store: BlobStore) -> None:
        power = unwrap(store, SignsUrls)
        assert power is not None
        url = ""
        for key in ("a/b+c=d", "a b/é%20#?&.txt"):
            put(store, key, key.encode())
            url = power.sign_url(key, seconds=60)
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.read() == key.encode()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(url.partition("?")[0], timeout=10)
        with pytest.raises(ValueError, match="key"):
            power.sign_url("../a", seconds=60)


class SignsAnswersSuite(SignsSuite):
    """SignsUrls, of a service that can be asked for headers of the answer."""

    def test_the_answer_to_a_signed_url_says_what_it_shall(self, store: BlobStore) -> None:
        power = unwrap(store, SignsUrls)
        assert power is not None
        put(store, "a/b+c=d", b"bytes")
        said = "attachment; filename=\"a b.txt\"; filename*=UTF-8''%C3%A9.txt"
        for disposition, kind in ((said, "text/x-e"), (said, ""), ("", "text/plain")):
            url = power.sign_url("a/b+c=d", seconds=60, content_disposition=disposition, content_type=kind)
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.read() == b"bytes"
                assert answer.headers.get("Content-Disposition", "") == disposition
                assert not kind or answer.headers["Content-Type"] == kind


SUITES: Final[Mapping[type, type]] = {
    ChecksBlobs: ChecksSuite,
    CopiesWithin: CopiesSuite,
    DeletesMany: DeletesSuite,
    KeepsDescriptions: DescriptionsSuite,
    LocalFiles: FilesSuite,
    LocalPaths: PathsSuite,
    Places: PlacesSuite,
    ReadsOrigin: OriginSuite,
    ReportsSpace: SpaceSuite,
    SignsUrls: SignsSuite,
    TakesChunks: ChunksSuite,
}
"""power -> its suite; StoreSuite demands that a store inherits those of its powers and no others."""
