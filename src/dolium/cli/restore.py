"""`dolium restore`: a backup takes the place of the catalog."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from dolium.cli.backup import record_of
from dolium.cli.options import Commands, command, settings_of
from dolium.cli.output import show, size_text
from dolium.identity.keys import Sealing
from dolium.server.claim import claim
from dolium.server.restoring import restore

__all__ = ["add", "warn_of_keys"]

_MORE = """\
Nobody may serve the folder: it is empty, or the service is stopped. The catalog that is there stays beside the new one,
as replaced-<time>.sqlite. Cut off at any moment, the folder holds the old catalog or the new one, whole; run it again.

Objects that were written after the backup are not in it. Those of which the bytes lie in a store are kept there, and
dolium rebuild brings them back."""


def add(commands: Commands) -> None:
    parser = command(
        commands, "restore", "Put a backup in the place of the catalog.", _run, listing=True, more=_MORE
    )
    parser.add_argument("backup", type=Path, help="a file that dolium backup, or the schedule, has made")


def _run(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    held = claim(settings.data)
    try:
        restored = restore(settings, args.backup)
    finally:
        os.close(held)
    about = record_of(restored.about)
    record = {
        "restored": about["file"],
        "made": about["made"],
        "sequence": about["sequence"],
        "objects": about["objects"],
        "bytes": about["bytes"] if args.json else size_text(about["bytes"]),
        "keys": restored.sealing.keys,
        "keys_closed": restored.sealing.closed,
        "master_key": restored.sealing.has_master,
        "replaced": str(restored.kept) if restored.kept is not None else None,
        "store_problem": restored.store or None,
    }
    show(record, as_json=args.json)
    if not args.json:
        if restored.store:
            print(f"Not every store is as it was: {restored.store}", file=sys.stderr)
        warn_of_keys(restored.sealing)
        print("What was written since the backup: dolium rebuild", file=sys.stderr)
    return 0


def warn_of_keys(sealing: Sealing) -> None:
    """In words, what a missing or another master key means."""
    if not sealing.closed:
        return
    what = "is another one" if sealing.has_master else "is missing"
    print(
        f"The master key {what}: {sealing.closed} of {sealing.keys} access keys cannot be used, all else is there. "
        "Put master.key (or master.key.<id>.old) back into the data folder from where you keep it. If it is lost: "
        "dolium key rotate-master --lost makes another and revokes those keys; then dolium key issue.",
        file=sys.stderr,
    )
