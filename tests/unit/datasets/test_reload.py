"""The file of stores changes while datasets are written and read."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dolium.datasets.entry import build_object_store
from dolium.datasets.group import GroupStore
from dolium.datasets.store import ObjectStore
from dolium.errors import DatasetNotFound
from tests.unit.datasets.kit import Dataset, defaults, write

NUMBERS = itertools.count(1)


def say(folder: Path, *stores: str, kind: str = "distributed") -> Path:
    """`stores`: id, weight, and what else stands there."""
    lines = [f"type: {kind}", "backends:"]
    for one in stores:
        name, weight, *more = one.split()
        words = "".join(f", {word.replace('=', ': ')}" for word in more)
        where = f"files_dir: {folder}/{name}, durability: relaxed"
        lines.append(f"  - {{id: {name}, type: disk, weight: {weight}, {where}{words}}}")
    file = folder / "stores.yml"
    fresh = folder / "stores.yml.new"
    fresh.write_text("\n".join(lines) + f"\n# {next(NUMBERS)}\n")
    fresh.replace(file)
    return file


def build(folder: Path, file: Path, seconds: float = 0) -> ObjectStore:
    return build_object_store(file=file, defaults=defaults(folder), reload_seconds=seconds)


@contextmanager
def running(work: Any, threads: int) -> Iterator[list[BaseException]]:
    """`work` again and again in so many threads. Gives what they raise."""
    ended = threading.Event()
    raised: list[BaseException] = []

    def run(at: int) -> None:
        try:
            for turn in itertools.count():
                if ended.is_set():
                    return
                work(at, turn)
        except BaseException as error:  # noqa: BLE001 - it is looked at below
            raised.append(error)

    every = [threading.Thread(target=run, args=(at,)) for at in range(threads)]
    for one in every:
        one.start()
    try:
        yield raised
    finally:
        ended.set()
        for one in every:
            one.join()


def test_weights_and_stores_change_while_it_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = say(tmp_path, "a 1")
    store = build(tmp_path, file)
    first = store.leaves()[0]
    assert store.create(Dataset(1)).store_id == "a"
    say(tmp_path, "a 0", "b 1")
    assert {store.create(Dataset(number)).store_id for number in range(2, 20)} == {"b"}
    assert store.leaves()[0] is first
    assert store.exists(Dataset(1))
    file.write_text("type: nonsense")
    assert store.create(Dataset(30)).store_id == "b"
    assert "stay as they were" in caplog.text
    say(tmp_path, "a 1", "b 0")
    assert store.create(Dataset(31)).store_id == "a"


def test_datasets_come_and_go_while_it_changes(tmp_path: Path) -> None:
    trees = (
        ("a 1", "b 1", "c 0"),
        ("a 0", "b 1", "c 0"),
        ("b 1", "a 2"),
        ("a 1 state=draining", "b 1", "c 0"),
        ("a 1", "b 1 max_percent_full=99.9"),
    )
    store = build(tmp_path, say(tmp_path, *trees[0]))
    source = write(tmp_path / "source", "bytes")
    kept: list[list[Dataset]] = [[] for _ in range(3)]

    def work(at: int, turn: int) -> None:
        dataset = Dataset(at * 1_000_000 + turn)
        if turn % 2:
            store.create(dataset)
            Path(store.get_filename(dataset)).write_text("bytes")
        else:
            store.update_from_file(dataset, file_name=source, create=True)
        kept[at].append(dataset)
        for old in (dataset, kept[at][turn // 2]):
            assert store.get_data(Dataset(old.id)) == b"bytes"  # by search
            assert store.get_data(old) == b"bytes"
            assert store.get_concrete_store_by_object_store_id(old.object_store_id or "") is not None
        assert {"a", "b"} <= set(store.object_store_ids())

    with running(work, 3) as raised:
        for turn in range(60):
            say(tmp_path, *trees[turn % len(trees)], kind=("distributed", "hierarchical")[turn // 5 % 2])
            store.create(Dataset(10_000_000 + turn))  # takes it up
    assert not raised
    assert min(len(one) for one in kept) > 5
    for dataset in itertools.chain(*kept):
        assert store.get_data(dataset) == b"bytes"
    assert isinstance(store, GroupStore)
    assert {leaf.store_id for leaf in store.ever()} == {"a", "b", "c"}


def test_what_another_process_has_put_into_a_new_store_is_found(tmp_path: Path) -> None:
    file = say(tmp_path, "a 1")
    reader = build(tmp_path, file, seconds=3600)
    writer = build(tmp_path, say(tmp_path, "a 0", "b 1"))
    dataset = Dataset(24)
    writer.create(dataset)
    assert dataset.object_store_id == "b"
    assert reader.exists(dataset)
    with pytest.raises(DatasetNotFound):
        reader.get_filename(Dataset(25, object_store_id="nobody"))


def test_a_file_that_cannot_be_used_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not even the states of the stores that it names before its fault."""
    store = build(tmp_path, say(tmp_path, "a 1", "b 1"))
    store.create(Dataset(1, object_store_id="a"))
    say(tmp_path, "a 1 state=offline", "b 1 durability=strict", "b 1")
    store.create(Dataset(2))
    assert "stay as they were" in caplog.text
    assert store.exists(Dataset(1))


def test_a_store_that_comes_back_is_the_same(tmp_path: Path) -> None:
    store = build(tmp_path, say(tmp_path, "a 1", "b 1"))
    first = store.get_concrete_store_by_object_store_id("b")
    for stores in (("a 1",), ("a 1", "b 2")):
        say(tmp_path, *stores)
        store.create(Dataset(next(NUMBERS)))
        known = store.get_concrete_store_by_object_store_id("b")
        assert known is (first if len(stores) == 2 else None)
    store.shutdown()
