"""Bring a backup of the catalog back, into a data folder that nobody serves.

    restored = restore(settings, file)

What was there is kept beside it, as `replaced-<time>.sqlite`. Killed at any step, the folder holds the old catalog or
the new one, whole, and the restore is simply made again:

1. the backup is checked, and copied into the folder, synced;
2. the catalog that is there is given a second name, under which it is kept;
3. the copy takes its place in one rename.

The folder's `catalog.shared` stays: it tells how much was written that the backup does not know (`catalog.fences`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dolium.catalog import backups, replace, replicas
from dolium.catalog.backups import About
from dolium.catalog.shared import SharedNumbers, handed_out
from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.settings import Settings
from dolium.config.specs import LeafSpec
from dolium.crashpoints import reach
from dolium.errors import BackupError, Conflict, StoreUnavailable
from dolium.identity.keys import Sealing, sealing
from dolium.stores.leaves.disk import Disk, Options

__all__ = ["Restored", "discard_unfinished", "restore"]

_UNFINISHED = ".catalog.restoring"
_KEPT = "replaced-*.sqlite"
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})


@dataclass(frozen=True, slots=True)
class Restored:
    """`kept`: where the catalog is that was there, if one was. `store`: what is wrong with the stores, or empty."""

    about: About
    kept: Path | None
    sealing: Sealing
    store: str


def restore(settings: Settings, file: Path) -> Restored:
    """The caller has claimed the folder. Raises BackupError, Conflict (the stores are not those of the backup),
    CatalogUnavailable; then the folder is as it was.
    """
    about = backups.verify(file)
    store = _require_its_stores(settings, about)
    data = settings.data
    discard_unfinished(data)
    try:
        copy = data / _UNFINISHED
        _copy(file, copy)
        replace.adopt(copy, handed_out(data / "catalog.shared"))
        reach("restore.copied")
        with replace.alone(data):
            kept = _keep(data)
            reach("restore.kept")
            # Else the catalog would be taken for one that was brought here by hand, which is what is written in it.
            SharedNumbers(data / "catalog.shared", committed_sequence=0).close()
            copy.replace(data / "catalog.sqlite")
            reach("restore.replaced")
            replace.sync_folder(data)
    except OSError as error:
        raise BackupError(f"the backup cannot be copied to {data}: {error.strerror}") from error
    database = SqliteDatabase(data)  # which brings it up to date, and writes down what it does not know
    try:
        database.write(replicas.refill)
        return Restored(about, kept, sealing(database, data, settings.master_key), store)
    finally:
        database.close()


def discard_unfinished(data: Path) -> None:
    """Remove what is left where a restore was cut off: the copy, and a second name of the catalog that stayed."""
    for path in data.glob(f"{_UNFINISHED}*"):
        path.unlink()
    catalog = data / "catalog.sqlite"
    for path in data.glob(_KEPT):
        if catalog.exists() and catalog.samefile(path):
            path.unlink()


def _require_its_stores(settings: Settings, about: About) -> str:
    """What is wrong with the stores that are folders here. Raises Conflict for one that is another's; remote ones are
    held to their identities by the catalog that comes.
    """
    if settings.stores is None:
        return _require_its_store(settings, about)
    leaves = list(settings.stores.leaves())
    if about.stores and {leaf.id for leaf in leaves}.isdisjoint(about.stores):
        raise Conflict(
            f"this backup is of a catalog over other stores: it names {', '.join(about.stores)}, the configuration "
            f"{', '.join(leaf.id for leaf in leaves)}. Name the right configuration (--config)"
        )
    said = (_require_its_disk(leaf, about) for leaf in leaves if leaf.kind == "disk")
    return "; ".join(filter(None, said))


def _require_its_disk(leaf: LeafSpec, about: About) -> str:
    root = Path(str(leaf.options["root"]))
    try:
        found = Disk(Options(root=root), store_id=leaf.id).identify()
    except StoreUnavailable as error:
        return f"{leaf.id} in {root}: {error.message}"
    expected = about.stores.get(leaf.id)
    if found == expected:
        return ""
    owner = next((name for name, uuid in about.stores.items() if uuid == found), None)
    if expected is None and owner is None:
        return f"{leaf.id} in {root}: it is newer than the backup, which does not know it"
    wrong = f"lies {found}, which it does not know" if owner is None else f"lies the store {owner}"
    is_said = "does not know it" if expected is None else f"knows it as {expected}"
    raise Conflict(
        f"{leaf.place.file}:{leaf.place.line}: in {root}, the folder of {leaf.id}, {wrong}; the backup {is_said}. "
        "Give each store the folder that is its own"
    )


def _require_its_store(settings: Settings, about: About) -> str:
    """Of a service that has only one."""
    try:
        found = Disk(Options(root=settings.store_root), store_id="default").identify()
    except StoreUnavailable as error:
        return f"{settings.store_root}: {error.message}"
    if found in about.stores.values() or not about.stores:
        return ""
    listed = ", ".join(f"{name} ({uuid})" for name, uuid in about.stores.items())
    raise Conflict(
        f"this backup is of a catalog over other stores: it names {listed}, and in {settings.store_root} lies {found}. "
        "Name the right data folder (--data) or store (store.root in the configuration)"
    )


def _copy(file: Path, copy: Path) -> None:
    fd = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as target, file.open("rb") as source:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(fd)


def _keep(data: Path) -> Path | None:
    """Give the catalog that is there a second name; None if there is none."""
    catalog = data / "catalog.sqlite"
    now = datetime.now(UTC)
    kept = data / f"replaced-{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z.sqlite"
    if not catalog.exists() or not replace.make_one_file(catalog):
        # Its log is kept as it is, if there is one; it must not meet the new catalog.
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                (data / f"catalog.sqlite{suffix}").rename(f"{kept}{suffix}")
    if not catalog.exists():
        return None
    try:
        os.link(catalog, kept)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(catalog, kept)
    replace.sync_folder(data)
    return kept
