"""What must be done now and then, by one process of all that serve a data folder.

Whoever holds a lock beside the catalog does it; when it dies, another takes over.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from pathlib import Path

from dolium.catalog import fences
from dolium.errors import DoliumError
from dolium.objects import orphans
from dolium.objects.blob_keys import blob_key, written_ns
from dolium.objects.service import ObjectService
from dolium.objects.sweep import release_held, sweep
from dolium.stores.contract import ReportsSpace, unwrap
from dolium.stores.leaves.disk import Disk

__all__ = ["Housekeeper", "sweep_unborn"]

_log = logging.getLogger("dolium.housekeeping")

_TEMPORARIES_EVERY = 60  # rounds
_ORPHANS_EVERY = 86400.0
_LOW = 20  # a twentieth of a disk is little
_REST = 0.01  # seconds between 500 blobs of a walk


class Housekeeper:
    """A thread that deletes garbage whose grace is over, what dead writers left in stores, and orphans: those of
    the time before the start at once, then once a day.
    """

    def __init__(self, service: ObjectService, folder: Path, *, every: float, min_free: int = 0) -> None:
        """`every`: seconds between rounds. `min_free`: bytes of a store below which uploads are refused."""
        self._service = service
        self._every = every
        self._min_free = min_free
        self._lock = os.open(folder / "housekeeping.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._next_walk = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _work(self) -> None:
        rounds = 0
        while not self._stop.wait(self._every):
            if not self._is_mine():
                continue
            try:
                self._round(rounds)
            except DoliumError as error:
                _log.warning("housekeeping failed and is tried again: %s", error.message)
            except Exception:  # noqa: BLE001 - it must go on, whatever this was
                _log.exception("housekeeping failed and is tried again")
            rounds += 1

    def _round(self, rounds: int) -> None:
        swept = sweep(self._service)
        if swept:
            _log.info("swept %d blobs", swept)
        for store_id in self._service.stores:
            self._make_room(store_id)
        if rounds % _TEMPORARIES_EVERY == 0:
            self._sweep_temporaries()
        if time.monotonic() >= self._next_walk:
            for store_id in self._service.stores:
                self._walk(store_id)
            self._next_walk = time.monotonic() + _ORPHANS_EVERY

    def _make_room(self, store_id: int) -> None:
        """Where little is free, what stays only because of a backup goes before its time: deletes must help."""
        power = unwrap(self._service.store(store_id), ReportsSpace)
        if power is None:
            return

        def enough() -> bool:
            space = power.space()
            return space.free >= max(2 * self._min_free, space.total // _LOW)

        released = 0 if enough() else release_held(self._service, store_id, enough=enough)
        if released:
            _log.warning(
                "little is free: deleted %d blobs that a backup may name, before their time", released
            )

    def _is_mine(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # once more by its holder is fine
        except BlockingIOError:
            return False
        return True

    def _sweep_temporaries(self) -> None:
        for store in self._service.stores.values():
            disk = unwrap(store, Disk)
            if disk is not None:
                disk.sweep_temporaries()

    def _walk(self, store_id: int) -> None:
        orphans.raise_fence(self._service, store_id)
        sweep_unborn(self._service, store_id)
        found = orphans.sweep_orphans(self._service, store_id, go_on=lambda: not self._stop.wait(_REST))
        if found.removed:
            _log.info("deleted %d blobs (%d bytes) that nothing names", found.removed, found.size)
        if found.lost:
            _log.warning(
                "%d blobs are newer than the catalog that was restored, and are kept: see dolium store orphans",
                found.lost,
            )

    def close(self) -> None:
        """Wait for the round that goes on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        os.close(self._lock)


def sweep_unborn(service: ObjectService, store_id: int, *, whole: bool = False) -> None:
    """Remove the descriptions of blobs that a crash kept from coming, as `orphans.sweep_orphans` looks at them."""
    disk = unwrap(service.store(store_id), Disk)
    if disk is not None:
        start = 0 if whole else fences.walked(service.database, store_id)
        end = fences.fence(service.database, store_id)
        disk.sweep_unborn(blob_key(start, ""), blob_key(end, ""), lambda key: written_ns(key) is not None)
