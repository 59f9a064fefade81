"""A server of two workers under load, kept from one drill to the next unless it failed."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dolium.cli.main import main
from dolium.testing.checker import Report, check
from dolium.testing.crashes import Crashes
from dolium.testing.server import LiveServer
from tests.drills.load import Load

CONFIG = "garbage_grace: 0s\nrequest_log: failures\nstore: {min_free: 0}\nbackup: {every: 0, hold: 0}\n"
"""Garbage is swept ten times a second, while the load goes on: what is deleted too early is missed at once. Nothing
is held for a backup.
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """All that a drill needs; the load is paused."""

    server: LiveServer
    crashes: Crashes
    load: Load


def _set(folder: Path) -> Stage:
    seed = random.randrange(1 << 30)
    crashes = Crashes(folder / "crashes")
    server = LiveServer(folder, config=CONFIG, environment=crashes.environment)
    server.start()
    return Stage(server, crashes, Load(server.http, clients=6, seed=seed))


def _strike(stage: Stage) -> None:
    stage.load.end()
    stage.server.kill()


@pytest.fixture(scope="module")
def _stages() -> Iterator[list[Stage]]:
    stages: list[Stage] = []
    yield stages
    for stage in stages:
        _strike(stage)


@pytest.fixture
def stage(_stages: list[Stage], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = _stages.pop() if _stages else _set(tmp_path_factory.mktemp("drill"))
    try:
        yield stage
    except BaseException:
        _strike(stage)
        raise
    _stages.append(stage)


@pytest.fixture
def crashes(tmp_path: Path) -> Crashes:
    return Crashes(tmp_path / "crashes")


@pytest.fixture
def server(tmp_path: Path, crashes: Crashes) -> Iterator[LiveServer]:
    """Of this test alone, not started; whatever the test leaves running is ended."""
    server = LiveServer(tmp_path, config=CONFIG, environment=crashes.environment)
    yield server
    server.kill()


def swept(data: Path) -> Report:
    """What is left after all sweeps, while nobody serves the folder."""
    assert main(["store", "sweep", "--data", str(data)]) == 0
    return check(data)


def until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()
