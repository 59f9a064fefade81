"""`dolium store repair`: the copies that replicated stores are short of, made now."""

from __future__ import annotations

import argparse
import contextlib
import os
from typing import Any

from dolium.catalog import replicas
from dolium.cli.options import Commands, command, open_catalog, settings_of, size
from dolium.cli.output import show_all
from dolium.cli.scrub import until_told_to_stop
from dolium.errors import Conflict
from dolium.movers.pace import Stopped
from dolium.movers.repairs import Repairs
from dolium.movers.scrub import claim
from dolium.server.repairing import WORK
from dolium.server.wiring import open_service

__all__ = ["add"]

_MORE = """\
The service does the same by itself, at scrub.rate: what was written while a member was down, what was found missing or
damaged, and everything for a member that is new. This does it now and here, and the service stops for it. Bytes
are read only as far as they are copied; to look at every byte of every copy is dolium scrub.

REPAIRS is how many copies still wait; FILLED whether a member has had a copy of everything since it is one. A member
that is down is passed over, and the exit code is 6."""


def add(commands: Commands) -> None:
    parser = command(
        commands, "repair", "Make the copies that replicated stores are short of.", _repair, listing=True,
        more=_MORE,
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=_rate, default=0, metavar="RATE", help="bytes a second, as 50MiB/s (default: no limit)"
    )


def _rate(text: str) -> int:
    return size(text.removesuffix("/s")) or 0


def _repair(args: argparse.Namespace) -> int:
    """6 if copies still wait."""
    settings = settings_of(args)
    with open_catalog(args) as database:
        service, records = open_service(database, settings)
        names = {record.id: record.name for record in records}
        held = claim(settings.data, WORK)
        if held is None:
            raise Conflict("another dolium store repair is at work here")
        try:
            with until_told_to_stop() as stop:
                repairs = Repairs(service, args.rate, stop.wait)
                with contextlib.suppress(Stopped):
                    repairs.work(everything=True)
        finally:
            os.close(held)
        waiting = replicas.waiting(database)
        found: list[dict[str, Any]] = [
            {
                "group": names.get(one.group_id),
                "member": names.get(one.store_id),
                "repairs": waiting.get((one.group_id, one.store_id), 0),
                "filled": one.place is None,
            }
            for one in replicas.every(database)
        ]
    if not args.json:
        print(f"{repairs.made} copies made")
    show_all(found, as_json=args.json, columns=("group", "member", "repairs", "filled"))
    return 0 if all(record["filled"] and not record["repairs"] for record in found) else 6
