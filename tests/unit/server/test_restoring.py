"""A backup takes the place of the catalog; what it replaces is kept, and what it does not know is known not to be."""

import os
import shutil
from pathlib import Path

import apsw
import pytest

from dolium.catalog import buckets, fences, people
from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.settings import Settings
from dolium.errors import BackupError, Conflict
from dolium.identity.keys import Sealing
from dolium.server.first_run import arrive
from dolium.server.restoring import discard_unfinished, restore
from dolium.testing.checker import check
from tests.unit.server.world import FILE, KEY, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def names(folder: Path) -> list[str]:
    """Of all that is a catalog, or was one."""
    return sorted(path.name for path in folder.iterdir() if "sqlite" in path.name or "restoring" in path.name)


def test_it_takes_the_place_of_what_is_there(world: World) -> None:
    world.put("k", FILE + b"1")
    about = world.back_up()
    world.put("k", FILE + b"2")
    world.database.write(lambda tx: people.add(tx, "ada"))
    world.service.close()
    restored = restore(world.settings, about.file)
    assert restored.about == about
    assert restored.sealing == Sealing(1, 0, True)
    assert restored.store == ""
    assert restored.kept is not None
    assert names(world.data) == ["catalog.sqlite", restored.kept.name]
    kept = apsw.Connection(str(restored.kept), flags=apsw.SQLITE_OPEN_READONLY)
    assert kept.execute("SELECT count(*) FROM people WHERE name = 'ada'").fetchall() == [(1,)]
    kept.close()
    world.open()
    assert people.find(world.database, "ada") is None
    [loss] = fences.losses(world.database)
    assert (loss.sequence, loss.highest > loss.sequence) == (about.sequence, True)
    world.service.close()


def test_it_comes_into_a_folder_that_is_empty(world: World, tmp_path: Path) -> None:
    about = world.back_up()
    world.service.close()
    settings = Settings(data=tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    restored = restore(settings, about.file)
    assert restored.kept is None
    assert restored.sealing == Sealing(1, 1, False), "the master key is not in it"
    assert "is absent" in restored.store
    database = SqliteDatabase(settings.data)
    assert buckets.find(database, 1, "cmip") is not None
    assert len(fences.losses(database)) == 1
    database.close()


def test_another_master_key_is_told_of(world: World) -> None:
    about = world.back_up()
    world.service.close()
    (world.data / "master.key").write_text("22" * 32)
    assert restore(world.settings, about.file).sealing == Sealing(1, 1, True)


def test_a_backup_over_another_store_is_refused(world: World, tmp_path: Path) -> None:
    about = world.back_up()
    world.service.close()
    other = Settings(data=tmp_path / "other")
    arrive(other, KEY)
    before = names(other.data)
    with pytest.raises(Conflict, match=r"over other stores: it names default .* lies"):
        restore(other, about.file)
    assert names(other.data) == before


def test_while_another_command_has_the_catalog_open_it_waits_for_nobody(world: World) -> None:
    world.put("k", FILE)
    about = world.back_up()
    world.put("newer", FILE)
    with pytest.raises(Conflict, match="another command has the catalog open"):
        restore(world.settings, about.file)
    assert world.keys().keys() == {"k", "newer"}
    world.put("and on", FILE)
    world.service.close()
    assert check(world.data).problems == []
    restore(world.settings, about.file)
    assert len(names(world.data)) == 2


def test_one_that_is_damaged_is_not_put_in_the_place_of_anything(world: World) -> None:
    about = world.back_up()
    world.service.close()
    with about.file.open("r+b") as file:
        file.seek(about.size - 8192)
        file.write(b"\xff" * 8192)
    before = (world.data / "catalog.sqlite").read_bytes()
    with pytest.raises(BackupError, match="is damaged"):
        restore(world.settings, about.file)
    assert (world.data / "catalog.sqlite").read_bytes() == before


def test_a_catalog_that_cannot_be_opened_is_kept_with_its_log(world: World) -> None:
    world.put("k", FILE)
    about = world.back_up()
    world.put("logged", FILE)
    log = (world.data / "catalog.sqlite-wal").read_bytes()
    world.service.close()
    (world.data / "catalog.sqlite").write_bytes(b"the disk has lost it" * 1000)
    (world.data / "catalog.sqlite-wal").write_bytes(log)
    restored = restore(world.settings, about.file)
    assert restored.kept is not None
    assert {"catalog.sqlite", restored.kept.name, f"{restored.kept.name}-wal"} <= set(names(world.data))
    assert not (world.data / "catalog.sqlite-wal").exists()
    world.open()
    assert world.keys().keys() == {"k"}


def test_a_log_without_its_catalog_does_not_meet_the_new_one(world: World) -> None:
    world.put("k", FILE)
    about = world.back_up()
    world.put("logged", FILE)
    log = (world.data / "catalog.sqlite-wal").read_bytes()
    world.lose()
    (world.data / "catalog.sqlite-wal").write_bytes(log)
    assert restore(world.settings, about.file).kept is None
    world.open()
    assert world.keys().keys() == {"k"}


def test_what_a_restore_that_was_cut_off_has_left_goes(world: World) -> None:
    world.put("k", FILE)
    world.service.close()
    catalog = world.data / "catalog.sqlite"
    (world.data / ".catalog.restoring").write_text("half")
    os.link(catalog, world.data / "replaced-20260101T000000.000Z.sqlite")
    shutil.copy2(catalog, world.data / "replaced-20250101T000000.000Z.sqlite")
    discard_unfinished(world.data)
    assert names(world.data) == ["catalog.sqlite", "replaced-20250101T000000.000Z.sqlite"]


def test_where_there_are_no_links_it_is_copied(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    about = world.back_up()
    world.put("newer", FILE)
    world.service.close()

    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    restored = restore(world.settings, about.file)
    assert restored.kept is not None
    kept = apsw.Connection(str(restored.kept), flags=apsw.SQLITE_OPEN_READONLY)
    assert kept.execute("SELECT key FROM objects").fetchall() == [("newer",)]
    kept.close()
