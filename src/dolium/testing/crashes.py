"""Arms the crash points of a server under test (`dolium.crashpoints`).

crashes = Crashes(folder)
with LiveServer(folder, environment=crashes.environment) as server:
    crashes.arm("complete.chosen", "disk.named", group=server.pid)
    ...                     # requests, until
    crashes.wait()          # it has killed itself there
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from dolium.crashpoints import POINTS

__all__ = ["Crashes", "NotReachedError"]


class NotReachedError(Exception):
    """Nobody came to the point that was armed."""


class Crashes:
    """The folder in which orders to crash are given. One order at a time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {"DOLIUM_CRASHPOINTS": str(folder)}
        self._armed = folder / "armed"
        self._taken = folder / "taken"
        self._numbers = itertools.count(1)
        self._path: tuple[str, ...] = ()

    def arm(self, *path: str, group: int = 0) -> None:
        """Kill the process (or the process group `group`) that comes to these points one after the other."""
        unknown = set(path) - set(POINTS)
        assert path, "name a point"
        assert not unknown, f"no such points: {unknown}"
        self.disarm()
        self._path = path
        written = self._armed.with_name("next")
        written.write_text(f"{group} {next(self._numbers)} {' '.join(path)}\n")
        written.rename(self._armed)

    def disarm(self) -> None:
        """Take the order back, and forget that one was carried out."""
        self._armed.unlink(missing_ok=True)
        self._taken.unlink(missing_ok=True)

    @property
    def struck(self) -> bool:
        return self._taken.exists()

    def wait(self, seconds: float = 20.0) -> None:
        """Until the order is carried out. Raises NotReachedError."""
        deadline = time.monotonic() + seconds
        while not self.struck:
            if time.monotonic() > deadline:
                self.disarm()
                raise NotReachedError(f"nobody came to {' > '.join(self._path)} within {seconds:.0f} s")
            time.sleep(0.002)
