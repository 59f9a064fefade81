"""Makes the copies that replicated stores are short of (`movers.repairs`), while the service runs."""

from __future__ import annotations

import logging
from pathlib import Path

from dolium.movers.repairs import Repairs
from dolium.objects.service import ObjectService
from dolium.server.chores import Chore

__all__ = ["WORK", "Repairer"]

_log = logging.getLogger("dolium.copies")

WORK = "repair"


class Repairer(Chore):
    """`rate`: bytes a second. `look_every`: as in `Chore`."""

    def __init__(self, service: ObjectService, folder: Path, *, rate: int, look_every: float) -> None:
        super().__init__(folder, WORK, look_every=look_every)
        self._service = service
        self._repairs = Repairs(service, rate, self.rest)

    def concerns(self) -> bool:
        return bool(self._service.members)

    def round(self) -> None:
        if made := self._repairs.work():
            _log.info("made %d copies", made)
