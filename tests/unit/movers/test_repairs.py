"""Copies that are made by themselves: what was missed, what is new, what a member had before; and how a scrub mends."""

import errno
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dolium.catalog import damage, replicas
from dolium.catalog.damage import Subject
from dolium.config.galaxy import read_stores
from dolium.config.specs import StoresSpec
from dolium.errors import BlobCorrupt, StoreFull, StoreUnavailable, VersionGone
from dolium.movers import copies, look, repairs
from dolium.movers.look import Verdict
from dolium.movers.pace import Pace, Stopped
from dolium.movers.repairs import Repairs
from dolium.movers.scrub import Scrub, recheck
from dolium.objects import copy, get, orphans
from dolium.objects.service import ObjectService
from dolium.server.first_run import arrive
from dolium.server.store_entry import enter_stores
from dolium.server.stores import LiveStores
from dolium.stores.contract import BlobStore
from dolium.stores.leaves.disk import Disk
from tests.unit.server.world import FILE, KEY, World
from tests.unit.stores.test_disk_sums import flip


def never(_: float) -> bool:
    return False


def spec(folder: Path, *members: str, more: str = "") -> StoresSpec:
    file = folder / "stores.yml"
    backends = ", ".join(f"{{id: {name}, type: disk, files_dir: {folder / name}}}" for name in members)
    pair = f"{{id: pair, type: replicated, write_quorum: 1, backends: [{backends}]}}"
    file.write_text(f"type: hierarchical\nbackends: [{pair}{more}]\n")
    return read_stores(file, {}, base=folder).spec


