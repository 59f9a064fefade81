"""The parser, and errors to exit codes: a line on stderr, never a traceback for what can go wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from dolium import __version__
from dolium.cli import (
    backup,
    bucket,
    check,
    check_data,
    galaxy,
    group,
    key,
    rebuild,
    restore,
    scrub,
    serve,
    store,
    tenancy,
    user,
)
from dolium.errors import (
    CatalogError,
    ConfigError,
    Conflict,
    DoliumError,
    Malformed,
    NotFound,
    StoreError,
)

__all__ = ["EXIT_CODES", "main", "parser"]

# The first type that fits decides.
_CODES: tuple[tuple[type[DoliumError], int], ...] = (
    (Malformed, 2),
    (NotFound, 3),
    (Conflict, 4),
    (ConfigError, 5),
    (CatalogError, 6),
    (StoreError, 6),
)

EXIT_CODES = """\
exit codes:
  0  done
  1  failed in a way that is not listed here
  2  the arguments, or a value among them, cannot be
  3  something named does not exist
  4  the state of things forbids it: it exists already, is not empty, is the last one
  5  the configuration or the master key cannot be used
  6  the catalog, a store or a backup is not available, or damaged
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="dolium",
        description="An S3-compatible, multi-tenant object store for research data.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"dolium {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (
        serve,
        user,
        tenancy,
        group,
        key,
        bucket,
        store,
        scrub,
        backup,
        restore,
        rebuild,
        check,
        check_data,
        galaxy,
    ):
        command.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except DoliumError as error:
        print(f"dolium: {error.message}", file=sys.stderr)
        return next((code for kind, code in _CODES if isinstance(error, kind)), 1)
    except BrokenPipeError:
        # Whoever read our output has enough of it; nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"dolium: {error.strerror or error}{where}", file=sys.stderr)
        return 1
