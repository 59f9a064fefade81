"""Backups on a schedule, in a folder that keeps the newest few.

A thread of its own in each worker; whoever has the turn makes the backup. It is in no hurry: it rests as long as it
works, and lets everything else go first. A disk that fails, or hangs, is told of and hurts nobody.

    scheduled-1a2b3c4d-20260130T041500.123Z.sqlite      on the schedule: the newest `keep` stay
    catalog-1a2b3c4d-20260130T041500.123Z.sqlite        by `dolium backup`: all stay

The hexadecimal digits are the beginning of the catalog's own UUID, so that several can share a folder.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from dolium.catalog import backups
from dolium.catalog.backups import About
from dolium.catalog.database import Database
from dolium.config.settings import Settings
from dolium.errors import BackupError, Conflict, DoliumError

__all__ = ["BackupKeeper", "LastBackup", "files", "last_backup", "make", "new_file"]

_log = logging.getLogger("dolium.backup")

_NAME = re.compile(r"(catalog|scheduled)-[0-9a-f]{8}-(\d{8}T\d{6}\.\d{3})Z\.sqlite")
_LOOK_SECONDS = 60.0
_AFTER_FAILURE_SECONDS = 600.0
_LONGEST_REST = 1.0


@dataclass(frozen=True, slots=True)
class LastBackup:
    """What became of the last one on the schedule. `made_ms`: of the last that succeeded, 0 for none; `error`: why
    the last one failed, or empty.
    """

    made_ms: int = 0
    size: int = 0
    seconds: float = 0.0
    error: str = ""


def last_backup(data: Path) -> LastBackup:
    """As whichever worker made it has left word."""
    try:
        return LastBackup(**json.loads((data / "run" / "backup.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return LastBackup()


def files(folder: Path) -> list[Path]:
    """The backups in a folder, by the time in their names, the newest first."""
    try:
        found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    except FileNotFoundError:
        return []
    return sorted(found, key=_moment, reverse=True)


def _moment(file: Path) -> datetime:
    match = _NAME.fullmatch(file.name)
    text = match[2] if match is not None else "00010101T000000.000"
    return datetime.strptime(text, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)


def new_file(folder: Path, database: Database, kind: str) -> Path:
    """A name for a backup that is made now."""
    now = datetime.now(UTC)
    moment = f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z"
    return folder / f"{kind}-{backups.origin(database)[:8]}-{moment}.sqlite"


def make(database: Database, settings: Settings, pause: Callable[[float], object]) -> About:
    """One backup on the schedule, and those away that are too many; `pause` as in `backups.backup`. Raises Conflict,
    CatalogError, OSError.
    """
    with backups.turn(settings.data):
        folder = settings.backups
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = new_file(folder, database, "scheduled")
        about = backups.backup(
            database, settings.data, target, hold_ms=settings.backup_hold * 1000, pause=pause
        )
        for file in _own(folder, database)[settings.backup_keep :]:
            file.unlink(missing_ok=True)
    return about


def _own(folder: Path, database: Database) -> list[Path]:
    start = f"scheduled-{backups.origin(database)[:8]}-"
    return [file for file in files(folder) if file.name.startswith(start)]


class BackupKeeper:
    """Looks once a minute, or as often as they are to be made, whether a backup is due, and makes it."""

    def __init__(self, database: Database, settings: Settings, *, look: float = _LOOK_SECONDS) -> None:
        self._database = database
        self._settings = settings
        self._look = min(look, settings.backup_every)
        self._not_before = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="backups", daemon=True)

    def start(self) -> None:
        if self._settings.backup_every:
            self._thread.start()

    def _work(self) -> None:
        # Of this thread alone, on Linux: requests go first.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while not self._stop.wait(self._look):
            if time.monotonic() < self._not_before:
                continue
            try:
                if self._is_due():
                    self._make()
            except Conflict:
                continue  # it is being made by another
            except (DoliumError, OSError) as error:
                self._failed(error.message if isinstance(error, DoliumError) else str(error))
            except Exception as error:  # noqa: BLE001 - it must go on, whatever this was
                _log.exception("the backup failed and is tried again")
                self._failed(type(error).__name__)

    def _is_due(self) -> bool:
        newest = next(iter(_own(self._settings.backups, self._database)), None)
        age = datetime.now(UTC) - _moment(newest) if newest is not None else None
        return age is None or not 0 <= age.total_seconds() < self._settings.backup_every

    def _make(self) -> None:
        began = time.monotonic()
        about = make(self._database, self._settings, self._rest)
        seconds = time.monotonic() - began
        _log.info("backed the catalog up to %s: %d bytes in %.1f s", about.file.name, about.size, seconds)
        self._leave_word(LastBackup(about.made_ns // 1_000_000, about.size, round(seconds, 3)))

    def _rest(self, seconds: float) -> None:
        """As long as the piece has taken."""
        if self._stop.wait(min(seconds, _LONGEST_REST)):
            raise BackupError("the service ends")

    def _failed(self, message: str) -> None:
        if self._stop.is_set():
            return
        _log.error("no backup was made, and it is tried again in ten minutes: %s", message)
        self._not_before = time.monotonic() + _AFTER_FAILURE_SECONDS
        before = last_backup(self._settings.data)
        self._leave_word(LastBackup(before.made_ms, before.size, before.seconds, message))

    def _leave_word(self, last: LastBackup) -> None:
        file = self._settings.data / "run" / "backup.json"
        written = file.with_name(f"backup.json.{os.getpid()}")
        with contextlib.suppress(OSError):  # the log has it
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            written.write_text(json.dumps(asdict(last)))
            written.replace(file)

    def close(self) -> None:
        """A backup that is being made is left to its end, but not for long: what is cut off has no name."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
