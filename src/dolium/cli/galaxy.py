"""`dolium galaxy`: run an unmodified Galaxy on our object store."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from dolium.cli.options import Commands
from dolium.datasets.startup import HOOK

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
