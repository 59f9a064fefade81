"""The real program with one thing of it changed: `python program.py CHANGE serve ...`.

A drill that cuts the power must go red on most of these; `small-log` only makes the catalog busier.
"""

import os
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final
from unittest import mock

from dolium.catalog import sqlite
from dolium.catalog.database import Row, Value
from dolium.catalog.sqlite_connection import Connection, SqliteOptions
from dolium.cli.main import main
from dolium.stores.leaves.disk_volume import Volume

__all__ = ["changed"]


def changed(name: str) -> tuple[str, ...]:
    """The program, for a LiveServer."""
    assert name in _CHANGES
    return (sys.executable, __file__, name)


def _small_log() -> None:
    """A checkpoint every few commits; usually one takes hundreds."""
    mock.patch.object(sqlite, "SqliteOptions", partial(SqliteOptions, checkpoint_pages=40)).start()


def _normal() -> None:
    """SQLite does not sync a commit."""
    run = Connection.all

    def run_otherwise(self: Connection, sql: str, *values: Value) -> list[Row]:
        return run(self, sql.replace("synchronous = FULL", "synchronous = NORMAL"), *values)

    mock.patch.object(Connection, "all", run_otherwise).start()


def _leave_out(is_left_out: Callable[[int], bool]) -> None:
    """The disk leaf does not sync these."""
    sync = Volume.sync

    def sync_others(self: Volume, descriptor: int) -> None:
        if not is_left_out(os.fstat(descriptor).st_mode):
            sync(self, descriptor)

    mock.patch.object(Volume, "sync", sync_others).start()


_CHANGES: Final[dict[str, Callable[[], None]]] = {
    "small-log": _small_log,
    "commit-not-synced": _normal,
    "file-not-synced": partial(_leave_out, stat.S_ISREG),
    "folder-not-synced": partial(_leave_out, stat.S_ISDIR),
}

if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    _CHANGES[sys.argv.pop(1)]()
    sys.exit(main())
