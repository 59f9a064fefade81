"""CatalogSuite: what every engine of the catalog must do with identities.

class TestSqlite(CatalogSuite):
    @pytest.fixture
    def database(self, tmp_path): ...
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dolium.catalog import access_keys, buckets, groups, people, tenancies
from dolium.catalog.access_keys import Scope
from dolium.catalog.database import Database
from dolium.catalog.people import Person
from dolium.catalog.tenancies import Tenancy
from dolium.errors import AlreadyExists, Conflict, Malformed, RecordNotFound

__all__ = ["CatalogSuite"]

SEALED = b"\x01sealed"


class CatalogSuite:
    """Inherit, and give a fixture `database`: an empty catalog of the engine."""

    @pytest.fixture
    def database(self) -> Iterator[Database]:
        raise TypeError("a CatalogSuite gives its own fixture `database`")

    @pytest.fixture
    def tenancy(self, database: Database) -> Tenancy:
        return database.write(lambda tx: tenancies.add(tx, "climate"))

    @pytest.fixture
    def person(self, database: Database) -> Person:
        return database.write(
            lambda tx: people.add(tx, "ada", display_name="Ada L.", email="ada@example.org")
        )

    # Tenancies.

    def test_a_tenancy_is_found_by_name(self, database: Database, tenancy: Tenancy) -> None:
        assert tenancies.get(database, "climate") == tenancy
        assert tenancies.find(database, "Climate") is None
        assert tenancy.sharing == "owner"
        assert tenancy.quota_bytes is None
        assert len(tenancy.canonical_id) == 64
        with pytest.raises(RecordNotFound):
            tenancies.get(database, "weather")

    @pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a" * 64, "a\n", "a_b", "é"])
    def test_a_tenancy_is_named_as_a_host(self, database: Database, name: str) -> None:
        with pytest.raises(Malformed):
            database.write(lambda tx: tenancies.add(tx, name))
        assert tenancies.every(database) == []

    def test_tenancies_are_listed_by_name(self, database: Database) -> None:
        for name in ("b", "a", "c1"):
            database.write(lambda tx, name=name: tenancies.add(tx, name))  # type: ignore[misc]
        assert [tenancy.name for tenancy in tenancies.every(database)] == ["a", "b", "c1"]

    def test_a_tenancy_is_added_once(self, database: Database, tenancy: Tenancy) -> None:
        with pytest.raises(AlreadyExists):
            database.write(lambda tx: tenancies.add(tx, tenancy.name))

    def test_a_tenancy_changes(self, database: Database, tenancy: Tenancy) -> None:
        database.write(
            lambda tx: tenancies.change(tx, tenancy.id, title="Climate", sharing="everyone", quota_bytes=10)
        )
        changed = tenancies.get(database, "climate")
        assert (changed.title, changed.sharing, changed.quota_bytes) == ("Climate", "everyone", 10)

    def test_a_tenancy_refuses_what_makes_no_sense(self, database: Database, tenancy: Tenancy) -> None:
        with pytest.raises(Malformed):
            database.write(
                lambda tx: tenancies.change(tx, tenancy.id, title="", sharing="nobody", quota_bytes=None)
            )
        with pytest.raises(Malformed):
            database.write(
                lambda tx: tenancies.change(tx, tenancy.id, title="", sharing="owner", quota_bytes=-1)
            )

    def test_a_tenancy_with_buckets_stays(self, database: Database, tenancy: Tenancy) -> None:
        database.write(lambda tx: buckets.create(tx, tenancy.id, "data", None))
        with pytest.raises(Conflict, match="1 bucket"):
            database.write(lambda tx: tenancies.remove(tx, tenancy))
        assert tenancies.find(database, "climate") == tenancy

    def test_a_removed_tenancy_takes_all_with_it(
        self, database: Database, tenancy: Tenancy, person: Person
    ) -> None:
        database.write(lambda tx: tenancies.enrol(tx, tenancy.id, person.id, "member"))
        group = database.write(lambda tx: groups.add(tx, tenancy.id, "modellers"))
        database.write(lambda tx: groups.add_member(tx, group, person.id))
        database.write(
            lambda tx: access_keys.add(
                tx, "KEY1", tenancy_id=tenancy.id, person_id=person.id, secret_sealed=SEALED
            )
        )
        database.write(lambda tx: tenancies.remove(tx, tenancy))
        assert tenancies.every(database) == []
        assert access_keys.find(database, "KEY1") is None
        assert tenancies.memberships_of(database, person.id) == []
        again = database.write(lambda tx: tenancies.add(tx, "climate"))
        assert again.id != tenancy.id
        assert groups.every(database, again.id) == []

    # People.

    def test_a_person_is_found_by_name(self, database: Database, person: Person) -> None:
        assert people.get(database, "ada") == person
        assert (person.display_name, person.email) == ("Ada L.", "ada@example.org")
        assert not person.site_admin
        assert not person.suspended
        assert len(person.canonical_id) == 64
        with pytest.raises(RecordNotFound):
            people.get(database, "bob")

    @pytest.mark.parametrize("name", ["", " ada", "a/b", "-a", "x" * 129, "a\n", "ü"])
    def test_a_person_has_a_plain_name(self, database: Database, name: str) -> None:
        with pytest.raises(Malformed):
            database.write(lambda tx: people.add(tx, name))

    def test_a_person_is_added_once(self, database: Database, person: Person) -> None:
        with pytest.raises(AlreadyExists):
            database.write(lambda tx: people.add(tx, person.name))

    def test_a_canonical_id_is_given_and_unique(self, database: Database, tenancy: Tenancy) -> None:
        given = database.write(lambda tx: people.add(tx, "tester", canonical_id="testid"))
        assert given.canonical_id == "testid"
        assert given.display_name == "tester"
        for taken in ("testid", tenancy.canonical_id):
            with pytest.raises(AlreadyExists):
                database.write(lambda tx, taken=taken: people.add(tx, "other", canonical_id=taken))  # type: ignore[misc]
        with pytest.raises(Malformed):
            database.write(lambda tx: people.add(tx, "other", canonical_id="<b>"))

    def test_a_person_changes(self, database: Database, person: Person) -> None:
        database.write(
            lambda tx: people.change(tx, person.id, display_name="Ada", email="a@b.example", site_admin=True)
        )
        changed = people.get(database, "ada")
        assert (changed.display_name, changed.email, changed.site_admin) == ("Ada", "a@b.example", True)

    def test_the_last_site_admin_stays(self, database: Database, person: Person) -> None:
        admin = database.write(lambda tx: people.add(tx, "root", site_admin=True))
        for write in (
            lambda tx: people.remove(tx, admin),
            lambda tx: people.set_suspended(tx, admin.id, suspended=True),
            lambda tx: people.change(tx, admin.id, display_name="", email="", site_admin=False),
        ):
            with pytest.raises(Conflict, match="last site admin"):
                database.write(write)
        database.write(lambda tx: people.change(tx, person.id, display_name="A", email="", site_admin=True))
        database.write(lambda tx: people.set_suspended(tx, admin.id, suspended=True))
        assert people.get(database, "root").suspended
        with pytest.raises(Conflict):
            database.write(lambda tx: people.remove(tx, person))

    def test_a_person_who_owns_buckets_stays(
        self, database: Database, tenancy: Tenancy, person: Person
    ) -> None:
        bucket = database.write(lambda tx: buckets.create(tx, tenancy.id, "data", person.id))
        with pytest.raises(Conflict, match="1 bucket"):
            database.write(lambda tx: people.remove(tx, person))
        database.write(lambda tx: buckets.set_owner(tx, bucket, None))
        database.write(lambda tx: people.remove(tx, person))
        assert people.find(database, "ada") is None

    def test_the_number_of_a_removed_person_is_never_given_again(self, database: Database) -> None:
        gone = database.write(lambda tx: people.add(tx, "gone"))
        database.write(lambda tx: people.remove(tx, gone))
        assert database.write(lambda tx: people.add(tx, "new")).id > gone.id

    # Memberships and groups.

    def test_a_membership_is_made_changed_and_ended(
        self, database: Database, tenancy: Tenancy, person: Person
    ) -> None:
        database.write(lambda tx: tenancies.enrol(tx, tenancy.id, person.id, "member"))
        database.write(lambda tx: tenancies.enrol(tx, tenancy.id, person.id, "deputy", expires_ms=99))
        found = tenancies.membership(database, tenancy.id, person.id)
        assert found is not None
        assert (found.role, found.expires_ms) == ("deputy", 99)
        [member] = tenancies.members(database, tenancy.id)
        assert (member.tenancy, member.person, member.display_name) == ("climate", "ada", "Ada L.")
        assert tenancies.memberships_of(database, person.id) == [member]
        database.write(lambda tx: tenancies.expel(tx, tenancy.id, person.id))
        assert tenancies.membership(database, tenancy.id, person.id) is None
        with pytest.raises(Malformed):
            database.write(lambda tx: tenancies.enrol(tx, tenancy.id, person.id, "owner"))

    def test_expelling_revokes_keys_and_leaves_groups(
        self, database: Database, tenancy: Tenancy, person: Person
    ) -> None:
        database.write(lambda tx: tenancies.enrol(tx, tenancy.id, person.id, "member"))
        other = database.write(lambda tx: tenancies.add(tx, "other"))
        database.write(lambda tx: tenancies.enrol(tx, other.id, person.id, "member"))
        for key_id, where in (("KEY1", tenancy), ("KEY2", other)):
            database.write(
                lambda tx, key_id=key_id, where=where: access_keys.add(  # type: ignore[misc]
                    tx, key_id, tenancy_id=where.id, person_id=person.id, secret_sealed=SEALED
                )
            )
        group = database.write(lambda tx: groups.add(tx, tenancy.id, "modellers"))
        database.write(lambda tx: groups.add_member(tx, group, person.id))
        database.write(lambda tx: tenancies.expel(tx, tenancy.id, person.id))
        assert access_keys.get(database, "KEY1").revoked_ms is not None
        assert access_keys.get(database, "KEY2").revoked_ms is None
        assert groups.members(database, group.id) == []

    def test_groups_hold_members_of_their_tenancy(
        self, database: Database, tenancy: Tenancy, person: Person
    ) -> None:
        group = database.write(lambda tx: groups.add(tx, tenancy.id, "modellers"))
        assert groups.get(database, tenancy.id, "modellers") == group
        with pytest.raises(Conflict):
            database.write(lambda tx: groups.add_member(tx, group, person.id))
        database.write(lambda tx: tenancies.enrol(tx, tenancy.id, person.id, "viewer"))
        for _ in range(2):
            database.write(lambda tx: groups.add_member(tx, group, person.id))
        assert groups.members(database, group.id) == ["ada"]
        for _ in range(2):
            database.write(lambda tx: groups.remove_member(tx, group, person.id))
        assert groups.members(database, group.id) == []
        with pytest.raises(AlreadyExists):
            database.write(lambda tx: groups.add(tx, tenancy.id, "modellers"))
        with pytest.raises(Malformed):
            database.write(lambda tx: groups.add(tx, tenancy.id, "a b"))
        database.write(lambda tx: groups.remove(tx, group))
        with pytest.raises(RecordNotFound):
            groups.get(database, tenancy.id, "modellers")

    # Access keys.

    def test_a_key_comes_back_with_its_holder(
        self, database: Database, tenancy: Tenancy, person: Person
    ) -> None:
        database.write(lambda tx: tenancies.enrol(tx, tenancy.id, person.id, "member", expires_ms=77))
        key = database.write(
            lambda tx: access_keys.add(
                tx,
                "0555b35654ad1656d804",
                tenancy_id=tenancy.id,
                person_id=person.id,
                secret_sealed=SEALED,
                description="laptop",
                scope=Scope(read_only=True, bucket="data", prefix="x/"),
                expires_ms=55,
            )
        )
        assert access_keys.get(database, key.key_id) == key
        holder = access_keys.holder(database, key.key_id)
        assert holder is not None
        assert holder.key == key
        assert (holder.tenancy_name, holder.sharing) == ("climate", "owner")
        assert (holder.canonical_id, holder.display_name) == (person.canonical_id, "Ada L.")
        assert (holder.role, holder.membership_expires_ms) == ("member", 77)
        assert repr(SEALED) not in repr(holder)
        [listed] = access_keys.listed(database, tenancy_id=tenancy.id, person_id=person.id)
        assert (listed.tenancy, listed.person, listed.description) == ("climate", "ada", "laptop")
        assert listed.scope == key.scope

    def test_a_service_key_belongs_to_the_tenancy(self, database: Database, tenancy: Tenancy) -> None:
        database.write(
            lambda tx: access_keys.add(
                tx, "SERVICE1", tenancy_id=tenancy.id, person_id=None, secret_sealed=SEALED
            )
        )
        holder = access_keys.holder(database, "SERVICE1")
        assert holder is not None
        assert (holder.person_name, holder.role, holder.site_admin) == (None, None, False)
        assert holder.tenancy_canonical_id == tenancy.canonical_id
        assert [key.person for key in access_keys.listed(database)] == [None]

    def test_keys_are_for_members(self, database: Database, tenancy: Tenancy, person: Person) -> None:
        with pytest.raises(Conflict):
            database.write(
                lambda tx: access_keys.add(
                    tx, "KEY1", tenancy_id=tenancy.id, person_id=person.id, secret_sealed=SEALED
                )
            )
        assert access_keys.any_sealed(database) is None

    @pytest.mark.parametrize("key_id", ["", "ab", "a/b/c", "a|b|c", "a" * 129, "abc\n", "a b c"])
    def test_a_key_id_fits_into_a_credential(self, database: Database, tenancy: Tenancy, key_id: str) -> None:
        with pytest.raises(Malformed):
            database.write(
                lambda tx: access_keys.add(
                    tx, key_id, tenancy_id=tenancy.id, person_id=None, secret_sealed=SEALED
                )
            )

    def test_a_prefix_needs_its_bucket(self, database: Database, tenancy: Tenancy) -> None:
        with pytest.raises(Malformed):
            database.write(
                lambda tx: access_keys.add(
                    tx,
                    "KEY1",
                    tenancy_id=tenancy.id,
                    person_id=None,
                    secret_sealed=SEALED,
                    scope=Scope(prefix="x/"),
                )
            )

    def test_a_key_is_added_once_and_revoked_for_good(self, database: Database, tenancy: Tenancy) -> None:
        def add() -> None:
            database.write(
                lambda tx: access_keys.add(
                    tx, "KEY1", tenancy_id=tenancy.id, person_id=None, secret_sealed=SEALED
                )
            )

        add()
        with pytest.raises(AlreadyExists):
            add()
        database.write(lambda tx: access_keys.revoke(tx, "KEY1"))
        first = access_keys.get(database, "KEY1").revoked_ms
        assert first is not None
        database.write(lambda tx: access_keys.revoke(tx, "KEY1"))
        assert access_keys.get(database, "KEY1").revoked_ms == first
        with pytest.raises(AlreadyExists):
            add()
        with pytest.raises(RecordNotFound):
            database.write(lambda tx: access_keys.revoke(tx, "KEY2"))

    def test_every_change_of_identities_is_announced(
        self, database: Database, tenancy: Tenancy, person: Person
    ) -> None:
        group_writes = [
            lambda tx: groups.add(tx, tenancy.id, "g"),
            lambda tx: groups.add_member(tx, groups.get(tx, tenancy.id, "g"), person.id),
            lambda tx: groups.remove_member(tx, groups.get(tx, tenancy.id, "g"), person.id),
            lambda tx: groups.remove(tx, groups.get(tx, tenancy.id, "g")),
        ]
        for write in [
            lambda tx: tenancies.add(tx, "t2"),
            lambda tx: tenancies.change(tx, tenancy.id, title="", sharing="owner", quota_bytes=None),
            lambda tx: tenancies.enrol(tx, tenancy.id, person.id, "member"),
            *group_writes,
            lambda tx: access_keys.add(
                tx, "KEY1", tenancy_id=tenancy.id, person_id=person.id, secret_sealed=SEALED
            ),
            lambda tx: access_keys.revoke(tx, "KEY1"),
            lambda tx: tenancies.expel(tx, tenancy.id, person.id),
            lambda tx: people.add(tx, "p2"),
            lambda tx: people.change(tx, person.id, display_name="", email="", site_admin=False),
            lambda tx: people.set_suspended(tx, person.id, suspended=True),
            lambda tx: people.remove(tx, person),
            lambda tx: tenancies.remove(tx, tenancy),
        ]:
            before = database.generation()
            database.write(write)
            assert database.generation() != before
