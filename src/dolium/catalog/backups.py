"""Backups of the catalog: made while it is served, whole or not at all, and telling what they are.

    made = backup(folder, target)              # a file of its own: nothing else is needed to read it
    about = identify(target)                   # whose it is, of which moment, over which stores

A backup is a copy of one snapshot, page by page, checked before it gets its name. It holds what the catalog holds:
secrets are sealed in it, and the master key is not in it (docs/backup.md).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import apsw

from dolium import __version__
from dolium.catalog.database import Database, Read, Transaction
from dolium.catalog.migrate import APPLICATION_ID, migrations
from dolium.catalog.replace import sync_folder
from dolium.crashpoints import reach
from dolium.errors import AlreadyExists, BackupError, Conflict, DoliumError

__all__ = ["About", "Span", "backup", "identify", "origin", "settle", "spans", "turn", "verify"]

_PARTIAL = ".dolium-backup-"
_PAGES = 500  # copied in one step
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})


@dataclass(frozen=True, slots=True)
class About:
    """What a backup says of itself. `origin`: whose catalog it is. `sequence`: it knows nothing above. `stores`: their
    UUIDs, by name.
    """

    file: Path
    size: int
    made_ns: int
    program: str
    schema: int
    origin: str
    sequence: int
    objects: int
    keys: int
    stores: dict[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Span:
    """When the snapshot of a backup was taken: between these two. `taken_ms` None: it may be taken yet."""

    begun_ms: int
    taken_ms: int | None

    def may_name(self, written_ms: int, discarded_ms: int) -> bool:
        """Whether the backup may name a blob of that time."""
        return discarded_ms >= self.begun_ms and (self.taken_ms is None or written_ms <= self.taken_ms)


def origin(read: Read) -> str:
    """Whose catalog this is: the same in all its backups."""
    row = read.one("SELECT uuid FROM origin WHERE id = 1")
    return str(row[0]) if row else ""


def spans(read: Read) -> list[Span]:
    """When backups were taken."""
    rows = read.all("SELECT begun_ns, taken_ns FROM backups ORDER BY begun_ns")
    return [
        Span(begun // 1_000_000, None if taken is None else taken // 1_000_000 + 1) for begun, taken in rows
    ]


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """One backup of a catalog at a time. Raises Conflict while another is being made."""
    lock = os.open(folder / "backup.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict("another backup of this catalog is being made") from error
        yield
    finally:
        os.close(lock)


def backup(
    database: Database,
    folder: Path,
    target: Path,
    *,
    hold_ms: int,
    pause: Callable[[float], object] = lambda _: None,
) -> About:
    """Copy the catalog in `folder` to the file `target`, whose folder is there. Call it in your `turn`.

    Blobs that the backup names are held from now on (`hold_ms`: entries older than that are forgotten). `pause` is
    called with the seconds that each piece took, for whoever is in no hurry. Raises AlreadyExists, BackupError,
    CatalogUnavailable.
    """
    if target.exists():
        raise AlreadyExists("backup", str(target))
    begun_ns = time.time_ns()
    number = database.write(lambda tx: _begin(tx, begun_ns, hold_ms))
    try:
        return _make(database, folder, target, number, pause)
    except BaseException as error:
        with contextlib.suppress(DoliumError):  # what was not made holds nothing
            database.write(lambda tx: tx.run("DELETE FROM backups WHERE id = $1", number))
        if isinstance(error, OSError):
            message = f"the backup cannot be written to {target.parent}: {error.strerror}"
            raise BackupError(message) from error
        if isinstance(error, apsw.Error):
            raise BackupError(f"the backup to {target.parent} failed: {_words(error)}") from error
        raise


def _make(
    database: Database, folder: Path, target: Path, number: int, pause: Callable[[float], object]
) -> About:
    _discard_unfinished(target.parent)
    with _partial(target.parent) as (fd, partial):
        taken_ns = _copy(folder / "catalog.sqlite", partial, pause)
        database.write(lambda tx: settle(tx, number, taken_ns))
        _finish(partial, number, taken_ns)
        reach("backup.written")
        about = verify(partial)
        os.fsync(fd)
        reach("backup.verified")
        _name(partial, target)
        reach("backup.named")
        sync_folder(target.parent)
    return replace(about, file=target)


def _begin(tx: Transaction, begun_ns: int, hold_ms: int) -> int:
    """Enter a backup before its snapshot, so that no sweep can be faster than it."""
    tx.run("DELETE FROM backups WHERE taken_ns IS NULL")  # cut off: we have the turn
    tx.run(
        "DELETE FROM backups WHERE begun_ns < $1 AND id < (SELECT max(id) FROM backups)",
        begun_ns - hold_ms * 2_000_000,
    )
    return tx.insert("INSERT INTO backups (begun_ns) VALUES ($1) RETURNING id", begun_ns)


def settle(tx: Transaction, number: int, taken_ns: int) -> None:
    """The snapshot was taken before that moment."""
    tx.run("UPDATE backups SET taken_ns = $1 WHERE id = $2", taken_ns, number)


@contextmanager
def _partial(folder: Path) -> Iterator[tuple[int, Path]]:
    """An empty file in `folder`, locked for as long as somebody works on it, and then gone."""
    partial = folder / f"{_PARTIAL}{secrets.token_hex(8)}"
    fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd, partial
    finally:
        partial.unlink(missing_ok=True)
        os.close(fd)


def _discard_unfinished(folder: Path) -> None:
    """Remove what is left of backups whose makers are gone."""
    for path in folder.glob(f"{_PARTIAL}*"):
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            except BlockingIOError:
                continue
            finally:
                os.close(fd)


def _copy(source: Path, target: Path, pause: Callable[[float], object]) -> int:
    """Every page of one snapshot; a moment after that of the snapshot, in nanoseconds. Writers go on meanwhile."""
    reading = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
    writing = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        reading.set_busy_timeout(10_000)
        writing.execute("PRAGMA synchronous = OFF").fetchall()  # synced as a whole, before it gets its name
        # A transaction of our own holds the snapshot: else each write of others would begin the copy anew.
        reading.execute("BEGIN").fetchall()
        reading.execute("SELECT sequence FROM book").fetchall()
        taken_ns = time.time_ns()
        with writing.backup("main", reading, "main") as copy:
            while not copy.done:
                began = time.perf_counter()
                copy.step(_PAGES)
                pause(time.perf_counter() - began)
        reading.execute("COMMIT").fetchall()
    finally:
        writing.close(True)
        reading.close(True)
    return taken_ns


def _finish(partial: Path, number: int, taken_ns: int) -> None:
    """Make it one file, which says what it is."""
    connection = apsw.Connection(str(partial), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        for sql in ("PRAGMA synchronous = OFF", "PRAGMA journal_mode = MEMORY"):
            connection.execute(sql).fetchall()
        with connection:
            connection.execute("UPDATE backups SET taken_ns = ? WHERE id = ?", (taken_ns, number)).fetchall()
            connection.execute(
                "INSERT INTO manifest (id, made_ns, backup, program) VALUES (1, ?, ?, ?)",
                (taken_ns, number, __version__),
            ).fetchall()
    finally:
        connection.close(True)


def _name(partial: Path, target: Path) -> None:
    """Give it its name, in nobody's place. Raises AlreadyExists."""
    try:
        os.link(partial, target)
    except FileExistsError as error:
        raise AlreadyExists("backup", str(target)) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        partial.rename(target)


