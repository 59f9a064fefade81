"""`dolium store explain`: where a new object would go and why, and where the bytes of one lie that is there."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from typing import Any

from dolium.catalog import buckets, objects, tenancies
from dolium.catalog.objects import ObjectRow
from dolium.cli.options import Commands, command, open_catalog, settings_of, size
from dolium.cli.output import printable
from dolium.errors import BlobNotFound, RecordNotFound, StoreError, StoreUnavailable
from dolium.objects.service import ObjectService
from dolium.server.stores import LiveStores
from dolium.server.wiring import limits_of
from dolium.stores.composites.placement import Request

__all__ = ["add"]

_MORE = """\
The bucket need not be there. Of a new object of unknown size, rules that ask for sizes do not hold. Where stores are
chosen by weight, each call draws anew. An object of up to inline_limit bytes (16 KiB if nothing else is configured)
lies in the catalog, in no store."""


def add(commands: Commands) -> None:
    parser = command(
        commands, "explain", "Say where an object lies, and where a new one would go.", _explain,
        listing=True, more=_MORE,
    )  # fmt: skip
    parser.add_argument("--tenancy", required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--size", type=size, metavar="SIZE", help="of the new object, as 500MiB")
    parser.add_argument("--content-type", default="binary/octet-stream", metavar="TYPE")
    parser.add_argument("--storage-class", default="STANDARD", metavar="CLASS")
    parser.add_argument("--person", default="", help="who writes it")
    parser.add_argument(
        "--group", action="append", default=[], help="of that person; may be given many times"
    )


def _explain(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    with open_catalog(args) as database:
        live = LiveStores(database, settings)
        service = live.serve(limits_of(settings))
        record = {
            "tenancy": args.tenancy,
            "bucket": args.bucket,
            "key": args.key,
            "new": _new(args, live, service.limits.inline_bytes),
            "object": _existing(args, service, live),
        }
    if args.json:
        print(json.dumps(record, ensure_ascii=False))
        return 0
    for line in _lines(record):
        print(printable(line))
    return 0


def _new(args: argparse.Namespace, live: LiveStores, inline: int) -> dict[str, Any]:
    if args.size is not None and args.size <= inline:
        return {"stores": [], "why": [f"objects of up to {inline} bytes lie in the catalog"], "refused": None}
    if live.tree is None:
        [one] = live.now.values()
        return {"stores": [one.record.name], "why": ["there is no other store"], "refused": None}
    request = Request(
        name=args.key,
        size=args.size,
        tenancy=args.tenancy,
        person=args.person,
        groups=frozenset(args.group),
        bucket=args.bucket,
        content_type=args.content_type,
        storage_class=args.storage_class,
    )
    chosen: Sequence[str] = ()
    refused = None
    drawn = random.getstate()
    try:
        chosen = live.tree.choose(request)
    except StoreError as error:
        refused = error.message
    random.setstate(drawn)  # the reasons are those of this draw
    return {"stores": list(chosen), "why": list(live.tree.explain(request)), "refused": refused}


def _existing(args: argparse.Namespace, service: ObjectService, live: LiveStores) -> dict[str, Any] | None:
    """Where the bytes of the newest version lie; None if there is no such object."""
    tenancy = tenancies.find(service.database, args.tenancy)
    if tenancy is None:
        raise RecordNotFound("tenancy", args.tenancy)
    bucket = buckets.find(service.database, tenancy.id, args.bucket)
    row = objects.find(service.database, bucket.id, args.key) if bucket is not None else None
    if row is None:
        return None
    names = {number: one.record.name for number, one in live.now.items()}
    return {
        "size": row.size,
        "in": "the catalog" if row.inline else "a store",
        "blobs": _blobs(service, row, names),
    }


def _blobs(service: ObjectService, row: ObjectRow, names: dict[int, str]) -> list[dict[str, Any]]:
    if row.store_id is None:
        return []
    if row.upload is None:
        found: list[tuple[str, int, str | None, int | None]] = [
            ("bytes", row.store_id, row.blob_key, row.size)
        ]
    else:
        found = [("list of parts", row.store_id, row.blob_key, None)]
        found += [
            (f"part {part.number}", part.store_id, part.blob_key, part.size)
            for part in objects.parts_of(service.database, row.upload)
        ]
    return [
        {
            "what": what,
            "store": names.get(store_id),
            "blob": key,
            "size": length,
            **_copies(service, store_id, key, names),
        }
        for what, store_id, key, length in found
    ]


def _copies(
    service: ObjectService, store_id: int, blob_key: str | None, names: dict[int, str]
) -> dict[str, Any]:
    """Of a replicated store: the members that have the blob, and those that are down."""
    members = service.members.get(store_id)
    if members is None or blob_key is None:
        return {}
    copies, down = [], []
    for member in members:
        try:
            service.store(member).stat(blob_key)
        except BlobNotFound:
            continue
        except StoreUnavailable:
            down.append(names[member])
        else:
            copies.append(names[member])
    return {"copies": copies, "down": down}


def _place(blob: dict[str, Any]) -> str:
    if "copies" not in blob:
        return str(blob["store"])
    down = f"; {', '.join(blob['down'])} is down" if blob["down"] else ""
    return f"{blob['store']} ({', '.join(blob['copies']) or 'no copy'}{down})"


def _lines(record: dict[str, Any]) -> list[str]:
    found, new = record["object"], record["new"]
    lines = []
    if found is None:
        lines.append("There is no such object.")
    elif not found["blobs"]:
        lines.append(f"The object of {found['size']} bytes lies in the catalog.")
    else:
        lines.append(f"The object of {found['size']} bytes lies in:")
        lines += [f"  {_place(blob)}: {blob['what']}, {blob['blob']}" for blob in found["blobs"]]
    lines.append("A new one would be refused:" if new["refused"] else "A new one would go to:")
    lines += [
        f"  {line}" for line in ([new["refused"]] if new["refused"] else new["stores"] or ["the catalog"])
    ]
    return [*lines, "because:", *(f"  {line}" for line in new["why"])]
