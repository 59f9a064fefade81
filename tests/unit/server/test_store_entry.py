"""Stores that are made, entered and held to their identities; and what is refused in words."""

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dolium.catalog import fences, replicas, stores
from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.galaxy import read_stores
from dolium.config.settings import Settings
from dolium.errors import BlobCorrupt, ConfigError, StoreReadOnly, StoreUnavailable
from dolium.objects.blob_keys import blob_key
from dolium.objects.service import Limits
from dolium.server import meters
from dolium.server.first_run import arrive
from dolium.server.store_entry import enter_stores, require_complete
from dolium.server.stores import LiveStores
from dolium.server.wiring import build, meters_folder
from dolium.stores.composites.cached import Cached
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.placement import Request, State
from dolium.stores.leaves.disk import Disk

HERE = 7


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path)
    yield database
    database.close()


def settings_of(folder: Path, text: str) -> Settings:
    file = folder / "stores.yml"
    file.write_text(text)
    return Settings(data=folder, stores=read_stores(file, {}, base=folder).spec)


def two(folder: Path, kind: str = "hierarchical", more: str = "", first: str = "") -> Settings:
    return settings_of(
        folder,
        f"type: {kind}\nbackends:\n  - {{id: a, type: disk, files_dir: a{first}}}\n"
        f"  - {{id: b, type: disk, files_dir: b}}\n{more}",
    )


def test_a_new_store_is_made_and_a_known_one_never(tmp_path: Path, database: SqliteDatabase) -> None:
    settings = two(tmp_path)
    enter_stores(database, settings)
    names = {record.name: record for record in stores.every(database)}
    assert names["a"].uuid == Disk.initialise(tmp_path / "a")
    assert (names["a"].kind, len(names)) == ("disk", 2)
    (tmp_path / "a" / ".dolium-store.json").unlink()
    enter_stores(database, settings)
    assert not (tmp_path / "a" / ".dolium-store.json").exists()
    live = LiveStores(database, settings)
    with pytest.raises(StoreUnavailable):
        live.now[names["a"].id].store.stat("key")
    live.close()


def test_a_disk_with_a_timeout_has_threads_of_its_own(tmp_path: Path, database: SqliteDatabase) -> None:
    settings = two(tmp_path, first=", timeout_seconds: 5")
    enter_stores(database, settings)
    live = LiveStores(database, settings)
    local = {record.name: live.now[record.id].store.local for record in stores.every(database)}
    live.close()
    assert local == {"a": False, "b": True}


def test_a_store_of_which_the_catalog_was_lost_keeps_its_blobs(
    tmp_path: Path, database: SqliteDatabase
) -> None:
    enter_stores(database, two(tmp_path))
    assert fences.losses(database) == []
    path = tmp_path / "c" / blob_key(HERE, "0123456789ab")
    path.parent.mkdir(parents=True)
    path.touch()
    enter_stores(database, settings_of(tmp_path, "id: c\ntype: disk\nfiles_dir: c\n"))
    [loss] = fences.losses(database)
    assert loss.covers(HERE, 1 << 60)


