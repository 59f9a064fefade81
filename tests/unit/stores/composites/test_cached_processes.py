"""A cache that several processes share: their bytes are right, their accounts add up, and they may be killed."""

import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dolium.stores.composites.cache_index import FILLING, OLD, READY
from dolium.stores.composites.cache_shelf import Shelf
from dolium.stores.leaves.disk import Disk
from dolium.stores.transfer import read_bytes
from dolium.testing.caches import check_accounts
from tests.unit.stores.composites.cache_worker import WORKERS, open_cache

SECONDS = float(os.environ.get("DOLIUM_CACHE_SECONDS", "3"))
"""How long each of the three plays lasts; longer by hand."""
LIMIT = 60_000  # a handful of blobs


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    far = tmp_path / "far"
    Disk.initialise(far)
    return far, tmp_path / "cache"


@pytest.fixture
def started(folders: tuple[Path, Path]) -> Iterator[list[subprocess.Popen[str]]]:
    """The workers that a test has started; those that still run are killed."""
    workers: list[subprocess.Popen[str]] = []
    yield workers
    for worker in workers:
        worker.kill()
        worker.communicate()


def _start(folders: tuple[Path, Path], number: object, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.unit.stores.composites.cache_worker"),
            *map(str, (*folders, number, seconds, LIMIT)),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4],
    )  # fmt: skip


def _accounts_after_recovery(cache: Path) -> int:
    """What a process that starts now finds; a file that was unlinked by one that died in that moment is noticed
    when it is wanted.
    """
    time.sleep(0.05)  # the pins of those that were killed run out
    shelf = Shelf(cache, LIMIT)
    with shelf.index.lock():
        assert shelf.index.of_state(FILLING, OLD) == []
        for entry in shelf.index.of_state(READY):
            lease = shelf.lease(entry)
            if lease is not None:
                lease.close()
    shelf.close()
    return check_accounts(cache)


def test_processes_read_what_is_right_and_count_what_is_there(
    folders: tuple[Path, Path], started: list[subprocess.Popen[str]]
) -> None:
    started += [_start(folders, number, SECONDS) for number in range(WORKERS)]
    total = 0
    for worker in started:
        out, err = worker.communicate(timeout=60 + SECONDS)
        assert worker.returncode == 0, err
        total += int(out.split()[0])
    assert total > 50
    assert 0 < _accounts_after_recovery(folders[1]) <= LIMIT


def test_children_of_a_process_that_uses_it_may_use_it_too(
    folders: tuple[Path, Path], started: list[subprocess.Popen[str]]
) -> None:
    started.append(_start(folders, "fork", SECONDS / 2))
    _, err = started[0].communicate(timeout=60 + SECONDS)
    assert started[0].returncode == 0, err
    assert 0 < _accounts_after_recovery(folders[1]) <= LIMIT


def test_processes_that_are_killed_leave_nothing_that_is_not_found(
    folders: tuple[Path, Path], started: list[subprocess.Popen[str]]
) -> None:
    rng = random.Random(1)
    end = time.monotonic() + SECONDS
    running = {number: _start(folders, number, 60) for number in range(2)}
    started += running.values()
    killed = 0
    while time.monotonic() < end or killed < 2:
        time.sleep(0.8 + rng.random() * 0.4)
        number = rng.randrange(2)
        worker = running[number]
        assert worker.poll() is None, worker.communicate()[1]
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        killed += 1
        # Its keys go on from where it was: a new number of its own would be a new writer of them.
        running[number] = _start(folders, number + 2 * killed, 60)
        started.append(running[number])
    for worker in running.values():
        assert worker.poll() is None, worker.communicate()[1]
        worker.kill()
        worker.wait()
    assert _accounts_after_recovery(folders[1]) <= LIMIT


def test_processes_whose_cache_is_removed_again_and_again_read_what_is_right(
    folders: tuple[Path, Path], started: list[subprocess.Popen[str]]
) -> None:
    started += [_start(folders, number, SECONDS / 2) for number in range(WORKERS)]
    removed = 0
    while any(worker.poll() is None for worker in started):
        time.sleep(0.2)
        if (folders[1] / "index.sqlite").exists():
            shutil.rmtree(folders[1] / ("files" if removed % 2 else ""), ignore_errors=True)
            removed += 1
    assert removed > 1
    for worker in started:
        _, err = worker.communicate()
        assert worker.returncode == 0, err
    assert _accounts_after_recovery(folders[1]) <= LIMIT


def test_a_fill_that_is_killed_holds_up_nobody_and_leaves_nothing(
    folders: tuple[Path, Path], started: list[subprocess.Popen[str]]
) -> None:
    far, cache = folders
    store = open_cache(str(far), str(cache), LIMIT)
    store.far.put("a", io.BytesIO(b"x" * 30_000))
    program = f"""
import time
from dolium.stores.composites import cached
from dolium.testing.faults import SlowStore
from tests.unit.stores.composites.cache_worker import open_cache
store = open_cache({str(far)!r}, {str(cache)!r}, {LIMIT})
real = store._fetcher._far.get
class Stuck:
    def __init__(self, reader): self.reader, self.size, self.pieces = reader, reader.size, 0
    def read(self, size):
        self.pieces += 1
        if self.pieces == 3:
            print("filling", flush=True)
            time.sleep(600)
        return self.reader.read(1000)
    def __enter__(self): return self
    def __exit__(self, *_): pass
store._fetcher._far.get = lambda key, range=None: Stuck(real(key, range=range))
store.get("a")
"""
    worker = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[4],
    )  # fmt: skip
    started.append(worker)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "filling\n"
    files = [path for path in (cache / "files").rglob("*") if path.is_file()]
    assert [path.stat().st_size for path in files] == [2000]
    other = open_cache(str(far), str(cache), LIMIT)
    assert files[0].exists(), "its maker lives"
    worker.kill()
    worker.wait()
    assert read_bytes(store, "a") == b"x" * 30_000, "nobody waits for the dead"
    other.close()
    store.close()
    assert _accounts_after_recovery(cache) == 30_000
    assert not files[0].exists()
