"""A catalog that is lost is made again from a backup and from what lies in the store."""

import base64
import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from dolium.catalog import backups, buckets, fences, tenancies
from dolium.catalog.sqlite import SqliteDatabase
from dolium.errors import Conflict, ObjectNotFound, Overtaken, StoreUnavailable
from dolium.objects import put
from dolium.objects.orphans import sweep_orphans
from dolium.objects.put import Intake, PutRequest
from dolium.objects.rebuild import What
from dolium.server.first_run import arrive
from dolium.server.rebuilding import rebuild
from dolium.testing.checker import check
from dolium.values import ChecksumAlgorithm
from tests.unit.server.world import FILE, KEY, World, told

HOUR = 3600


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def sound(world: World) -> list[str]:
    """What lies there for nothing, after a look that all else is right."""
    world.service.close()
    report = check(world.data)
    assert report.problems == []
    return report.orphans


def test_what_was_written_after_the_backup_comes_back(world: World) -> None:
    world.put("small", b"small")
    world.put("old", FILE)
    world.put("over", FILE + b"1")
    world.back_up()
    world.put("lost small", b"lost")
    world.put("over", FILE + b"2")
    world.put("new", FILE + b"new")
    world.upload("parts", FILE, b"last")
    world.copy("parts", "copy of parts")
    world.copy("old", "copy of old")
    world.copy("new", "new, copied")
    before = world.keys()
    rows = world.database.all(
        "SELECT key, sequence, size, etag, owner_id, headers FROM objects WHERE inline = 0 ORDER BY key"
    )
    usage = buckets.usage(world.database, world.bucket.id)
    world.lose()
    dry = world.rebuild(apply=False)
    assert not (world.data / "catalog.sqlite").exists()
    assert [path.name for path in world.data.glob(".*")] == []
    done = world.rebuild()
    assert told(done.plan) == told(dry.plan) == [
        ("brought back", "copy of old"), ("brought back", "copy of parts"), ("brought back", "new, copied"),
        ("in place of older", "over"), ("source of a copy", "new"), ("source of a copy", "old"),
        ("source of a copy", "parts"),
    ]  # fmt: skip
    assert done.plan is not None
    assert (done.plan.unaccounted, done.plan.small) == (1, 1), "one small object after the backup, one before"
    assert before.pop("lost small") == b"lost"
    assert world.keys() == before
    assert rows == world.database.all(
        "SELECT key, sequence, size, etag, owner_id, headers FROM objects WHERE inline = 0 ORDER BY key"
    )
    assert buckets.usage(world.database, world.bucket.id) == buckets.Usage(usage.objects - 1, usage.bytes - 4)
    assert world.put("next", FILE).sequence > max(row[1] for row in rows)
    world.sweep()
    assert sound(world) == []


