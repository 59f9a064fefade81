"""YAML, or plain objects, as a plain tree that remembers file and line; `tree_xml` gives the same tree of XML.

A table has named entries, a list has nodes, a scalar is text and the kind of value that YAML sees in it. Anchors are
followed and merge keys (`<<`) are merged. Refused with file and line: what is not YAML, a key twice, an anchor inside
itself, and what grows beyond any configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import yaml
from yaml.nodes import MappingNode, ScalarNode, SequenceNode
from yaml.nodes import Node as YamlNode

from dolium.errors import ConfigError

__all__ = ["Entry", "Items", "Node", "Scalar", "Table", "compose", "from_objects", "from_yaml", "read_bytes"]

MAX_DEPTH: Final = 40
_MAX_NODES: Final = 50_000
_MAX_BYTES: Final = 4 << 20
_LOADER: Final = yaml.SafeLoader

Kind = Literal["text", "int", "float", "bool", "null", "loose", "other"]
Form = Literal["key", "attribute", "element"]

_KINDS: Final[Mapping[str, Kind]] = {
    "str": "text",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class Scalar:
    """`kind` is loose in XML, where all values are text and each reader knows what it wants."""

    text: str
    kind: Kind
    line: int


@dataclass(frozen=True, slots=True)
class Items:
    nodes: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A value under its name. `written` is the name in the file: in XML `extra_dir` for `extra_dirs`."""

    written: str
    form: Form
    node: Node
    line: int


@dataclass(frozen=True, slots=True)
class Table:
    """`examples`: how many roots stand one after the other in this one, as in Galaxy's sample; 1 normally."""

    entries: Mapping[str, Entry]
    line: int
    examples: int = 1


Node: TypeAlias = Scalar | Items | Table


def read_bytes(file: Path) -> bytes:
    """The file, if it can be a configuration. Raises ConfigError."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(file)) from error
    if len(data) > _MAX_BYTES:
        raise ConfigError("is too large for a configuration", file=str(file))
    return data


def compose(data: bytes, file: str) -> YamlNode | None:
    """YAML's own nodes of the one document, which know their lines; None for an empty file. Raises ConfigError."""
    try:
        return yaml.compose(data.decode("utf-8-sig"), Loader=_LOADER)
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8", file=file) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(f"is not YAML: {error.problem or error.context}", file=file, line=line) from error
    except (
        yaml.YAMLError,
        ValueError,
        OverflowError,
    ) as error:  # the last two: \U escapes that are no letter
        raise ConfigError("is not YAML", file=file) from error
    except RecursionError as error:
        raise ConfigError("is nested too deeply", file=file) from error


def from_yaml(node: YamlNode, file: str) -> Node:
    """The tree of a node and what is below it. Raises ConfigError."""
    return _Yaml(file).node(node, ())


class _Yaml:
    def __init__(self, file: str) -> None:
        self._file = file
        self._count = 0

    def _wrong(self, node: YamlNode, message: str) -> ConfigError:
        return ConfigError(message, file=self._file, line=node.start_mark.line + 1)

    def node(self, node: YamlNode, above: tuple[YamlNode, ...]) -> Node:
        self._count += 1
        if self._count > _MAX_NODES:
            raise self._wrong(node, "anchors and aliases make this grow too large")
        if any(node is one for one in above):
            raise self._wrong(node, "this anchor contains itself")
        if len(above) > MAX_DEPTH:
            raise self._wrong(node, "is nested too deeply")
        line = node.start_mark.line + 1
        if isinstance(node, ScalarNode):
            return Scalar(str(node.value), _KINDS.get(str(node.tag).rpartition(":")[2], "other"), line)
        if isinstance(node, SequenceNode):
            return Items(tuple(self.node(one, (*above, node)) for one in node.value), line)
        assert isinstance(node, MappingNode)
        return self._table(node, above)

    def _table(self, node: MappingNode, above: tuple[YamlNode, ...]) -> Table:
        own = [(key, value) for key, value in node.value if not _is_merge(key)]
        # Galaxy's sample has all its examples in one mapping; to YAML's loader the last of each key counts.
        examples = 1 if above else max(1, sum(getattr(key, "value", None) == "type" for key, _ in own))
        entries: dict[str, Entry] = {}
        for key, value in node.value:
            if _is_merge(key):
                entries |= self._merged(value, (*above, node))
        seen: set[str] = set()
        for key, value in own:
            if not isinstance(key, ScalarNode):
                raise self._wrong(key, "a key must be a word")
            name = str(key.value)
            if name in seen and examples == 1:
                raise self._wrong(key, f"the key {name!r} stands here twice")
            seen.add(name)
            entries[name] = Entry(name, "key", self.node(value, (*above, node)), key.start_mark.line + 1)
        return Table(entries, node.start_mark.line + 1, examples)

    def _merged(self, value: YamlNode, above: tuple[YamlNode, ...]) -> dict[str, Entry]:
        """What `<<` brings in: of a list, the first that has a key gives it."""
        entries: dict[str, Entry] = {}
        for one in reversed(value.value if isinstance(value, SequenceNode) else [value]):
            if not isinstance(one, MappingNode):
                raise self._wrong(one, "<< takes a mapping, or a list of them")
            table = self.node(one, above)
            assert isinstance(table, Table)
            entries |= table.entries
        return entries


def _is_merge(key: YamlNode) -> bool:
    return isinstance(key, ScalarNode) and key.tag == "tag:yaml.org,2002:merge"


def from_objects(value: object, *, depth: int = 0) -> Node:
    """The tree of dictionaries, lists and plain values, as `to_dict` gives them. Lines are 0. Raises ConfigError."""
    if depth > MAX_DEPTH:
        raise ConfigError("is nested too deeply")
    if value is None:
        return Scalar("", "null", 0)
    if isinstance(value, bool):
        return Scalar("true" if value else "false", "bool", 0)
    if isinstance(value, int):
        return Scalar(str(value), "int", 0)
    if isinstance(value, float):
        return Scalar(repr(value), "float", 0)
    if isinstance(value, str | Path):
        return Scalar(str(value), "text", 0)
    if isinstance(value, Mapping):
        entries = {
            str(name): Entry(str(name), "key", from_objects(one, depth=depth + 1), 0)
            for name, one in value.items()
        }
        return Table(entries, 0)
    if isinstance(value, Sequence):
        return Items(tuple(from_objects(one, depth=depth + 1) for one in value), 0)
    raise ConfigError(f"a configuration has no value such as {type(value).__name__}")
