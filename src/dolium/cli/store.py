"""`dolium store`: what blobs lie on, and what lies there for nothing."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dolium.catalog import fences, replicas, stores
from dolium.catalog.database import Database, Transaction
from dolium.catalog.stores import Holding, StoreRecord
from dolium.cli import store_explain, store_repair
from dolium.cli.options import Commands, command, open_catalog, settings_of, verbs
from dolium.cli.output import moment, show, show_all, size_text
from dolium.config.settings import Settings
from dolium.errors import Conflict, RecordNotFound, StoreError
from dolium.objects import orphans
from dolium.objects.orphans import Orphan
from dolium.objects.service import ObjectService
from dolium.objects.sweep import release_held, sweep
from dolium.server.claim import claim
from dolium.server.housekeeping import sweep_unborn
from dolium.server.stores import LiveStores, StoreNow, identify
from dolium.server.wiring import limits_of
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.placement import State
from dolium.stores.contract import ReportsSpace, unwrap
from dolium.stores.leaves.disk import Disk

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


_STATES = """\
online      all
read-only   its objects can be read; nothing is written or deleted
draining    its objects can be read and deleted; nothing new comes
offline     it is not asked for anything: its objects answer 503
configured  what the configuration says, which a state that is set here overrides

A service that runs takes it up at once."""


def add(commands: Commands) -> None:
    store = verbs(commands, "store", "Stores.")
    command(store, "list", "List stores: how full they are, and what they hold.", _list, listing=True)
    shown = command(store, "show", "Show one store.", _show, listing=True)
    shown.add_argument("name")
    state = command(store, "set-state", "Say what a store may do.", _set_state, listing=True, more=_STATES)
    state.add_argument("name")
    state.add_argument("state", choices=(*State, "configured"))
    probed = command(store, "probe", "Ask the stores themselves whether they work.", _probe, listing=True)
    probed.add_argument("name", nargs="*", help="default: all")
    store_explain.add(store)
    store_repair.add(store)
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
def _opened(args: argparse.Namespace) -> Iterator[tuple[ObjectService, LiveStores]]:
    settings = settings_of(args)
    with open_catalog(args) as database:
        live = LiveStores(database, settings)
        yield live.serve(limits_of(settings)), live


def _list(args: argparse.Namespace) -> int:
    with _opened(args) as (service, live):
        holdings = live.holdings()
        copies = _Copies(service.database, live)
        found = [_record(one, holdings.get(number, Holding()), copies) for number, one in live.now.items()]
    shown = found if args.json else [_readable(record) for record in found]
    columns = ("name", "kind", "state", "up", "objects", "bytes", "total", "free", "used")
    of_copies = ("group", "repairs") if any(record["group"] for record in found) else ()
    show_all(shown, as_json=args.json, columns=(*columns, *of_copies, "uuid"))
    return 0


def _show(args: argparse.Namespace) -> int:
    with _opened(args) as (service, live):
        one = _named(live, args.name)
        record = _record(one, live.holdings().get(one.record.id, Holding()), _Copies(service.database, live))
    show(record if args.json else _readable(record), as_json=args.json)
    return 0


def _set_state(args: argparse.Namespace) -> int:
    with open_catalog(args) as database:

        def write(tx: Transaction) -> None:
            record = stores.find(tx, args.name)
            if record is None:
                raise RecordNotFound("store", args.name)
            if args.state == "configured":
                stores.unset_state(tx, record.id)
            else:
                stores.set_state(tx, record.id, args.state)

        database.write(write)
    show({"name": args.name, "state": args.state}, as_json=args.json)
    return 0


def _probe(args: argparse.Namespace) -> int:
    """6 if one is down."""
    with _opened(args) as (_, live):
        asked = [_named(live, name) for name in args.name] or list(live.now.values())
        found = [_probed(one) for one in asked]
    show_all(found, as_json=args.json, columns=("name", "up", "seconds", "problem"))
    return 0 if all(record["up"] for record in found) else 6


def _probed(one: StoreNow) -> dict[str, Any]:
    began = time.monotonic()
    problem = None
    try:
        _ask(one)
    except StoreError as error:
        problem = error.message
    return {
        "name": one.record.name,
        "up": problem is None,
        "seconds": round(time.monotonic() - began, 3),
        "problem": problem,
    }


def _ask(one: StoreNow) -> None:
    if isinstance(one.leaf, Disk):
        one.leaf.identify()
        one.leaf.probe()
    elif isinstance(one.store, Guarded):
        one.store.probe()


def _named(live: LiveStores, name: str) -> StoreNow:
    found = next((one for one in live.now.values() if one.record.name == name), None)
    if found is None:
        raise RecordNotFound("store", name)
    return found


class _Copies:
    """What the catalog says of replicated stores: members, and the copies that these are to get."""

    def __init__(self, database: Database, live: LiveStores) -> None:
        self._replicas = replicas.every(database)
        self._waiting = replicas.waiting(database)
        self._names = {number: one.record.name for number, one in live.now.items()}

    def record(self, one: StoreNow) -> dict[str, Any]:
        """Of a member: its own; of a replicated store: those of all members."""
        number = one.record.id
        members = [replica for replica in self._replicas if replica.group_id == number]
        ours = members or [
            replica
            for replica in self._replicas
            if (replica.group_id, replica.store_id) == (one.group, number)
        ]
        return {
            "group": self._names[one.group] if one.group is not None else None,
            "members": [self._names.get(replica.store_id) for replica in members] or None,
            "repairs": sum(self._waiting.get((one.group_id, one.store_id), 0) for one in ours)
            if ours
            else None,
            "filled": all(replica.place is None for replica in ours) if ours else None,
        }


def _record(one: StoreNow, held: Holding, copies: _Copies) -> dict[str, Any]:
    record = one.record
    space, problem = None, None
    try:
        identify(one.leaf, one.store)
        power = unwrap(one.leaf, ReportsSpace)
        space = power.space() if power is not None else None
    except StoreError as error:
        problem = error.message
    return {
        "name": record.name,
        "kind": record.kind,
        "state": str(one.state),
        "state_from": "set-state" if record.state_set else "configuration",
        "up": problem is None,
        "problem": problem,
        "objects": held.objects,
        "parts": held.parts,
        "garbage": held.garbage,
        "bytes": held.bytes,
        "total": space.total if space else None,
        "free": space.free if space else None,
        "used": round(1 - space.free / space.total, 4) if space and space.total else None,
        "uuid": record.uuid,
        "created": moment(record.created_ms),
        **copies.record(one),
    }


def _readable(record: dict[str, Any]) -> dict[str, Any]:
    used = record["used"]
    sizes = {name: size_text(record[name]) for name in ("bytes", "total", "free")}
    return {**record, **sizes, "used": None if used is None else f"{used:.1%}"}


def _orphans(args: argparse.Namespace) -> int:
    found = []
    down = []
    with _opened(args) as (service, live):
        _raise_fences(service, settings_of(args))
        for one in live.now.values():
            try:
                found += [_orphan(one.record, orphan) for orphan in orphans.find(service, one.record.id)]
            except StoreError as error:
                down.append((one, error))
    show_all(found, as_json=args.json, columns=("store", "blob", "size", "written", "lost", "bucket", "key"))
    return _tell(down)


def _tell(down: list[tuple[StoreNow, StoreError]]) -> int:
    """6 if there is one that was passed over."""
    for one, error in down:
        print(f"dolium: the store {one.record.name} is passed over: {error.message}", file=sys.stderr)
    return 6 if down else 0


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
    done, down = [], []
    with _opened(args) as (service, live):
        _raise_fences(service, settings_of(args))
        garbage = sweep(service)
        if args.even_held:
            garbage += sum(release_held(service, store_id, enough=lambda: False) for store_id in live.now)
        for one in live.now.values():
            try:
                done.append(_swept(service, one, even_lost=args.even_lost))
            except StoreError as error:
                down.append((one, error))
    if not args.json:
        print(f"{garbage} blobs of garbage deleted")
    show_all(done, as_json=args.json, columns=("store", "temporaries", "orphans", "bytes", "lost"))
    return _tell(down)


def _swept(service: ObjectService, one: StoreNow, *, even_lost: bool) -> dict[str, Any]:
    temporaries = one.leaf.sweep_temporaries() if isinstance(one.leaf, Disk) else 0
    sweep_unborn(service, one, whole=True)
    swept = orphans.sweep_orphans(service, one.record.id, whole=True, even_lost=even_lost)
    return {
        "store": one.record.name,
        "temporaries": temporaries,
        "orphans": swept.removed,
        "bytes": swept.size,
        "lost": swept.lost,
    }


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
