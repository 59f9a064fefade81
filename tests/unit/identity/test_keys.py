import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dolium.catalog import access_keys, people, tenancies
from dolium.catalog.access_keys import Scope
from dolium.catalog.people import Person
from dolium.catalog.sqlite import SqliteDatabase
from dolium.catalog.tenancies import Tenancy
from dolium.errors import ConfigError, Malformed
from dolium.identity.credentials import Credentials, add_key, from_environment, from_text, generate
from dolium.identity.directory import Directory, Owner
from dolium.identity.keys import KeyRing, Refusal, open_sealer
from dolium.identity.permissions import Role
from dolium.identity.seal import MasterKey, Sealer
from dolium.values import Secret
from dolium.wire import sigv4

CREDENTIALS = Credentials("KEY1", Secret("secret/of+ada="))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path)
    yield database
    database.close()


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(MasterKey(bytes(32)))


@pytest.fixture
def tenancy(database: SqliteDatabase) -> Tenancy:
    return database.write(lambda tx: tenancies.add(tx, "climate", title="Climate Lab"))


@pytest.fixture
def person(database: SqliteDatabase, tenancy: Tenancy) -> Person:
    person = database.write(lambda tx: people.add(tx, "ada", display_name="Ada L.", canonical_id="adaid"))
    database.write(lambda tx: tenancies.enrol(tx, tenancy.id, person.id, "member"))
    return person


@pytest.fixture
def ring(database: SqliteDatabase, sealer: Sealer) -> KeyRing:
    return KeyRing(database, sealer)


Add = Callable[..., None]


@pytest.fixture
def add(database: SqliteDatabase, sealer: Sealer, tenancy: Tenancy, person: Person) -> Add:
    def add(**options: object) -> None:
        chosen = {"tenancy_id": tenancy.id, "person_id": person.id, **options}
        database.write(lambda tx: add_key(tx, sealer, CREDENTIALS, **chosen))  # type: ignore[arg-type]

    return add


def test_a_key_is_found_with_its_principal(ring: KeyRing, add: Add, tenancy: Tenancy, person: Person) -> None:
    add(scope=Scope(read_only=True, bucket="data", prefix="x/"))
    known = ring.find("KEY1", 0)
    assert known is not None
    assert known.secret.reveal() == "secret/of+ada="
    assert known.refusal is None
    principal = known.principal
    assert (principal.tenancy_id, principal.tenancy, principal.sharing) == (tenancy.id, "climate", "owner")
    assert (principal.person_id, principal.person) == (person.id, "ada")
    assert (principal.canonical_id, principal.display_name) == ("adaid", "Ada L.")
    assert (principal.role, principal.site_admin, principal.key_id) == (Role.MEMBER, False, "KEY1")
    assert (principal.read_only, principal.scope_bucket, principal.scope_prefix) == (True, "data", "x/")
    assert "secret/of+ada=" not in repr(known)


def test_an_unknown_key_is_not_remembered(ring: KeyRing, add: Add) -> None:
    assert ring.find("KEY1", 0) is None
    add()
    assert ring.find("KEY1", 0) is not None


def test_a_known_key_is_remembered(ring: KeyRing, add: Add) -> None:
    add()
    assert ring.find("KEY1", 0) is ring.find("KEY1", 1)


def test_a_service_key_is_the_tenancy(ring: KeyRing, add: Add, tenancy: Tenancy) -> None:
    add(person_id=None)
    known = ring.find("KEY1", 0)
    assert known is not None
    assert (known.principal.role, known.principal.person_id) == (Role.SERVICE, None)
    assert (known.principal.canonical_id, known.principal.display_name) == (
        tenancy.canonical_id,
        "Climate Lab",
    )


