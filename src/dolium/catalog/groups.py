"""Groups of people inside a tenancy, to be named by policies as one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dolium.catalog.database import Read, Transaction
from dolium.errors import AlreadyExists, Conflict, Malformed, RecordNotFound

__all__ = ["Group", "add", "add_member", "every", "find", "get", "members", "remove", "remove_member"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,127}")


@dataclass(frozen=True, slots=True)
class Group:
    id: int
    tenancy_id: int
    name: str
    created_ms: int


_SELECT = "SELECT id, tenancy_id, name, created_ms FROM groups"


def every(read: Read, tenancy_id: int) -> list[Group]:
    """All of the tenancy, by name."""
    return [Group(*row) for row in read.all(f"{_SELECT} WHERE tenancy_id = $1 ORDER BY name", tenancy_id)]


def find(read: Read, tenancy_id: int, name: str) -> Group | None:
    """The group of that name in the tenancy."""
    row = read.one(f"{_SELECT} WHERE tenancy_id = $1 AND name = $2", tenancy_id, name)
    return Group(*row) if row else None


def get(read: Read, tenancy_id: int, name: str) -> Group:
    """Raises RecordNotFound."""
    group = find(read, tenancy_id, name)
    if group is None:
        raise RecordNotFound("group", name)
    return group


def add(tx: Transaction, tenancy_id: int, name: str) -> Group:
    """Raises Malformed for a name that cannot be, AlreadyExists."""
    if not _NAME.fullmatch(name):
        raise Malformed(
            "InvalidArgument", f"{name!r} cannot be a group: 1 to 128 characters of A-Z a-z 0-9 _ . @ + -"
        )
    if find(tx, tenancy_id, name) is not None:
        raise AlreadyExists("group", name)
    number = tx.insert(
        "INSERT INTO groups (tenancy_id, name, created_ms) VALUES ($1, $2, $3) RETURNING id",
        tenancy_id, name, tx.now_ms,
    )  # fmt: skip
    tx.touch()
    return Group(number, tenancy_id, name, tx.now_ms)


def remove(tx: Transaction, group: Group) -> None:
    """Take the group away; its people stay."""
    tx.run("DELETE FROM groups WHERE id = $1", group.id)
    tx.touch()


def members(read: Read, group_id: int) -> list[str]:
    """Names of the people in the group, in order."""
    rows = read.all(
        "SELECT p.name FROM group_members g JOIN people p ON p.id = g.person_id WHERE g.group_id = $1 ORDER BY p.name",
        group_id,
    )
    return [str(row[0]) for row in rows]


def add_member(tx: Transaction, group: Group, person_id: int) -> None:
    """Once more is fine. Raises Conflict for one who is not a member of the tenancy."""
    belongs = tx.one(
        "SELECT 1 FROM memberships WHERE tenancy_id = $1 AND person_id = $2", group.tenancy_id, person_id
    )
    if belongs is None:
        raise Conflict("only members of the tenancy can be in its groups")
    tx.run(
        "INSERT INTO group_members (group_id, person_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        group.id,
        person_id,
    )
    tx.touch()


def remove_member(tx: Transaction, group: Group, person_id: int) -> None:
    """An absent one is fine."""
    tx.run("DELETE FROM group_members WHERE group_id = $1 AND person_id = $2", group.id, person_id)
    tx.touch()