def test_one_that_holds_garbage_cannot_leave(tmp_path: Path, database: SqliteDatabase) -> None:
    settings = two(tmp_path)
    enter_stores(database, settings)
    alone = settings_of(tmp_path, "id: a\ntype: disk\nfiles_dir: a\n")
    require_complete(database, alone)
    number = next(record.id for record in stores.every(database) if record.name == "b")
    database.write(
        lambda tx: tx.run("INSERT INTO garbage (store_id, blob_key, due_ms) VALUES ($1, 'x', 0)", number)
    )
    with pytest.raises(
        ConfigError, match=r"'b' is not in the configuration and holds 1 blobs: 0 objects, 0 parts and 1"
    ):
        require_complete(database, alone)
    with pytest.raises(ConfigError, match="'b' is not in the configuration"):
        require_complete(database, Settings(data=tmp_path))
    live = LiveStores(database, settings)
    with pytest.raises(ConfigError):
        live.apply(alone)
    assert live.tree is not None
    assert live.tree.ids() == ("a", "b")
    live.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "type: replicated\nbackends: [{id: a, type: disk, files_dir: a}]\n",
            "stores.yml:1: a replicated store needs an id",
        ),
        ("id: a\ntype: disk\nfiles_dir: file/below\n", "cannot be made a store"),
        ("id: a\ntype: disk\nfiles_dir: a\nexpected_uuid: 3d2b\n", "not 3d2b"),
        (
            (
                "id: far\ntype: boto3\nauth: {access_key: a, secret_key: b}\nbucket: {name: c}\n"
                "connection: {endpoint_url: 'http://127.0.0.1:9', attempts: 1, timeout_seconds: 2}\n"
            ),
            "the new store 'far' cannot be made",
        ),
    ],
)
def test_what_cannot_be_served_is_told(
    tmp_path: Path, database: SqliteDatabase, text: str, words: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((ConfigError, StoreUnavailable), match=words):
        enter_stores(database, settings_of(tmp_path, text))
    assert stores.every(database) == []


PAIR = "type: replicated\nid: pair\nbackends:\n  - {id: a, type: disk, files_dir: a}\n  - {id: b, type: disk, files_dir: b}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            (
                "type: hierarchical\nbackends:\n  - {type: replicated, id: pair, backends: [{id: a, type: disk, files_dir: "
                "a}]}\n  - {id: b, type: disk, files_dir: b}\nrules:\n  - {store: a, when: {prefix: x}}\n"
            ),
            r"stores.yml:6: new data goes to the replicated store 'pair', not to 'a', a member",
        ),
        (
            (
                "type: replicated\nid: pair\nbackends:\n  - {type: distributed, backends: "
                "[{id: a, type: disk, files_dir: a}]}\n  - {id: b, type: disk, files_dir: b}\n"
            ),
            "stores.yml:4: a member of a replicated store is a store that keeps data",
        ),
        (PAIR.replace("pair", "c"), "stores.yml:1: the id 'c' is that of a disk store in the catalog"),
        (
            "type: hierarchical\nbackends:\n  - {id: d, type: disk, files_dir: d}\n  - {id: e, type: disk, files_dir: e}\n",
            "stores.yml:3: the id 'd' is that of a replicated store in the catalog, and cannot be one that keeps data",
        ),
    ],
)
def test_replicated_stores_that_cannot_be_served(
    tmp_path: Path, database: SqliteDatabase, text: str, words: str
) -> None:
    database.write(lambda tx: stores.add(tx, "c", "disk", "uuid c"))
    database.write(lambda tx: stores.add(tx, "d", "replicated", "uuid d"))
    with pytest.raises(ConfigError, match=words):
        enter_stores(database, settings_of(tmp_path, text))


def test_a_replicated_store_is_one_place(tmp_path: Path, database: SqliteDatabase) -> None:
    settings = settings_of(tmp_path, PAIR)
    enter_stores(database, settings)
    enter_stores(database, settings)
    numbers = {record.name: record.id for record in stores.every(database)}
    assert {(one.group_id, one.store_id) for one in replicas.every(database)} == {
        (numbers["pair"], numbers[name]) for name in "ab"
    }
    live = LiveStores(database, settings)
    service = live.serve(Limits())
    assert service.default_store == numbers["pair"]
    assert live.tree is not None
    assert live.tree.choose(Request()) == ("pair",)
    assert [live.now[numbers[name]].group for name in ("pair", "a", "b")] == [
        None, numbers["pair"], numbers["pair"],
    ]  # fmt: skip
    assert (
        service.family(numbers["b"])
        == service.family(numbers["pair"])
        == tuple(numbers[name] for name in ("pair", "a", "b"))
    )
    assert service.checking(numbers["pair"]) is not None
    database.write(lambda tx: stores.set_state(tx, numbers["b"], "read-only"))
    live.refresh()
    assert live.now[numbers["b"]].state is State.READ_ONLY
    service.store(numbers["a"]).put("key", io.BytesIO(b"bytes"))
    assert service.store(numbers["pair"]).stat("key").size == 5
    with pytest.raises(StoreReadOnly):
        service.store(numbers["pair"]).put("other", io.BytesIO(b"bytes"))
    live.close()
    enter_stores(database, settings_of(tmp_path, "id: a\ntype: disk\nfiles_dir: a\n"))
    assert replicas.every(database) == []


