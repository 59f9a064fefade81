"""A disk that hangs: callers are told in time, others go on, and it comes back by itself."""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dolium.datasets import building, concrete, timed
from dolium.datasets.disk import DiskShelf
from dolium.datasets.store import ObjectStore
from dolium.datasets.timed import TimedShelf
from dolium.errors import DatasetNotFound, StoreUnavailable
from dolium.stores.composites.breaker import Breaker
from dolium.values import ByteRange
from tests.unit.datasets.kit import Dataset, build, disk, group, write

DEADLINE = 0.5


class Hang:
    """Holds whoever makes a system call on a path below `root`, or on a descriptor, until it is let go."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self._root = str(root)
        self._patch = patch
        self._free = threading.Event()
        self._free.set()
        self.held = 0
        self._calls: tuple[str, ...] = ()
        for name in ("stat", "open", "pread"):
            self._wrap(name)

    def _wrap(self, name: str) -> None:
        real = getattr(os, name)

        def call(first: Any, *args: Any, **more: Any) -> Any:
            if name in self._calls and not self._free.is_set() and _path(first).startswith(self._root):
                self.held += 1
                assert self._free.wait(30)
            return real(first, *args, **more)

        self._patch.setattr(os, name, call)

    def begin(self, *calls: str) -> None:
        self._calls = calls or ("stat", "open", "pread")
        self._free.clear()

    def end(self) -> None:
        self._free.set()


def _path(what: Any) -> str:
    return str(Path(f"/proc/self/fd/{what}").readlink() if isinstance(what, int) else what)


@pytest.fixture
def hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hang]:
    for module in (timed, concrete):
        monkeypatch.setattr(module, "Breaker", partial(Breaker, seconds=0.2))
    found = Hang(tmp_path / "far", monkeypatch)
    yield found
    found.end()


def far(folder: Path, **more: Any) -> dict[str, Any]:
    return disk(folder, "far", timeout_seconds=DEADLINE, **more)


def seconds(call: Any, *args: Any, **more: Any) -> float:
    """How long it takes until it is told that the store is down."""
    begin = time.monotonic()
    with pytest.raises(StoreUnavailable, match="far"):
        call(*args, **more)
    return time.monotonic() - begin


def test_callers_are_told_in_time_and_it_comes_back(tmp_path: Path, hang: Hang) -> None:
    store = build(tmp_path, far(tmp_path))
    dataset = Dataset(24)
    source = write(tmp_path / "source", "bytes")
    store.update_from_file(dataset, file_name=source, create=True)
    hang.begin()
    questions = (
        store.exists, store.get_data, store.get_filename, store.create, store.delete,
        partial(store.update_from_file, file_name=source), store.size,
    )  # fmt: skip
    times = [seconds(question, dataset) for question in questions]
    assert DEADLINE * 0.9 < times[0] < 10
    assert max(times[3:]) < DEADLINE  # it is known by now, and not asked for a while
    hang.end()
    _until(lambda: store.exists(dataset))
    assert store.get_data(dataset) == b"bytes"


def _until(question: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if question():
                return
        except StoreUnavailable:
            pass
        time.sleep(0.02)
    raise AssertionError("it does not come back")


def test_others_go_on(tmp_path: Path, hang: Hang) -> None:
    near = disk(tmp_path, "near")
    store = build(tmp_path, group("hierarchical", far(tmp_path), near))
    before = Dataset(1)
    store.create(before)
    assert before.object_store_id == "far"
    here = Dataset(2)
    write(tmp_path / "near/000/dataset_2.dat", "x")
    hang.begin()
    assert store.get_data(here) == b"x"
    assert here.object_store_id == "near"
    begin = time.monotonic()
    assert store.get_data(here) == b"x"
    assert time.monotonic() - begin < DEADLINE  # its store is known, and the other not asked
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda number: store.create(Dataset(number)).store_id, range(100, 160)))
    assert set(made) == {"near"}
    with pytest.raises(StoreUnavailable):
        store.exists(before)
    assert hang.held <= 8 + 1  # its threads, and no more of ours


def test_a_copy_that_hangs_in_a_replicated_store(tmp_path: Path, hang: Hang) -> None:
    store = build(
        tmp_path, group("replicated", far(tmp_path), disk(tmp_path, "near"), id="both", write_quorum=1)
    )
    dataset = Dataset(24)
    store.create(dataset)
    hang.begin()
    assert store.get_filename(dataset) == str(tmp_path / "near/000/dataset_24.dat")
    store.create(Dataset(25))
    hang.end()

    def is_whole() -> bool:
        done = store.repair(Dataset(25))
        assert done is not None
        return done.whole

    _until(is_whole)
    assert (tmp_path / "far/000/dataset_25.dat").exists()


def test_what_was_given_up_does_nothing_later(tmp_path: Path, hang: Hang) -> None:
    store = build(tmp_path, group("hierarchical", far(tmp_path), disk(tmp_path, "near")))
    (tmp_path / "far/000").mkdir(parents=True)
    source = write(tmp_path / "source", "bytes")
    store.exists(Dataset(1))
    writes: tuple[Callable[..., object], ...] = (
        store.create,
        partial(store.update_from_file, file_name=source, create=True),
    )
    hang.begin("open")
    for number, work in enumerate(writes, 24):
        dataset = Dataset(number)
        work(dataset)
        assert dataset.object_store_id == "near"
    hang.end()
    numbers = itertools.count(50)
    _until(lambda: store.create(Dataset(next(numbers))).store_id == "far")
    left = [one.name for one in (tmp_path / "far").rglob("*") if one.is_file()]
    assert left == [f"dataset_{next(numbers) - 1}.dat"]


def test_a_stream_that_hangs_on_the_way(tmp_path: Path, hang: Hang) -> None:
    store = build(tmp_path, far(tmp_path))
    write(tmp_path / "far/000/dataset_24.dat", "x" * (9 << 20))
    with store.open(Dataset(24)) as reader:
        assert reader.read(3) == b"xxx"
        hang.begin()
        assert DEADLINE * 0.9 < seconds(reader.read, 3) < 10
    hang.end()
    assert store.get_data(Dataset(24)) == b"x" * (9 << 20)
    with store.open(Dataset(24), range=ByteRange(1, 2)) as reader:
        assert (reader.size, reader.read(), reader.read()) == (9 << 20, b"xx", b"")


def test_what_moves_is_not_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = build(tmp_path, far(tmp_path))
    source = write(tmp_path / "source", "0123456789" * 2)
    dataset = Dataset(24)
    real_send, real_unlink = os.sendfile, os.unlink

    def slow_send(out: int, into: int, offset: int, count: int) -> int:
        time.sleep(DEADLINE / 5)
        return real_send(out, into, offset, min(count, 2))

    monkeypatch.setattr(os, "sendfile", slow_send)
    begin = time.monotonic()
    store.update_from_file(dataset, file_name=source, create=True)
    assert time.monotonic() - begin > DEADLINE
    assert store.get_data(dataset) == b"0123456789" * 2
    for number in range(6):
        write(tmp_path / f"far/000/dataset_24_files/{number % 3}/{number}", "x")

    def slow_unlink(path: str) -> None:
        time.sleep(DEADLINE / 5)
        real_unlink(path)

    monkeypatch.setattr(os, "unlink", slow_unlink)
    assert store.delete(dataset, entire_dir=True, extra_dir="dataset_24_files", dir_only=True)
    assert not (tmp_path / "far/000/dataset_24_files").exists()


def test_a_process_that_was_forked_has_threads_of_its_own(tmp_path: Path) -> None:
    store = build(tmp_path, far(tmp_path))
    store.create(Dataset(24))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if store.exists(Dataset(24)) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.shutdown()


def test_who_gets_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shelf(store: ObjectStore) -> Any:
        return store.leaves()[0].shelf

    assert isinstance(shelf(build(tmp_path, disk(tmp_path, "near"))), DiskShelf)
    store = build(tmp_path, far(tmp_path))
    assert isinstance(shelf(store), TimedShelf)
    assert isinstance(shelf(build(tmp_path, store.to_dict())), TimedShelf)
    monkeypatch.setattr(building, "is_local", lambda _: False)
    assert isinstance(shelf(build(tmp_path, disk(tmp_path, "near"))), TimedShelf)
    # The mount point itself may not answer; the store is built all the same.
    free = threading.Event()
    monkeypatch.setattr(building, "is_local", lambda _: free.wait(30))
    monkeypatch.setattr(building, "_LOOKED_AT", 0.05)
    assert isinstance(shelf(build(tmp_path, disk(tmp_path, "near"))), TimedShelf)
    free.set()


def test_the_rest_is_as_without_threads(tmp_path: Path) -> None:
    store = build(tmp_path, far(tmp_path))
    dataset = Dataset(24)
    with pytest.raises(DatasetNotFound):
        store.get_filename(dataset)
    store.create(dataset)
    assert store.get_filename(dataset) == store.construct_path(dataset)
    Path(store.get_filename(dataset)).write_bytes(b"job")
    store.update_from_file(dataset)
    assert 0 < store.get_store_usage_percent() < 100
    assert store.get_object_url(dataset) is None
    shelf = store.leaves()[0].shelf
    shelf.start()
    shelf.probe()
    (tmp_path / "far").rename(tmp_path / "away")
    for question in (store.exists, store.delete):
        with pytest.raises(StoreUnavailable, match="far"):
            question(dataset)
    with pytest.raises(StoreUnavailable):
        shelf.probe()
