"""`dolium check FILE`: is this configuration sound, and what does it mean?"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from dolium.cli.options import Commands
from dolium.config.convert import to_yaml
from dolium.config.explain import as_json, draw, explain
from dolium.config.galaxy import is_stores_file, read_stores
from dolium.config.native import read_settings
from dolium.config.settings import require_sound
from dolium.config.specs import Notice, StoresSpec
from dolium.server.store_tree import require_servable

__all__ = ["add"]

_MORE = """\
A file of stores (object_store_conf.xml or .yml: Galaxy's schema, docs/stores.md) is told from dolium.yml by its
suffix .xml or .xml.sample, or by the type at its root. It is drawn and explained: where new data goes, where reads
look, which limits there are. What in it is odd, and what it is taken to mean, is told on stderr by line.

--convert leaves references to secrets as they stand and does not follow them.

Exit codes: 0 sound, 2 --convert of another file than one of stores, 5 not sound."""


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "check",
        help="check a configuration file",
        description="Check a configuration file: unknown keys and wrong values are told with file and line.",
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print every setting as it would be, secrets masked")
    how.add_argument("--convert", action="store_true", help="print a file of stores as YAML")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    if is_stores_file(args.file):
        return _stores(args)
    if args.convert:
        print(f"dolium: {args.file}: only a file of stores can be converted", file=sys.stderr)
        return 2
    settings = read_settings(args.file, os.environ)
    require_sound(settings)
    if settings.stores is not None:
        require_servable(settings.stores)
    _tell(settings.notices)
    if args.json:
        print(json.dumps(settings.as_json(), indent=2))
        return 0
    print(f"{args.file}: sound")
    if settings.stores is not None:
        _explain(settings.stores)
    return 0


def _stores(args: argparse.Namespace) -> int:
    spec, notices = read_stores(args.file, os.environ, resolve=not args.convert)
    _tell(notices)
    if args.convert:
        text = to_yaml(spec)
        if "in the clear" in "".join(notice.message for notice in notices):
            print("dolium: the YAML has secrets in the clear", file=sys.stderr)
        print(text, end="")
    elif args.json:
        print(json.dumps(as_json(spec), indent=2, ensure_ascii=False))
    else:
        print(f"{args.file}: sound")
        _explain(spec)
    return 0


def _explain(spec: StoresSpec) -> None:
    for line in ("", *draw(spec), "", *explain(spec)):
        # What stands in a file must not move the cursor of whoever has it explained.
        print("".join(letter if letter.isprintable() else "?" for letter in line))


def _tell(notices: Iterable[Notice]) -> None:
    for notice in notices:
        print(f"dolium: {notice}", file=sys.stderr)
