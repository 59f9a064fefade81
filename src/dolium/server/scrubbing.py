"""Looks after what is stored, in one process of all that serve a data folder: at once at what a read found damaged,
and every `scrub.every` at everything.

On a thread of its own, so that neither requests nor sweeps wait for it. Whoever holds `scrub.lock` does it; a command
that holds it goes first.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from dolium.catalog import damage, scrubs, stores
from dolium.errors import DoliumError
from dolium.movers.pace import Pace, Stopped
from dolium.movers.scrub import Scrub, hold, is_wanted, recheck
from dolium.objects.service import ObjectService

__all__ = ["Scrubber"]

_log = logging.getLogger("dolium.scrub")

_NAP = 0.5  # seconds


class Scrubber:
    """`every`: seconds from the beginning of one walk to that of the next; 0: none, suspects are looked at all the
    same. `rate`: bytes a second. `look_every`: seconds between looks whether there is something to do.
    """

    def __init__(
        self, service: ObjectService, folder: Path, *, every: int, rate: int, look_every: float
    ) -> None:
        self._service = service
        self._folder = folder
        self._every_ms = every * 1000
        self._rate = rate
        self._look_every = look_every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="scrub", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _work(self) -> None:
        while not self._stop.wait(self._look_every):
            try:
                held = hold(self._folder)
                if held is None:
                    continue
                try:
                    self._round()
                finally:
                    os.close(held)
            except Stopped:
                continue  # the service ends, or a command goes first
            except DoliumError as error:
                _log.warning("the scrub was broken off and is gone on with: %s", error.message)
            except Exception:  # noqa: BLE001 - it must go on, whatever this was
                _log.exception("the scrub was broken off and is gone on with")

    def _round(self) -> None:
        found = damage.counts(self._service.database)
        if found:
            self._service.database.write(damage.forget_unnamed)
        if found.get(damage.SUSPECT):
            recheck(self._service, Pace(self._rate, self._rest), states=[damage.SUSPECT])
        if self._is_due():
            scrub = Scrub(self._service, self._rate, self._rest)
            if scrub.work():
                run = scrub.run
                _log.info(
                    "scrubbed %d blobs and %d inline objects, %d bytes", run.blobs, run.bodies, run.bytes
                )

    def _is_due(self) -> bool:
        if not self._every_ms:
            return False
        run = scrubs.latest(self._service.database)
        if run is not None and run.ended_ms is None:
            return True
        known = stores.every(self._service.database)
        began = run.started_ms if run is not None else min((store.created_ms for store in known), default=0)
        return time.time() * 1000 - began >= self._every_ms

    def _rest(self, seconds: float) -> bool:
        """In short naps at a slow rate, so that nobody waits long for us."""
        ends = time.monotonic() + seconds
        while True:
            left = ends - time.monotonic()
            if self._stop.wait(max(0.0, min(left, _NAP))) or is_wanted(self._folder):
                return True
            if left <= _NAP:
                return False

    def close(self) -> None:
        """Wait until it has written down how far it came."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