def test_a_version_that_was_overtaken_comes_back_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes say an older sequence than the one that it replaced; the manifest of the two tells better."""
    world.put("key", FILE)
    world.back_up()
    intake = Intake(world.service, world.bucket, PutRequest("key", None, "[]", len(FILE) + 1))
    intake.write(FILE + b"2")
    others = iter([lambda: world.put("key", FILE + b"1")])
    monkeypatch.setattr(put, "reach", lambda name: name == "put.stored" and next(others, lambda: None)())
    with pytest.raises(Overtaken):
        intake.finish().result()
    intake.finish_behind()
    assert world.keys() == {"key": FILE + b"2"}
    world.lose()
    done = world.rebuild()
    assert told(done.plan) == [("in place of older", "key"), ("replaced", "key")]
    assert world.keys() == {"key": FILE + b"2"}
    world.sweep()
    sound(world)


def test_made_again_it_finds_nothing_more(world: World) -> None:
    world.back_up()
    world.put("new", FILE)
    world.lose()
    assert told(world.rebuild().plan) == [("brought back", "new")]
    world.service.close()
    again = world.rebuild()
    assert again.plan is not None
    assert (again.plan.entries, again.plan.empty) == ([], True)
    assert sound(world) == []


@pytest.mark.parametrize("all_of_it", [False, True], ids=["the folder is there", "only the store is there"])
def test_without_a_backup_all_that_lies_in_stores_comes_back(world: World, *, all_of_it: bool) -> None:
    world.put("file", FILE)
    world.upload("parts", FILE, b"last")
    world.copy("parts", "copy")
    world.delete("parts")
    world.sweep()
    tenancy = world.database.write(lambda tx: tenancies.add(tx, "ocean"))
    other = world.database.write(lambda tx: buckets.create(tx, tenancy.id, "deep", None))
    world.at = (other.tenancy_id, other.name)
    world.put("elsewhere", FILE)
    world.at = (1, "cmip")
    world.lose(backup=True, all_of_it=all_of_it)
    done = world.rebuild()
    assert done.arrival is not None
    # It was deleted. But its manifest is what the copy stands on, and that is all that can be seen.
    assert told(done.plan) == [
        ("brought back", "copy"), ("brought back", "elsewhere"), ("brought back", "file"), ("source of a copy", "parts")
    ]  # fmt: skip
    assert done.plan is not None
    assert done.plan.unaccounted is None
    assert world.keys() == {"copy": FILE + b"last", "file": FILE, "parts": FILE + b"last"}
    found = world.database.all(
        "SELECT t.name, b.name, p.name FROM buckets b JOIN tenancies t ON t.id = b.tenancy_id "
        "JOIN people p ON p.id = b.owner_id ORDER BY b.id"
    )
    assert sorted(found) == [("main", "cmip", "admin"), ("tenancy-2", "deep", "admin")]
    highest = max(row[0] for row in world.database.all("SELECT sequence FROM objects"))
    assert world.put("next", FILE).sequence > highest
    assert sound(world) == []


def test_a_catalog_that_is_new_over_a_store_that_is_not_sweeps_nothing(world: World) -> None:
    world.put("file", FILE)
    world.lose(all_of_it=True)
    arrive(world.settings, KEY)
    world.open()
    swept = sweep_orphans(world.service, 1, whole=True)
    assert (swept.removed, swept.lost) == (0, 1)
    first = world.database.write(lambda tx: buckets.create(tx, 1, "cmip", 1))
    assert first.id
    world.put("file", FILE + b"of the new life")
    world.service.close()
    done = world.rebuild()
    assert told(done.plan) == [("replaced", "file")], "what was written since stands"
    assert world.keys() == {"file": FILE + b"of the new life"}


def test_a_catalog_that_was_lost_twice_orders_all_its_lives(world: World) -> None:
    world.put("file", FILE + b"1")
    world.lose(all_of_it=True)
    world.rebuild()
    world.put("file", FILE + b"2")
    world.lose(all_of_it=True)
    assert told(world.rebuild().plan) == [("brought back", "file"), ("replaced", "file")]
    assert world.keys() == {"file": FILE + b"2"}
    world.put("file", FILE + b"3")
    assert world.keys() == {"file": FILE + b"3"}


def test_a_first_start_that_was_cut_off_is_finished(world: World) -> None:
    world.put("file", FILE)
    world.lose(all_of_it=True)
    SqliteDatabase(world.data).close()
    done = world.rebuild()
    assert done.arrival is not None
    assert world.keys() == {"file": FILE}


def test_of_an_open_upload_its_parts_come_back(world: World) -> None:
    upload = world.begin("k", ChecksumAlgorithm.CRC32)
    world.part(upload, 1, FILE + b"1")
    world.part(upload, 2, FILE + b"2")
    world.back_up()
    world.part(upload, 2, FILE + b"2, again")
    third = world.part(upload, 3, FILE + b"3")
    loose = world.part(world.begin("unknown"), 1, FILE)
    world.lose()
    assert told(world.rebuild().plan) == [
        ("part brought back", "k"), ("part brought back", "k"), ("part of nothing", None)
    ]  # fmt: skip
    parts = world.database.all("SELECT number, etag, checksum FROM parts ORDER BY number")
    assert [number for number, _, _ in parts] == [1, 2, 3]
    assert parts[1][1] == hashlib.md5(FILE + b"2, again").hexdigest()
    assert parts[2][1] == third.etag != loose.etag
    assert parts[2][2] == base64.b64encode(zlib.crc32(FILE + b"3").to_bytes(4, "big")).decode()
    assert len(sound(world)) == 1


def test_an_upload_that_was_completed_since_is_closed_with_its_own_parts(world: World) -> None:
    upload = world.begin("k")
    one = world.part(upload, 1, FILE + b"1")
    world.part(upload, 7, FILE + b"never chosen")
    world.back_up()
    two = world.part(upload, 2, b"2")
    world.complete(upload, [one, two])
    world.copy("k", "copy")
    world.delete("k")
    world.sweep()
    world.lose()
    assert told(world.rebuild().plan) == [("brought back", "copy"), ("source of a copy", "k")]
    assert world.keys() == {"copy": FILE + b"12", "k": FILE + b"12"}
    world.delete("copy")
    world.delete("k")
    world.sweep()
    assert sound(world) == []
    assert [path for path in (world.data / "store").rglob("*/*/*-*") if path.is_file()] == []


def test_what_a_sweep_had_begun_to_delete_does_not_come_back(world: World) -> None:
    world.upload("k", FILE + b"1", b"2")
    world.back_up()
    world.upload("k", FILE + b"3", b"4")
    [[part]] = world.database.all("SELECT blob_key FROM parts ORDER BY modified_ms DESC, number DESC LIMIT 1")
    world.put("plain", FILE)
    world.copy("plain", "plain")  # of which no bytes but those of its manifest are new
    source = world.put("source", FILE + b"source")
    world.copy("source", "copy")
    world.lose()
    for key in (part, source.blob_key):
        (world.data / "store" / str(key)).unlink()
    assert told(world.rebuild().plan) == [
        ("brought back", "plain"), ("part of nothing", None), ("was deleted", "copy"), ("was deleted", "k"),
    ]  # fmt: skip
    assert world.keys() == {"k": FILE + b"12", "plain": FILE}
    assert len(sound(world)) == 3, "two manifests and a part are kept"


def test_objects_whose_bytes_are_gone_go(world: World) -> None:
    upload = world.begin("open")
    part = world.part(upload, 1, FILE)
    world.put("stays", FILE)
    world.put("gone", FILE)
    world.upload("parts", FILE, b"last")
    world.copy("stays", "copy")
    world.back_up()
    for key in ("gone", "parts", "copy"):
        world.delete(key)
    world.part(upload, 1, FILE + b"again")
    world.sweep()
    world.lose()
    done = world.rebuild()
    assert told(done.plan) == [
        ("bytes are gone", "copy"), ("bytes are gone", "gone"), ("bytes are gone", "parts"),
        ("part brought back", "open"), ("part is gone", "open"),
    ]  # fmt: skip
    assert world.keys() == {"stays": FILE}
    [[etag]] = world.database.all("SELECT etag FROM parts")
    assert etag != part.etag
    assert sound(world) == []


def test_what_was_deleted_while_its_bytes_are_held_is_known(tmp_path: Path) -> None:
    world = World(tmp_path, backup_hold=HOUR)
    for key in ("deleted", "over", "stays", "of small"):
        world.put(key, FILE + key.encode())
    world.upload("parts", FILE, b"last")
    world.copy("stays", "copy")
    world.back_up()
    for key in ("deleted", "parts", "copy"):
        world.delete(key)
    world.put("over", FILE + b"new")
    world.put("of small", b"replaced by a small one")
    assert world.sweep() == 0, "a backup names them"
    world.put("and then", FILE)
    world.lose()
    done = world.rebuild()
    assert told(done.plan) == [
        ("brought back", "and then"), ("in place of older", "over"), ("was deleted", "copy"),
        ("was deleted", "deleted"), ("was deleted", "of small"), ("was deleted", "parts"),
    ]  # fmt: skip
    assert world.keys() == {"and then": FILE, "over": FILE + b"new", "stays": FILE + b"stays"}
    assert sound(world) == []


def test_it_can_be_had_back_all_the_same(tmp_path: Path) -> None:
    world = World(tmp_path, backup_hold=HOUR)
    world.put("deleted", FILE)
    world.back_up()
    world.delete("deleted")
    world.sweep()
    for _ in range(2):  # what was taken back is not taken for deleted another time
        world.lose()
        assert told(world.rebuild(even_deleted=True).plan) == []
        assert world.keys() == {"deleted": FILE}
        world.sweep()
    assert sound(world) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts.clear(),
        lambda facts: facts.pop("sequence"),
        lambda facts: facts.update(sequence=0),
        lambda facts: facts.update(sequence="7"),
        lambda facts: facts.update(sequence=1 << 70),
        lambda facts: facts.update(owner=-(1 << 70)),
        lambda facts: facts.update(upload=7),
        lambda facts: facts.update(bucket="../etc"),
        lambda facts: facts.update(key="k" * 1025),
        lambda facts: facts.update(key=""),
        lambda facts: facts.update(tenancy=-1),
        lambda facts: facts.update(headers="{"),
        lambda facts: facts.update(size=7),
    ],
)
def test_a_description_that_makes_no_sense_is_kept_and_told_of(
    world: World, change: Callable[[dict[str, object]], object]
) -> None:
    """What lies in a store is not ours alone."""
    import os

    world.back_up()
    row = world.put("k", FILE)
    world.lose()
    path = world.data / "store" / str(row.blob_key)
    about = json.loads(os.getxattr(path, "user.dolium.description"))
    facts = json.loads(about["dolium"])
    change(facts)
    os.setxattr(path, "user.dolium.description", json.dumps({"dolium": json.dumps(facts)}).encode())
    assert told(world.rebuild().plan) == [("not described", None)]
    assert world.keys() == {}
    assert sound(world) == [row.blob_key]


def test_a_healthy_catalog_has_nothing_to_rebuild(world: World) -> None:
    world.put("k", FILE)
    world.service.close()
    assert world.rebuild().plan is None
    assert world.keys() == {"k": FILE}


def test_a_backup_is_not_put_in_the_place_of_a_catalog_by_the_way(world: World) -> None:
    file = world.back_up().file
    world.service.close()
    with pytest.raises(Conflict, match="dolium restore"):
        rebuild(world.settings, file, apply=True, given=None)


def test_a_store_that_is_down_is_not_empty(world: World) -> None:
    world.put("k", FILE)
    world.back_up()
    world.lose()
    identity = world.data / "store" / ".dolium-store.json"
    text = identity.read_bytes()
    identity.unlink()
    with pytest.raises(StoreUnavailable):
        rebuild(world.settings, None, apply=True, given=None)
    identity.write_bytes(text)
    world.rebuild()
    assert world.keys() == {"k": FILE}


def test_what_was_written_after_a_restore_stands(world: World) -> None:
    """Whether or not the folder's witness survived."""
    world.back_up()
    for number in range(3):
        world.put("k", FILE + b"%d" % number)
    world.put("other", FILE)
    world.lose(witness=True)
    from dolium.server.restoring import restore

    restore(world.settings, next(world.settings.backups.iterdir()))
    world.open()
    world.put("k", FILE + b"after the restore")
    world.put("small", b"after the restore")
    world.delete("small")
    assert len(fences.losses(world.database)) == 1
    world.service.close()
    done = world.rebuild()
    assert told(done.plan).count(("replaced", "k")) == 3
    assert world.keys() == {"k": FILE + b"after the restore", "other": FILE}
    with pytest.raises(ObjectNotFound):
        world.read("small")
    assert backups.origin(world.database)
    assert {What.NEW} == {entry.what for entry in done.plan.entries if entry.key == "other"}  # type: ignore[union-attr]
