"""Hierarchies and distributed groups: found wherever it lies, one place for one dataset, down is not gone."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dolium.config.specs import Quota
from dolium.datasets.concrete import ConcreteStore
from dolium.datasets.entry import build_object_store
from dolium.datasets.group import GroupStore
from dolium.datasets.layout import Address
from dolium.datasets.placing import acting_for
from dolium.datasets.store import ObjectStore
from dolium.errors import ConfigError, DatasetNotFound, StoreFull, StoreReadOnly, StoreUnavailable
from tests.unit.datasets.kit import Dataset, build, defaults, disk, group, write

KINDS = pytest.mark.parametrize("kind", ["hierarchical", "distributed"])


def two(
    folder: Path, kind: str, one: dict[str, Any] | None = None, other: dict[str, Any] | None = None
) -> ObjectStore:
    return build(
        folder, group(kind, disk(folder, "new", **(one or {})), disk(folder, "old", **(other or {})))
    )


def leaf(store: ObjectStore, name: str) -> ConcreteStore:
    return next(one for one in store.leaves() if one.store_id == name)


@KINDS
def test_what_galaxy_tests_of_a_hierarchy(tmp_path: Path, kind: str) -> None:
    store = two(
        tmp_path,
        kind,
        {"name": "Newer Cool", "description": "fancy"},
        {"name": "Legacy", "description": "older"},
    )
    assert not store.exists(Dataset(1))
    assert store.get_concrete_store_name(Dataset(1)) is None
    assert store.get_concrete_store_description_markdown(Dataset(1)) is None
    write(tmp_path / "old/000/dataset_2.dat", "")
    write(tmp_path / "new/000/dataset_3.dat", "Hello World!")
    assert store.exists(Dataset(2))
    assert store.empty(Dataset(2))
    assert not store.empty(Dataset(3))
    assert store.get_concrete_store_name(Dataset(3)) == "Newer Cool"
    assert store.get_concrete_store_description_markdown(Dataset(2)) == "older"
    assert store.to_dict()["type"] == kind
    assert store.cache_targets() == []


def test_a_hierarchy_fills_its_first(tmp_path: Path) -> None:
    store = two(tmp_path, "hierarchical")
    for number in range(100, 200):
        dataset = Dataset(number)
        assert store.create(dataset) is leaf(store, "new")
        assert dataset.object_store_id == "new"


def test_weights(tmp_path: Path) -> None:
    config = group(
        "distributed", disk(tmp_path, "a", weight=2), disk(tmp_path, "b"), disk(tmp_path, "none", weight=0)
    )
    store = build(tmp_path, config)
    placed = []
    for number in range(300):
        dataset = Dataset(number)
        store.create(dataset)
        placed.append(dataset.object_store_id)
    assert placed.count("none") == 0
    assert 150 < placed.count("a") < 250
    asked = Dataset(1000, object_store_id="none")
    assert store.create(asked).store_id == "none"


@KINDS
@pytest.mark.parametrize("hint", [None, "new", "data", "old"])
def test_a_wrong_id_is_a_hint_and_put_right(tmp_path: Path, kind: str, hint: str | None) -> None:
    store = two(tmp_path, kind)
    path = write(tmp_path / "old/000/dataset_24.dat", "old data")
    questions: tuple[Callable[[Dataset], bool], ...] = (
        lambda one: store.get_filename(one) == path,
        lambda one: store.size(one) == 8,
        lambda one: store.get_data(one) == b"old data",
        lambda one: store.get_concrete_store_by_object_store_id("old") is store.create(one),
    )
    for question in questions:
        dataset = Dataset(24, object_store_id=hint)
        assert question(dataset)
        assert dataset.object_store_id == "old"
    assert not (tmp_path / "new").exists()  # no shadow of it was made


@KINDS
def test_a_known_id_asks_one_store(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = build(tmp_path, group(kind, *(disk(tmp_path, f"d{at}") for at in range(10))))
    write(tmp_path / "d9/000/dataset_24.dat", "x")
    looked: list[str] = []
    real = os.stat

    def stat(path: Any, *args: Any, **more: Any) -> os.stat_result:
        looked.append(str(path))
        return real(path, *args, **more)

    for one in store.leaves():
        one.shelf.size(1, Address())  # their roots were seen
    monkeypatch.setattr(os, "stat", stat)
    assert store.exists(Dataset(24, object_store_id="d9"))
    assert looked[-1:] == [str(tmp_path / "d9/000/dataset_24.dat")]
    assert len(looked) <= 2


def test_files_beside_a_dataset_go_where_it_is(tmp_path: Path) -> None:
    store = two(tmp_path, "hierarchical")
    write(tmp_path / "old/000/dataset_24.dat", "x")
    source = write(tmp_path / "source", "extra")
    dataset = Dataset(24)
    store.update_from_file(dataset, extra_dir="dataset_24_files", alt_name="a", file_name=source, create=True)
    assert (tmp_path / "old/000/dataset_24_files/a").exists()
    assert dataset.object_store_id == "old"
    # One that lies elsewhere is found, and says nothing of where the dataset is.
    write(tmp_path / "new/000/dataset_24_files/b", "b")
    assert store.get_data(dataset, extra_dir="dataset_24_files", alt_name="b") == b"b"
    assert dataset.object_store_id == "old"


@KINDS
def test_an_update_is_made_where_it_is(tmp_path: Path, kind: str) -> None:
    store = two(tmp_path, kind)
    write(tmp_path / "old/000/dataset_24.dat", "x")
    store.update_from_file(Dataset(24), file_name=write(tmp_path / "source", "newer"), create=True)
    assert (tmp_path / "old/000/dataset_24.dat").read_text() == "newer"
    assert not (tmp_path / "new").exists()
    with pytest.raises(DatasetNotFound):
        store.update_from_file(Dataset(25), file_name=str(tmp_path / "source"))


@KINDS
def test_a_delete_leaves_no_copy_to_come_back(tmp_path: Path, kind: str) -> None:
    store = two(tmp_path, kind)
    for place in ("new", "old"):
        write(tmp_path / place / "000/dataset_24.dat", place)
    assert store.delete(Dataset(24))
    assert not store.exists(Dataset(24))
    assert store.delete(Dataset(24)) is False


@KINDS
def test_down_is_not_gone(tmp_path: Path, kind: str) -> None:
    store = two(tmp_path, kind)
    write(tmp_path / "old/000/dataset_24.dat", "x")
    write(tmp_path / "new/000/dataset_25.dat", "y")
    assert store.exists(Dataset(24))
    (tmp_path / "old").rename(tmp_path / "unplugged")
    for hint in (None, "new", "old", "data"):
        for question in (store.exists, store.size, store.get_filename, store.delete, store.empty):
            with pytest.raises(StoreUnavailable):
                question(Dataset(24, object_store_id=hint))
        assert store.exists(Dataset(25, object_store_id=hint))  # what is elsewhere is there
    with pytest.raises(StoreUnavailable):
        store.create(Dataset(24, object_store_id="old"))  # it may be there: no empty one instead
    for number in range(100, 110):
        dataset = Dataset(number)
        assert store.create(dataset).store_id == "new"
    (tmp_path / "unplugged").rename(tmp_path / "old")
    assert store.get_data(Dataset(24)) == b"x"


def test_a_disk_that_refuses_is_passed_over(tmp_path: Path) -> None:
    """Galaxy fails every create that is drawn for a folder that cannot be written."""
    write(tmp_path / "broken", "no folder")
    config = group("distributed", disk(tmp_path, "broken", weight=9), disk(tmp_path, "good"))
    store = build(tmp_path, config)
    source = write(tmp_path / "source", "bytes")
    for number in range(30):
        dataset = Dataset(number)
        store.update_from_file(dataset, file_name=source, create=True)
        assert dataset.object_store_id == "good"
        assert store.get_data(dataset) == b"bytes"


def test_limits(tmp_path: Path) -> None:
    full = {"max_percent_full": 0.001}
    store = build(
        tmp_path, group("distributed", disk(tmp_path, "full", weight=9, **full), disk(tmp_path, "open"))
    )
    for name in ("full", "open"):
        (tmp_path / name).mkdir()
    assert {store.create(Dataset(number)).store_id for number in range(30)} == {
        "open"
    }  # an unset limit is none
    whole = group("distributed", disk(tmp_path, "full"), global_max_percent_full=0.001)
    with pytest.raises(StoreFull):
        build(tmp_path, whole).create(Dataset(100))


def test_a_store_that_was_asked_for_is_replaced_by_its_like_only(tmp_path: Path) -> None:
    def tree(private: bool) -> ObjectStore:
        return build(
            tmp_path,
            group(
                "distributed",
                disk(tmp_path, "asked", private=True, max_percent_full=0.001),
                disk(tmp_path, "other", private=private),
            ),
        )

    (tmp_path / "asked").mkdir()
    dataset = Dataset(24, object_store_id="asked")
    with pytest.raises(StoreFull, match="asked"):
        tree(private=False).create(dataset)
    assert dataset.object_store_id == "asked"
    assert tree(private=True).create(dataset).store_id == "other"
    assert dataset.object_store_id == "other"


@pytest.mark.parametrize("state", ["read-only", "draining", "offline"])
def test_states(tmp_path: Path, state: str) -> None:
    write(tmp_path / "one/000/dataset_24.dat", "x")
    config = group("hierarchical", disk(tmp_path, "one", state=state), disk(tmp_path, "two"))
    store = build(tmp_path, config)
    assert store.create(Dataset(25)).store_id == "two"
    source = write(tmp_path / "source", "newer")
    if state == "offline":
        with pytest.raises(StoreUnavailable):
            store.exists(Dataset(24))
        return
    assert store.get_data(Dataset(24)) == b"x"
    if state == "read-only":
        for change in (lambda one: store.update_from_file(one, file_name=source), store.delete):
            with pytest.raises(StoreReadOnly):
                change(Dataset(24))
        assert store.get_data(Dataset(24)) == b"x"
        return
    dataset = Dataset(24, object_store_id="one")
    store.update_from_file(dataset, file_name=source)
    assert dataset.object_store_id == "two"
    assert not (tmp_path / "one/000/dataset_24.dat").exists()
    assert store.get_data(dataset) == b"newer"
    write(tmp_path / "one/000/dataset_26.dat", "x")
    assert store.delete(Dataset(26))


def test_what_fits_no_more_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = two(tmp_path, "hierarchical")
    dataset = Dataset(24)
    store.update_from_file(dataset, file_name=write(tmp_path / "small", "small"), create=True)
    shelf: Any = leaf(store, "new").shelf

    def full(size: int) -> None:
        if size > 5:
            raise StoreFull("new is full")

    monkeypatch.setattr(shelf, "_require_room", full)
    store.update_from_file(dataset, file_name=write(tmp_path / "large", "larger"))
    assert (dataset.object_store_id, store.get_data(dataset)) == ("old", b"larger")
    assert not (tmp_path / "new/000/dataset_24.dat").exists()


def test_a_hierarchy_in_a_distributed(tmp_path: Path) -> None:
    inner = {
        "id": "inner",
        "weight": 1,
        "quota": {"source": "q"},
        **group("hierarchical", disk(tmp_path, "a"), disk(tmp_path, "b")),
    }
    store = build(tmp_path, group("distributed", inner, disk(tmp_path, "c", weight=0)))
    dataset = Dataset(24, object_store_id="inner")  # as Galaxy has it in its database
    assert store.create(dataset).store_id == "a"
    write(tmp_path / "b/000/dataset_25.dat", "x")
    old = Dataset(25, object_store_id="inner")
    assert store.size(old) == 1
    assert old.object_store_id == "b"
    quotas = store.get_quota_source_map()
    assert {quotas.get_quota_source_label(one) for one in ("inner", "a", "b")} == {"q"}
    assert quotas.get_quota_source_label("c") is None
    inside = store.get_concrete_store_by_object_store_id("inner")
    assert isinstance(inside, GroupStore)
    assert inside.to_model("inner").quota == Quota("q")
    assert store.object_store_ids() == ["a", "b", "c"]
    assert 0 < store.get_store_usage_percent() < 100


def test_private_and_mixed_keys(tmp_path: Path) -> None:
    store = two(tmp_path, "distributed", {}, {"private": True, "store_by": "uuid"})
    assert store.object_store_ids() == ["new", "old"]
    assert store.object_store_ids(private=True) == ["old"]
    assert store.object_store_ids(private=False) == ["new"]
    backends = store.to_dict()["backends"]
    assert [(one["store_by"], one["private"]) for one in backends] == [("id", False), ("uuid", True)]
    by_uuid = Dataset(24, object_store_id="old")
    store.create(by_uuid)
    assert store.is_private(by_uuid)
    assert store.get_store_by(by_uuid) == "uuid"
    by_uuid.object_store_id = None
    assert store.get_filename(by_uuid).endswith(f"dataset_{by_uuid.uuid}.dat")
    assert not store.is_private(Dataset(99))
    hidden = build(tmp_path, group("hierarchical", disk(tmp_path, "new"), private=True))
    assert hidden.is_private(Dataset(99))
    assert hidden.to_dict()["private"]
    assert hidden.to_dict()["backends"][0]["private"]


def test_quotas_and_devices(tmp_path: Path) -> None:
    store = two(
        tmp_path, "distributed",
        {"quota": {"source": "1files"}, "device": "primary"}, {"quota": {"enabled": False}, "device": "primary"},
    )  # fmt: skip
    quotas = store.get_quota_source_map()
    assert quotas.get_quota_source_info("new") == ("1files", True)
    assert quotas.get_quota_source_info("old") == (None, False)
    assert quotas.get_quota_source_info("user_objects://1") == (None, False)
    assert quotas.get_quota_source_info("data") == (None, True)
    assert quotas.get_quota_source_labels() == {"1files"}
    assert quotas.default_usage_excluded_ids() == ["new", "old"]
    assert quotas.ids_per_quota_source() == {"1files": ["new"]}
    assert quotas.get_id_to_source_pairs(include_default_quota_source=True) == [("new", "1files")]
    devices = store.get_device_source_map()
    assert devices.get_device_id("new") == devices.get_device_id("old") == "primary"
    assert devices.get_device_id("user_objects://1") == "user_objects://1"
    assert devices.get_device_id("data") is None


def test_one_quota_for_a_hierarchy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="quota"):
        two(tmp_path, "hierarchical", {"quota": {"source": "1files"}})


def test_badges_that_contradict(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="slower"):
        two(tmp_path, "distributed", {"badges": [{"type": "slower"}, {"type": "faster"}]})


def test_selection(tmp_path: Path) -> None:
    store = two(tmp_path, "distributed", {"allow_selection": True})
    assert store.object_store_allows_id_selection()
    assert store.object_store_ids_allowing_selection() == ["new"]
    refused = store.validate_selected_object_store_id
    assert refused(None, None) is None
    assert refused(None, "new") is None
    assert refused(None, "old") == "Supplied object store id is not an allowed object store selection"
    assert refused(None, "user_objects://1") == "Supplied object store id is not accessible"
    person = SimpleNamespace(object_stores=[SimpleNamespace(uuid=1)])
    assert refused(person, "user_objects://1") is None
    assert refused(person, "user_objects://2") == "Supplied object store id was not found"
    assert not two(tmp_path, "hierarchical").object_store_allows_id_selection()


def test_searching_can_be_switched_off(tmp_path: Path) -> None:
    config = group("distributed", disk(tmp_path, "new"), search_for_missing=False)
    write(tmp_path / "new/000/dataset_24.dat", "x")
    store = build(tmp_path, config)
    assert not store.exists(Dataset(24))
    assert store.exists(Dataset(24, object_store_id="new"))


def test_rules_by_person_and_group(tmp_path: Path) -> None:
    config = group("hierarchical", disk(tmp_path, "all"), disk(tmp_path, "lab"))
    config["rules"] = [
        {"when": {"group": "lab"}, "store": "lab"},
        {"when": {"person": "ada"}, "store": "lab"},
    ]
    store = build(tmp_path, config)
    assert store.create(Dataset(1)).store_id == "all"
    with acting_for(SimpleNamespace(username="ada", groups=[])):
        assert store.create(Dataset(2)).store_id == "lab"
    member = SimpleNamespace(username="bob", groups=[SimpleNamespace(group=SimpleNamespace(name="lab"))])
    with acting_for(member):
        assert store.create(Dataset(3)).store_id == "lab"
    assert store.create(Dataset(4)).store_id == "all"
    assert isinstance(store, GroupStore)
    assert "rule" not in store.explain(Dataset(5))[0]
    again = build_object_store(store.to_dict())
    with acting_for(member):
        assert again.create(Dataset(6)).store_id == "lab"


def test_a_users_own_store_that_is_not_known_here_is_no_absence(tmp_path: Path) -> None:
    for store in (two(tmp_path, "distributed"), build(tmp_path, disk(tmp_path, "one"))):
        with pytest.raises(StoreUnavailable):
            store.exists(Dataset(24, object_store_id="user_objects://1"))


@KINDS
def test_construct_path(tmp_path: Path, kind: str) -> None:
    store = two(tmp_path, kind)
    write(tmp_path / "old/000/dataset_24.dat", "x")
    assert store.construct_path(Dataset(24)) == str(tmp_path / "old/000/dataset_24.dat")
    files = store.construct_path(Dataset(24), extra_dir="dataset_24_files", dir_only=True, in_cache=True)
    assert files == str(tmp_path / "old/000/dataset_24_files")
    assert store.construct_path(Dataset(25)) == str(tmp_path / "new/000/dataset_25.dat")
    assert store.construct_path(Dataset(25, object_store_id="old")) == str(
        tmp_path / "old/000/dataset_25.dat"
    )


@KINDS
def test_it_is_built_again_from_its_dictionary(tmp_path: Path, kind: str) -> None:
    more = {"max_percent_full": 99.5, "allow_selection": True, "weight": 3} if kind == "distributed" else {}
    store = two(tmp_path, kind, {"state": "draining", **more})
    again = build_object_store(store.to_dict(), defaults=defaults(Path("/elsewhere")))
    assert again.to_dict() == store.to_dict()
    assert again.object_store_ids_allowing_selection() == store.object_store_ids_allowing_selection()
    dataset = Dataset(24)
    store.create(dataset)
    assert again.get_filename(dataset) == store.get_filename(dataset)


SEED = """<?xml version="1.0"?>
<object_store type="{kind}">
    <backends>
        <backend id="newdata" type="disk" order="0" weight="1"><files_dir path="{folder}/data2" /></backend>
        <backend id="olddata" type="disk" order="1" weight="1"><files_dir path="{folder}/data" /></backend>
    </backends>
