"""Tenancies and who belongs to them.

A tenancy is usually a host name, so its name is one label of DNS. Its `canonical_id` is the owner that
S3 answers show for what belongs to no person.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from dolium.catalog.database import Read, Row, Transaction
from dolium.errors import AlreadyExists, Conflict, Malformed, RecordNotFound

__all__ = [
    "ROLES",
    "SHARING",
    "Member",
    "Membership",
    "Tenancy",
    "add",
    "change",
    "enrol",
    "every",
    "expel",
    "find",
    "get",
    "members",
    "membership",
    "memberships_of",
    "remove",
    "usage",
]

ROLES = ("manager", "deputy", "member", "viewer")
SHARING = ("owner", "everyone")

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Tenancy:
    """`sharing`: who sees a member's buckets. `quota_bytes` None: no limit."""

    id: int
    name: str
    title: str
    sharing: str
    quota_bytes: int | None
    canonical_id: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Membership:
    """`expires_ms` None: for good."""

    tenancy_id: int
    person_id: int
    role: str
    expires_ms: int | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class Member:
    """A membership with the names of both sides, for listings."""

    tenancy: str
    person: str
    display_name: str
    role: str
    expires_ms: int | None


_SELECT = "SELECT id, name, title, sharing, quota_bytes, canonical_id, created_ms FROM tenancies"
_MEMBERSHIP = "SELECT tenancy_id, person_id, role, expires_ms, created_ms FROM memberships"
_MEMBERS = (
    "SELECT t.name, p.name, p.display_name, m.role, m.expires_ms FROM memberships m "
    "JOIN tenancies t ON t.id = m.tenancy_id JOIN people p ON p.id = m.person_id"
)


def _tenancy(row: Row) -> Tenancy:
    return Tenancy(*row)


def every(read: Read) -> list[Tenancy]:
    """All of them, by name."""
    return [_tenancy(row) for row in read.all(f"{_SELECT} ORDER BY name")]


def find(read: Read, name: str) -> Tenancy | None:
    """The tenancy of that name."""
    row = read.one(f"{_SELECT} WHERE name = $1", name)
    return _tenancy(row) if row else None


def get(read: Read, name: str) -> Tenancy:
    """Raises RecordNotFound."""
    tenancy = find(read, name)
    if tenancy is None:
        raise RecordNotFound("tenancy", name)
    return tenancy


def add(
    tx: Transaction,
    name: str,
    *,
    title: str = "",
    sharing: str = "owner",
    quota_bytes: int | None = None,
    canonical_id: str | None = None,
) -> Tenancy:
    """Raises Malformed for a name that is no label of DNS, AlreadyExists."""
    if not _LABEL.fullmatch(name):
        raise Malformed(
            "InvalidArgument",
            f"{name!r} cannot be a tenancy: 1 to 63 characters of a-z, 0-9 and -, not at either end",
        )
    _check(sharing, quota_bytes)
    if find(tx, name) is not None:
        raise AlreadyExists("tenancy", name)
    canonical = canonical_id or secrets.token_hex(32)
    number = tx.insert(
        "INSERT INTO tenancies (name, title, sharing, quota_bytes, canonical_id, created_ms) "
        "VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        name, title, sharing, quota_bytes, canonical, tx.now_ms,
    )  # fmt: skip
    tx.touch()
    return Tenancy(number, name, title, sharing, quota_bytes, canonical, tx.now_ms)


def change(tx: Transaction, tenancy_id: int, *, title: str, sharing: str, quota_bytes: int | None) -> None:
    """Set what can change of a tenancy; its name cannot, since addresses hold it."""
    _check(sharing, quota_bytes)
    tx.run(
        "UPDATE tenancies SET title = $1, sharing = $2, quota_bytes = $3 WHERE id = $4",
        title, sharing, quota_bytes, tenancy_id,
    )  # fmt: skip
    tx.touch()


