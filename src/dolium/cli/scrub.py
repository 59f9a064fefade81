"""`dolium scrub`: is everything that is stored still what was written?"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dolium.catalog import damage, scrubs, stores
from dolium.catalog.damage import INLINE, Finding
from dolium.cli.options import Commands, command, open_catalog, settings_of, size
from dolium.cli.output import moment, show_all, size_text
from dolium.errors import DoliumError
from dolium.movers.pace import Pace, Stopped
from dolium.movers.scrub import Scrub, claim, recheck
from dolium.objects.service import ObjectService
from dolium.server.wiring import open_service

__all__ = ["add", "until_told_to_stop"]

_RATE = 50 << 20

_MORE = """\
Reads everything, from the disk and not from memory: blobs against the checksums of their blocks, those without
against their ETag (then they get checksums), inline objects against both; sizes, descriptions, manifests. It
reads at most RATE bytes a second and counts 16 KiB for each blob that it opens. What was begun and cut off, by
whom ever, is gone on with. The service does the same every scrub.every, at scrub.rate, and stops for a command.

An object whose bytes are wrong or lost is held back: GET and copies of it answer 500 InternalError, HEAD and
listings show it, DELETE and overwriting work. Its file stays where it is. When the file is brought back, as from a
backup, --recheck gives the object free. Of a replicated store every copy is looked at; one that is wrong or missing
is written anew from another, and nothing is held back as long as one is good.

STATE is corrupt; suspect, when a read met it and no scrub has looked yet; or noted, when the bytes are right and
what lies beside them (a description, a manifest) is not.

Exit codes: 0 nothing is damaged, 1 something is, 2 it could not be looked at (or not at all of it)."""


def add(commands: Commands) -> None:
    parser = command(
        commands, "scrub", "Check everything that is stored, and hold back what is damaged.", _run,
        listing=True, more=_MORE,
    )  # fmt: skip
    parser.add_argument(
        "--rate",
        type=_rate,
        default=_RATE,
        metavar="RATE",
        help="bytes a second, as 50MiB/s (the default), or none",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--status", action="store_true", help="only tell of the last walk and of what is damaged"
    )
    what.add_argument("--recheck", action="store_true", help="only look again at what is known to be damaged")


def _rate(text: str) -> int:
    return size(text.removesuffix("/s")) or 0


def _run(args: argparse.Namespace) -> int:
    try:
        with open_catalog(args) as database:
            service, _ = open_service(database, settings_of(args))
            whole = args.status or _look(args, service, settings_of(args).data)
            found = _findings(service)
            _tell(args, service, found)
    except DoliumError as error:
        print(f"dolium: {error.message}", file=sys.stderr)
        return 2
    return 1 if found else 0 if whole else 2


def _look(args: argparse.Namespace, service: ObjectService, folder: Path) -> bool:
    """Whether it came to its end."""
    held = claim(folder)
    if held is None:
        raise DoliumError("another dolium scrub is at work here; see dolium scrub --status")
    try:
        with until_told_to_stop() as stop:
            if not args.recheck:
                return Scrub(service, args.rate, stop.wait).work()
            try:
                recheck(service, Pace(args.rate, stop.wait))
            except Stopped:
                return False
            return True
    finally:
        os.close(held)


@contextmanager
def until_told_to_stop() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM end what is under way where it can be gone on with."""
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stop.set()) for number in signals]
    try:
        yield stop
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _findings(service: ObjectService) -> list[dict[str, Any]]:
    """A record for each object that a finding concerns; what was deleted since is nobody's damage."""
    names = {record.id: record.name for record in stores.every(service.database)}
    return [
        _record(finding, names, *place)
        for finding in damage.every(service.database, limit=-1)
        for place in damage.places(service.database, finding.subject)
    ]


def _record(
    finding: Finding, names: dict[int, str], tenancy: str, bucket: str, key: str, part: int | None
) -> dict[str, Any]:
    inline = finding.subject.store_id == INLINE
    return {
        "state": finding.state,
        "tenancy": tenancy,
        "bucket": bucket,
        "key": key,
        "part": part,
        "what": finding.what,
        "store": None if inline else names.get(finding.subject.store_id),
        "blob": None if inline else finding.subject.blob_key,
        "found": moment(finding.found_ms),
        "seen": moment(finding.seen_ms),
    }


def _tell(args: argparse.Namespace, service: ObjectService, found: list[dict[str, Any]]) -> None:
    run = scrubs.latest(service.database)
    if args.json:
        if run is not None:
            print(
                json.dumps(
                    {
                        "scrub": run.id, "started": moment(run.started_ms), "ended": moment(run.ended_ms),
                        "place": json.loads(run.place), "inline": run.bodies, "blobs": run.blobs, "bytes": run.bytes,
                        "mended": run.mended, "unknown": run.unknown, "repaired": run.repaired, "damaged": len(found),
                    }
                )
            )  # fmt: skip
    elif run is None:
        print("nothing has been scrubbed yet")
    else:
        ended = f"ended {moment(run.ended_ms)}" if run.ended_ms else f"not ended, now at {_place(run.place)}"
        print(f"scrub {run.id}, begun {moment(run.started_ms)}, {ended}")
        print(
            f"{run.bodies} inline objects and {run.blobs} blobs, {size_text(run.bytes)}; "
            f"{run.mended} got checksums, {run.unknown} could be held against nothing"
            + (f"; {run.repaired} copies were written anew" if run.repaired else "")
        )
        if not found:
            print("nothing is damaged")
    if found or args.json:
        show_all(
            found,
            as_json=args.json,
            columns=("state", "tenancy", "bucket", "key", "part", "what", "store", "blob"),
        )


def _place(text: str) -> str:
    place = json.loads(text)
    if place["stage"] == "bodies":
        return "the inline objects"
    if place["stage"] == "left":
        return "the stores that were down when their turn came"
    return f"blob {place['from'].rstrip(chr(0)) or 'one'} of store {place['store']}"
