"""The real program with one thing of it changed: `python program.py CHANGE serve ...`.

Drills of power cuts must go red on most of these (`test_powercuts_red.py`); `small-log` is only in more of a hurry.
"""

import os
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from dolium.catalog import sqlite
from dolium.catalog.sqlite import SqliteOptions
from dolium.cli.main import main
from dolium.stores.leaves import syscalls

__all__ = ["CHANGES", "changed"]


def changed(name: str) -> tuple[str, ...]:
    """The program, for a LiveServer."""
    assert name in CHANGES
    return (sys.executable, __file__, name)


def _small_log() -> None:
    """A checkpoint every few commits, so that it is met: usually one takes hundreds."""
    vars(sqlite)["SqliteOptions"] = partial(SqliteOptions, checkpoint_pages=40)


def _normal() -> None:
    """A commit is not synced."""
    connection = vars(sqlite)["_Connection"]
    run = connection.all
    connection.all = lambda self, sql, *values: run(self, sql.replace("= FULL", "= NORMAL"), *values)


def _leave_out(which: Callable[[int], bool]) -> None:
    """The disk leaf does not sync these."""
    fsync = syscalls.fsync

    def sync(descriptor: int) -> None:
        if not which(os.fstat(descriptor).st_mode):
            fsync(descriptor)

    vars(syscalls)["fsync"] = sync


CHANGES: Final[dict[str, Callable[[], None]]] = {
    "small-log": _small_log,
    "commit-not-synced": _normal,
    "file-not-synced": partial(_leave_out, stat.S_ISREG),
    "folder-not-synced": partial(_leave_out, stat.S_ISDIR),
}

if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    CHANGES[sys.argv.pop(1)]()
    sys.exit(main())
