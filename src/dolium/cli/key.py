"""`dolium key`: access keys.

A secret is printed once, when the key is issued, and never again. It is never taken from the arguments,
where every process of the machine can read it.
"""

from __future__ import annotations

import argparse
import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Any

from dolium.catalog import access_keys, people, tenancies
from dolium.catalog.access_keys import AccessKey, ListedKey, Scope
from dolium.catalog.database import Read, Transaction
from dolium.catalog.sqlite import SqliteDatabase
from dolium.cli.options import Commands, command, expiry, open_catalog, open_folder_sealer, settings_of, verbs
from dolium.cli.output import moment, show, show_all
from dolium.errors import ConfigError, Conflict, Malformed, RecordNotFound
from dolium.identity import rotate
from dolium.identity.credentials import Credentials, add_key, from_environment, from_text, generate
from dolium.identity.keys import sealing
from dolium.identity.rotate import Rotated
from dolium.identity.seal import MasterKey, Sealer, open_master_key, parse_master_key, read_master_key
from dolium.server.claim import claim
from dolium.server.snippets import snippets
from dolium.values import Secret

__all__ = ["add"]

_ROTATE = """\
Every secret is sealed anew with another master key; access keys and passwords stay as they are. It works while the
folder is served, and can be cut off and made again at any time. The old key stays as master.key.<id>.old: backups
that were made before need it to be of use. Delete it when none of them is kept, or at once if it is known to others.

Where the master key is given from elsewhere (DOLIUM_MASTER_KEY, master_key in the configuration), nobody may serve
the folder, and the new key is read from DOLIUM_NEW_MASTER_KEY or from --new-key-file: 32 bytes, as 64 hex digits or
as base64 (openssl rand -hex 32 makes one). Then put it where the old one was, and start.

--lost begins with another master key where the old one is gone: access keys that no key at hand opens are revoked,
for nobody can know their secrets again. Issue new ones with dolium key issue. Passwords still work."""

_IMPORT = """\
The key is read from DOLIUM_ACCESS_KEY_ID and DOLIUM_SECRET_ACCESS_KEY if they are set, else from standard
input: two lines, the id and the secret; or JSON objects with access_key and secret_key (or AWS's AccessKeyId
and SecretAccessKey), one or many."""


def add(commands: Commands) -> None:
    key = verbs(commands, "key", "Access keys.")
    issue = command(key, "issue", "Make an access key and print it, once.", _issue, listing=True)
    issue.add_argument(
        "--snippets", type=_url, metavar="URL", help="print configurations for clients of this address"
    )
    _add_holder(issue)
    taken = command(
        key, "import", "Take in keys that people already have.", _import, listing=True, more=_IMPORT
    )
    _add_holder(taken)
    listed = command(key, "list", "List access keys, without secrets.", _list, listing=True)
    listed.add_argument("--tenancy")
    listed.add_argument("--person")
    one = command(key, "show", "Show an access key, without its secret.", _show, listing=True)
    one.add_argument("key_id", metavar="KEY")
    gone = command(key, "revoke", "Revoke access keys for good, in every worker at once.", _revoke)
    gone.add_argument("key_id", metavar="KEY", nargs="+")
    turn = command(
        key, "rotate-master", "Seal all secrets with another master key.", _rotate, listing=True, more=_ROTATE
    )
    turn.add_argument("--lost", action="store_true", help="the old master key is gone")
    turn.add_argument("--new-key-file", type=Path, metavar="FILE", help="where the new key is, mode 0600")


def _add_holder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenancy", help="(default: the only one)")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--person")
    whose.add_argument("--service", action="store_true", help="a key of the tenancy itself")
    parser.add_argument("--description", default="")
    parser.add_argument("--expires", type=expiry, metavar="WHEN", help="90d, 2026-12-31 or never (default)")
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--bucket", help="only this bucket")
    parser.add_argument("--prefix", default="", help="only keys that start so (with --bucket)")


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write it as https://s3.example.org")
    return text.rstrip("/")


def _record(key: ListedKey) -> dict[str, Any]:
    return {
        "access_key": key.key_id,
        "tenancy": key.tenancy,
        "person": key.person,
        "description": key.description,
        "read_only": key.scope.read_only,
        "bucket": key.scope.bucket,
        "prefix": key.scope.prefix,
        "created": moment(key.created_ms),
        "expires": moment(key.expires_ms),
        "revoked": moment(key.revoked_ms),
    }


def _tenancy_id(read: Read, name: str | None) -> int:
    if name is not None:
        return tenancies.get(read, name).id
    every = tenancies.every(read)
    if len(every) != 1:
        raise Malformed("InvalidArgument", "there is more than one tenancy; choose with --tenancy")
    return every[0].id


def _enter(tx: Transaction, args: argparse.Namespace, sealer: Sealer, credentials: Credentials) -> AccessKey:
    return add_key(
        tx,
        sealer,
        credentials,
        tenancy_id=_tenancy_id(tx, args.tenancy),
        person_id=None if args.service else people.get(tx, args.person).id,
        description=args.description,
        scope=Scope(read_only=args.read_only, bucket=args.bucket, prefix=args.prefix),
        expires_ms=args.expires,
    )


