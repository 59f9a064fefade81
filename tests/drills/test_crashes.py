"""Killed at every step of every operation, under load: nothing that was acknowledged is lost, and nothing is half."""

import os
import random
import signal

import pytest

from dolium.testing.checker import check
from tests.drills.conftest import Stage, swept
from tests.drills.points import UNDER_LOAD

_BETWEEN = 80
"""Operations before each kill, so that there is something to be lost."""

CASES = [
    pytest.param(operation, path, id=f"{operation or 'any'}:{'>'.join(path)}")
    for operation, paths in UNDER_LOAD.items()
    for path in paths
]


@pytest.mark.parametrize(("operation", "path"), CASES)
def test_killed(stage: Stage, operation: str, path: tuple[str, ...]) -> None:
    server, crashes, load = stage.server, stage.crashes, stage.load
    load.favour(operation)
    load.resume()
    load.work(_BETWEEN)
    # A worker alone: the other serves on, and clients look there at once for what they were not told.
    crashes.arm(*path)
    crashes.wait()
    load.work(_BETWEEN)
    # Then all of them.
    crashes.arm(*path, group=server.pid)
    crashes.wait()
    crashes.disarm()
    start_again(stage)


def start_again(stage: Stage) -> None:
    """End what may still be there, and compare what is left with what was acknowledged."""
    server, load = stage.server, stage.load
    server.kill()
    load.pause()
    assert check(server.data).problems == []
    after = swept(server.data)
    assert (after.problems, after.leftovers) == ([], [])
    server.start()
    load.verify()


def test_the_parent_alone_is_killed(stage: Stage) -> None:
    """Its workers end what they are doing; who starts next waits for them."""
    server, load = stage.server, stage.load
    load.favour("")
    load.resume()
    load.work(_BETWEEN)
    server.kill_parent()
    server.start()
    load.work(_BETWEEN)
    load.pause()
    load.verify()
    start_again(stage)


def test_killed_at_any_moment(stage: Stage) -> None:
    """Where nobody thought of a point. `DOLIUM_DRILL_ROUNDS` says how often, if not eight times."""
    server, load = stage.server, stage.load
    load.favour("")
    for _ in range(int(os.environ.get("DOLIUM_DRILL_ROUNDS", "8"))):
        load.resume()
        load.work(random.randrange(_BETWEEN))
        os.kill(random.choice(server.workers), signal.SIGKILL)
        load.work(random.randrange(_BETWEEN))
        start_again(stage)
