"""`dolium group`: groups of people in a tenancy."""

from __future__ import annotations

import argparse
from typing import Any

from dolium.catalog import groups, people, tenancies
from dolium.catalog.database import Read
from dolium.catalog.groups import Group
from dolium.cli.options import Commands, command, open_catalog, verbs
from dolium.cli.output import moment, show, show_all

__all__ = ["add"]


def add(commands: Commands) -> None:
    group = verbs(commands, "group", "Groups of people in a tenancy.")
    everyone = command(group, "list", "List the groups of a tenancy.", _list, listing=True)
    everyone.add_argument("tenancy")
    for verb, about, run in (
        ("add", "Add a group to a tenancy.", _add),
        ("remove", "Remove a group; its people stay.", _remove),
    ):
        one = command(group, verb, about, run)
        one.add_argument("tenancy")
        one.add_argument("group")
    one = command(group, "show", "Show a group and its people.", _show, listing=True)
    one.add_argument("tenancy")
    one.add_argument("group")
    member = verbs(group, "member", "People of a group.")
    for verb, about, run in (
        ("add", "Put a member of the tenancy into a group.", _add_member),
        ("remove", "Take a person out of a group.", _remove_member),
    ):
        one = command(member, verb, about, run)
        one.add_argument("tenancy")
        one.add_argument("group")
        one.add_argument("person")


def _record(read: Read, group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "members": groups.members(read, group.id),
        "created": moment(group.created_ms),
    }


def _get(read: Read, args: argparse.Namespace) -> Group:
    return groups.get(read, tenancies.get(read, args.tenancy).id, args.group)


def _list(args: argparse.Namespace) -> int:
    with open_catalog(args) as database, database.reading() as read:
        found = groups.every(read, tenancies.get(read, args.tenancy).id)
        records = [_record(read, group) for group in found]
    show_all(records, as_json=args.json, columns=("name", "members", "created"))
    return 0


def _show(args: argparse.Namespace) -> int:
    with open_catalog(args) as database, database.reading() as read:
        record = _record(read, _get(read, args))
    show(record, as_json=args.json)
    return 0


def _add(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:
        database.write(lambda tx: groups.add(tx, tenancies.get(tx, args.tenancy).id, args.group))
    return 0


def _remove(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:
        database.write(lambda tx: groups.remove(tx, _get(tx, args)))
    return 0


def _add_member(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:
        database.write(lambda tx: groups.add_member(tx, _get(tx, args), people.get(tx, args.person).id))
    return 0


def _remove_member(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:
        database.write(lambda tx: groups.remove_member(tx, _get(tx, args), people.get(tx, args.person).id))
    return 0
