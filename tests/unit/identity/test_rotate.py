"""Another master key: everything opens at every step, and the old key is of no more use for what is sealed anew."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from dolium.catalog import access_keys, tenancies
from dolium.catalog.sqlite import SqliteDatabase
from dolium.catalog.tenancies import Tenancy
from dolium.errors import ConfigError
from dolium.identity import rotate, seal
from dolium.identity.credentials import Credentials, add_key
from dolium.identity.keys import KeyRing, Sealing, open_sealer, sealing
from dolium.identity.seal import MasterKey, Sealer, open_master_key, sealed_with
from dolium.values import Secret


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def database(folder: Path) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(folder)
    yield database
    database.close()


@pytest.fixture
def tenancy(database: SqliteDatabase) -> Tenancy:
    return database.write(lambda tx: tenancies.add(tx, "climate"))


def fill(database: SqliteDatabase, sealer: Sealer, tenancy: Tenancy, count: int = 5) -> None:
    for number in range(count):
        credentials = Credentials(f"KEY{number}", Secret(f"secret-number-{number}"))
        database.write(
            lambda tx, credentials=credentials: add_key(  # type: ignore[misc]
                tx, sealer, credentials, tenancy_id=tenancy.id, person_id=None
            )
        )


def secrets_of(database: SqliteDatabase, folder: Path, given: Secret | None = None) -> list[str]:
    ring = KeyRing(database, open_sealer(database, folder, given))
    found = [ring.find(f"KEY{number}", 0) for number in range(5)]
    return [known.secret.reveal() for known in found if known is not None]


EVERY = [f"secret-number-{number}" for number in range(5)]


def test_all_is_sealed_with_the_next_key(
    database: SqliteDatabase, folder: Path, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotate, "_BATCH", 2)
    fill(database, open_sealer(database, folder, None, create=True), tenancy)
    old = (folder / "master.key").read_bytes()
    ring = KeyRing(database, open_sealer(database, folder, None))  # of a worker that serves
    assert ring.find("KEY0", 0)
    done = rotate.rotate(database, folder)
    assert (done.sealed, done.revoked) == (5, 0)
    assert (folder / "master.key").read_bytes() != old
    assert done.kept is not None
    assert done.kept.read_bytes() == old
    assert done.kept.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in folder.glob("*master.key*")) == ["master.key", done.kept.name]
    master = open_master_key(folder, None)
    assert master is not None
    assert {sealed_with(key.sealed) for key in access_keys.sealed(database)} == {master.id}
    assert secrets_of(database, folder) == EVERY
    known = ring.find("KEY4", 0)
    assert known is not None
    assert known.secret.reveal() == EVERY[4], "a worker that has the old key learns the new one"


@pytest.mark.parametrize(
    "step", ["rotate.made", "rotate.each", "rotate.sealed", "rotate.kept", "rotate.taken"]
)
def test_cut_off_at_any_step_everything_opens_and_it_goes_on(
    database: SqliteDatabase, folder: Path, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class CutOffError(Exception):
        pass

    fill(database, open_sealer(database, folder, None, create=True), tenancy)
    monkeypatch.setattr(rotate, "_BATCH", 2)
    seen: list[str] = []

    def cut(name: str) -> None:
        seen.append(name)
        if name == step and (step != "rotate.each" or seen.count(name) > 2):
            raise CutOffError

    for module in (rotate, seal):
        monkeypatch.setattr(module, "reach", cut)
    with pytest.raises(CutOffError):
        rotate.rotate(database, folder)
    assert secrets_of(database, folder) == EVERY
    monkeypatch.undo()
    rotate.rotate(database, folder)
    assert secrets_of(database, folder) == EVERY
    assert not (folder / "master.key.next").exists()


def test_what_a_command_seals_meanwhile_with_the_old_key_opens(
    database: SqliteDatabase, folder: Path, tenancy: Tenancy
) -> None:
    late = open_sealer(database, folder, None, create=True)
    fill(database, late, tenancy, 4)
    rotate.rotate(database, folder)
    database.write(
        lambda tx: add_key(
            tx, late, Credentials("KEY4", Secret(EVERY[4])), tenancy_id=tenancy.id, person_id=None
        )
    )
    assert secrets_of(database, folder) == EVERY


def test_what_was_sealed_with_the_old_key_at_the_very_end_is_sealed_anew(
    database: SqliteDatabase, folder: Path, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = open_sealer(database, folder, None, create=True)
    fill(database, late, tenancy, 4)

    def take_next(where: Path, old: MasterKey) -> Path:
        kept = seal.take_next(where, old)
        credentials = Credentials("KEY4", Secret(EVERY[4]))
        database.write(lambda tx: add_key(tx, late, credentials, tenancy_id=tenancy.id, person_id=None))
        return kept

    monkeypatch.setattr(rotate, "take_next", take_next)
    assert rotate.rotate(database, folder).sealed == 5
    assert len({sealed_with(key.sealed) for key in access_keys.sealed(database)}) == 1
    assert secrets_of(database, folder) == EVERY


def test_a_key_that_was_given_is_followed_by_one_that_is_given(
    database: SqliteDatabase, folder: Path, tenancy: Tenancy
) -> None:
    old, following = Secret("11" * 32), Secret("22" * 32)
    fill(database, open_sealer(database, folder, old), tenancy)
    done = rotate.rotate_given(database, folder, MasterKey(b"\x11" * 32), MasterKey(b"\x22" * 32))
    assert (done.sealed, done.kept) == (5, None)
    assert secrets_of(database, folder, following) == EVERY
    with pytest.raises(ConfigError, match="another master key"):
        open_sealer(database, folder, old)
    again = rotate.rotate_given(database, folder, MasterKey(b"\x11" * 32), MasterKey(b"\x22" * 32))
    assert again.sealed == 0
    assert list(folder.glob("master.key*")) == []


def test_where_no_key_opens_a_secret_nothing_is_begun(
    database: SqliteDatabase, folder: Path, tenancy: Tenancy
) -> None:
    fill(database, Sealer(MasterKey(b"\x11" * 32)), tenancy)
    with pytest.raises(ConfigError, match=r"no .*master\.key to follow"):
        rotate.rotate(database, folder)
    (folder / "master.key").write_bytes(base64.b64encode(b"\x22" * 32))
    (folder / "master.key").chmod(0o600)
    with pytest.raises(ConfigError, match="another master key"):
        rotate.rotate(database, folder)
    assert sorted(path.name for path in folder.glob("master*")) == ["master.key"]


def test_what_is_lost_is_revoked_and_the_rest_stays(
    database: SqliteDatabase, folder: Path, tenancy: Tenancy
) -> None:
    fill(database, Sealer(MasterKey(b"\x11" * 32)), tenancy)
    assert sealing(database, folder, None) == Sealing(5, 5, False)
    (folder / "master.key").write_bytes(base64.b64encode(b"\x22" * 32))
    (folder / "master.key").chmod(0o600)
    readable = Sealer(MasterKey(b"\x22" * 32))
    credentials = Credentials("OTHER", Secret("other-secret"))
    database.write(lambda tx: add_key(tx, readable, credentials, tenancy_id=tenancy.id, person_id=None))
    assert sealing(database, folder, None) == Sealing(6, 5, True)
    done = rotate.replace_lost(database, folder, None)
    assert (done.sealed, done.revoked) == (0, 5)
    assert sealing(database, folder, None) == Sealing(6, 0, True)
    ring = KeyRing(database, open_sealer(database, folder, None))
    known = ring.find("OTHER", 0)
    assert known is not None
    assert (known.secret.reveal(), known.refusal) == ("other-secret", None)
    gone = ring.find("KEY0", 0)
    assert gone is not None
    assert gone.refusal == "revoked"
    assert gone.secret.reveal() not in EVERY


def test_without_any_key_another_is_made(database: SqliteDatabase, folder: Path, tenancy: Tenancy) -> None:
    fill(database, Sealer(MasterKey(b"\x11" * 32)), tenancy)
    assert rotate.replace_lost(database, folder, None).revoked == 5
    assert (folder / "master.key").exists()
    fill_again = open_sealer(database, folder, None)
    database.write(
        lambda tx: add_key(tx, fill_again, Credentials("NEW", Secret("new-secret")), tenancy_id=tenancy.id, person_id=None)
    )  # fmt: skip
    assert sealing(database, folder, None) == Sealing(6, 0, True)