def test_who_may_have_the_only_copy_cannot_leave(tmp_path: Path, database: SqliteDatabase) -> None:
    enter_stores(database, settings_of(tmp_path, PAIR))
    pair, a, b = (
        next(one.id for one in stores.every(database) if one.name == name) for name in ("pair", "a", "b")
    )
    only = {name: settings_of(tmp_path, PAIR.replace("{id: b", "{id: c").replace("{id: a", f"{{id: {name}").replace(
        "files_dir: a", f"files_dir: {name}").replace("files_dir: b", "files_dir: c")) for name in ("a", "b", "d")
    }  # fmt: skip
    with pytest.raises(
        ConfigError, match="a cannot leave the replicated store 'pair': b has not got all copies yet"
    ):
        require_complete(database, only["b"])
    for one in replicas.every(database):
        database.write(lambda tx, one=one: replicas.fill_to(tx, one, None))  # type: ignore[misc]
    require_complete(database, only["b"])
    database.write(lambda tx: replicas.note(tx, pair, b, "x", damaged=False))
    with pytest.raises(ConfigError, match=r"stores.yml:1: a cannot leave .*: 1 copies are still to be made"):
        require_complete(database, only["b"])
    require_complete(database, only["a"])
    database.write(
        lambda tx: tx.run("INSERT INTO garbage (store_id, blob_key, due_ms) VALUES ($1, 'x', 0)", pair)
    )
    with pytest.raises(ConfigError, match=r"a, b cannot leave .*: no other member has its blobs"):
        require_complete(database, only["d"])
    database.write(lambda tx: stores.set_state(tx, a, "offline"))
    require_complete(database, only["b"])


def test_an_identity_in_the_file_must_be_that_of_the_catalog(
    tmp_path: Path, database: SqliteDatabase
) -> None:
    enter_stores(database, two(tmp_path))
    with pytest.raises(ConfigError, match=r"stores.yml:3: the store 'a' has the identity"):
        LiveStores(database, two(tmp_path, first=", expected_uuid: 3d2b"))


def test_a_state_of_the_file_counts_until_one_is_set(tmp_path: Path, database: SqliteDatabase) -> None:
    settings = two(tmp_path, first=", state: draining")
    enter_stores(database, settings)
    live = LiveStores(database, settings)
    number, other = sorted(live.now)
    assert live.now[number].state is State.DRAINING
    database.write(lambda tx: stores.set_state(tx, number, "online"))
    live.refresh()
    assert live.now[number].state is State.ONLINE
    database.write(lambda tx: stores.set_state(tx, other, "offline"))
    live.refresh()
    with pytest.raises(StoreUnavailable):
        live.now[other].store.stat("key")
    again = LiveStores(database, settings)
    assert (again.now[number].state, again.now[other].state) == (State.ONLINE, State.OFFLINE)
    database.write(lambda tx: stores.unset_state(tx, number))
    live.refresh()
    assert live.now[number].state is State.DRAINING
    live.close()
    again.close()