class Pair(World):
    """A world over the disks `a` and `b`, which can go away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(folder, stores=spec(folder, "a", "b"))
        self.repair()  # there is nothing yet: both are filled

    def be(self, stores: StoresSpec) -> None:
        """Served with another configuration."""
        self.service.close()
        self.settings = replace(self.settings, stores=stores)
        arrive(self.settings, KEY)
        self.open()

    def number(self, name: str) -> int:
        row = self.database.one("SELECT id FROM stores WHERE name = $1", name)
        assert row is not None
        return int(row[0])

    def store(self, name: str) -> Any:
        """With whatever powers it has."""
        return self.service.store(self.number(name))

    def away(self, name: str) -> None:
        (self.folder / name).rename(self.folder / f"{name}-away")

    def back(self, name: str) -> None:
        (self.folder / f"{name}-away").rename(self.folder / name)
        self.store(name).probe()  # for its breaker

    def blobs(self, name: str) -> dict[str, bytes]:
        root = self.folder / name
        found = (path for path in root.rglob("*") if path.is_file())
        here = [
            path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)
        ]
        return {str(path.relative_to(root)): path.read_bytes() for path in here}

    def path(self, name: str, key: str) -> Path:
        row = get.find(self.service, self.bucket, key, with_body=False)
        return self.folder / name / str(row.blob_key)

    def waiting(self) -> int:
        self.database.write(lambda _: None)  # what was told of is committed by now
        return sum(replicas.waiting(self.database).values())

    def repair(self) -> int:
        return Repairs(self.service, 0, never).work(everything=True)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_what_was_missed_is_made_good_with_all_that_lies_beside_it(pair: Pair) -> None:
    pair.away("b")
    pair.put("k", FILE)
    pair.upload("parts", FILE, FILE)
    assert pair.waiting() == 4
    assert Repairs(pair.service, 0, never).work() == 0, "it is away"
    pair.back("b")
    assert pair.repair() == 4
    assert pair.waiting() == 0
    assert pair.blobs("a") == pair.blobs("b")
    a, b = (pair.store(name) for name in "ab")
    for key in pair.blobs("a"):
        assert a.description(key) == b.description(key) != {}
        assert b.audit(key).summed
    pair.away("a")
    assert pair.keys() == {"k": FILE, "parts": FILE + FILE}


def test_who_is_away_is_left_alone_for_a_while(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.away("b")
    pair.put("k", FILE)
    pair.waiting()
    tried = []
    make = copies.make

    def counting(service: ObjectService, member: int, *more: Any, **how: Any) -> bool:
        tried.append(member)
        return make(service, member, *more, **how)

    monkeypatch.setattr(copies, "make", counting)
    work = Repairs(pair.service, 0, never)
    for _ in range(5):
        work._service.database.write(lambda tx: tx.run("UPDATE repairs SET due_ms = 0"))
        work.work()
    assert tried == [pair.number("b")]
    pair.back("b")
    work._away[pair.number("b")].until = 0
    assert work.work() == 1


def test_a_member_that_is_full_keeps_no_other_from_its_copies(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.be(spec(pair.folder, "a", "b", "c"))
    pair.repair()
    for name in "bc":
        pair.away(name)
    pair.put("k", FILE)
    for name in "bc":
        pair.back(name)
    put = Disk.open_writer

    def full(self: Disk, key: str, **how: object) -> object:
        if self.store_id == "b":
            raise StoreFull("full")
        return put(self, key, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Disk, "open_writer", full)
    pair.waiting()
    assert pair.repair() == 1
    assert pair.blobs("c") == pair.blobs("a")
    assert pair.waiting() == 1
    monkeypatch.undo()
    assert pair.repair() == 1


def test_what_is_deleted_meanwhile_needs_no_copy(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.away("b")
    pair.put("k", FILE)
    pair.put("now", FILE)
    pair.delete("k")
    assert pair.waiting() == 2
    assert pair.sweep() == 0, "b might have it"
    pair.back("b")
    pair.sweep()
    named = orphans.named_in

    def delete_first(*args: object) -> set[str]:
        pair.delete("now")
        pair.sweep()
        return named(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(copies, "named_in", delete_first)
    pair.repair()
    assert pair.blobs("a") == pair.blobs("b") == {}
    monkeypatch.undo()
    assert pair.waiting() == 1, "it may be about to be named"
    pair.database.write(lambda tx: tx.run("UPDATE repairs SET noted_ms = 0"))
    pair.repair()
    assert pair.waiting() == 0


def test_a_new_member_is_filled_and_gone_on_with_where_it_was_cut_off(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairs, "_PAGE", 2)
    bodies = {f"k{number}": FILE + bytes([number]) for number in range(7)}
    for key, body in bodies.items():
        pair.put(key, body)
    pair.repair()
    pair.be(spec(pair.folder, "a", "b", "c"))
    pair.put("newer", FILE)
    rests = iter([False] * 8 + [True] * 100)
    with pytest.raises(Stopped):
        Repairs(pair.service, 1 << 40, lambda _: next(rests)).work(everything=True)
    [place] = [one.place for one in replicas.every(pair.database) if one.store_id == pair.number("c")]
    assert place
    assert 1 < len(pair.blobs("c")) < 8
    left = 8 - len(pair.blobs("c"))
    assert pair.repair() == left
    assert pair.blobs("c") == pair.blobs("a")
    assert all(one.place is None for one in replicas.every(pair.database))


def test_a_process_that_knows_the_members_of_before_leaves_word(pair: Pair) -> None:
    grown = replace(pair.settings, stores=spec(pair.folder, "a", "b", "c"))
    live = LiveStores(pair.database, pair.settings)
    enter_stores(pair.database, grown)
    service = live.serve(pair.service.limits)
    store: Any = service.store(pair.number("pair"))
    writer = store.open_writer(service.new_blob_key())
    live.apply(grown)
    writer.write(b"bytes")
    writer.commit()
    pair.database.write(lambda _: None)
    assert replicas.waiting(pair.database) == {(pair.number("pair"), pair.number("c")): 1}
    live.close()


def test_what_a_member_had_before_becomes_the_groups(tmp_path: Path) -> None:
    alone = tmp_path / "stores.yml"
    alone.write_text(f"id: a\ntype: disk\nfiles_dir: {tmp_path / 'a'}\n")
    pair = Pair.__new__(Pair)
    pair.folder = tmp_path
    World.__init__(pair, tmp_path, stores=read_stores(alone, {}, base=tmp_path).spec)
    pair.put("k", FILE)
    pair.copy("k", "copy")
    pair.upload("parts", FILE, FILE)
    pair.copy("parts", "copy of parts")
    pair.copy("copy", "copy of the copy")
    before = pair.keys()
    shared = pair.database.all("SELECT blob_key, refs FROM shared_blobs ORDER BY blob_key")
    pair.be(spec(tmp_path, "a", "b"))
    assert pair.keys() == before
    pair.delete("copy of the copy")
    pair.sweep()
    pair.repair()
    assert pair.blobs("a") == pair.blobs("b") != {}
    for table in ("objects", "parts", "shared_blobs"):
        assert pair.database.all(f"SELECT DISTINCT store_id FROM {table}") == [(pair.number("pair"),)]
    assert len(shared) == len(pair.database.all("SELECT 1 FROM shared_blobs"))
    del before["copy of the copy"]
    pair.away("a")
    assert pair.keys() == before
    pair.back("a")
    for key in before:
        pair.delete(key)
    pair.sweep()
    assert pair.blobs("a") == pair.blobs("b") == {}
    assert pair.database.all("SELECT * FROM shared_blobs") == []


def test_a_copy_shares_no_bytes_that_became_the_groups_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.upload("parts", FILE, FILE)
    [[key]] = world.database.all("SELECT blob_key FROM objects")

    def take_over(point: str) -> None:
        if point == "copy.manifest":
            world.database.write(lambda tx: replicas.take_over(tx, 99, 1, key, set()))

    monkeypatch.setattr(copy, "reach", take_over)
    with pytest.raises(VersionGone):
        world.copy("parts", "copy")
    assert world.database.all("SELECT key, store_id FROM objects") == [("parts", 99)]
    assert world.database.all("SELECT * FROM shared_blobs") == []


def test_orphans_are_looked_for_in_the_whole(pair: Pair) -> None:
    """A blob that lies in one member for nothing goes; what is recorded in a member or in the group is no orphan there."""
    pair.put("k", FILE)
    key = pair.service.new_blob_key()
    body = pair.path("a", "k").read_bytes()
    with pair.store("b").open_writer(key) as writer:
        writer.write(body)
        writer.commit()
    group = pair.number("pair")
    far = time.time_ns() + 10**9 + orphans.LONGEST_UPLOAD_NS
    for name in ("a", "b", "pair"):
        orphans.raise_fence(pair.service, pair.number(name), now_ns=far)
    assert [list(orphans.find(pair.service, pair.number(name))) for name in "ab"] == [[], []]
    assert [orphan.key for orphan in orphans.find(pair.service, group)] == [key]
    for name in ("a", "b", "pair"):
        orphans.sweep_orphans(pair.service, pair.number(name))
    assert (
        pair.blobs("a") == pair.blobs("b") == {str(pair.path("a", "k").relative_to(pair.folder / "a")): FILE}
    )


def test_a_damaged_copy_is_read_by_no_process_and_written_anew(pair: Pair) -> None:
    body = FILE * 20
    row = pair.put("k", body)
    group, key = pair.number("pair"), str(row.blob_key)
    other = LiveStores(pair.database, pair.settings)
    flip(pair.path("a", "k"), len(body) - 1)

    def read(live_store: BlobStore) -> bytes:
        with live_store.get(key) as reader:
            return b"".join(iter(lambda: reader.read(100_000), b""))

    with pytest.raises(BlobCorrupt):
        read(pair.service.store(group))
    assert read(pair.service.store(group)) == body
    checking = pair.service.checking(group)
    assert checking is not None
    descriptor, _, sums = checking.open_checked(key)
    assert sums is not None
    sums.check(0, os.pread(descriptor, sums.block, 0))
    os.close(descriptor)
    pair.waiting()
    other.refresh()
    assert read(other.now[group].store) == body
    assert pair.repair() == 1
    assert pair.path("a", "k").read_bytes() == body
    pair.away("b")
    assert read(other.now[group].store) == body
    other.close()


def test_a_copy_that_its_disk_cannot_read_is_read_no_more(pair: Pair) -> None:
    row = pair.put("k", FILE)
    [segment] = get.segments(pair.service, row, 0, row.size)
    opened = get.open_segment(pair.service, segment)
    assert isinstance(opened, get.OpenFile)
    os.close(opened.descriptor)
    assert opened.guard is not None
    with pytest.raises(BlobCorrupt, match="cannot read"):
        opened.guard.failed(OSError(errno.EIO, "Input/output error"))
    assert pair.waiting() == 1
    assert pair.store("pair").child.distrusted == {("a", row.blob_key)}


def test_without_a_good_copy_it_is_for_the_scrub_to_say(pair: Pair) -> None:
    row = pair.put("k", FILE)
    subject = Subject(pair.number("pair"), str(row.blob_key))
    pair.path("a", "k").unlink()
    flip(pair.path("b", "k"), 3)
    with pytest.raises(BlobCorrupt):
        pair.read("k")
    pair.waiting()
    pair.repair()
    found = damage.find(pair.database, subject)
    assert found is not None
    assert found.state == "suspect"
    recheck(pair.service, Pace(0, never))
    found = damage.find(pair.database, subject)
    assert found is not None
    assert found.state == "corrupt"
    flip(pair.path("b", "k"), 3)
    assert recheck(pair.service, Pace(0, never)) == 1
    assert pair.path("a", "k").read_bytes() == FILE


def _scrub(pair: Pair) -> Scrub:
    scrub = Scrub(pair.service, 0, never)
    assert scrub.work()
    return scrub


def test_a_scrub_leaves_a_new_member_to_its_filling(pair: Pair) -> None:
    pair.put("k", FILE)
    pair.repair()
    pair.be(spec(pair.folder, "a", "b", "c"))
    assert _scrub(pair).run.repaired == 0
    for name in "ab":
        flip(pair.path(name, "k"), 5)
    _scrub(pair)
    assert damage.counts(pair.database) == {"corrupt": 1}
    flip(pair.path("b", "k"), 5)
    pair.repair()
    flip(pair.path("b", "k"), 5)
    assert recheck(pair.service, Pace(0, never)) == 1
    pair.database.write(replicas.refill)
    flip(pair.path("c", "k"), 5)
    assert _scrub(pair).run.repaired == 1, "what it has is looked at"
    assert len({pair.path(name, "k").read_bytes() for name in "abc"}) == 1


def test_what_lies_in_no_member_is_lost_also_while_they_are_filled(pair: Pair) -> None:
    pair.put("k", FILE)
    for name in "ab":
        pair.path(name, "k").unlink()
    pair.database.write(replicas.refill)
    _scrub(pair)
    assert damage.counts(pair.database) == {"corrupt": 1}


def test_what_is_deleted_while_a_scrub_looks_is_nobodys_damage(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.put("k", FILE)
    pair.repair()
    look_at = look.at_blob

    def delete_behind_the_first(*args: Any) -> Verdict:
        verdict = look_at(*args)
        if not verdict.state:
            pair.delete("k")
            pair.sweep()
        return verdict

    monkeypatch.setattr(look, "at_blob", delete_behind_the_first)
    assert _scrub(pair).run.repaired == 0
    assert (damage.counts(pair.database), pair.waiting()) == ({}, 0)


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("how", ["flipped", "lost", "cut", "no description", "another's"])
def test_a_scrub_looks_at_every_copy_and_mends(pair: Pair, name: str, how: str) -> None:
    pair.put("k", FILE)
    pair.put("other", FILE + b"other")
    path = pair.path(name, "k")
    match how:
        case "flipped":
            flip(path, 7)
        case "lost":
            path.unlink()
        case "cut":
            os.truncate(path, 10)
        case "no description":
            _drop_description(path)
        case _:
            path.write_bytes(pair.path(name, "other").read_bytes())
    scrub = _scrub(pair)
    assert (scrub.run.repaired, damage.counts(pair.database)) == (1, {})
    assert pair.blobs("a") == pair.blobs("b")
    for one in "ab":
        said = pair.store(one).description(path.relative_to(pair.folder / name).as_posix())
        assert json.loads(said["dolium"])["key"] == "k"
    assert _scrub(pair).run.repaired == 0


def _drop_description(path: Path) -> None:
    for attribute in os.listxattr(path):
        if "sums" not in attribute:
            os.removexattr(path, attribute)


def test_bytes_from_one_copy_and_the_description_from_the_other(pair: Pair) -> None:
    pair.put("k", FILE)
    flip(pair.path("a", "k"), 7)
    _drop_description(pair.path("b", "k"))
    assert _scrub(pair).run.repaired == 2
    assert _scrub(pair).run.repaired == 0
    assert pair.read("k") == FILE


def test_a_scrub_waits_for_a_member_that_may_have_the_only_good_copy(pair: Pair) -> None:
    row = pair.put("k", FILE)
    pair.put("fine", FILE)
    flip(pair.path("a", "k"), 7)
    pair.away("b")
    _scrub(pair)
    subject = Subject(pair.number("pair"), str(row.blob_key))
    found = damage.find(pair.database, subject)
    assert found is not None
    assert (found.state, found.what.endswith("b is down, and may have a good copy")) == ("suspect", True)
    pair.back("b")
    assert recheck(pair.service, Pace(0, never)) == 1
    assert pair.path("a", "k").read_bytes() == FILE
    for name in "ab":
        pair.away(name)
    with pytest.raises(StoreUnavailable):
        Scrub(pair.service, 0, never).work()


@pytest.fixture
def hierarchy(tmp_path: Path) -> Pair:
    """`first` takes new data; a pair stands behind it."""
    pair = Pair(tmp_path)
    more = f", {{id: first, type: disk, files_dir: {tmp_path / 'first'}}}"
    pair.be(spec(tmp_path, "a", "b", more=more))
    return pair


def test_a_scrub_goes_on_behind_a_store_that_is_down_and_comes_back(
    hierarchy: Pair,
) -> None:
    hierarchy.put("in the pair", FILE)
    for name in "ab":
        hierarchy.away(name)
    hierarchy.put("in first", FILE)
    assert len(hierarchy.blobs("first")) == 1
    flip(next((hierarchy.folder / "first").glob("*/*/*")), 5)
    for _ in range(2):
        scrub = Scrub(hierarchy.service, 0, never)
        with pytest.raises(StoreUnavailable):
            scrub.work()
        assert damage.counts(hierarchy.database) == {"corrupt": 1}
        assert json.loads(scrub.run.place)["stage"] == "left"
    hierarchy.back("a")
    flip(next((hierarchy.folder / "a").glob("*/*/*")), 5)
    hierarchy.back("b")
    scrub = Scrub(hierarchy.service, 0, never)
    assert scrub.work()
    assert (scrub.run.blobs, scrub.run.repaired) == (2, 1)
