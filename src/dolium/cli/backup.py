"""`dolium backup`: a copy of the catalog, made while the folder is served."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from dolium.catalog import backups
from dolium.catalog.backups import About
from dolium.cli.options import Commands, command, open_catalog, settings_of
from dolium.cli.output import moment, show, show_all, size_text
from dolium.errors import BackupError
from dolium.server.backing_up import files, new_file

__all__ = ["add", "record_of"]

_MORE = """\
The folder may be served meanwhile. The copy is of one moment, is checked, synced and only then named; it is one file
that says what it is: of which catalog, at which sequence, over which stores. It holds people, buckets, descriptions of
objects and the bytes of small ones. The bytes of the others lie in the stores, and the master key lies apart: back
both up too. See docs/backup.md, dolium restore and dolium rebuild."""


def add(commands: Commands) -> None:
    parser = command(commands, "backup", "Back the catalog up.", _run, listing=True, more=_MORE)
    parser.add_argument(
        "--to", type=Path, metavar="PATH",
        help="a folder, or a file that is not there (default: backup.folder, which is backups in the data folder)",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list the backups in that folder instead")


def record_of(about: About) -> dict[str, Any]:
    """What a backup says of itself."""
    return {
        "file": str(about.file),
        "made": moment(about.made_ns // 1_000_000),
        "bytes": about.size,
        "sequence": about.sequence,
        "objects": about.objects,
        "keys": about.keys,
        "schema": about.schema,
        "program": about.program,
        "catalog": about.origin,
        "stores": about.stores,
        "problem": None,
    }


def _run(args: argparse.Namespace) -> int:
    return _list(args) if args.list else _make(args)


def _make(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    began = time.monotonic()
    with open_catalog(args) as database, backups.turn(settings.data):
        target = args.to or settings.backups
        if args.to is None:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if target.is_dir():
            target = new_file(target, database, "catalog")
        elif not target.parent.is_dir():
            raise BackupError(f"there is no folder {target.parent}")
        about = backups.backup(database, settings.data, target, hold_ms=settings.backup_hold * 1000)
    record = {**record_of(about), "seconds": round(time.monotonic() - began, 2)}
    show(record if args.json else _readable(record), as_json=args.json)
    return 0


def _list(args: argparse.Namespace) -> int:
    records = []
    for file in files(args.to or settings_of(args).backups):
        try:
            records.append(record_of(backups.identify(file)))
        except BackupError as error:
            nothing: dict[str, Any] = dict.fromkeys(
                ("made", "bytes", "sequence", "objects", "keys", "catalog")
            )
            records.append({"file": str(file), **nothing, "problem": error.message})
    shown = records if args.json else [_readable(record) for record in records]
    show_all(shown, as_json=args.json, columns=("file", "made", "size", "objects", "sequence", "problem"))
    return 0


def _readable(record: dict[str, Any]) -> dict[str, Any]:
    """For people: sizes with units, and stores by their names."""
    shown = {"file": record["file"], "made": record["made"], "size": size_text(record["bytes"])}
    rest = {name: value for name, value in record.items() if name not in {*shown, "bytes"}}
    if "stores" in record:
        rest["stores"] = [f"{name} {uuid}" for name, uuid in record["stores"].items()]
    return {**shown, **rest}
