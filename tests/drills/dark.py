"""A server on a disk that loses power."""

import random
import sys
from dataclasses import dataclass
from pathlib import Path

from dolium.testing.checker import Report, check
from dolium.testing.crashes import Crashes
from dolium.testing.powercut import Powercut
from dolium.testing.server import LiveServer
from tests.drills.conftest import CONFIG, swept
from tests.drills.load import Load
from tests.drills.program import changed

__all__ = ["Dark", "dark_server"]


@dataclass(slots=True)
class Dark:
    """Not started at first. `load`: its clients, once there are some."""

    server: LiveServer
    crashes: Crashes
    disk: Powercut
    load: Load | None = None

    def start(self) -> None:
        self.disk.settle()
        self.server.start()

    def start_under_load(self) -> Load:
        self.start()
        self.load = Load(self.server.http, clients=6, seed=random.randrange(1 << 30))
        return self.load

    def cut(self, torn: int | None = None) -> None:
        """End it, and lose what was not synced; of a torn disk, which `torn` is the seed of, any of it."""
        self.server.kill()
        if self.load is not None:
            self.load.pause()
        self.disk.cut(None if torn is None else random.Random(torn))

    def cut_and_compare(self, torn: int | None = None) -> None:
        """All that was acknowledged is there, and nothing is half."""
        assert self.load is not None
        try:
            self.cut(torn)
            assert self.server.data.exists(), "the disk does not know the data folder"
            _require_sound(check(self.server.data))
            if torn is None:  # else the service is the first to open the folder
                after = swept(self.server.data)
                _require_sound(after)
                assert not after.leftovers, after.leftovers
            self.start()
            self.load.verify()
        except AssertionError as failure:
            failure.add_note(f"seed of the torn disk: {torn}")
            raise

    def end(self) -> None:
        if self.load is not None:
            self.load.end()
        self.server.kill()


def _require_sound(report: Report) -> None:
    assert not report.problems, "\n".join(report.problems)
    assert not report.unseen, f"deleted and forgotten, and there again: {report.unseen}"
    assert not report.losses, f"it takes itself for a catalog that was brought back: {report.losses}"


def dark_server(folder: Path, library: Path, *, change: str = "", config: str = CONFIG) -> Dark:
    """`change`: of `program.py`."""
    crashes = Crashes(folder / "crashes")
    disk = Powercut(folder / "data", folder / "shadow", library)
    program = changed(change) if change else (sys.executable, "-m", "dolium")
    environment = crashes.environment | disk.environment
    return Dark(LiveServer(folder, config=config, environment=environment, program=program), crashes, disk)
