"""Space that uploads leave free on the disk of the catalog, so that deletes, which write there too, find some."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from dolium.errors import StoreFull

__all__ = ["Room"]

_LOOK_EVERY: Final = 1.0  # seconds


class Room:
    """Asked before everything that adds to the catalog; looks at the disk once a second."""

    def __init__(self, folder: Path, least: int) -> None:
        """`least`: bytes that must be free in the file system of `folder`; 0: it is not looked at."""
        self._folder = folder
        self._least = least
        self._next = 0.0
        self._full = False

    def require(self) -> None:
        """Raises StoreFull."""
        if self._least and time.monotonic() >= self._next:
            self._full = self._is_full()
            self._next = time.monotonic() + _LOOK_EVERY
        if self._full:
            raise StoreFull("the disk of the catalog has come to its limit")

    def _is_full(self) -> bool:
        try:
            found = os.statvfs(self._folder)
        except OSError:
            return False  # the commit will say what is the matter
        return found.f_bavail * found.f_frsize < self._least
