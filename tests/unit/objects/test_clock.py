"""The clock of the machine is set back or ahead while objects come and go: order is by sequence, and nothing good is
swept.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dolium.catalog import blobs, fences
from dolium.errors import StoreUnavailable
from dolium.objects import get, orphans
from dolium.objects.put import Intake, PutRequest
from dolium.objects.sweep import sweep
from dolium.testing.catalog_faults import faulty_catalogs
from dolium.testing.checker import check
from tests.unit.objects.cases import WIDE, Complete, Copy, Fresh, Overwrite, Stage, staged

HOUR, DAY = 3600, 86400
STEPS = [-HOUR, -DAY, -400 * DAY, HOUR, DAY, 400 * DAY]


class Clock:
    """The true one, and `ahead` of it by so many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0
        seconds, nanoseconds = time.time, time.time_ns
        monkeypatch.setattr(time, "time", lambda: seconds() + self.ahead)
        monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + self.ahead * 10**9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def stage(tmp_path: Path, clock: Clock) -> Iterator[Stage]:
    with faulty_catalogs(), staged(tmp_path) as stage:
        yield stage


def modified(stage: Stage, key: str) -> int:
    return get.find(stage.service, stage.bucket, key, with_body=False).modified_ms


def nothing_is_left(stage: Stage) -> None:
    stage.sweep()
    stage.check()
    assert check(stage.folder, stage.folder / "store").leftovers == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("size", [100, 3000], ids=["inline", "file"])
def test_the_last_one_wins_and_last_modified_does_not_go_back(
    stage: Stage, clock: Clock, step: int, size: int
) -> None:
    seen = [0]
    for ahead in (0, step, 0, step, -step):
        clock.ahead = ahead
        stage.put("k", os.urandom(size))
        stage.check()
        seen.append(modified(stage, "k"))
    assert seen == sorted(seen)
    nothing_is_left(stage)


@pytest.mark.parametrize("step", STEPS)
def test_an_upload_during_which_the_clock_is_set_is_published_in_its_turn(
    stage: Stage, clock: Clock, step: int
) -> None:
    first = Intake(stage.service, stage.bucket, PutRequest("k", None, WIDE, 3000))
    first.write(b"1" * 3000)
    clock.ahead = step
    stage.put("k", b"2" * 3000)
    stage.check()
    first.finish().result()
    stage.told["k"] = b"1" * 3000
    stage.check()
    nothing_is_left(stage)


@pytest.mark.parametrize("steps", [(-HOUR, HOUR), (-DAY, 0), (DAY, -DAY), (0, -400 * DAY, 400 * DAY, 0)])
def test_starts_and_sweeps_in_between_take_nothing_good(
    stage: Stage, clock: Clock, steps: tuple[int, ...]
) -> None:
    """Each sweep raises the fence to the moment, as a start does."""
    for round_, ahead in enumerate(steps):
        clock.ahead = ahead
        stage.put(f"stays{round_}", os.urandom(3000), headers=WIDE)
        for case in (Fresh, Overwrite, Complete, Copy):
            at_work = case(stage, f"{case.__name__}{round_}")
            at_work.prepare()
            at_work.run()
            at_work.done()
        stage.delete(f"Fresh{round_}")
        stage.check()
        stage.sweep()
        stage.check()
        orphans.raise_fence(stage.service, stage.service.default_store)
    nothing_is_left(stage)


def test_with_the_clock_behind_the_fence_uploads_work_and_are_not_swept(stage: Stage, clock: Clock) -> None:
    stage.sweep()
    clock.ahead = -DAY
    stage.put("k", os.urandom(3000))
    stage.put("k", os.urandom(3000))
    stage.check()
    nothing_is_left(stage)


def test_an_upload_that_a_fence_has_overtaken_is_refused_and_can_be_sent_again(
    stage: Stage, clock: Clock
) -> None:
    """The clock was far behind and is set right: what had begun looks older than any upload may be."""
    clock.ahead = -30 * DAY
    intake = Intake(stage.service, stage.bucket, PutRequest("k", None, "[]", 3000))
    intake.write(b"1" * 3000)
    clock.ahead = 0
    orphans.raise_fence(stage.service, stage.service.default_store)
    with pytest.raises(StoreUnavailable, match="send it again"):
        intake.finish().result()
    stage.check()
    stage.put("k", b"1" * 3000)
    nothing_is_left(stage)


def test_grace_is_longer_with_the_clock_set_back_and_never_shorter(tmp_path: Path, clock: Clock) -> None:
    with faulty_catalogs(), staged(tmp_path, grace_ms=60_000) as stage:
        stage.put("k", b"old" * 1000)
        clock.ahead = -HOUR
        stage.put("k", b"new" * 1000)
        [garbage] = blobs.due(stage.service.database, 1 << 60, 10)
        assert garbage.due_ms > time.time_ns() // 1_000_000 + 50_000
        assert sweep(stage.service) == 0
        clock.ahead = -DAY
        assert sweep(stage.service) == 0
        clock.ahead = 120 - HOUR
        assert sweep(stage.service) == 1
        stage.check()


def test_an_upload_under_way_is_not_swept_however_the_clock_jumps(stage: Stage, clock: Clock) -> None:
    intake = Intake(stage.service, stage.bucket, PutRequest("k", None, WIDE, 3000))
    intake.write(b"1" * 3000)
    for ahead in STEPS:
        clock.ahead = ahead
        assert stage.disk.sweep_temporaries(old_seconds=60.0) == 0
        assert stage.disk.sweep_sidecars() == 0
    clock.ahead = 0
    intake.finish().result()
    stage.told["k"] = b"1" * 3000
    nothing_is_left(stage)


def test_a_fence_is_never_lowered(stage: Stage, clock: Clock) -> None:
    store_id = stage.service.default_store
    stage.sweep()
    before = fences.fence(stage.service.database, store_id)
    clock.ahead = -DAY
    stage.sweep()
    orphans.raise_fence(stage.service, store_id)
    assert fences.fence(stage.service.database, store_id) == before