def remove(tx: Transaction, tenancy: Tenancy) -> None:
    """Take the tenancy away with its memberships, groups and keys. Raises Conflict while it has buckets."""
    row = tx.one("SELECT count(*) FROM buckets WHERE tenancy_id = $1", tenancy.id)
    if row is not None and row[0]:
        raise Conflict(f"tenancy {tenancy.name!r} still has {row[0]} bucket(s); delete them first")
    tx.run("DELETE FROM access_keys WHERE tenancy_id = $1", tenancy.id)
    tx.run("DELETE FROM groups WHERE tenancy_id = $1", tenancy.id)
    tx.run("DELETE FROM memberships WHERE tenancy_id = $1", tenancy.id)
    tx.run("DELETE FROM tenancy_usage WHERE tenancy_id = $1", tenancy.id)
    tx.run("DELETE FROM tenancies WHERE id = $1", tenancy.id)
    tx.touch()


def membership(read: Read, tenancy_id: int, person_id: int) -> Membership | None:
    """How the person belongs to the tenancy, expired or not."""
    row = read.one(f"{_MEMBERSHIP} WHERE tenancy_id = $1 AND person_id = $2", tenancy_id, person_id)
    return Membership(*row) if row else None


def members(read: Read, tenancy_id: int) -> list[Member]:
    """Everybody in the tenancy, by name."""
    return [
        Member(*row) for row in read.all(f"{_MEMBERS} WHERE m.tenancy_id = $1 ORDER BY p.name", tenancy_id)
    ]


def memberships_of(read: Read, person_id: int) -> list[Member]:
    """Every tenancy of the person, by name."""
    return [Member(*row) for row in read.all(f"{_MEMBERS} WHERE m.person_id = $1 ORDER BY t.name", person_id)]


def enrol(
    tx: Transaction, tenancy_id: int, person_id: int, role: str, *, expires_ms: int | None = None
) -> None:
    """Make the person a member, or change the role and expiry of one who is."""
    if role not in ROLES:
        raise Malformed("InvalidArgument", f"{role!r} is no role; roles are {', '.join(ROLES)}")
    tx.run(
        "INSERT INTO memberships (tenancy_id, person_id, role, expires_ms, created_ms) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (tenancy_id, person_id) DO UPDATE SET role = excluded.role, expires_ms = excluded.expires_ms",
        tenancy_id, person_id, role, expires_ms, tx.now_ms,
    )  # fmt: skip
    tx.touch()


def expel(tx: Transaction, tenancy_id: int, person_id: int) -> None:
    """End the membership; the person's keys for this tenancy are revoked, groups left. Buckets stay."""
    tx.run(
        "UPDATE access_keys SET revoked_ms = $1 WHERE tenancy_id = $2 AND person_id = $3 AND revoked_ms IS NULL",
        tx.now_ms, tenancy_id, person_id,
    )  # fmt: skip
    tx.run(
        "DELETE FROM group_members WHERE person_id = $1 "
        "AND group_id IN (SELECT id FROM groups WHERE tenancy_id = $2)",
        person_id, tenancy_id,
    )  # fmt: skip
    tx.run("DELETE FROM memberships WHERE tenancy_id = $1 AND person_id = $2", tenancy_id, person_id)
    tx.touch()


def usage(read: Read, tenancy_id: int) -> tuple[int, int]:
    """(objects, bytes) that the tenancy holds now, every version counted."""
    row = read.one("SELECT objects, bytes FROM tenancy_usage WHERE tenancy_id = $1", tenancy_id)
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _check(sharing: str, quota_bytes: int | None) -> None:
    if sharing not in SHARING:
        raise Malformed("InvalidArgument", f"{sharing!r} is no way of sharing; they are {', '.join(SHARING)}")
    if quota_bytes is not None and quota_bytes < 0:
        raise Malformed("InvalidArgument", "a quota cannot be negative")
