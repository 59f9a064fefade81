"""The power is cut: what was not synced is gone, what was acknowledged is there."""

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dolium.testing.checker import check
from tests.drills.dark import Dark, dark_server
from tests.drills.points import AT_A_POWER_CUT
from tests.drills.test_starts import FILE, start_killed_at
from tests.s3.client import Client

_BETWEEN = 80
"""Operations before each cut."""
_ROUNDS = int(os.environ.get("DOLIUM_DRILL_ROUNDS", "6"))


@pytest.fixture(scope="module")
def _started() -> Iterator[list[Dark]]:
    started: list[Dark] = []
    yield started
    for dark in started:
        dark.end()


@pytest.fixture
def dark(_started: list[Dark], library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dark]:
    """Under load, which is paused; kept from one drill to the next unless it failed."""
    if _started:
        dark = _started.pop()
    else:
        dark = dark_server(tmp_path_factory.mktemp("dark"), library)
        dark.start_under_load()
    try:
        yield dark
    except BaseException:
        dark.end()
        raise
    _started.append(dark)


@pytest.mark.parametrize(
    ("operation", "path"), [pytest.param(*case, id=">".join(case[1])) for case in AT_A_POWER_CUT]
)
def test_cut_at(dark: Dark, operation: str, path: tuple[str, ...]) -> None:
    assert dark.load is not None
    dark.load.favour(operation)
    dark.load.resume()
    dark.load.work(_BETWEEN)
    dark.crashes.arm(*path, group=dark.server.pid)
    dark.crashes.wait()
    dark.crashes.disarm()
    dark.cut_and_compare()


@pytest.mark.timeout(60 + 15 * _ROUNDS)
def test_cut_at_any_moment(library: Path, tmp_path: Path) -> None:
    """`DOLIUM_DRILL_ROUNDS` says how often, if not six times; every second time the disk is torn."""
    dark = dark_server(tmp_path, library, change="small-log")
    try:
        load = dark.start_under_load()
        for number in range(_ROUNDS):
            load.resume()
            load.work(random.randrange(2 * _BETWEEN))
            dark.cut_and_compare(random.randrange(1 << 30) if number % 2 else None)
    finally:
        dark.end()


@pytest.fixture
def new(library: Path, tmp_path: Path) -> Iterator[Dark]:
    """Nothing is there yet."""
    dark = dark_server(tmp_path, library)
    dark.disk.settle()
    yield dark
    dark.end()


@pytest.mark.parametrize(
    "point", ["migrate.committed", "master.linked", "identity.placed", "start.store", "start.admin"]
)
def test_a_first_start_that_is_cut_off_is_made_again(new: Dark, point: str) -> None:
    start_killed_at(new.server, new.crashes, point)
    new.cut()
    new.start()
    client = Client(new.server.http)
    client.make_bucket("first")
    client.put("first", "file", FILE)
    new.cut()
    assert check(new.server.data).problems == []
    new.start()
    assert client.get("first", "file") == FILE


@pytest.mark.parametrize("point", ["start.folder", "master.linked", "identity.placed"])
def test_a_start_syncs_what_one_that_was_killed_did_not(new: Dark, point: str) -> None:
    """The power goes only later, when it has acknowledged something that lies in the catalog."""
    start_killed_at(new.server, new.crashes, point)
    new.server.start()
    client = Client(new.server.http)
    client.make_bucket("first")
    client.put("first", "small", b"small")
    new.cut()
    new.start()
    assert client.get("first", "small") == b"small"
    client.put("first", "file", FILE)


def test_what_is_deleted_and_forgotten_does_not_come_back(new: Dark) -> None:
    """Nobody would look for it if it is old."""
    new.start()
    client = Client(new.server.http)
    client.make_bucket("first")
    client.put("first", "file", FILE)
    new.crashes.arm("sweep.forgotten", group=new.server.pid)
    with contextlib.suppress(OSError):  # the sweep may be faster than the answer
        client.ask("DELETE", "/first/file")
    new.crashes.wait()
    new.cut()
    report = check(new.server.data)
    assert (report.problems, report.leftovers) == ([], [])


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("commit-not-synced", "should be one of|is not listed|NoSuch|not in"),
        ("file-not-synced", r"has 0 bytes|is described as \{\}"),
        ("folder-not-synced", "has lost its"),
    ],
)
def test_the_drill_sees_a_sync_that_is_left_out(
    library: Path, tmp_path: Path, change: str, seen: str
) -> None:
    dark = dark_server(tmp_path, library, change=change)
    try:
        load = dark.start_under_load()
        load.resume()
        load.work(_BETWEEN)
        with pytest.raises(AssertionError, match=seen):
            dark.cut_and_compare()
    finally:
        dark.end()