def test_a_key_revoked_by_another_process_is_refused_at_once(ring: KeyRing, add: Add, tmp_path: Path) -> None:
    add()
    assert ring.find("KEY1", 0) is not None
    other = SqliteDatabase(tmp_path)
    try:
        other.write(lambda tx: access_keys.revoke(tx, "KEY1"))
    finally:
        other.close()
    known = ring.find("KEY1", 0)
    assert known is not None
    assert known.refusal is Refusal.REVOKED


def test_a_key_expires_while_it_is_remembered(ring: KeyRing, add: Add) -> None:
    add(expires_ms=1000)
    refusals = [known.refusal for now in (0, 999, 1000, 1001) if (known := ring.find("KEY1", now))]
    assert refusals == [None, None, Refusal.EXPIRED, Refusal.EXPIRED]


def test_a_membership_ends_while_its_key_is_remembered(
    ring: KeyRing, add: Add, database: SqliteDatabase, tenancy: Tenancy, person: Person
) -> None:
    database.write(lambda tx: tenancies.enrol(tx, tenancy.id, person.id, "manager", expires_ms=1000))
    add(expires_ms=2000)
    roles = [known.principal.role for now in (999, 1000, 1999) if (known := ring.find("KEY1", now))]
    assert roles == [Role.MANAGER, Role.NONE, Role.NONE]
    known = ring.find("KEY1", 2000)
    assert known is not None
    assert known.refusal is Refusal.EXPIRED


def test_who_is_suspended_has_no_role_until_resumed(
    ring: KeyRing, add: Add, database: SqliteDatabase, person: Person
) -> None:
    add()
    roles = []
    for suspended in (False, True, False):
        database.write(lambda tx, s=suspended: people.set_suspended(tx, person.id, suspended=s))  # type: ignore[misc]
        known = ring.find("KEY1", 0)
        assert known is not None
        roles.append(known.principal.role)
    assert roles == [Role.MEMBER, Role.NONE, Role.MEMBER]


def test_a_suspended_site_admin_is_nothing(
    ring: KeyRing, add: Add, database: SqliteDatabase, person: Person
) -> None:
    database.write(lambda tx: people.add(tx, "root", site_admin=True))
    database.write(lambda tx: people.change(tx, person.id, display_name="A", email="", site_admin=True))
    add()
    known = ring.find("KEY1", 0)
    assert known is not None
    assert (known.principal.role, known.principal.site_admin) == (Role.MANAGER, True)
    database.write(lambda tx: people.set_suspended(tx, person.id, suspended=True))
    known = ring.find("KEY1", 0)
    assert known is not None
    assert (known.principal.role, known.principal.site_admin) == (Role.NONE, False)


def test_the_signing_key_is_sigv4s_and_remembered(ring: KeyRing, add: Add) -> None:
    add()
    known = ring.find("KEY1", 0)
    assert known is not None
    key = ring.signing_key(known, "20260130", "us-east-1")
    want = sigv4.signing_key("secret/of+ada=", "20260130", "us-east-1", "s3")
    assert key.sign(b"text") == want.sign(b"text")
    assert ring.signing_key(known, "20260130", "us-east-1") is key
    assert ring.signing_key(known, "20260131", "us-east-1").sign(b"text") != key.sign(b"text")
    for number in range(1000):
        ring.signing_key(known, "20260130", f"r{number}")
    assert len(known.signing) <= 64


def test_generated_keys_are_plain_and_all_different() -> None:
    made = [generate() for _ in range(100)]
    assert all(re.fullmatch("DO[A-Z2-7]{18}", one.key_id) for one in made)
    assert all(re.fullmatch("[A-Za-z0-9]{40}", one.secret.reveal()) for one in made)
    assert len({one.key_id for one in made}) == len({one.secret.reveal() for one in made}) == 100


