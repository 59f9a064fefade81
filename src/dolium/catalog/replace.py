"""What it takes to put one catalog file in the place of another: each must be one file, with no log beside it.

A write-ahead log that is left beside another database would be taken for its own.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from dolium.errors import BackupError, Conflict

__all__ = ["adopt", "alone", "make_one_file", "sync_folder"]


def adopt(file: Path, handed_out: int) -> None:
    """Make a copy of a backup a catalog again: it says no more that it is a backup, but from where on it knows nothing
    (`fences.Loss`). `handed_out`: the highest sequence that is known to have been, or 0. Synced. Raises BackupError.
    """
    now_ns = time.time_ns()
    try:
        connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.execute("PRAGMA journal_mode = MEMORY").fetchall()
            with connection:
                connection.execute("DELETE FROM manifest").fetchall()
                connection.execute(
                    "INSERT INTO losses (sequence, before_ns, found_ms, highest) "
                    "SELECT sequence, ?, ?, ? FROM book",
                    (now_ns, now_ns // 1_000_000, handed_out),
                ).fetchall()
                # What comes now is above all that may have been handed out: see `shared.SharedNumbers`.
                connection.execute(
                    "UPDATE book SET sequence = max(sequence, ?)", (handed_out or now_ns // 1000,)
                ).fetchall()
        finally:
            connection.close(True)
    except apsw.Error as error:
        raise BackupError(f"{file} is damaged: {error}") from error
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody opens the catalog in `folder` meanwhile: the turn of `catalog.sqlite`."""
    turn = os.open(folder / "catalog.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
    finally:
        os.close(turn)


def make_one_file(catalog: Path) -> bool:
    """Fold the write-ahead log into the catalog; False if it is damaged. Raises Conflict while somebody has it open."""
    try:
        connection = apsw.Connection(str(catalog), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(5_000)
            connection.execute("PRAGMA synchronous = FULL").fetchall()
            mode = connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        finally:
            connection.close(True)
    except (apsw.BusyError, apsw.LockedError) as error:
        raise Conflict("another command has the catalog open; try again when it has ended") from error
    except apsw.Error:
        return False
    if mode != [("delete",)]:
        raise Conflict("another command has the catalog open; try again when it has ended")
    return True


def sync_folder(folder: Path) -> None:
    """Names that were given or taken in it are on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
