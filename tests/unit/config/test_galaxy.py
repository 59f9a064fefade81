"""Golden pairs: NAME.xml or NAME.yml gives the spec and notices in NAME.json, or is refused with the words in
NAME.err. `python -m tests.unit.config.test_galaxy` writes them anew, to be read before they are kept.
"""

import dataclasses
import importlib
import json
from pathlib import Path

import pytest

from dolium.config.convert import to_objects, to_yaml
from dolium.config.explain import as_json
from dolium.config.galaxy import ReadStores, read_stores, read_stores_objects
from dolium.config.galaxy_leaves import leaf_options
from dolium.config.specs import CacheSpec, GalaxyDefaults, GroupSpec, LeafSpec, Shard, StoresSpec
from dolium.errors import ConfigError
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.registry import LEAVES, build_leaf
from dolium.values import Secret

FOLDER = Path(__file__).parents[2] / "config" / "galaxy"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in {".xml", ".yml"})
GOOD = [path for path in FILES if path.with_suffix(".json").exists()]
ENVIRON = {"SOME_KEY": "the-secret-in-clear", "SOME_NAME": "ada"}


def outcome(path: Path) -> tuple[str, str]:
    """(suffix of the golden file, its text), with the folder left out of paths."""
    try:
        spec, notices = read_stores(path, ENVIRON)
    except ConfigError as error:
        return ".err", error.message.replace(f"{FOLDER}/", "") + "\n"
    found = {"notices": [str(notice) for notice in notices], **as_json(spec)}
    return ".json", json.dumps(found, indent=2, ensure_ascii=False).replace(f"{FOLDER}/", "") + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    suffix, text = outcome(path)
    assert path.with_suffix(suffix).read_text() == text
    assert "the-secret-in-clear" not in text
    assert "my-super-extra-top-secret-key" not in text


