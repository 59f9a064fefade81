"""Makes the copies that replicated stores are short of, in one process of all that serve a data folder.

On a thread of its own, so that neither requests nor sweeps nor the scrub wait for it. Whoever holds `repair.lock` does
it; a command that holds it goes first.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from dolium.errors import DoliumError
from dolium.movers.pace import Stopped
from dolium.movers.repairs import Repairs
from dolium.movers.scrub import hold, is_wanted
from dolium.objects.service import ObjectService

__all__ = ["WORK", "Repairer"]

_log = logging.getLogger("dolium.copies")

WORK = "repair"
_NAP = 0.5  # seconds


class Repairer:
    """`rate`: bytes a second. `look_every`: seconds between looks whether there is something to do."""

    def __init__(self, service: ObjectService, folder: Path, *, rate: int, look_every: float) -> None:
        self._service = service
        self._folder = folder
        self._look_every = look_every
        self._stop = threading.Event()
        self._repairs = Repairs(service, rate, self._rest)
        self._thread = threading.Thread(target=self._work, name="repair", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _work(self) -> None:
        while not self._stop.wait(self._look_every):
            if not self._service.members:
                continue
            try:
                held = hold(self._folder, WORK)
                if held is None:
                    continue
                try:
                    made = self._repairs.work()
                finally:
                    os.close(held)
            except Stopped:
                continue  # the service ends, or a command goes first
            except DoliumError as error:
                _log.warning("the making of copies was broken off and is gone on with: %s", error.message)
            except Exception:  # noqa: BLE001 - it must go on, whatever this was
                _log.exception("the making of copies was broken off and is gone on with")
            else:
                if made:
                    _log.info("made %d copies", made)

    def _rest(self, seconds: float) -> bool:
        """In short naps at a slow rate, so that nobody waits long for us."""
        ends = time.monotonic() + seconds
        while True:
            left = ends - time.monotonic()
            if self._stop.wait(max(0.0, min(left, _NAP))) or is_wanted(self._folder, WORK):
                return True
            if left <= _NAP:
                return False

    def close(self) -> None:
        """Wait until it has come to a stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
