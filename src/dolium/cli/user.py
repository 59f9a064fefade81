"""`dolium user`: people."""

from __future__ import annotations

import argparse
from typing import Any

from dolium.catalog import people, tenancies
from dolium.catalog.database import Read
from dolium.catalog.people import Person
from dolium.cli.options import Commands, command, open_catalog, verbs
from dolium.cli.output import moment, show, show_all

__all__ = ["add"]


def add(commands: Commands) -> None:
    user = verbs(commands, "user", "People.")
    new = command(user, "add", "Add a person.", _add, listing=True)
    new.add_argument("name")
    new.add_argument("--display-name", default="", help="shown as owner (default: the name)")
    new.add_argument("--email", default="")
    new.add_argument(
        "--canonical-id", metavar="ID", help="owner id in S3 answers (default: 64 random hex digits)"
    )
    new.add_argument("--site-admin", action="store_true", help="over all tenancies")
    command(user, "list", "List all people.", _list, listing=True)
    one = command(user, "show", "Show a person with memberships.", _show, listing=True)
    one.add_argument("name")
    change = command(user, "set", "Change a person.", _set)
    change.add_argument("name")
    change.add_argument("--display-name")
    change.add_argument("--email")
    change.add_argument("--site-admin", action=argparse.BooleanOptionalAction)
    for verb, about, suspended in (
        ("suspend", "Stop everything that a person may do; nothing is deleted.", True),
        ("resume", "Give a suspended person everything back.", False),
    ):
        stop = command(user, verb, about, _suspend)
        stop.add_argument("name")
        stop.set_defaults(suspended=suspended)
    gone = command(user, "remove", "Remove a person with keys and memberships; objects stay.", _remove)
    gone.add_argument("name")


def _record(person: Person) -> dict[str, Any]:
    return {
        "name": person.name,
        "display_name": person.display_name,
        "email": person.email,
        "canonical_id": person.canonical_id,
        "site_admin": person.site_admin,
        "suspended": person.suspended,
        "created": moment(person.created_ms),
    }


def _full(read: Read, person: Person) -> dict[str, Any]:
    roles = [
        {"tenancy": one.tenancy, "role": one.role, "expires": moment(one.expires_ms)}
        for one in tenancies.memberships_of(read, person.id)
    ]
    return {**_record(person), "memberships": roles}


def _add(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:
        person = database.write(
            lambda tx: people.add(
                tx,
                args.name,
                display_name=args.display_name,
                email=args.email,
                canonical_id=args.canonical_id,
                site_admin=args.site_admin,
            )
        )
    show(_record(person), as_json=args.json)
    return 0


def _list(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:
        found = people.every(database)
    columns = ("name", "display_name", "email", "site_admin", "suspended", "created")
    show_all([_record(person) for person in found], as_json=args.json, columns=columns)
    return 0


def _show(args: argparse.Namespace) -> int:
    with open_catalog(args) as database, database.reading() as read:
        record = _full(read, people.get(read, args.name))
    if not args.json:
        record["memberships"] = [f"{one['tenancy']} ({one['role']})" for one in record["memberships"]]
    show(record, as_json=args.json)
    return 0


def _set(args: argparse.Namespace) -> int:
    def write(tx: Any) -> None:
        person = people.get(tx, args.name)
        people.change(
            tx,
            person.id,
            display_name=person.display_name if args.display_name is None else args.display_name,
            email=person.email if args.email is None else args.email,
            site_admin=person.site_admin if args.site_admin is None else args.site_admin,
        )

    with open_catalog(args) as database:
        database.write(write)
    return 0


def _suspend(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:
        database.write(
            lambda tx: people.set_suspended(tx, people.get(tx, args.name).id, suspended=args.suspended)
        )
    return 0


def _remove(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:
        database.write(lambda tx: people.remove(tx, people.get(tx, args.name)))
    return 0