def identify(file: Path) -> About:
    """What the backup says of itself. Nothing is written, not even beside it. Raises BackupError."""
    try:
        size = file.stat().st_size
        with _reading(file) as connection:
            return _about(connection, file, size)
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror}") from error
    except apsw.Error as error:
        raise BackupError(f"{file} is no backup that can be used: {_words(error)}") from error


def verify(file: Path) -> About:
    """As `identify`, after a look at every page. Raises BackupError."""
    about = identify(file)
    try:
        with _reading(file) as connection:
            [[found]] = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except apsw.Error as error:
        raise BackupError(f"{file} is damaged: {_words(error)}") from error
    if found != "ok":
        raise BackupError(f"{file} is damaged: {found}")
    return about


@contextmanager
def _reading(file: Path) -> Iterator[apsw.Connection]:
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"{file.absolute().as_uri()}?immutable=1", flags=flags)
    try:
        yield connection
    finally:
        connection.close(True)


def _about(connection: apsw.Connection, file: Path, size: int) -> About:
    def one(sql: str) -> Any:
        return connection.execute(sql).fetchall()[0][0]

    schema, newest = int(connection.pragma("user_version")), migrations("sqlite")[-1][0]
    if schema > newest and connection.pragma("application_id") == APPLICATION_ID:
        raise BackupError(
            f"{file} has schema {schema}, this dolium knows {newest}: it was made by a newer version"
        )
    if not one("SELECT count(*) FROM sqlite_schema WHERE name = 'manifest'") or not one(
        "SELECT count(*) FROM manifest"
    ):
        raise BackupError(f"{file} is no backup: dolium backup makes them")
    stores = connection.execute("SELECT name, uuid FROM stores ORDER BY id").fetchall()
    return About(
        file=file,
        size=size,
        made_ns=one("SELECT made_ns FROM manifest"),
        program=one("SELECT program FROM manifest"),
        schema=schema,
        origin=one("SELECT uuid FROM origin"),
        sequence=one("SELECT sequence FROM book"),
        objects=one("SELECT coalesce(sum(objects), 0) FROM bucket_usage"),
        keys=one("SELECT count(*) FROM access_keys"),
        stores={str(name): str(uuid) for name, uuid in stores},
    )


def _words(error: apsw.Error) -> str:
    """What went wrong, without what SQLite adds for programmers."""
    if isinstance(error, apsw.FullError):
        return "the disk is full"
    return str(error) or type(error).__name__