def test_every_pair_is_whole() -> None:
    stems = {path.stem for path in FILES}
    assert {path.stem for path in FOLDER.iterdir()} - {"secret"} == stems
    assert len(stems) == len(FILES)
    assert len([path for path in FOLDER.iterdir() if path.suffix in {".err", ".json"}]) == len(FILES)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_every_option_is_one_of_the_leaf(path: Path) -> None:
    for leaf in read_stores(path, ENVIRON)[0].leaves():
        module = importlib.import_module(LEAVES[leaf.kind].partition(":")[0])
        assert leaf_options(leaf).keys() <= {field.name for field in dataclasses.fields(module.Options)}, (
            leaf.id
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_refusal_names_file_and_line(path: Path) -> None:
    suffix, text = outcome(path)
    if suffix == ".err":
        lineless = {"bad_encoding.xml", "y_bad_blank.yml", "y_bad_escape.yml"}
        line = "" if path.name in lineless else r"\d+:"
        assert text.startswith(f"{path.name}:")
        assert bool(line) == text.removeprefix(f"{path.name}:")[0].isdigit()


@pytest.mark.parametrize("resolve", [True, False])
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_converted_and_read_again_it_is_the_same(path: Path, tmp_path: Path, *, resolve: bool) -> None:
    spec, _ = read_stores(path, ENVIRON, resolve=resolve)
    (tmp_path / "secret.txt").write_text("from-a-file\n")
    (tmp_path / "converted.yml").write_text(to_yaml(spec))
    again, _ = read_stores(tmp_path / "converted.yml", ENVIRON, resolve=resolve)
    assert again == spec
    assert read_stores_objects(to_objects(spec), ENVIRON | {}, name=str(path)).spec == read(path).spec


def read(path: Path) -> ReadStores:
    return read_stores(path, ENVIRON)


def test_every_leaf_that_galaxys_hierarchy_names_private_is_so() -> None:
    spec = read(FOLDER / "remote_ours.yml").spec
    assert {leaf.galaxy.private for leaf in spec.leaves()} == {True}
    assert {leaf.galaxy.quota.source for leaf in spec.leaves()} == {"cold"}


def test_stores_are_found_by_id() -> None:
    spec: StoresSpec = read(FOLDER / "nested_odd.xml").spec
    primary = spec.find("primary")
    assert isinstance(primary, GroupSpec)
    assert [leaf.id for leaf in spec.leaves()] == ["new1", "new2", "ro", "old-files"]
    assert spec.find("new2") is primary.children[1].spec
    assert spec.find("absent") is None


def test_an_id_of_its_own_does_not_change_with_what_stands_around(tmp_path: Path) -> None:
    before = "<object_store type='hierarchical'><backends>{}</backends></object_store>"
    old = "<backend type='disk' order='5'><files_dir path='/data'/></backend>"
    new = "<backend type='disk' order='0'><files_dir path='/data2'/></backend>"
    ids = []
    for number, text in enumerate((before.format(old), before.format(new + old))):
        file = tmp_path / f"{number}.xml"
        file.write_text(text)
        ids.append([leaf.id for leaf in read(file).spec.leaves()])
    assert ids == [["data"], ["data2", "data"]]


def test_the_options_of_a_leaf_are_those_of_its_kind(tmp_path: Path) -> None:
    file = tmp_path / "stores.yml"
    file.write_text(f"type: disk\nfiles_dir: {tmp_path}/a\nmin_free: 1 GiB\ndurability: relaxed\nid: d\n")
    [leaf] = read(file).spec.leaves()
    store = build_leaf(leaf.kind, leaf_options(leaf), store_id=leaf.id)
    assert isinstance(store, Disk)
    assert store.store_id == "d"
    store.close()
    options = Options(**leaf_options(leaf))  # type: ignore[arg-type]
    assert (options.root, options.min_free_bytes, options.durability) == (tmp_path / "a", 1 << 30, "relaxed")


def test_secrets_come_as_secrets_and_names_as_text() -> None:
    boto = read(FOLDER / "remote.xml").spec.find("boto")
    assert isinstance(boto, LeafSpec)
    options = leaf_options(boto)
    assert options["access_key"] == "ada"
    assert options["secret_key"] == Secret("the-secret-in-clear")
    unread = read_stores(FOLDER / "remote.xml", {}, resolve=False).spec.find("boto")
    assert isinstance(unread, LeafSpec)
    with pytest.raises(ConfigError, match=r"remote\.xml:9: env:SOME_NAME was not resolved"):
        leaf_options(unread)


def test_galaxys_own_values_fill_in_what_the_file_leaves_open(tmp_path: Path) -> None:
    file = tmp_path / "stores.xml"
    file.write_text(
        "<object_store type='hierarchical'><backends><backend id='a' type='disk' order='0'/>"
        "<backend id='b' type='s3' order='1'><bucket name='b'/></backend></backends></object_store>"
    )
    defaults = GalaxyDefaults(file_path=Path("/f"), cache_path=Path("/c"), cache_size=2, store_by="uuid")
    first, second = read_stores(file, {}, defaults=defaults).spec.leaves()
    assert first.options["root"] == Path("/f")
    assert (first.galaxy.files_dir, first.galaxy.store_by) == (None, "uuid")
    assert second.cache == CacheSpec((Shard(Path("/c"), 1, 2 << 30),), written=False)
    text = to_yaml(read_stores(file, {}, defaults=defaults).spec)
    assert "/f" not in text
    assert "uuid" not in text


def test_relative_paths_start_where_they_are_told_to(tmp_path: Path) -> None:
    spec, _ = read_stores(FOLDER / "disk.yml", {}, base=tmp_path)
    [leaf] = spec.leaves()
    assert leaf.options["root"] == tmp_path / "database" / "objects"


@pytest.mark.parametrize(
    ("bounds", "first", "below"),
    [
        ("'< 1 KiB'", 0, 1024),
        ("'<= 1 KiB'", 0, 1025),
        ("'> 1 KiB'", 1025, None),
        ("'>=1024'", 1024, None),
        ("['>= 1', '< 3', '< 2', '> 0']", 1, 2),
    ],
)
def test_sizes_of_rules(bounds: str, first: int, below: int | None, tmp_path: Path) -> None:
    file = tmp_path / "stores.yml"
    file.write_text(f"type: disk\nid: a\nrules: [{{store: a, when: {{size: {bounds}}}}}]\n")
    [rule] = read(file).spec.rules
    assert (rule.when.size_from, rule.when.size_below, rule.only) == (first, below, True)


def _write() -> None:
    for golden in (*FOLDER.glob("*.json"), *FOLDER.glob("*.err")):
        golden.unlink()
    for path in FILES:
        suffix, text = outcome(path)
        path.with_suffix(suffix).write_text(text)


if __name__ == "__main__":
    _write()
