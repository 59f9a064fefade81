"""Backups on a schedule: made when they are due, kept as many as is said, and a disk that fails hurts nobody."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dolium.catalog import backups
from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.settings import Settings
from dolium.server.backing_up import BackupKeeper, files, last_backup, make, new_file
from tests.unit.server.conftest import Client, With


@pytest.fixture
def database(settings: Settings) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(settings.data)
    yield database
    database.close()


def until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def test_the_newest_of_its_own_stay(settings: Settings, database: SqliteDatabase) -> None:
    settings = replace(settings, backup_keep=2)
    settings.backups.mkdir()
    others = [
        settings.backups / "scheduled-00000000-20200101T000000.000Z.sqlite",
        settings.backups / "notes.txt",
    ]
    for other in others:
        other.write_text("of another")
    by_hand = new_file(settings.backups, database, "catalog")
    backups.backup(database, settings.data, by_hand, hold_ms=0)
    made = []
    for _ in range(4):
        made.append(make(database, settings, lambda _: None).file)
        time.sleep(0.002)  # their names are of milliseconds
    assert sorted(settings.backups.iterdir()) == sorted([*others, by_hand, *made[2:]])
    assert files(settings.backups)[0] == made[3]
    assert backups.verify(made[3]).origin == backups.origin(database)


def test_it_is_made_when_it_is_due(settings: Settings, database: SqliteDatabase) -> None:
    keeper = BackupKeeper(database, settings, look=0.02)
    keeper.start()
    assert until(lambda: last_backup(settings.data).made_ms > 0)
    time.sleep(0.2)
    keeper.close()
    [file] = files(settings.backups)
    last = last_backup(settings.data)
    assert (last.size, last.error) == (file.stat().st_size, "")
    often = BackupKeeper(database, replace(settings, backup_every=1), look=0.02)
    often.start()
    assert until(lambda: len(files(settings.backups)) > 1)
    often.close()


def test_zero_switches_it_off(settings: Settings, database: SqliteDatabase) -> None:
    keeper = BackupKeeper(database, replace(settings, backup_every=0), look=0.01)
    keeper.start()
    time.sleep(0.1)
    keeper.close()
    assert not settings.backups.exists()


def test_a_disk_that_fails_is_told_of_and_hurts_nobody(
    with_client: With, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(settings, backup_folder=settings.data / "master.key" / "no folder")

    async def work(client: Client) -> None:
        before = await client.call("GET", "/_metrics")
        assert b"dolium_backup_timestamp_seconds 0.0" in before.body
        assert b"dolium_backup_failed 0.0" in before.body
        keeper = BackupKeeper(client.wired.service.database, settings, look=0.02)
        with caplog.at_level(logging.ERROR, "dolium.backup"):
            keeper.start()
            assert until(lambda: last_backup(settings.data).error != "")
            await asyncio.sleep(0.1)
            keeper.close()
        assert len([record for record in caplog.records if "no backup was made" in record.message]) == 1
        ready = await client.call("GET", "/_health/ready", signed=False)
        assert ready.status == 200
        told = json.loads(ready.body)
        assert (told["status"], "the log says why" in told["backup"]) == ("ready", True)
        assert str(settings.data) not in ready.body.decode()
        assert (await client.call("PUT", "/my-bucket")).status == 200
        assert b"dolium_backup_failed 1.0" in (await client.call("GET", "/_metrics")).body
        make(client.wired.service.database, replace(settings, backup_folder=None), lambda _: None)

    with_client(work, settings)


def test_the_end_of_the_service_does_not_wait_for_it(settings: Settings, database: SqliteDatabase) -> None:
    keeper = BackupKeeper(database, settings)
    keeper._stop.set()
    with pytest.raises(Exception, match="the service ends"):
        make(database, settings, keeper._rest)
    keeper._failed("the service ends")
    assert last_backup(settings.data).error == ""
    assert list(settings.backups.iterdir()) == []
    assert backups.spans(database) == []


def test_word_that_makes_no_sense_is_no_word(tmp_path: Path) -> None:
    assert last_backup(tmp_path).made_ms == 0
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "backup.json").write_text('{"made_ms": 1, "what": 2}')
    assert last_backup(tmp_path).made_ms == 0
