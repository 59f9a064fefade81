"""A backup, where there are several stores: each folder is held to its identity, and what is odd is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from dolium.catalog import replicas
from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.galaxy import read_stores
from dolium.config.specs import StoresSpec
from dolium.errors import Conflict
from dolium.movers.repairs import Repairs
from dolium.server.first_run import arrive
from dolium.server.restoring import restore
from tests.unit.server.world import FILE, KEY, World, told


def disk(folder: Path, name: str, root: str = "") -> str:
    return f"{{id: {name}, type: disk, files_dir: {folder / (root or name)}}}"


def tree(folder: Path, kind: str, *ids: str, roots: dict[str, str] | None = None) -> StoresSpec:
    file = folder / "stores.yml"
    stores = [disk(folder, name, (roots or {}).get(name, "")) for name in ids]
    file.write_text(f"type: {kind}\nid: group\nbackends:\n" + "".join(f"  - {store}\n" for store in stores))
    return read_stores(file, {}, base=folder).spec


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, stores=tree(tmp_path, "replicated", "a", "b"))


def test_the_stores_of_the_backup_are_as_they_should_be(world: World, tmp_path: Path) -> None:
    Repairs(world.service, 0, lambda _: False).work(everything=True)
    about = world.back_up()
    assert [one.place for one in replicas.every(world.database)] == [None, None]
    world.service.close()
    assert restore(world.settings, about.file).store == ""
    database = SqliteDatabase(world.data)
    assert [one.place for one in replicas.every(database)] == ["", ""], "what was missed since is not known"
    database.close()
    (tmp_path / "b").rename(tmp_path / "aside")
    assert f"b in {tmp_path / 'b'}: " in restore(world.settings, about.file).store
    (tmp_path / "aside").rename(tmp_path / "b")
    more = replace(world.settings, stores=tree(tmp_path, "replicated", "a", "b", "c"))
    assert "c in" in restore(more, about.file).store
    World(tmp_path / "other", stores=tree(tmp_path, "hierarchical", "c")).service.close()
    assert "newer than the backup" in restore(more, about.file).store


def test_the_folders_of_others_are_refused(world: World, tmp_path: Path) -> None:
    about = world.back_up()
    world.service.close()
    swapped = tree(tmp_path, "replicated", "a", "b", roots={"a": "b", "b": "a"})
    with pytest.raises(
        Conflict, match=r"stores.yml:4: in .*/b, the folder of a, lies the store b; the backup knows it"
    ):
        restore(replace(world.settings, stores=swapped), about.file)
    renamed = tree(tmp_path, "replicated", "a", "c", roots={"c": "b"})
    with pytest.raises(Conflict, match="the folder of c, lies the store b; the backup does not know it"):
        restore(replace(world.settings, stores=renamed), about.file)
    World(tmp_path / "other", stores=tree(tmp_path, "hierarchical", "d")).service.close()
    foreign = tree(tmp_path, "replicated", "a", "b", roots={"b": "d"})
    with pytest.raises(Conflict, match="which it does not know; the backup knows it as"):
        restore(replace(world.settings, stores=foreign), about.file)
    with pytest.raises(Conflict, match="it names a, b, group, the configuration d"):
        restore(replace(world.settings, stores=tree(tmp_path, "hierarchical", "d")), about.file)


def test_what_is_newer_than_the_backup_comes_back_once_from_its_copies(world: World, tmp_path: Path) -> None:
    world.put("before", FILE)
    world.back_up()
    world.put("after", FILE + b"after")
    world.upload("parts", FILE, FILE)
    world.lose()
    assert told(world.rebuild(apply=False).plan) == [("brought back", "after"), ("brought back", "parts")]
    world.rebuild()
    assert world.keys() == {"before": FILE, "after": FILE + b"after", "parts": FILE + FILE}
    world.lose(all_of_it=True)
    world.rebuild()
    (tmp_path / "a").rename(tmp_path / "aside")
    assert world.keys() == {"before": FILE, "after": FILE + b"after", "parts": FILE + FILE}


def test_what_lies_in_a_store_that_is_newer_than_the_backup_comes_back(world: World, tmp_path: Path) -> None:
    world.back_up()
    world.service.close()
    file = tmp_path / "stores.yml"
    pair = f"{{id: group, type: replicated, backends: [{disk(tmp_path, 'a')}, {disk(tmp_path, 'b')}]}}"
    file.write_text(f"type: hierarchical\nbackends: [{disk(tmp_path, 'c')}, {pair}]\n")
    world.settings = replace(world.settings, stores=read_stores(file, {}, base=tmp_path).spec)
    arrive(world.settings, KEY)
    world.open()
    world.put("in c", FILE)
    world.lose()
    world.rebuild()
    assert world.keys() == {"in c": FILE}
