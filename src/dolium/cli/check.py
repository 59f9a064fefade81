"""`dolium check FILE`: is this configuration sound?"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from dolium.cli.options import Commands
from dolium.config.native import read_settings
from dolium.config.settings import require_sound

__all__ = ["add"]


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "check",
        help="check a configuration file",
        description="Check a configuration file: unknown keys and wrong values are told with file and line.",
        epilog="Exit codes: 0 sound, 5 not sound.",
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--json", action="store_true", help="print every setting as it would be, secrets masked"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    settings = read_settings(args.file, os.environ)
    require_sound(settings)
    print(json.dumps(settings.as_json(), indent=2) if args.json else f"{args.file}: sound")
    return 0
