"""What must be done now and then, by one process of all that serve a data folder.

Whoever holds a lock beside the catalog does it; when it dies, another takes over.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from pathlib import Path

from dolium.errors import DoliumError
from dolium.objects.service import ObjectService
from dolium.objects.sweep import sweep
from dolium.stores.contract import unwrap
from dolium.stores.leaves.disk import Disk

__all__ = ["Housekeeper"]

_log = logging.getLogger("dolium.housekeeping")

_TEMPORARIES_EVERY = 60  # rounds


class Housekeeper:
    """A thread that deletes garbage whose grace is over, and what dead writers left in stores."""

    def __init__(self, service: ObjectService, folder: Path, *, every: float) -> None:
        """`every`: seconds between rounds."""
        self._service = service
        self._every = every
        self._lock = os.open(folder / "housekeeping.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
                swept = sweep(self._service)
                if swept:
                    _log.info("swept %d blobs", swept)
                if rounds % _TEMPORARIES_EVERY == 0:
                    self._sweep_temporaries()
            except DoliumError as error:
                _log.warning("housekeeping failed and is tried again: %s", error.message)
            rounds += 1

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

    def close(self) -> None:
        """Wait for the round that goes on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        os.close(self._lock)
