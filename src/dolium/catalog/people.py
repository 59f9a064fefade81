"""People. What they may do stands in their memberships; their canonical id and display name are what S3
answers show as owner.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from dolium.catalog.database import Read, Row, Transaction
from dolium.errors import AlreadyExists, Conflict, Malformed, RecordNotFound

__all__ = ["Person", "add", "change", "every", "find", "get", "remove", "set_suspended"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,127}")
_CANONICAL = re.compile(r"[A-Za-z0-9_.@+-]{1,128}")


@dataclass(frozen=True, slots=True)
class Person:
    """`site_admin`: over all tenancies. `suspended`: keeps everything, may do nothing."""

    id: int
    name: str
    display_name: str
    email: str
    canonical_id: str
    site_admin: bool
    suspended: bool
    created_ms: int


_SELECT = "SELECT id, name, display_name, email, canonical_id, site_admin, suspended, created_ms FROM people"


def _person(row: Row) -> Person:
    return Person(row[0], row[1], row[2], row[3], row[4], bool(row[5]), bool(row[6]), row[7])


def every(read: Read) -> list[Person]:
    """All of them, by name."""
    return [_person(row) for row in read.all(f"{_SELECT} ORDER BY name")]


def find(read: Read, name: str) -> Person | None:
    """The person of that name."""
    row = read.one(f"{_SELECT} WHERE name = $1", name)
    return _person(row) if row else None


def get(read: Read, name: str) -> Person:
    """Raises RecordNotFound."""
    person = find(read, name)
    if person is None:
        raise RecordNotFound("person", name)
    return person


def add(
    tx: Transaction,
    name: str,
    *,
    display_name: str = "",
    email: str = "",
    canonical_id: str | None = None,
    site_admin: bool = False,
) -> Person:
    """`canonical_id` None: a random one. Raises Malformed for a name that cannot be, AlreadyExists."""
    if not _NAME.fullmatch(name):
        raise Malformed(
            "InvalidArgument",
            f"{name!r} cannot be a person's name: 1 to 128 characters of A-Z a-z 0-9 _ . @ + -",
        )
    canonical = canonical_id if canonical_id is not None else secrets.token_hex(32)
    if not _CANONICAL.fullmatch(canonical):
        raise Malformed("InvalidArgument", "a canonical id is 1 to 128 characters of A-Z a-z 0-9 _ . @ + -")
    if find(tx, name) is not None:
        raise AlreadyExists("person", name)
    if _canonical_taken(tx, canonical):
        raise AlreadyExists("canonical id", canonical)
    shown = display_name or name
    number = tx.insert(
        "INSERT INTO people (name, display_name, email, canonical_id, site_admin, created_ms) "
        "VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        name, shown, email, canonical, int(site_admin), tx.now_ms,
    )  # fmt: skip
    tx.touch()
    return Person(number, name, shown, email, canonical, site_admin, False, tx.now_ms)


def _canonical_taken(read: Read, canonical_id: str) -> bool:
    """People and tenancies share one space of canonical ids: both are owners."""
    taken = read.one(
        "SELECT 1 FROM people WHERE canonical_id = $1 UNION ALL SELECT 1 FROM tenancies WHERE canonical_id = $1",
        canonical_id,
    )
    return taken is not None


def change(tx: Transaction, person_id: int, *, display_name: str, email: str, site_admin: bool) -> None:
    """Set what can change of a person. Raises Conflict if nobody would be left who administers the site."""
    if not site_admin:
        _keep_an_admin(tx, person_id)
    tx.run(
        "UPDATE people SET display_name = $1, email = $2, site_admin = $3 WHERE id = $4",
        display_name, email, int(site_admin), person_id,
    )  # fmt: skip
    tx.touch()


def set_suspended(tx: Transaction, person_id: int, *, suspended: bool) -> None:
    """Stop or restore everything that the person may do. Raises Conflict for the last site admin."""
    if suspended:
        _keep_an_admin(tx, person_id)
    tx.run("UPDATE people SET suspended = $1 WHERE id = $2", int(suspended), person_id)
    tx.touch()


def remove(tx: Transaction, person: Person) -> None:
    """Take the person away with keys and memberships. Objects stay, shown as the tenancy's own.

    Raises Conflict while the person owns a bucket, and for the last site admin.
    """
    owned = tx.one("SELECT count(*) FROM buckets WHERE owner_id = $1", person.id)
    if owned is not None and owned[0]:
        raise Conflict(
            f"{person.name!r} still owns {owned[0]} bucket(s); hand them over with `bucket chown` first"
        )
    _keep_an_admin(tx, person.id)
    tx.run("DELETE FROM access_keys WHERE person_id = $1", person.id)
    tx.run("DELETE FROM group_members WHERE person_id = $1", person.id)
    tx.run("DELETE FROM memberships WHERE person_id = $1", person.id)
    tx.run("DELETE FROM people WHERE id = $1", person.id)
    tx.touch()


def _keep_an_admin(read: Read, without: int) -> None:
    """Raises Conflict if this person administers the site, and nobody else does."""
    admin = read.one("SELECT 1 FROM people WHERE id = $1 AND site_admin = 1 AND suspended = 0", without)
    other = read.one(
        "SELECT 1 FROM people WHERE id <> $1 AND site_admin = 1 AND suspended = 0 LIMIT 1", without
    )
    if admin is not None and other is None:
        raise Conflict("this is the last site admin; make another one first")
