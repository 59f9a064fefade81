"""`dolium tenancy`: tenancies and their members."""

from __future__ import annotations

import argparse
from typing import Any

from dolium.catalog import people, tenancies
from dolium.catalog.database import Read, Transaction
from dolium.catalog.tenancies import ROLES, SHARING, Member, Tenancy
from dolium.cli.options import Commands, command, expiry, open_catalog, size, verbs
from dolium.cli.output import moment, show, show_all, size_text

__all__ = ["add"]

_UNSET = object()  # `--quota none` is a value of its own


def add(commands: Commands) -> None:
    tenancy = verbs(commands, "tenancy", "Tenancies and who belongs to them.")
    new = command(tenancy, "add", "Add a tenancy.", _add, listing=True)
    new.add_argument("name", help="one label of a host name")
    new.add_argument("--title", default="")
    new.add_argument("--sharing", choices=SHARING, default="owner", help="who sees a member's buckets")
    new.add_argument("--quota", type=size, metavar="SIZE", help="most that it may hold (default: no limit)")
    command(tenancy, "list", "List all tenancies with their usage.", _list, listing=True)
    one = command(tenancy, "show", "Show a tenancy.", _show, listing=True)
    one.add_argument("name")
    change = command(tenancy, "set", "Change a tenancy.", _set)
    change.add_argument("name")
    change.add_argument("--title")
    change.add_argument("--sharing", choices=SHARING)
    change.add_argument("--quota", type=size, metavar="SIZE|none", default=_UNSET)
    gone = command(tenancy, "remove", "Remove a tenancy without buckets, with its keys and groups.", _remove)
    gone.add_argument("name")
    _add_members(verbs(tenancy, "member", "Members of a tenancy."))


def _add_members(member: Commands) -> None:
    new = command(member, "add", "Make a person a member.", _enrol)
    new.add_argument("tenancy")
    new.add_argument("person")
    new.add_argument("--role", choices=ROLES, default="member")
    new.add_argument("--expires", type=expiry, metavar="WHEN", help="90d, 2026-12-31 or never (default)")
    role = command(member, "role", "Change the role or expiry of a member.", _enrol)
    role.add_argument("tenancy")
    role.add_argument("person")
    role.add_argument("role", choices=ROLES)
    role.add_argument("--expires", type=expiry, metavar="WHEN", help="90d, 2026-12-31 or never (default)")
    everyone = command(member, "list", "List the members of a tenancy.", _list_members, listing=True)
    everyone.add_argument("tenancy")
    gone = command(
        member, "remove", "End a membership; keys of the person for it are revoked, buckets stay.", _expel
    )
    gone.add_argument("tenancy")
    gone.add_argument("person")


def _record(read: Read, tenancy: Tenancy) -> dict[str, Any]:
    objects, size_now = tenancies.usage(read, tenancy.id)
    return {
        "name": tenancy.name,
        "title": tenancy.title,
        "sharing": tenancy.sharing,
        "quota_bytes": tenancy.quota_bytes,
        "canonical_id": tenancy.canonical_id,
        "objects": objects,
        "bytes": size_now,
        "created": moment(tenancy.created_ms),
    }


def _readable(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "used": size_text(record["bytes"]), "quota": size_text(record["quota_bytes"])}


def _member(member: Member) -> dict[str, Any]:
    return {
        "tenancy": member.tenancy,
        "person": member.person,
        "display_name": member.display_name,
        "role": member.role,
        "expires": moment(member.expires_ms),
    }


def _add(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:
        tenancy = database.write(
            lambda tx: tenancies.add(
                tx, args.name, title=args.title, sharing=args.sharing, quota_bytes=args.quota
            )
        )
        record = _record(database, tenancy)
    show(record, as_json=args.json)
    return 0


def _list(args: argparse.Namespace) -> int:
    with open_catalog(args) as database, database.reading() as read:
        records = [_record(read, tenancy) for tenancy in tenancies.every(read)]
    if not args.json:
        records = [_readable(record) for record in records]
    columns = ("name", "title", "sharing", "objects", "used", "quota", "created")
    show_all(records, as_json=args.json, columns=columns)
    return 0


def _show(args: argparse.Namespace) -> int:
    with open_catalog(args) as database, database.reading() as read:
        tenancy = tenancies.get(read, args.name)
        record = _record(read, tenancy)
        members = [_member(member) for member in tenancies.members(read, tenancy.id)]
    record["members"] = members if args.json else [f"{one['person']} ({one['role']})" for one in members]
    show(record, as_json=args.json)
    return 0


def _set(args: argparse.Namespace) -> int:
    def write(tx: Transaction) -> None:
        tenancy = tenancies.get(tx, args.name)
        tenancies.change(
            tx,
            tenancy.id,
            title=tenancy.title if args.title is None else args.title,
            sharing=args.sharing or tenancy.sharing,
            quota_bytes=tenancy.quota_bytes if args.quota is _UNSET else args.quota,
        )

    with open_catalog(args) as database:
        database.write(write)
    return 0


def _remove(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:
        database.write(lambda tx: tenancies.remove(tx, tenancies.get(tx, args.name)))
    return 0


def _enrol(args: argparse.Namespace) -> int:
    def write(tx: Transaction) -> None:
        tenancy, person = tenancies.get(tx, args.tenancy), people.get(tx, args.person)
        tenancies.enrol(tx, tenancy.id, person.id, args.role, expires_ms=args.expires)

    with open_catalog(args) as database:
        database.write(write)
    return 0


def _list_members(args: argparse.Namespace) -> int:
    with open_catalog(args) as database, database.reading() as read:
        found = tenancies.members(read, tenancies.get(read, args.tenancy).id)
    columns = ("person", "display_name", "role", "expires")
    show_all([_member(member) for member in found], as_json=args.json, columns=columns)
    return 0


def _expel(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:
        database.write(
            lambda tx: tenancies.expel(tx, tenancies.get(tx, args.tenancy).id, people.get(tx, args.person).id)
        )
    return 0
