"""`dolium store`: what blobs lie on, and what lies there for nothing."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dolium.catalog import fences
from dolium.catalog.stores import StoreRecord
from dolium.cli.options import Commands, command, open_catalog, settings_of, verbs
from dolium.cli.output import moment, show_all, size_text
from dolium.config.settings import Settings
from dolium.errors import Conflict, StoreError
from dolium.objects import orphans
from dolium.objects.orphans import Orphan
from dolium.objects.service import ObjectService
from dolium.objects.sweep import release_held, sweep
from dolium.server.claim import claim
from dolium.server.housekeeping import sweep_unborn
from dolium.server.wiring import open_service
from dolium.stores.contract import ReportsSpace, unwrap
from dolium.stores.leaves.disk import Disk
from dolium.values import Space

__all__ = ["add"]

_SWEEP = """\
Deletes blobs that nothing names, left by a crash or a failure of the catalog; garbage whose grace is over; and
files of writers that are gone. The service does the same at its start and once a day, for what is new; this looks
at the whole store. While the folder is served, blobs of the last week are left alone: they may be of uploads that
are under way.

After a restore of an older catalog, what was written since its backup is kept, and counted as lost: it may be all
that is left of acknowledged objects. See them with dolium store orphans, and delete them with --even-lost."""

_ORPHANS = """\
LOST is yes for what a restored catalog has not seen, and is therefore kept. While the folder is served, blobs of
the last week are left out, unless they were there when the service started."""


def add(commands: Commands) -> None:
    store = verbs(commands, "store", "Stores.")
    command(store, "list", "List stores, and how full they are.", _list, listing=True)
    command(
        store, "orphans", "List blobs that nothing names, with their descriptions.", _orphans, listing=True,
        more=_ORPHANS,
    )  # fmt: skip
    swept = command(
        store, "sweep", "Delete what lies in the stores for nothing.", _sweep, listing=True, more=_SWEEP
    )
    swept.add_argument(
        "--even-lost", action="store_true", help="also what a restored catalog has not seen: for good"
    )
    swept.add_argument(
        "--even-held", action="store_true", help="also deleted objects' bytes that a backup may name"
    )


@contextmanager
def _opened(args: argparse.Namespace) -> Iterator[tuple[ObjectService, list[StoreRecord]]]:
    with open_catalog(args) as database:
        yield open_service(database, settings_of(args))


def _list(args: argparse.Namespace) -> int:
    with _opened(args) as (service, records):
        found = [_record(service, record) for record in records]
    shown = found if args.json else [_readable(record) for record in found]
    show_all(
        shown, as_json=args.json, columns=("name", "kind", "state", "up", "total", "free", "used", "uuid")
    )
    return 0


def _record(service: ObjectService, record: StoreRecord) -> dict[str, Any]:
    up, space, problem = True, None, None
    try:
        space = _space(service, record)
    except StoreError as error:
        up, problem = False, error.message
    return {
        "name": record.name,
        "kind": record.kind,
        "state": record.state,
        "up": up,
        "problem": problem,
        "total": space.total if space else None,
        "free": space.free if space else None,
        "used": round(1 - space.free / space.total, 4) if space and space.total else None,
        "uuid": record.uuid,
        "created": moment(record.created_ms),
    }


def _space(service: ObjectService, record: StoreRecord) -> Space | None:
    power = unwrap(service.store(record.id), ReportsSpace)
    return power.space() if power is not None else None


def _readable(record: dict[str, Any]) -> dict[str, Any]:
    used = record["used"]
    sizes = {name: size_text(record[name]) for name in ("total", "free")}
    return {**record, **sizes, "used": None if used is None else f"{used:.1%}"}


def _orphans(args: argparse.Namespace) -> int:
    found = []
    with _opened(args) as (service, records):
        _raise_fences(service, settings_of(args))
        for record in records:
            found += [_orphan(record, orphan) for orphan in orphans.find(service, record.id)]
    show_all(found, as_json=args.json, columns=("store", "blob", "size", "written", "lost", "bucket", "key"))
    return 0


def _orphan(record: StoreRecord, orphan: Orphan) -> dict[str, Any]:
    return {
        "store": record.name,
        "blob": orphan.key,
        "size": orphan.size,
        "written": moment(orphan.written_ns // 1_000_000),
        "lost": orphan.lost,
        "bucket": orphan.facts.get("bucket"),
        "key": orphan.facts.get("key"),
        "sequence": orphan.facts.get("sequence"),
        "upload": orphan.facts.get("upload"),
        "part": orphan.facts.get("part"),
    }


def _sweep(args: argparse.Namespace) -> int:
    done = []
    with _opened(args) as (service, records):
        _raise_fences(service, settings_of(args))
        garbage = sweep(service)
        if args.even_held:
            garbage += sum(release_held(service, record.id, enough=lambda: False) for record in records)
        for record in records:
            disk = unwrap(service.store(record.id), Disk)
            temporaries = disk.sweep_temporaries() if disk is not None else 0
            sweep_unborn(service, record.id, whole=True)
            swept = orphans.sweep_orphans(service, record.id, whole=True, even_lost=args.even_lost)
            done.append(
                {
                    "store": record.name,
                    "temporaries": temporaries,
                    "orphans": swept.removed,
                    "bytes": swept.size,
                    "lost": swept.lost,
                }
            )
    if not args.json:
        print(f"{garbage} blobs of garbage deleted")
    show_all(done, as_json=args.json, columns=("store", "temporaries", "orphans", "bytes", "lost"))
    return 0


def _raise_fences(service: ObjectService, settings: Settings) -> None:
    """To this moment if nobody serves the folder, else to a week ago."""
    try:
        held = claim(settings.data)
    except Conflict:
        for store_id in service.stores:
            orphans.raise_fence(service, store_id)
        return
    try:
        service.database.write(lambda tx: fences.raise_all(tx, time.time_ns()))
    finally:
        os.close(held)  # whoever starts now writes in front of the fence
