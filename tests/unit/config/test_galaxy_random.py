"""Whatever a file has in it: a spec that survives conversion, or a ConfigError. Nothing else, ever.

`DOLIUM_ROUNDS` multiplies the number of examples.
"""

import contextlib
import os
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dolium.config.convert import to_yaml
from dolium.config.explain import as_json, draw, explain
from dolium.config.galaxy import is_stores_file, read_stores, read_stores_objects
from dolium.config.galaxy_leaves import leaf_options
from dolium.config.galaxy_schema import CHILD, GROUPS, LEAVES
from dolium.config.galaxy_values import Reading
from dolium.config.specs import GALAXY_DEFAULTS
from dolium.config.tree import from_objects
from dolium.errors import ConfigError

ROUNDS = int(os.environ.get("DOLIUM_ROUNDS", "1"))
rounds = settings(
    max_examples=100 * ROUNDS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ENVIRON = {"SOME_KEY": "secret"}


def outcome(file: Path) -> None:
    """Reads, and holds every promise about what was read."""
    try:
        is_stores_file(file)
        spec, notices = read_stores(file, ENVIRON)
    except ConfigError as error:
        if str(file) not in error.message:
            pytest.fail(f"names no file: {error.message}")
        return
    assert all(notice.place.file == str(file) for notice in notices)
    again = file.with_name("again.yml")
    again.write_text(to_yaml(spec))
    assert read_stores(again, ENVIRON).spec == spec
    assert draw(spec)
    assert explain(spec)
    assert as_json(spec)["root"]
    for leaf in spec.leaves():
        leaf_options(leaf)


@rounds
@given(data=st.binary(max_size=200), suffix=st.sampled_from(["xml", "yml"]))
@example(data=b'type: "\\UFFFFFFFF"', suffix="yml")
@example(data=b"[" * 5000, suffix="yml")
@example(data=b"- " * 5000, suffix="yml")
@example(data=b"<a>" * 5000, suffix="xml")
@example(data=b'<?xml version="1.0" encoding="utf-7"?><object_store type="disk"/>', suffix="xml")
@example(
    data='<?xml version="1.0" encoding="utf-16"?><object_store type="disk"/>'.encode("utf-16"), suffix="xml"
)
@example(data=b"&a [*a]", suffix="yml")
@example(data=b"type: &a disk\n<<: {<<: {files_dir: *a}}", suffix="yml")
def test_bytes(data: bytes, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"stores.{suffix}"
    file.write_bytes(data)
    outcome(file)


SECTIONS = {
    key: keys for leaf in LEAVES.values() for key, keys in leaf.keys.items() if isinstance(keys, dict)
}
WORDS = st.sampled_from(
    ["a", "b", "1", "0", "90", "-1", "true", "no", "", "/data", "uuid", "disk", "env:SOME_KEY", "env:NOT", "file:x",
     "https://h:1", "h", "online", "10 GiB", "< 5 MB", "aws", "azure", "é\u2028", "&<>\"'", "nan", "1e999", "{}", "*"]
)  # fmt: skip
VALUES = st.one_of(WORDS, st.integers(-5, 1000), st.floats(), st.booleans(), st.none(), st.text(max_size=5))


SAMPLES: list[Any] = [
    "a", "b/c", "uuid", "id", "strict", "auto", "online", "draining", "1", "3", "aws", "google", "https://h:1/x", "é &<>",
    "env:SOME_KEY", "10 GiB", True, False, 0, 1, 7, 90, 2.5,
]  # fmt: skip


def fitting(reader: Any) -> st.SearchStrategy[Any]:
    """Values that the reader takes, mostly."""
    if reader is None:
        return VALUES
    found = []
    for sample in SAMPLES:
        with contextlib.suppress(ConfigError):
            reader(Reading("", ENVIRON, GALAXY_DEFAULTS), from_objects(sample))
            found.append(sample)
    return mostly(st.sampled_from(found), VALUES) if found else VALUES


def mostly(strategy: st.SearchStrategy[Any], otherwise: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 39).flatmap(lambda n: otherwise if n == 0 else strategy)


@st.composite
def stores(draw_: st.DrawFn, depth: int = 2, *, child: bool = False) -> dict[str, Any]:
    kinds = [*LEAVES, *GROUPS] if depth else [*LEAVES]
    kind = draw_(mostly(st.sampled_from(kinds), st.sampled_from(["irods", "dsk"])))
    known = GROUPS.get(kind) or (LEAVES[kind].keys if kind in LEAVES else {})
    names = [name for name in known if name not in ("type", "badges", "extra_dirs")]
    chosen = draw_(st.lists(st.sampled_from(names or ["x"]), max_size=5, unique=True))
    found: dict[str, Any] = {"type": kind}
    for section, _, key in (need.partition(".") for need in (LEAVES[kind].needs if kind in LEAVES else ())):
        found.setdefault(section, {}).update({key: "https://h"} if key else {})
        if not key:
            found[section] = draw_(st.sampled_from(["aws", "azure", "google"]))
    for name in chosen:
        keys = known.get(name)
        if isinstance(keys, dict):
            inner = {
                one: draw_(fitting(keys[one])) for one in draw_(st.sets(st.sampled_from([*keys]), max_size=4))
            }
            found[name] = {**(found.get(name) or {}), **inner}
        elif name not in found:
            found[name] = draw_(fitting(known.get(name)))
    if draw_(st.integers(0, 15)) == 0:
        found[draw_(st.sampled_from(["order", "weight", "rules", "acess_key", "backends"]))] = draw_(VALUES)
    if child:
        found |= draw_(
            st.fixed_dictionaries({"id": st.integers(0, 999).map("id{}".format), "weight": st.integers(0, 3)})
        )
        for name in draw_(st.sets(st.sampled_from([*CHILD]), max_size=1)):
            found.setdefault(name, draw_(fitting(CHILD[name])))
    if kind in GROUPS:
        found["backends"] = draw_(st.lists(stores(depth=depth - 1, child=True), min_size=1, max_size=3))
    return found


@rounds
@given(config=stores())
def test_trees(config: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "stores.yml"
    file.write_text(yaml.safe_dump(config, allow_unicode=True))
    outcome(file)
    try:
        spec = read_stores_objects(config, ENVIRON).spec
    except ConfigError:
        return
    assert read_stores(file, ENVIRON).spec == spec


def element(name: str, config: dict[str, Any], order: int) -> str:
    """The same store as XML: what is a section or a list there is an element here."""
    attributes, inner = [("order", str(order))], []
    for key, value in config.items():
        if key == "backends" and isinstance(value, list):
            inside = "".join(element("backend", one, at) for at, one in enumerate(value))
            inner.append(f"<backends>{inside}</backends>")
        elif isinstance(value, dict):
            said = "".join(f" {one}={quoteattr(text(two))}" for one, two in value.items())
            inner.append(f"<{key}{said}/>")
        elif key == "files_dir":
            inner.append(f"<files_dir path={quoteattr(text(value))}/>")
        elif key == "description":
            inner.append(f"<description>{quoteattr(text(value))}</description>")
        else:
            attributes.append(({"max_percent_full": "maxpctfull"}.get(key, key), text(value)))
    return f"<{name}{''.join(f' {key}={quoteattr(value)}' for key, value in dict(attributes).items())}>{''.join(inner)}</{name}>"


def text(value: Any) -> str:
    return "".join(letter for letter in str(value) if letter.isprintable() and letter < "\U00010000")


@rounds
@given(config=stores())
def test_xml(config: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "stores.xml"
    file.write_text(element("object_store", config, 0))
    outcome(file)


def test_the_random_trees_are_often_sound(tmp_path: Path) -> None:
    """Otherwise the tests above prove little."""
    sound = []

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(config=stores())
    def count(config: dict[str, Any]) -> None:
        try:
            read_stores_objects(config, ENVIRON)
        except ConfigError:
            return
        sound.append(config["type"])

    count()
    assert len(sound) >= 20
    assert len(set(sound)) >= 6


@pytest.mark.parametrize("value", [object(), {"type": {1, 2}}, {"type": "disk", "files_dir": b"/a"}])
def test_what_no_file_can_hold_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError):
        read_stores_objects(value, {})
