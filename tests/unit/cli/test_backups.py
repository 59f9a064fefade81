"""What the commands print, and with which codes they end."""

import json
import os
from pathlib import Path

import pytest

from dolium.catalog import buckets
from dolium.catalog.sqlite import SqliteDatabase
from dolium.server.claim import claim
from tests.unit.cli.conftest import Run
from tests.unit.server.world import FILE, World


def test_a_backup_is_made_and_listed(run: Run, data: Path, tmp_path: Path) -> None:
    made = run("backup", "--json").record
    file = Path(made["file"])
    assert file.parent == data / "backups"
    assert (made["bytes"], made["keys"], made["problem"]) == (file.stat().st_size, 1, None)
    assert run("backup", "--list", "--json").record == {
        name: value for name, value in made.items() if name != "seconds"
    }
    assert file.name in run("backup", "--list").out
    shown = run("backup", "--to", str(tmp_path / "mine.sqlite")).out
    assert str(tmp_path / "mine.sqlite") in shown
    assert "KiB" in shown
    (tmp_path / "folder").mkdir()
    assert (
        Path(run("backup", "--to", str(tmp_path / "folder"), "--json").record["file"]).parent.name == "folder"
    )


def test_what_cannot_be_is_refused_in_words(run: Run, data: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("somebody's")
    assert (run("backup", "--to", str(taken)).code, taken.read_text()) == (4, "somebody's")
    absent = run("backup", "--to", str(tmp_path / "absent" / "file"))
    assert (absent.code, absent.err) == (6, f"dolium: there is no folder {tmp_path / 'absent'}\n")
    (data / "backups").mkdir(exist_ok=True)
    (data / "backups" / "catalog-00000000-20260101T000000.000Z.sqlite").write_text("no backup")
    assert "no backup that can be used" in run("backup", "--list").out
    listed = run("backup", "--list", "--json").record
    assert (listed["made"], "no backup" in listed["problem"]) == (None, True)
    assert run("restore", str(tmp_path / "absent")).code == 6
    assert run("restore", str(taken)).code == 6


def test_a_folder_that_is_served_is_not_restored_nor_rebuilt(run: Run, data: Path) -> None:
    file = run("backup", "--json").record["file"]
    held = claim(data)
    try:
        for command in (("restore", file), ("rebuild",), ("rebuild", "--apply")):
            done = run(*command)
            assert (done.code, done.err) == (
                4,
                f"dolium: {data} is being served already, by process {os.getpid()}\n",
            )
    finally:
        os.close(held)


def test_a_restore_tells_what_it_did_and_what_is_missing(run: Run, data: Path) -> None:
    file = run("backup", "--json").record["file"]
    done = run("restore", file, "--json").record
    assert (done["restored"], done["keys"], done["keys_closed"], done["master_key"]) == (file, 1, 0, True)
    assert Path(done["replaced"]).exists()
    (data / "master.key").unlink()
    told = run("restore", file)
    assert told.code == 0
    assert "The master key is missing: 1 of 1 access keys cannot be used" in told.err
    assert "dolium key rotate-master --lost" in told.err
    assert run("key", "issue", "--person", "admin").code == 5
    lost = run("key", "rotate-master", "--lost")
    assert (lost.code, "revoked  1" in lost.out, "dolium key issue" in lost.err) == (0, True, True)
    assert run("key", "issue", "--person", "admin").code == 0
    nothing = run("key", "rotate-master", "--lost")
    assert (nothing.code, "nothing is lost" in nothing.err) == (4, True)


def test_a_rebuild_looks_first_and_then_does_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    monkeypatch.setenv("DOLIUM_DATA", str(world.data))
    world.put("small", b"small")
    world.back_up()
    for number in range(25):
        world.put(f"new {number}", FILE)
    world.lose()
    looked = run("rebuild")
    assert looked.code == 0
    assert "… and 5 more: brought back (all of them: --json)" in looked.out
    assert "Nothing was changed. To do it: dolium rebuild --apply" in looked.out
    assert "1 small objects are as the backup has them" in looked.out
    *entries, summary = run("rebuild", "--json").records
    assert len(entries) == summary["brought_back"] == 25
    assert {entry["what"] for entry in entries} == {"brought back"}
    assert (summary["applied"], summary["backup"]["objects"]) == (False, 1)
    assert run("rebuild", "--backup", str(tmp_path / "absent"), "--apply").code == 6
    done = run("rebuild", "--apply")
    assert (done.code, "Nothing was changed" in done.out) == (0, False)
    database = SqliteDatabase(world.data)
    assert buckets.usage(database, 1).objects == 26
    database.close()
    assert run("rebuild", "--apply", "--json").record["brought_back"] == 0
    again = run("rebuild", "--backup", summary["backup"]["file"])
    assert (again.code, "dolium restore" in again.err) == (4, True)


def test_without_a_backup_the_first_key_is_printed_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    monkeypatch.setenv("DOLIUM_DATA", str(world.data))
    world.put("k", FILE)
    world.lose(all_of_it=True)
    assert "secret key" not in run("rebuild").out, "which is thrown away"
    assert not (world.data / "master.key").exists()
    assert "secret key" in run("rebuild", "--apply").out
    assert run("key", "list", "--json").record["person"] == "admin"


def test_a_catalog_that_has_lost_nothing_stays(run: Run, data: Path) -> None:
    assert run("rebuild", "--apply").out == "This catalog has lost nothing: no backup was put in its place.\n"
    assert run("rebuild", "--json").record["applied"] is False


def test_the_master_key_is_rotated(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("key", "rotate-master", "--json").record
    assert (done["sealed"], done["revoked"]) == (1, 0)
    assert Path(done["old_key"]).exists()
    assert run("key", "issue", "--person", "admin").code == 0
    unwanted = run("key", "rotate-master", "--new-key-file", str(data / "master.key"))
    assert (unwanted.code, "given from elsewhere" in unwanted.err) == (2, True)


def test_a_master_key_that_is_given_is_followed_by_one_that_is(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOLIUM_MASTER_KEY", (data / "master.key").read_text())
    without = run("key", "rotate-master")
    assert (without.code, "DOLIUM_NEW_MASTER_KEY" in without.err) == (5, True)
    monkeypatch.setenv("DOLIUM_NEW_MASTER_KEY", "ab" * 32)
    held = claim(data)
    assert run("key", "rotate-master").code == 4
    os.close(held)
    done = run("key", "rotate-master")
    assert (done.code, "before the next start" in done.err) == (0, True)
    assert run("key", "issue", "--person", "admin").code == 5
    monkeypatch.setenv("DOLIUM_MASTER_KEY", "ab" * 32)
    assert run("key", "issue", "--person", "admin").code == 0
    file = tmp_path / "new.key"
    file.write_text("cd" * 32)
    file.chmod(0o644)
    readable = run("key", "rotate-master", "--new-key-file", str(file))
    assert (readable.code, "readable for others" in readable.err) == (5, True)
    file.chmod(0o600)
    assert run("key", "rotate-master", "--new-key-file", str(file), "--json").record["sealed"] == 2
    absent = run("key", "rotate-master", "--new-key-file", str(tmp_path / "absent"))
    assert absent.code == 5


def test_what_is_held_for_a_backup_goes_when_it_is_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, backup_hold=3600)
    monkeypatch.setenv("DOLIUM_DATA", str(world.data))
    (tmp_path / "dolium.yml").write_text("garbage_grace: 0\n")
    monkeypatch.setenv("DOLIUM_CONFIG", str(tmp_path / "dolium.yml"))
    world.put("k", FILE)
    world.back_up()
    world.delete("k")
    world.service.close()
    assert "0 blobs of garbage deleted" in run("store", "sweep").out
    assert "2 blobs of garbage deleted" in run("store", "sweep", "--even-held").out
    assert json.loads(run("store", "orphans", "--json").out or "null") is None
