"""A catalog made again: the newest backup, and what the stores hold that is newer.

A data folder whose catalog was restored is taken as it is. One without a catalog gets the newest backup, or a new
catalog where there is none. To look first, all of that is done in a folder that is then thrown away.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dolium.catalog import fences, people
from dolium.catalog.backups import About
from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.settings import Settings
from dolium.errors import Conflict
from dolium.identity.credentials import Credentials
from dolium.identity.keys import Sealing, sealing
from dolium.objects.rebuild import Plan, carry_out, draw_up
from dolium.server.backing_up import files
from dolium.server.first_run import Arrival, arrive
from dolium.server.restoring import discard_unfinished, restore
from dolium.server.store_entry import enter_stores
from dolium.server.wiring import open_service

__all__ = ["Rebuilt", "rebuild"]

_SCRATCH = ".rebuild-"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`plan` None: the catalog has lost nothing. `about`: the backup that was taken, if one was. `arrival`: of a new
    catalog, its first key.
    """

    plan: Plan | None
    about: About | None
    arrival: Arrival | None
    sealing: Sealing


def rebuild(
    settings: Settings,
    file: Path | None,
    *,
    apply: bool,
    even_deleted: bool = False,
    given: Credentials | None,
    tell: Callable[[int], None] = lambda _: None,
) -> Rebuilt:
    """The caller has claimed the folder. `file`: the backup to take; None: the newest one. `even_deleted`: as in
    `objects.rebuild.draw_up`.

    Raises Conflict (a backup is named, and there is a catalog), BackupError, StoreUnavailable, CatalogUnavailable,
    ConfigError.
    """
    data = settings.data
    discard_unfinished(data)
    for left in data.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left)
    there = (data / "catalog.sqlite").exists()
    if there and file is not None:
        raise Conflict(
            f"there is a catalog in {data}. Go on with it, without --backup; "
            f"or put the backup in its place first: dolium restore {file}"
        )
    if there or apply:
        return _rebuild(
            settings, file, there=there, apply=apply, even_deleted=even_deleted, given=given, tell=tell
        )
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=data) as scratch:
        # The backups and stores are those of the folder itself.
        elsewhere = replace(
            settings, data=Path(scratch), store=settings.store_root, backup_folder=settings.backups
        )
        for key in data.glob("master.key*"):
            shutil.copy2(key, scratch)
        return _rebuild(
            elsewhere, file, there=False, apply=False, even_deleted=even_deleted, given=given, tell=tell
        )


def _rebuild(
    settings: Settings,
    file: Path | None,
    *,
    there: bool,
    apply: bool,
    even_deleted: bool,
    given: Credentials | None,
    tell: Callable[[int], None],
) -> Rebuilt:
    about, arrival = None, None
    newest = None if there else file or next(iter(files(settings.backups)), None)
    if newest is not None:
        about = restore(settings, newest).about
    elif not there or not _has_people(settings.data):
        arrival = arrive(settings, given, anew=True)
    database = SqliteDatabase(settings.data)
    try:
        if apply or not there:
            enter_stores(database, settings)  # which are newer than the backup
        service, _ = open_service(database, settings)
        # Nobody is writing: what is there now and not named will never be.
        database.write(lambda tx: fences.raise_all(tx, time.time_ns()))
        plan = draw_up(service, even_deleted=even_deleted)
        if plan is not None and apply:
            carry_out(service, plan, tell=tell)
        return Rebuilt(plan, about, arrival, sealing(database, settings.data, settings.master_key))
    finally:
        database.close()


def _has_people(data: Path) -> bool:
    """False where the first start was cut off."""
    database = SqliteDatabase(data)
    try:
        return bool(people.every(database))
    finally:
        database.close()