def test_a_single_store_has_states_too(tmp_path: Path, database: SqliteDatabase) -> None:
    settings = Settings(data=tmp_path)
    enter_stores(database, settings)
    live = LiveStores(database, settings)
    service = live.serve(Limits())
    assert isinstance(service.store(service.default_store), Disk), "nothing stands between while it is online"
    database.write(lambda tx: stores.set_state(tx, service.default_store, "read-only"))
    service.tenancy_id("whoever asks next")
    found = service.store(service.default_store)
    assert isinstance(found, Guarded)
    with pytest.raises(StoreReadOnly):
        found.delete("key")
    live.close()


def test_a_change_keeps_the_stores_that_stay(tmp_path: Path, database: SqliteDatabase) -> None:
    settings = two(tmp_path)
    enter_stores(database, settings)
    live = LiveStores(database, settings)
    before = {one.record.name: one.leaf for one in live.now.values()}
    assert not live.apply(settings)
    rules = "rules:\n  - {store: b, when: {prefix: [x/, y/], size: '< 10'}}\n"
    changed = two(tmp_path, "distributed", rules, first=", weight: 2.5")
    assert live.apply(replace(changed))
    assert {one.record.name: one.leaf for one in live.now.values()} == before
    assert live.tree is not None
    assert live.tree.choose(Request(name="y/1", size=9)) == ("b",)
    assert live.tree.choose(Request(name="y/1", size=10)) != ("b",)
    with pytest.raises(ConfigError, match="does not know the stores c yet"):
        live.apply(settings_of(tmp_path, "type: hierarchical\nbackends:\n" + "".join(
            f"  - {{id: {name}, type: disk, files_dir: {name}}}\n" for name in "abc"
        )))  # fmt: skip
    assert live.tree.ids() == ("a", "b")
    live.close()


def test_the_cache_that_a_remote_store_asks_for_is_there(tmp_path: Path, database: SqliteDatabase) -> None:
    settings = settings_of(
        tmp_path,
        "id: far\ntype: boto3\nauth: {access_key: a, secret_key: b}\nbucket: {name: c}\n"
        "connection: {endpoint_url: 'http://127.0.0.1:9', timeout_seconds: 3}\ncache: {path: cache, size: 1}\n",
    )
    database.write(lambda tx: stores.add(tx, "far", "s3", "uuid"))
    live = LiveStores(database, settings)
    [one] = live.now.values()
    assert isinstance(one.store, Guarded)
    assert isinstance(one.store.child, Cached)
    assert one.store.child.far is one.leaf
    assert not one.store.local
    live.close()


def test_a_worker_that_was_not_told_yet_finds_what_another_has_written(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "id: a\ntype: disk\nfiles_dir: a\n")
    arrive(settings, None)
    meters.clear(meters_folder(settings))
    current = [settings]
    wired = build(settings, read_again=lambda: current[0])
    try:
        current[0] = two(tmp_path)
        enter_stores(wired.service.database, current[0])
        other = LiveStores(wired.service.database, current[0])
        [number] = other.now.keys() - wired.live.now.keys()
        other.now[number].store.put("key", io.BytesIO(b"bytes"))
        assert wired.service.store(number).stat("key").size == 5
        with pytest.raises(StoreUnavailable):
            wired.service.store(99)
        other.close()
    finally:
        wired.close()


def test_a_disk_of_a_tree_is_read_with_its_checksums(tmp_path: Path, database: SqliteDatabase) -> None:
    settings = two(tmp_path)
    enter_stores(database, settings)
    live = LiveStores(database, settings)
    service = live.serve(Limits())
    number = service.default_store
    service.store(number).put("key", io.BytesIO(b"bytes" * 1000))
    checking = service.checking(number)
    assert checking is not None
    descriptor, size, sums = checking.open_checked("key")
    os.close(descriptor)
    assert sums is not None
    with pytest.raises(BlobCorrupt):
        sums.check(0, b"other" * 1000)
    assert (size, checking.audit("key").summed) == (5000, True)
    database.write(lambda tx: stores.set_state(tx, number, "offline"))
    live.refresh()
    with pytest.raises(StoreUnavailable):
        checking.audit("key")
    live.close()