</object_store>
"""


def test_the_seed_step_by_step(tmp_path: Path) -> None:
    """One disk, then a hierarchy, then distributed: no dataset is touched, none is lost."""
    datasets = {}

    def write_some(store: ObjectStore, first: int) -> None:
        for number in range(first, first + 20):
            dataset = datasets[number] = Dataset(number)
            source = write(tmp_path / "source", f"dataset {number}")
            store.update_from_file(dataset, file_name=source, create=True)
        for number, dataset in datasets.items():
            for hint in (dataset.object_store_id, None, "data"):
                copy = Dataset(number, object_store_id=hint, uuid=dataset.uuid)
                assert store.get_data(copy) == f"dataset {number}".encode()
                assert copy.object_store_id == dataset.object_store_id
                folder = {"newdata": "data2", "olddata": "data"}[copy.object_store_id or ""]
                assert store.get_filename(copy) == f"{tmp_path}/{folder}/000/dataset_{number}.dat"

    write_some(build(tmp_path, {"type": "disk", "id": "olddata", "files_dir": str(tmp_path / "data")}), 0)
    for at, kind in enumerate(("hierarchical", "distributed"), 1):
        file = tmp_path / "object_store_conf.xml"
        file.write_text(SEED.format(kind=kind, folder=tmp_path))
        store = build_object_store(file=file, defaults=defaults(tmp_path))
        write_some(store, 20 * at)
    assert {datasets[number].object_store_id for number in range(20)} == {"olddata"}
    assert {datasets[number].object_store_id for number in range(20, 40)} == {"newdata"}
    assert {datasets[number].object_store_id for number in range(40, 60)} == {"newdata", "olddata"}
