"""`dolium galaxy`: run an unmodified Galaxy on our object store."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from dolium.cli.options import Commands
from dolium.datasets.startup import HOOK
from dolium.errors import StoreUnavailable
from dolium.stores.leaves import disk_identity

__all__ = ["add"]

_MORE = """\
  dolium galaxy run -- galaxyctl start
  dolium galaxy run -- sh run.sh

PYTHONPATH of the command gets a folder in front whose sitecustomize exchanges galaxy.objectstore's stores for ours when
that is imported. The jobs' processes inherit it; where a cluster passes no environment on, put the folder that
`dolium galaxy path` prints in front of their PYTHONPATH. dolium must be installed beside Galaxy, in its Python:
pip install 'dolium[galaxy]'. The file of stores and galaxy.yml stay as they are (docs/galaxy.md).

Exit codes: those of COMMAND; 2 if there is none, 5 if Galaxy's object store is not installed."""
_CODES = _MORE.rpartition("\n\n")[2]


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "galaxy",
        help="run Galaxy on dolium's object store",
        description="Run an unmodified Galaxy on dolium's object store.",
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    run = actions.add_parser(
        "run",
        help="run a command of Galaxy's",
        description="Run a command of Galaxy's; all Python below it has our object store.",
        epilog=_CODES,
        allow_abbrev=False,
    )
    run.add_argument("command", nargs="+", metavar="COMMAND", help="and its arguments, behind --")
    run.set_defaults(run=_run)
    path = actions.add_parser(
        "path",
        help="print the folder for PYTHONPATH",
        description="Print the folder that belongs in front of PYTHONPATH where no environment is passed on.",
        epilog="Exit codes: 0 done.",
        allow_abbrev=False,
    )
    path.set_defaults(run=_path)
    identify = actions.add_parser(
        "identify",
        help="give the folder of a disk an identity",
        description="Give the folder of a disk an identity, and print it, for expected_uuid in the file of stores: a folder "
        "without it is then the mount point of a missing disk. One that has an identity keeps it.",
        epilog="Exit codes: 0 done, 1 the folder cannot be written, or has an identity that cannot be read.",
        allow_abbrev=False,
    )
    identify.add_argument("folder", type=Path, metavar="FOLDER", help="the files_dir of the store")
    identify.set_defaults(run=_identify)


def _run(args: argparse.Namespace) -> int:  # noqa: RET503 - it becomes the command
    if not _is_installed():
        print(
            "dolium: galaxy-objectstore is not in this Python: pip install 'dolium[galaxy]'", file=sys.stderr
        )
        return 5
    before = os.environ.get("PYTHONPATH")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HOOK), *([before] if before else [])])}
    sys.stdout.flush()
    os.execvpe(args.command[0], args.command, environ)  # noqa: S606 - the caller's own command


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("galaxy.objectstore") is not None
    except ModuleNotFoundError:
        return False


def _path(_args: argparse.Namespace) -> int:
    print(HOOK)
    return 0


def _identify(args: argparse.Namespace) -> int:
    if not args.folder.is_dir():
        print(f"dolium: {args.folder} is no folder: is its disk mounted?", file=sys.stderr)
        return 1
    try:
        print(disk_identity.initialise(args.folder))
    except (OSError, StoreUnavailable) as error:
        print(f"dolium: {args.folder} cannot get an identity: {error}", file=sys.stderr)
        return 1
    return 0
