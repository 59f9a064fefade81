"""Backups, restores, rebuilds and rotations of the master key that are killed at each of their steps."""

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from dolium.catalog import backups
from dolium.cli.main import main
from dolium.server.backing_up import files
from dolium.testing.checker import check
from dolium.testing.crashes import Crashes
from dolium.testing.server import LiveServer
from tests.drills.command import dolium, killed
from tests.drills.conftest import until
from tests.drills.points import IN_A_BACKUP, IN_A_REBUILD, IN_A_RESTORE, IN_A_ROTATION
from tests.s3.client import Client
from tests.unit.server.world import FILE, World, told


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("served"), config="request_log: failures\n") as server:
        client = Client(server.http)
        client.make_bucket("climate")
        client.put("climate", "small", b"small")
        client.put("climate", "file", FILE)
        yield server


def all_is_well(server: LiveServer) -> None:
    """In every worker: each connection may be another's."""
    client = Client(server.http)
    for _ in range(8):
        assert client.get("climate", "file") == FILE


@pytest.mark.parametrize("point", IN_A_BACKUP)
def test_a_backup_is_whole_or_not_there(served: LiveServer, crashes: Crashes, point: str) -> None:
    folder = served.data / "backups"
    killed(served.data, crashes, (point,), "backup")
    assert all(backups.verify(file).objects == 2 for file in folder.glob("*.sqlite"))
    assert bool(list(folder.glob("*.sqlite"))) == (point == "backup.named")
    assert main(["backup", "--data", str(served.data)]) == 0
    assert backups.verify(files(folder)[0]).objects == 2
    assert list(folder.glob(".*")) == []
    all_is_well(served)
    for file in folder.iterdir():
        file.unlink()


@pytest.mark.parametrize("point", IN_A_ROTATION)
def test_everything_opens_wherever_a_rotation_ends(served: LiveServer, crashes: Crashes, point: str) -> None:
    killed(served.data, crashes, (point,), "key", "rotate-master")
    all_is_well(served)
    # Sealed with whichever key is the current one now.
    assert main(["key", "issue", "--person", "admin", "--data", str(served.data)]) == 0
    assert main(["key", "rotate-master", "--data", str(served.data)]) == 0
    all_is_well(served)
    assert sorted(path.name for path in served.data.glob("*master.key*") if path.suffix != ".old") == [
        "master.key"
    ]


def test_another_start_finds_the_keys_as_they_are_now(served: LiveServer) -> None:
    served.stop()
    served.start()
    all_is_well(served)


def test_a_service_backs_itself_up_and_goes_on_when_a_worker_dies(tmp_path: Path) -> None:
    config = "request_log: failures\nbackup: {every: 1, keep: 2, folder: elsewhere}\n"
    server = LiveServer(tmp_path, config=config)
    folder = tmp_path / "elsewhere"
    with server:
        client = Client(server.http)
        client.make_bucket("climate")
        assert until(lambda: len(files(folder)) == 2)
        first = files(folder)[0]
        os.kill(server.workers[0], signal.SIGKILL)
        client.put("climate", "small", b"small")
        assert until(lambda: first not in files(folder))
        assert until(lambda: backups.identify(files(folder)[0]).objects == 1)
        assert len(files(folder)) <= 3
        told = urllib.request.urlopen(f"{server.http.url}/_metrics").read().decode()
        assert "dolium_backup_failed 0.0" in told
        assert "dolium_backup_timestamp_seconds 0.0" not in told
    assert all(backups.verify(file).file == file for file in files(folder))


def test_a_folder_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.service.close()
    connection = apsw.Connection(str(world.data / "catalog.sqlite"))
    connection.pragma("user_version", 99)
    connection.close()
    done = dolium(world.data, "serve")
    assert (done.returncode, "it was written by a newer version" in done.stderr) == (6, True), done
    for command in ("backup", "rebuild"):
        assert main([command, "--data", str(world.data)]) == 6


@pytest.mark.parametrize("point", IN_A_RESTORE)
def test_a_restore_leaves_the_old_catalog_or_the_new_one(
    tmp_path: Path, crashes: Crashes, point: str
) -> None:
    world = World(tmp_path)
    world.put("old", FILE)
    file = str(world.back_up().file)
    world.put("new", FILE)
    world.service.close()
    killed(world.data, crashes, (point,), "restore", file)
    replaced = point == "restore.replaced"
    assert check(world.data).problems == []
    world.open()
    assert world.keys().keys() == ({"old"} if replaced else {"old", "new"})
    world.put("and on", FILE)
    world.service.close()
    assert main(["restore", file, "--data", str(world.data)]) == 0
    kept = sorted(world.data.glob("replaced-*.sqlite"))
    assert len(kept) == (2 if replaced else 1), "no second name of a catalog that stayed"
    world.open()
    assert world.keys().keys() == {"old"}
    world.service.close()
    [entry] = [entry for entry in told(world.rebuild().plan) if entry[1] == "new"]
    assert entry == ("brought back", "new")
    world.service.close()
    assert check(world.data).problems == []


@pytest.mark.parametrize("point", IN_A_REBUILD)
def test_a_rebuild_that_is_killed_is_made_again(tmp_path: Path, crashes: Crashes, point: str) -> None:
    world = World(tmp_path)
    world.put("gone", FILE)
    upload = world.begin("open")
    world.back_up()
    world.delete("gone")
    world.sweep()
    for number in range(3):
        world.put(f"new {number}", FILE + b"%d" % number)
    world.upload("parts", FILE, b"last")
    world.copy("parts", "copy")
    part = world.part(upload, 1, FILE)
    before = world.keys()
    world.lose()
    killed(world.data, crashes, (point,), "rebuild", "--apply")
    world.rebuild()
    assert world.keys() == before
    assert world.database.all(
        "SELECT etag FROM parts p JOIN uploads u ON u.id = p.upload WHERE u.key = 'open'"
    ) == [(part.etag,)]
    world.sweep()
    world.service.close()
    report = check(world.data)
    assert (report.problems, report.orphans) == ([], [])


def test_a_rebuild_that_is_killed_before_there_is_an_admin_is_made_again(
    tmp_path: Path, crashes: Crashes
) -> None:
    world = World(tmp_path)
    world.put("file", FILE)
    world.lose(all_of_it=True)
    killed(world.data, crashes, ("start.store",), "rebuild", "--apply")
    done = dolium(world.data, "rebuild", "--apply")
    assert (done.returncode, "secret key" in done.stdout) == (0, True)
    world.open()
    assert world.keys() == {"file": FILE}
    world.service.close()