@pytest.mark.parametrize(
    "text",
    [
        "KEY1\nsecret/of+ada=\n",
        "\n  KEY1 \n\n secret/of+ada= ",
        '{"access_key": "KEY1", "secret_key": "secret/of+ada="}',
        '{"AccessKeyId": "KEY1", "SecretAccessKey": "secret/of+ada=", "Status": "Active"}',
        '{"AccessKey": {\n"AccessKeyId": "KEY1", "SecretAccessKey": "secret/of+ada="}}\n',
    ],
)
def test_keys_are_read_as_people_have_them(text: str) -> None:
    [read] = from_text(text)
    assert (read.key_id, read.secret.reveal()) == ("KEY1", "secret/of+ada=")


def test_many_keys_are_read_one_a_line() -> None:
    lines = "\n".join(f'{{"access_key": "KEY{n}", "secret_key": "secret{n}xx"}}' for n in range(3))
    assert [one.key_id for one in from_text(lines)] == ["KEY0", "KEY1", "KEY2"]


@pytest.mark.parametrize(
    "text", ["", "KEY1", "a\nb\nc", "{", '{"access_key": "KEY1"}', '{"access_key": 1}', "{}x"]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        from_text(text)


def test_broken_json_does_not_show_its_secret() -> None:
    with pytest.raises(Malformed) as refused:
        from_text('{"access_key": "KEY1", "secret_key": "hidden-secret"')
    assert refused.value.__cause__ is None
    assert "hidden-secret" not in str(refused.value)


def test_the_environment_gives_both_or_none() -> None:
    assert from_environment({}) is None
    given = from_environment({"DOLIUM_ACCESS_KEY_ID": "KEY1", "DOLIUM_SECRET_ACCESS_KEY": "secretsecret"})
    assert given is not None
    assert (given.key_id, given.secret.reveal()) == ("KEY1", "secretsecret")
    with pytest.raises(Malformed):
        from_environment({"DOLIUM_ACCESS_KEY_ID": "KEY1"})


@pytest.mark.parametrize(
    "secret", ["short", "with space in it", "x" * 257, "new\nline-in-it", "ünïcödé-secret"]
)
def test_a_secret_that_clients_cannot_use_is_refused(
    database: SqliteDatabase, sealer: Sealer, tenancy: Tenancy, secret: str
) -> None:
    with pytest.raises(Malformed) as refused:
        database.write(
            lambda tx: add_key(
                tx, sealer, Credentials("KEY1", Secret(secret)), tenancy_id=tenancy.id, person_id=None
            )
        )
    assert secret not in str(refused.value)


def test_owners_are_known_by_number(database: SqliteDatabase, tenancy: Tenancy, person: Person) -> None:
    directory = Directory(database)
    tenancys_own = Owner(tenancy.canonical_id, "Climate Lab")
    assert directory.owner(tenancy.id, person.id) == Owner("adaid", "Ada L.")
    assert directory.owner(tenancy.id, None) == tenancys_own
    assert directory.owner(tenancy.id, person.id) is directory.owner(tenancy.id, person.id)
    database.write(lambda tx: people.change(tx, person.id, display_name="Ada", email="", site_admin=False))
    assert directory.owner(tenancy.id, person.id) == Owner("adaid", "Ada")
    database.write(lambda tx: people.remove(tx, person))
    assert directory.owner(tenancy.id, person.id) == tenancys_own


def test_the_master_key_is_made_at_the_first_start_only(
    database: SqliteDatabase, tenancy: Tenancy, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="Start the service once"):
        open_sealer(database, tmp_path, None)
    sealer = open_sealer(database, tmp_path, None, create=True)
    database.write(lambda tx: add_key(tx, sealer, CREDENTIALS, tenancy_id=tenancy.id, person_id=None))
    assert open_sealer(database, tmp_path, None) is not sealer
    (tmp_path / "master.key").unlink()
    with pytest.raises(ConfigError, match="put it back"):
        open_sealer(database, tmp_path, None, create=True)
    with pytest.raises(ConfigError, match="another master key"):
        open_sealer(database, tmp_path, Secret(bytes(32).hex()))
