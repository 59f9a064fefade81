"""`dolium check-data`: do the catalog and the stores of a data folder agree?"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, TextIO

from dolium.catalog.audit import bucket_name
from dolium.cli.options import Commands, command, open_catalog, settings_of
from dolium.cli.output import size_text
from dolium.errors import DoliumError
from dolium.objects.audit import Finding, Kind, Progress, audit
from dolium.objects.service import ObjectService
from dolium.server.wiring import open_service
from dolium.stores.contract import unwrap
from dolium.stores.leaves.disk import Disk

__all__ = ["add"]

_MORE = """\
Looks, and changes nothing; also at a folder that is being served and written to. Every object must have its bytes, of
its size; every usage must be the sum of what is there; every blob must be named as often as it is counted, and not be
garbage. With --read every byte is read and compared with its ETag and checksum, and every blob with its description.

What a crash has left and the next sweep takes away (orphan, temporary), and what a restored catalog has not seen
(kept-orphan), is told and is no problem. Orphans are told of once they can be nothing else, as dolium store orphans
does. Progress is shown where stderr is a terminal."""

_EXITS = """\
Exit codes: 0 nothing is wrong, 1 problems were found, 2 it could not look (the arguments, the configuration, the catalog
or a store)."""

_EVERY = 0.25


def add(commands: Commands) -> None:
    parser = command(
        commands, "check-data", "Check that the catalog and the stores agree.", _run, listing=True, more=_MORE,
        exits=_EXITS,
    )  # fmt: skip
    parser.add_argument("--read", action="store_true", help="read every byte, and compare")


def _run(args: argparse.Namespace) -> int:
    try:
        with open_catalog(args) as database:
            service, records = open_service(database, settings_of(args))
            stores = {record.id: record.name for record in records}
            return _check(service, stores, read=args.read, as_json=args.json)
    except DoliumError as error:
        print(f"dolium: {error.message}", file=sys.stderr)
    except OSError as error:
        print(f"dolium: {error.strerror or error}", file=sys.stderr)
    return 2


def _check(service: ObjectService, stores: dict[int, str], *, read: bool, as_json: bool) -> int:
    shown = _Shown(sys.stderr)
    progress = Progress(step=shown.show)
    found: Counter[Kind] = Counter()
    problems = 0
    for finding in _all(service, progress, read=read):
        found[finding.kind] += 1
        problems += finding.is_problem
        shown.clear()
        record = _record(service, finding, stores)
        print(json.dumps(record, ensure_ascii=False) if as_json else _line(record))
    shown.clear()
    summary = {
        "kind": "summary", "problems": problems, "leftovers": found.total() - problems, "objects": progress.objects,
        "bytes": progress.bytes, "blobs": progress.blobs, "reread": progress.reread if read else None,
        "garbage": progress.garbage, "due": progress.due,
    }  # fmt: skip
    print(json.dumps(summary) if as_json else _summary(summary, found))
    return 1 if problems else 0


def _all(service: ObjectService, progress: Progress, *, read: bool) -> Iterator[Finding]:
    yield from audit(service, progress, read=read)
    for store_id, store in service.stores.items():
        disk = unwrap(store, Disk)
        for name in disk.dead_temporaries() if disk is not None else []:
            yield Finding(
                Kind.TEMPORARY, "is the file of a writer that is gone", store_id=store_id, blob=name
            )


def _record(service: ObjectService, finding: Finding, stores: dict[int, str]) -> dict[str, Any]:
    named = None if finding.bucket_id is None else bucket_name(service.database, finding.bucket_id)
    tenancy, bucket = named or (None, None)
    return {
        "kind": str(finding.kind),
        "problem": finding.is_problem,
        "text": finding.text,
        "tenancy": tenancy,
        "bucket": bucket,
        "key": finding.key,
        "store": None if finding.store_id is None else stores.get(finding.store_id, str(finding.store_id)),
        "blob": finding.blob,
    }


def _line(record: dict[str, Any]) -> str:
    where = []
    if record["key"] is not None:
        where.append("/".join(str(record[name] or "?") for name in ("tenancy", "bucket", "key")))
    if record["blob"] is not None:
        where.append(f"{record['store']}:{record['blob']}")
    text = f"{record['kind']}: {' at '.join([*where[:1], *where[1:]])} {record['text']}".replace(":  ", ": ")
    # A key must not move the cursor of whoever reads this.
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _summary(summary: dict[str, Any], found: Counter[Kind]) -> str:
    looked = f"{summary['objects']} objects ({size_text(summary['bytes'])}), {summary['blobs']} blobs"
    if summary["reread"] is not None:
        looked += f", {size_text(summary['reread'])} read"
    waiting = f"; {summary['garbage']} blobs of garbage wait, {summary['due']} of them are due"
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.items()))
    verdict = "problems found" if summary["problems"] else "all is well"
    return f"{looked}{waiting}\n{verdict}{f': {kinds}' if kinds else ''}"


class _Shown:
    """A line of progress on a terminal; nothing elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream if stream.isatty() else None
        self._next = 0.0
        self._width = 0

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._stream is None or now < self._next:
            return
        self._next = now + _EVERY
        text = f"{progress.objects} objects, {progress.blobs} blobs, {size_text(progress.reread)} read"
        print(f"\r{text.ljust(self._width)}", end="", file=self._stream, flush=True)
        self._width = len(text)

    def clear(self) -> None:
        if self._stream is not None and self._width:
            print(f"\r{' ' * self._width}\r", end="", file=self._stream, flush=True)
            self._width = 0
