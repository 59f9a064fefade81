"""Stores against a model, while disks come and go: what was acknowledged is read as it is, or its store is down.

DOLIUM_MODEL=1000 pytest tests/unit/datasets/test_model.py     # so many examples of each configuration; 25 otherwise
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dolium.datasets.entry import build_object_store
from dolium.datasets.store import ObjectStore
from dolium.errors import DatasetNotFound, PartlyDone, StoreError, StoreUnavailable
from dolium.stores.composites.breaker import Breaker
from dolium.stores.leaves import disk_identity
from tests.unit.datasets.kit import Dataset, build, disk, group, write

EXAMPLES = int(os.environ.get("DOLIUM_MODEL", "25"))
Config = Callable[[Callable[[str], dict[str, Any]]], dict[str, Any]]

CONFIGS: dict[str, Config] = {
    "one of two": lambda one: group("replicated", one("a"), one("b"), id="both", write_quorum=1),
    "all of two": lambda one: group("replicated", one("a"), one("b"), id="both"),
    "in a hierarchy": lambda one: group(
        "hierarchical",
        group("replicated", one("a"), one("b"), one("c"), id="both", write_quorum=2),
        one("d"),
    ),
    "beside others, by weight": lambda one: group(
        "distributed", group("replicated", one("a"), one("b"), id="both", write_quorum=1), one("c"), one("d")
    ),
    "none replicated": lambda one: group("hierarchical", one("a"), group("distributed", one("b"), one("c"))),
}


class Model(RuleBasedStateMachine):
    """`said`: what a dataset may be, by its number: one text if that was acknowledged, several while a job writes, or
    when a write was told to be partly done. None: absent.
    """

    config: ClassVar[Config]

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.disks: list[str] = []

        def one(name: str) -> dict[str, Any]:
            self.disks.append(name)
            return disk(self.folder, name, expected_uuid=disk_identity.initialise(self.folder / name))

        self.store: ObjectStore = build(self.folder, type(self).config(one))
        self.begin_process()
        self.down: set[str] = set()
        self.numbers = itertools.count(1)
        self.texts = itertools.count(1)
        self.datasets: dict[int, Dataset] = {}
        self.said: dict[int, set[str | None]] = {}

    def begin_process(self) -> None:
        for leaf in self.store.leaves():
            leaf.breaker = Breaker(seconds=0)  # a store that is up again is tried at once

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def text(self) -> str:
        return f"text {next(self.texts)}"

    def source(self, text: str) -> str:
        return write(self.folder / "source", text)

    def attempt(self, number: int, new: str | None, work: Callable[[Dataset], object]) -> None:
        """A write, that makes the dataset `new` if it is acknowledged."""
        dataset = self.datasets[number]
        try:
            work(dataset)
        except PartlyDone:
            self.said[number] |= {new}
        except StoreError:
            assert self.down
        else:
            self.said[number] = {new}

    # What people do.

    @rule()
    def put(self) -> None:
        number, text = next(self.numbers), self.text()
        self.datasets[number], self.said[number] = Dataset(number), {None}
        source = self.source(text)
        self.attempt(
            number, text, lambda one: self.store.update_from_file(one, file_name=source, create=True)
        )

    @rule()
    def create(self) -> None:
        number = next(self.numbers)
        self.datasets[number], self.said[number] = Dataset(number), {None}
        self.attempt(number, "", self.store.create)

    @precondition(lambda self: self.datasets)
    @rule(data=st.data())
    def replace(self, data: st.DataObject) -> None:
        number = self.some(data)
        text = self.text()
        source = self.source(text)
        try:
            self.attempt(number, text, lambda one: self.store.update_from_file(one, file_name=source))
        except DatasetNotFound:
            assert None in self.said[number]

    @precondition(lambda self: self.datasets)
    @rule(data=st.data(), tell=st.booleans())
    def write_in_place(self, data: st.DataObject, tell: bool) -> None:
        number = self.some(data)
        try:
            path = Path(self.store.get_filename(self.datasets[number]))
        except DatasetNotFound:
            assert None in self.said[number]
            return
        except StoreUnavailable:
            assert self.down
            return
        text = self.text()
        path.write_text(text)
        self.said[number] |= {text}
        if tell:
            self.told(number)

    @precondition(lambda self: self.datasets)
    @rule(data=st.data())
    def tell(self, data: st.DataObject) -> None:
        self.told(self.some(data))

    def told(self, number: int) -> None:
        """Of what a job has written, one is the dataset from then on."""
        try:
            self.store.update_from_file(self.datasets[number])
            now: str | None = self.store.get_data(self.datasets[number]).decode()
        except DatasetNotFound:
            now = None
        except StoreUnavailable:
            assert self.down
            return
        assert now in self.said[number]
        self.said[number] = {now}

    @precondition(lambda self: self.datasets)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.attempt(self.some(data), None, self.store.delete)

    @precondition(lambda self: self.datasets)
    @rule(data=st.data())
    def repair(self, data: st.DataObject) -> None:
        number = self.some(data)
        try:
            done = self.store.repair(self.datasets[number])
        except DatasetNotFound:
            assert None in self.said[number]
            return
        except StoreUnavailable:
            assert self.down
            return
        if done is not None:
            assert done.whole or self.down

    # What happens to disks and processes.

    @rule(data=st.data())
    def come_or_go(self, data: st.DataObject) -> None:
        self.move(data.draw(st.sampled_from(self.disks)))

    def move(self, name: str) -> None:
        here, away = self.folder / name, self.folder / f"{name}.away"
        if name in self.down:
            here.rmdir()
            away.rename(here)
        else:
            here.rename(away)
            here.mkdir()  # the mount point
        self.down ^= {name}

    @rule()
    def all_come(self) -> None:
        for name in sorted(self.down):
            self.move(name)

    @rule()
    def another_process(self) -> None:
        self.store = build_object_store(self.store.to_dict())
        self.begin_process()

    # What must hold.

    @invariant()
    def what_was_acknowledged_is_read(self) -> None:
        for number in getattr(self, "datasets", {}):
            hint = self.datasets[number].object_store_id
            for copy in (Dataset(number, object_store_id=hint), Dataset(number)):
                self.check(number, copy)

    def check(self, number: int, dataset: Dataset) -> None:
        try:
            found: str | None = self.store.get_data(dataset).decode()
        except DatasetNotFound:
            found = None
        except StoreUnavailable:
            assert self.down
            return
        assert found in self.said[number], (number, found, self.said[number], self.down)

    def some(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.datasets)))


@pytest.mark.parametrize("name", CONFIGS)
def test_stores_behave_as_the_model(name: str) -> None:
    machine = type("Machine", (Model,), {"config": staticmethod(CONFIGS[name])})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
