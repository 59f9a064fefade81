"""Arguments that many commands share, and what they open.

The data folder is `--data`, else `DOLIUM_DATA`, else what `--config` (or `DOLIUM_CONFIG`) says, else
`./dolium-data`. The commands work on a folder that is being served: the catalog takes turns.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.native import read_settings
from dolium.config.settings import Listen, Settings, override, parse_listen
from dolium.errors import ConfigError
from dolium.identity.keys import open_sealer
from dolium.identity.seal import Sealer
from dolium.values import Secret

__all__ = [
    "Commands",
    "command",
    "expiry",
    "listen",
    "open_catalog",
    "open_folder_sealer",
    "settings_of",
    "size",
    "verbs",
]

Commands = Any  # argparse keeps the type of its sub-parsers private
Run = Callable[[argparse.Namespace], int]

_SIZE = re.compile(r"(\d+)\s*([KMGTP]?)(i?)B?", re.IGNORECASE)
_AGO = re.compile(r"(\d+)([hdwy])")
_HOURS = {"h": 1, "d": 24, "w": 168, "y": 8766}


def verbs(commands: Commands, name: str, about: str) -> Commands:
    """The parser of a noun whose verbs are commands of their own."""
    parser = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def command(
    commands: Commands,
    name: str,
    about: str,
    run: Run,
    *,
    listing: bool = False,
    more: str = "",
    exits: str = "Exit codes: see dolium --help.",
) -> argparse.ArgumentParser:
    """The parser of one command on a data folder. `listing`: it takes `--json`. `exits`: its own exit codes."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=f"{more}\n\n{exits}" if more else exits,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    where = parser.add_argument_group("where")
    where.add_argument(
        "--data", type=Path, metavar="DIR", help="data folder (DOLIUM_DATA; default ./dolium-data)"
    )
    where.add_argument("--config", type=Path, metavar="FILE", help="configuration file (DOLIUM_CONFIG)")
    if listing:
        parser.add_argument("--json", action="store_true", help="print JSON, one object per line")
    return parser


def settings_of(arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Settings:
    """Defaults, then the configuration file, then environment, then flags."""
    file = arguments.config or (Path(environ["DOLIUM_CONFIG"]) if environ.get("DOLIUM_CONFIG") else None)
    settings = read_settings(file, environ) if file is not None else Settings()
    data = arguments.data or (Path(environ["DOLIUM_DATA"]) if environ.get("DOLIUM_DATA") else None)
    master = environ.get("DOLIUM_MASTER_KEY")
    return override(settings, {"data": data, "master_key": Secret(master) if master else None})


@contextmanager
def open_catalog(arguments: argparse.Namespace) -> Iterator[SqliteDatabase]:
    """The catalog of a data folder that is there. Raises ConfigError if it is not."""
    folder = settings_of(arguments).data
    if not (folder / "catalog.sqlite").is_file():
        raise ConfigError(
            f"{folder} is no data folder of dolium; name one with --data or DOLIUM_DATA, "
            "or start the service (dolium serve), which makes it"
        )
    database = SqliteDatabase(folder)
    try:
        yield database
    finally:
        database.close()


def open_folder_sealer(arguments: argparse.Namespace, database: SqliteDatabase) -> Sealer:
    """The sealer of the data folder. Raises ConfigError."""
    settings = settings_of(arguments)
    return open_sealer(database, settings.data, settings.master_key)


def listen(text: str) -> Listen:
    """An argument: HOST:PORT, or a URL."""
    try:
        return parse_listen(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def size(text: str) -> int | None:
    """An argument: bytes, with or without a unit; `none` for no limit."""
    if text == "none":
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as 500GiB, 2TB, 1000000 or none")
    step = 1024 if match[3] else 1000
    power = " KMGTP".index(match[2].upper() or " ")
    return int(match[1]) * int(step**power)


def expiry(text: str) -> int | None:
    """An argument: a date (until its end, UTC), a time from now such as 12h, 90d or 1y, or `never`; as ms."""
    if text == "never":
        return None
    if match := _AGO.fullmatch(text):
        return time.time_ns() // 1_000_000 + int(match[1]) * _HOURS[match[2]] * 3_600_000
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no expiry; write it as 90d, 12h, 2026-12-31 or never"
        ) from None
    if len(text) == len("2026-12-31"):
        when = when.replace(hour=23, minute=59, second=59)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return int(when.timestamp() * 1000)
