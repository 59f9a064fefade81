import io
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dolium.catalog import access_keys, people, stores, tenancies
from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.settings import Listen, Settings
from dolium.errors import ConfigError, StoreUnavailable
from dolium.identity.credentials import Credentials
from dolium.identity.keys import KeyRing, open_sealer
from dolium.identity.permissions import Role
from dolium.objects import orphans
from dolium.objects.blob_keys import blob_key
from dolium.server import first_run
from dolium.server.first_run import Arrival, arrive, welcome
from dolium.server.snippets import endpoint_of
from dolium.server.wiring import open_service
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.transfer import read_bytes
from dolium.values import Secret

GIVEN = Credentials("GIVENKEY", Secret("given-secret"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


def test_the_first_start_makes_an_admin_who_can_sign_in(settings: Settings) -> None:
    arrival = arrive(settings, None)
    assert arrival is not None
    assert not arrival.given
    database = SqliteDatabase(settings.data)
    try:
        ring = KeyRing(database, open_sealer(database, settings.data, None))
        known = ring.find(arrival.credentials.key_id, 0)
        assert known is not None
        assert known.secret.reveal() == arrival.credentials.secret.reveal()
        principal = known.principal
        assert (principal.person, principal.tenancy, principal.role) == ("admin", "main", Role.MANAGER)
        assert principal.site_admin
        [store] = stores.every(database)
        assert store.uuid == Disk.initialise(settings.store_root)
    finally:
        database.close()
    assert stat.S_IMODE(settings.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((settings.data / "master.key").stat().st_mode) == 0o600


def test_the_second_start_makes_nothing(settings: Settings) -> None:
    assert arrive(settings, None) is not None
    assert arrive(settings, GIVEN) is None
    database = SqliteDatabase(settings.data)
    try:
        assert len(people.every(database)) == len(tenancies.every(database)) == 1
        assert access_keys.find(database, "GIVENKEY") is None
    finally:
        database.close()


def test_a_start_that_was_killed_is_done_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledError(Exception):
        pass

    def kill(*_: object, **__: object) -> None:
        raise KilledError

    for step in ("open_sealer", "enter_stores", "add_key"):
        with monkeypatch.context() as patch:
            patch.setattr(first_run, step, kill)
            with pytest.raises(KilledError):
                arrive(settings, GIVEN)
    arrival = arrive(settings, GIVEN)
    assert arrival == Arrival(GIVEN, given=True)


def test_a_disk_that_is_missing_is_not_made_anew(settings: Settings) -> None:
    arrive(settings, None)
    for path in sorted(settings.store_root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert arrive(settings, None) is None
    assert list(settings.store_root.iterdir()) == []


def test_a_store_that_cannot_be_made_is_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="cannot be made a store"):
        arrive(replace(settings, store=tmp_path / "file" / "store"), None)


def test_a_lost_master_key_is_told_and_not_replaced(settings: Settings) -> None:
    arrive(settings, None)
    (settings.data / "master.key").unlink()
    with pytest.raises(ConfigError, match="master key is missing"):
        arrive(settings, None)
    assert not (settings.data / "master.key").exists()


def test_a_master_key_that_is_given_leaves_no_file(settings: Settings) -> None:
    arrive(replace(settings, master_key=Secret("00" * 32)), None)
    assert not (settings.data / "master.key").exists()


def test_what_is_printed_can_be_pasted(settings: Settings) -> None:
    arrival = arrive(settings, None)
    assert arrival is not None
    key, secret = arrival.credentials.key_id, arrival.credentials.secret.reveal()
    text = welcome(arrival, settings)
    for piece in (
        f"access_key = {key}",
        "host_base = 127.0.0.1:9000",
        "mc alias set dolium http://127.0.0.1:9000\n",
        "provider = Other",
        "no_check_bucket = true",
        f"aws_secret_access_key = {secret}",
        "export AWS_ENDPOINT_URL=http://127.0.0.1:9000",
        "endpoint_url = http://127.0.0.1:9000",
    ):
        assert piece in text


def test_a_secret_that_was_given_is_not_printed(settings: Settings) -> None:
    arrival = arrive(settings, GIVEN)
    assert arrival is not None
    text = welcome(arrival, settings)
    assert "GIVENKEY" in text
    assert "given-secret" not in text


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ([Listen("http", "0.0.0.0", 80)], "http://127.0.0.1:80"),
        ([Listen("https", "::", 443)], "https://[::1]:443"),
        ([Listen("https", "a", 1), Listen("http", "b", 2)], "http://b:2"),
    ],
)
def test_the_address_is_one_that_a_client_here_can_use(listen: list[Listen], url: str) -> None:
    assert str(endpoint_of(tuple(listen))) == url


def test_what_lies_in_the_store_of_a_catalog_that_is_gone_is_kept(settings: Settings) -> None:
    """Nothing names it, and it may be all that is left."""
    arrive(settings, None)
    key = blob_key(time.time_ns(), "0123456789ab")
    Disk(Options(settings.store_root)).put(key, io.BytesIO(b"acknowledged"))
    for file in settings.data.glob("catalog.*"):
        file.unlink()
    arrive(settings, None)
    database = SqliteDatabase(settings.data)
    service, [store] = open_service(database, settings)
    try:
        assert [orphan.lost for orphan in orphans.find(service, store.id)] == [True]
        assert orphans.sweep_orphans(service, store.id) == orphans.SweptOrphans(lost=1)
        assert read_bytes(service.store(store.id), key) == b"acknowledged"
    finally:
        service.close()
