"""Looks after what is stored, in one process of all that serve a data folder: at once at what a read found damaged,
and every `scrub.every` at everything.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from dolium.catalog import damage, scrubs, stores
from dolium.movers.pace import Pace
from dolium.movers.scrub import Scrub, recheck
from dolium.objects.service import ObjectService
from dolium.server.chores import Chore

__all__ = ["Scrubber"]

_log = logging.getLogger("dolium.scrub")


class Scrubber(Chore):
    """`every`: seconds from the beginning of one walk to that of the next; 0: none, suspects are looked at all the
    same. `rate`: bytes a second. `look_every`: as in `Chore`.
    """

    def __init__(
        self, service: ObjectService, folder: Path, *, every: int, rate: int, look_every: float
    ) -> None:
        super().__init__(folder, "scrub", look_every=look_every)
        self._service = service
        self._every_ms = every * 1000
        self._rate = rate

    def round(self) -> None:
        found = damage.counts(self._service.database)
        if found:
            self._service.database.write(damage.forget_unnamed)
        if found.get(damage.SUSPECT):
            recheck(self._service, Pace(self._rate, self.rest), states=[damage.SUSPECT])
        if self._is_due():
            scrub = Scrub(self._service, self._rate, self.rest)
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
