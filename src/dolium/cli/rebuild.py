"""`dolium rebuild`: the newest backup, and what the stores hold that is newer."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dolium.cli.backup import record_of
from dolium.cli.options import Commands, command, settings_of
from dolium.cli.output import show, show_all, size_text
from dolium.cli.restore import warn_of_keys
from dolium.identity.credentials import from_environment
from dolium.objects.rebuild import Entry, Plan, What
from dolium.server.claim import claim
from dolium.server.first_run import welcome
from dolium.server.rebuilding import Rebuilt, rebuild

__all__ = ["add"]

_SHOWN = 20  # of each kind, for people

_MORE = """\
Nobody may serve the folder. Without --apply nothing is changed: it prints what would be done. A catalog that was
restored is taken as it is; where there is none, the newest backup is restored first; where there is no backup either, a
new catalog is made, with a first key. Then each blob that the catalog does not know comes back as the object that its
description names; of two versions, the one with the higher sequence stands. Cut off, run it again.

  brought back      written after the backup. It may have been deleted, or replaced by a small object, just before the
                    catalog was lost: nobody can tell, so look through them
  in place of older the same, where the backup has an older version
  source of a copy  it was copied, so its bytes lie there even if it was deleted long ago: it stays, or comes back
  part brought back of an upload that the backup knows as open
  bytes are gone    the backup has it, its bytes are not there: deleted or replaced long ago; its row goes
  part is gone      the same, of a part of an open upload
  was deleted       deleted or replaced since the backup, for certain: it does not come back, nor does the backup's own
                    version stay (--even-deleted: it does, if its bytes are there)
  replaced          a newer version stands: the blob is kept
  part of nothing   of an upload that nobody knows, or that has a newer one: kept
  not described     a blob without a description that makes sense: kept

What is kept is listed by dolium store orphans, and deleted by dolium store sweep --even-lost. What lies in the catalog
alone is lost as far as it came after the backup: people, keys, memberships, settings of buckets, empty buckets, objects
up to inline_limit, and uploads that were begun."""

_COLUMNS = ("what", "tenancy", "bucket", "key", "size", "sequence", "blob")


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "rebuild",
        "Make the catalog again from a backup and the stores.",
        _run,
        listing=True,
        more=_MORE,
    )
    parser.add_argument(
        "--backup", type=Path, metavar="FILE", help="(default: the newest, where there is no catalog)"
    )
    parser.add_argument("--apply", action="store_true", help="do it")
    parser.add_argument("--even-deleted", action="store_true", help="also what is known to have been deleted")


def _run(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    held = claim(settings.data)
    try:
        done = rebuild(
            settings, args.backup, apply=args.apply, even_deleted=args.even_deleted, given=from_environment(os.environ),
            tell=_tell if sys.stderr.isatty() else lambda _: None,
        )  # fmt: skip
    finally:
        os.close(held)
    if args.json:
        records = [
            {**asdict(entry), "what": str(entry.what)} for entry in (done.plan.entries if done.plan else ())
        ]
        show_all([*records, _summary(done, applied=args.apply)], as_json=True, columns=())
        return 0
    if done.arrival is not None and args.apply:
        print(welcome(done.arrival, settings))
    if done.plan is None:
        print("This catalog has lost nothing: no backup was put in its place.")
        return 0
    _show_entries(done.plan.entries)
    summary = _summary(done, applied=args.apply)
    show({name: value for name, value in summary.items() if name not in {"what", "backup"}}, as_json=False)
    _explain(done, done.plan, applied=args.apply)
    return 0


def _tell(count: int) -> None:
    print(f"\r{count} objects are back", end="", file=sys.stderr, flush=True)


def _show_entries(entries: list[Entry]) -> None:
    shown: list[dict[str, Any]] = []
    counts: Counter[What] = Counter()
    for entry in entries:
        counts[entry.what] += 1
        if counts[entry.what] <= _SHOWN:
            shown.append({**asdict(entry), "size": size_text(entry.size)})
    if shown:
        show_all(shown, as_json=False, columns=_COLUMNS)
    for what, count in counts.items():
        if count > _SHOWN:
            print(f"… and {count - _SHOWN} more: {what} (all of them: --json)")
    if shown:
        print()


def _summary(done: Rebuilt, *, applied: bool) -> dict[str, Any]:
    plan = done.plan
    counts = Counter(entry.what for entry in plan.entries) if plan is not None else Counter()
    return {
        "what": "summary",
        "applied": applied and plan is not None,
        "backup": record_of(done.about) if done.about is not None else None,
        "after_sequence": plan.since if plan is not None else None,
        **{str(what).replace(" ", "_"): counts[what] for what in What},
        "unaccounted_writes": plan.unaccounted if plan is not None else 0,
        "small_as_in_backup": plan.small if plan is not None else 0,
    }


def _explain(done: Rebuilt, plan: Plan, *, applied: bool) -> None:
    if done.about is not None:
        print(f"\nFrom {done.about.file}.")
    if plan.unaccounted:
        print(
            f"\nAt most {plan.unaccounted} writes after the backup are in no store: small objects, which lay in the catalog "
            "alone; what was deleted or replaced; requests that failed."
        )
    if plan.small:
        print(
            f"\n{plan.small} small objects are as the backup has them: one that was deleted or replaced since is back. So "
            "is a larger one, if it was deleted within garbage_grace before the catalog was lost."
        )
    print(
        "\nNot rebuilt, as far as it came after the backup: people, keys, memberships, settings of buckets, empty "
        "buckets, small objects, open uploads."
    )
    warn_of_keys(done.sealing)
    if not applied:
        print("\nNothing was changed. To do it: dolium rebuild --apply")