def _issue(args: argparse.Namespace) -> int:
    credentials = generate()
    with open_catalog(args) as database:
        sealer = open_folder_sealer(args, database)
        key = database.write(lambda tx: _enter(tx, args, sealer, credentials))
    show(
        {
            "access_key": key.key_id,
            "secret_key": credentials.secret.reveal(),
            "expires": moment(key.expires_ms),
        },
        as_json=args.json,
    )
    if not args.json:
        if args.snippets is not None:
            region = settings_of(args).region
            for title, text, _ in snippets(args.snippets, key.key_id, credentials.secret.reveal(), region):
                print(f"\n{title}:\n{text}")
        print("The secret is not shown again.", file=sys.stderr)
    return 0


def _given() -> list[Credentials]:
    """The keys to take in. A person at a terminal is asked, and the secret is not echoed."""
    given = from_environment(os.environ)
    if given is not None:
        return [given]
    if sys.stdin.isatty():
        return [Credentials(input("Access key id: ").strip(), Secret(getpass("Secret: ").strip()))]
    return from_text(sys.stdin.read())


def _import(args: argparse.Namespace) -> int:
    every = _given()

    def write(tx: Transaction) -> list[AccessKey]:
        return [_enter(tx, args, sealer, credentials) for credentials in every]

    with open_catalog(args) as database:
        sealer = open_folder_sealer(args, database)
        keys = database.write(write)
    records = [{"access_key": key.key_id, "expires": moment(key.expires_ms)} for key in keys]
    show_all(records, as_json=args.json, columns=("access_key", "expires"))
    return 0


def _list(args: argparse.Namespace) -> int:
    with open_catalog(args) as database, database.reading() as read:
        keys = access_keys.listed(
            read,
            tenancy_id=tenancies.get(read, args.tenancy).id if args.tenancy else None,
            person_id=people.get(read, args.person).id if args.person else None,
        )
    columns = ("access_key", "tenancy", "person", "description", "expires", "revoked")
    show_all([_record(key) for key in keys], as_json=args.json, columns=columns)
    return 0


def _show(args: argparse.Namespace) -> int:
    with open_catalog(args) as database, database.reading() as read:
        key = access_keys.get(read, args.key_id)
        found = access_keys.listed(read, tenancy_id=key.tenancy_id, person_id=key.person_id)
    for one in found:
        if one.key_id == args.key_id:
            show(_record(one), as_json=args.json)
            return 0
    raise RecordNotFound("access key", args.key_id)


def _revoke(args: argparse.Namespace) -> int:
    def write(tx: Transaction) -> None:
        for key_id in args.key_id:
            access_keys.revoke(tx, key_id)

    with open_catalog(args) as database:
        database.write(write)
    return 0


def _rotate(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    with open_catalog(args) as database:
        if args.lost:
            done = _replace_lost(args, database)
        elif settings.master_key is not None:
            done = _rotate_given(args, database)
        elif args.new_key_file is not None:
            raise Malformed(
                "InvalidArgument", "--new-key-file is for a master key that is given from elsewhere"
            )
        else:
            done = rotate.rotate(database, settings.data)
    show(
        {
            "sealed": done.sealed,
            "revoked": done.revoked,
            "old_key": str(done.kept) if done.kept is not None else None,
        },
        as_json=args.json,
    )
    if args.json:
        return 0
    if done.revoked:
        print("Issue new access keys: dolium key issue --person NAME", file=sys.stderr)
    if settings.master_key is not None and not args.lost:
        print(
            "Put the new master key where the old one was given (DOLIUM_MASTER_KEY, or master_key in the "
            "configuration) before the next start. Keep the old one for as long as you keep older backups.",
            file=sys.stderr,
        )
    return 0


def _rotate_given(args: argparse.Namespace, database: SqliteDatabase) -> Rotated:
    settings = settings_of(args)
    old = open_master_key(settings.data, settings.master_key)
    following = _new_key(args)
    if old is None or following is None:
        raise ConfigError(
            "the master key is given from elsewhere: give the new one in DOLIUM_NEW_MASTER_KEY or --new-key-file"
        )
    held = claim(settings.data)
    try:
        return rotate.rotate_given(database, settings.data, old, following)
    finally:
        os.close(held)


def _new_key(args: argparse.Namespace) -> MasterKey | None:
    if args.new_key_file is not None:
        found = read_master_key(args.new_key_file)
        if found is None:
            raise ConfigError("there is no such file", file=str(args.new_key_file))
        return found
    text = os.environ.get("DOLIUM_NEW_MASTER_KEY")
    return parse_master_key(text, source="DOLIUM_NEW_MASTER_KEY") if text else None


def _replace_lost(args: argparse.Namespace, database: SqliteDatabase) -> Rotated:
    settings = settings_of(args)
    held = claim(settings.data)
    try:
        if not sealing(database, settings.data, settings.master_key).closed:
            raise Conflict("nothing is lost: the master keys at hand open every access key")
        given = open_master_key(settings.data, settings.master_key) if settings.master_key else None
        return rotate.replace_lost(database, settings.data, given)
    finally:
        os.close(held)
