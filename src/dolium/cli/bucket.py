"""`dolium bucket`: buckets, beside whatever the service does with them at the same time."""

from __future__ import annotations

import argparse
from typing import Any

from dolium.catalog import buckets, people, tenancies, uploads
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Read, Transaction
from dolium.cli.options import Commands, command, open_catalog, settings_of, verbs
from dolium.cli.output import moment, show, show_all, size_text
from dolium.errors import BucketNotFound, Conflict
from dolium.wire.names import check_bucket_name

__all__ = ["add"]


def add(commands: Commands) -> None:
    bucket = verbs(commands, "bucket", "Buckets.")
    listed = command(bucket, "list", "List buckets with their usage.", _list, listing=True)
    listed.add_argument("tenancy", nargs="?", help="(default: all)")
    usage = command(bucket, "usage", "What buckets hold, the largest first.", _usage, listing=True)
    usage.add_argument("tenancy", nargs="?", help="(default: all)")
    new = command(bucket, "create", "Create a bucket.", _create, listing=True)
    new.add_argument("tenancy")
    new.add_argument("bucket")
    new.add_argument("--owner", metavar="PERSON", help="(default: the tenancy itself)")
    one = command(bucket, "show", "Show a bucket.", _show, listing=True)
    one.add_argument("tenancy")
    one.add_argument("bucket")
    gone = command(bucket, "delete", "Delete an empty bucket; its open uploads are aborted.", _delete)
    gone.add_argument("tenancy")
    gone.add_argument("bucket")
    chown = command(bucket, "chown", "Hand a bucket over to a person, or to the tenancy itself.", _chown)
    chown.add_argument("tenancy")
    chown.add_argument("bucket")
    whose = chown.add_mutually_exclusive_group(required=True)
    whose.add_argument("--owner", metavar="PERSON")
    whose.add_argument("--service", action="store_true", help="the tenancy itself")


def _get(read: Read, tenancy: str, name: str) -> Bucket:
    bucket = buckets.find(read, tenancies.get(read, tenancy).id, name)
    if bucket is None:
        raise BucketNotFound(name)
    return bucket


def _owner(read: Read, tenancy_id: int, name: str) -> int:
    """Raises Conflict for one who is not a member, and could not use the bucket."""
    person = people.get(read, name)
    if tenancies.membership(read, tenancy_id, person.id) is None:
        raise Conflict(f"{name!r} is not a member of the tenancy; add the membership first")
    return person.id


def _record(read: Read, tenancy: str, bucket: Bucket, owners: dict[int, str]) -> dict[str, Any]:
    usage = buckets.usage(read, bucket.id)
    return {
        "tenancy": tenancy,
        "name": bucket.name,
        "owner": owners.get(bucket.owner_id) if bucket.owner_id is not None else None,
        "objects": usage.objects,
        "bytes": usage.bytes,
        "created": moment(bucket.created_ms),
    }


def _owners(read: Read) -> dict[int, str]:
    return {person.id: person.name for person in people.every(read)}


def _records(args: argparse.Namespace) -> list[dict[str, Any]]:
    with open_catalog(args) as database, database.reading() as read:
        chosen = [tenancies.get(read, args.tenancy)] if args.tenancy else tenancies.every(read)
        owners = _owners(read)
        return [
            _record(read, tenancy.name, bucket, owners)
            for tenancy in chosen
            for bucket in buckets.in_tenancy(read, tenancy.id, limit=-1)
        ]


def _readable(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**record, "size": size_text(record["bytes"])} for record in records]


def _list(args: argparse.Namespace) -> int:
    columns = ("tenancy", "name", "owner", "objects", "size", "created")
    show_all(
        _readable(_records(args)) if not args.json else _records(args), as_json=args.json, columns=columns
    )
    return 0


def _usage(args: argparse.Namespace) -> int:
    records = sorted(_records(args), key=lambda record: -int(record["bytes"]))
    columns = ("tenancy", "name", "objects", "bytes", "size")
    show_all(_readable(records) if not args.json else records, as_json=args.json, columns=columns)
    return 0


def _create(args: argparse.Namespace) -> int:
    check_bucket_name(args.bucket)

    def write(tx: Transaction) -> Bucket:
        tenancy_id = tenancies.get(tx, args.tenancy).id
        owner = _owner(tx, tenancy_id, args.owner) if args.owner else None
        return buckets.create(tx, tenancy_id, args.bucket, owner)

    with open_catalog(args) as database:
        record = _record(database, args.tenancy, database.write(write), _owners(database))
    show(record, as_json=args.json)
    return 0


def _show(args: argparse.Namespace) -> int:
    with open_catalog(args) as database, database.reading() as read:
        bucket = _get(read, args.tenancy, args.bucket)
        record = {**_record(read, args.tenancy, bucket, _owners(read)), "settings": bucket.settings}
    show(record, as_json=args.json)
    return 0


def _delete(args: argparse.Namespace) -> int:
    grace_ms = settings_of(args).garbage_grace * 1000

    def write(tx: Transaction) -> None:
        bucket = _get(tx, args.tenancy, args.bucket)
        buckets.delete(tx, bucket)
        uploads.abort_all(tx, bucket, grace_ms=grace_ms)

    with open_catalog(args) as database:
        database.write(write)
    return 0


def _chown(args: argparse.Namespace) -> int:
    def write(tx: Transaction) -> None:
        bucket = _get(tx, args.tenancy, args.bucket)
        owner = None if args.service else _owner(tx, bucket.tenancy_id, args.owner)
        buckets.set_owner(tx, bucket, owner)

    with open_catalog(args) as database:
        database.write(write)
    return 0
