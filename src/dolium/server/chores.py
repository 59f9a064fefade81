"""Work that one process of all that serve a data folder does at a time, beside the requests.

On a thread of its own, so that neither requests nor sweeps nor other chores wait for it. Whoever holds `NAME.lock` does
it; a command that wants it (`movers.scrub.claim`) goes first.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path

from dolium.errors import DoliumError
from dolium.movers.pace import Stopped
from dolium.movers.scrub import hold, is_wanted

__all__ = ["Chore"]

_log = logging.getLogger("dolium.chores")

_NAP = 0.5  # seconds


class Chore(ABC):
    """`name`: of its lock. `look_every`: seconds between looks whether there is something to do."""

    def __init__(self, folder: Path, name: str, *, look_every: float) -> None:
        self._folder = folder
        self._name = name
        self._look_every = look_every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    @abstractmethod
    def round(self) -> None:
        """All that can be done now. Raises Stopped where `rest` says so, DoliumError; it comes to its turn again."""

    def concerns(self) -> bool:
        """Whether a service such as this one has any of it to do."""
        return True

    def start(self) -> None:
        self._thread.start()

    def rest(self, seconds: float) -> bool:
        """Sleep, and say whether to stop: in short naps at a slow rate, so that nobody waits long for us."""
        ends = time.monotonic() + seconds
        while True:
            left = ends - time.monotonic()
            if self._stop.wait(max(0.0, min(left, _NAP))) or is_wanted(self._folder, self._name):
                return True
            if left <= _NAP:
                return False

    def close(self) -> None:
        """Wait until it has written down how far it came."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _work(self) -> None:
        while not self._stop.wait(self._look_every):
            if not self.concerns():
                continue
            try:
                held = hold(self._folder, self._name)
                if held is None:
                    continue
                try:
                    self.round()
                finally:
                    os.close(held)
            except Stopped:
                continue  # the service ends, or a command goes first
            except DoliumError as error:
                _log.warning("the %s was broken off and is gone on with: %s", self._name, error.message)
            except Exception:  # noqa: BLE001 - it must go on, whatever this was
                _log.exception("the %s was broken off and is gone on with", self._name)
