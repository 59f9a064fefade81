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
from dolium.errors import DoliumError, StoreError
from dolium.objects import orphans
from dolium.objects.blob_keys import blob_key, written_ns
from dolium.objects.service import ObjectService
from dolium.objects.sweep import release_held, sweep
from dolium.server.stores import LiveStores, StoreNow
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.placement import State
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

    def __init__(
        self, live: LiveStores, service: ObjectService, folder: Path, *, every: float, min_free: int = 0
    ) -> None:
        """`every`: seconds between rounds. `min_free`: bytes of a store below which uploads are refused."""
        self._live = live
        self._service = service
        self._every = every
        self._min_free = min_free
        self._lock = os.open(folder / "housekeeping.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._next_walks: dict[int, float] = {}  # by store
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
        swept = sweep(self._service, go_on=lambda: not self._stop.is_set())
        if swept:
            _log.info("swept %d blobs", swept)
        self._live.refresh()
        for store_id, one in self._live.now.items():
            # One that is down keeps nothing else from being done, and comes to its turn when it is back.
            try:
                self._keep(store_id, one, temporaries=rounds % _TEMPORARIES_EVERY == 0)
            except StoreError as error:
                _log.info("the store %s is passed over: %s", one.record.name, error.message)

    def _keep(self, store_id: int, one: StoreNow, *, temporaries: bool) -> None:
        if one.state in (State.OFFLINE, State.READ_ONLY):
            return
        self._make_room(store_id)
        walks = time.monotonic() >= self._next_walks.get(store_id, 0.0)
        if (temporaries or walks) and isinstance(one.store, Guarded) and not one.store.local:
            one.store.probe()  # it may hang, and this ends in time
        if temporaries and isinstance(one.leaf, Disk):
            one.leaf.sweep_temporaries()
        if walks:
            self._walk(store_id, one)
            self._next_walks[store_id] = time.monotonic() + _ORPHANS_EVERY

    def _make_room(self, store_id: int) -> None:
        """Where little is free, what stays only because of a backup goes before its time: deletes must help."""
        power = unwrap(self._service.store(store_id), ReportsSpace)
        if power is None:
            return

        def enough() -> bool:
            space = power.space()
            return space is None or space.free >= max(2 * self._min_free, space.total // _LOW)

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

    def _walk(self, store_id: int, one: StoreNow) -> None:
        orphans.raise_fence(self._service, store_id)
        sweep_unborn(self._service, one)
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


def sweep_unborn(service: ObjectService, one: StoreNow, *, whole: bool = False) -> None:
    """Remove the descriptions of blobs that a crash kept from coming, as `orphans.sweep_orphans` looks at them."""
    if isinstance(one.leaf, Disk):
        start = 0 if whole else fences.walked(service.database, one.record.id)
        end = orphans.fence_of(service, one.record.id)
        one.leaf.sweep_unborn(blob_key(start, ""), blob_key(end, ""), lambda key: written_ns(key) is not None)
