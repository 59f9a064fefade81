"""`object_store_conf.xml` as the tree that `tree` gives of YAML: what is an attribute here is a key there.

    <files_dir path="/data"/>                        files_dir: /data
    <extra_dir type="temp" path="/tmp"/>             extra_dirs: [{type: temp, path: /tmp}]
    <badges><faster>text</faster></badges>           badges: [{type: faster, message: text}]
    <backends maxpctfull="90"><backend …/>…          global_max_percent_full: 90, backends: […]
    <rules><rule store="a"><when bucket="b"/>…       rules: [{store: a, when: {bucket: b}}]
    <cache><dirs><dir path="/c" size="9"/>…          cache: {dirs: [{path: /c, size: 9}]}
    <cache path="/c" size="1000"/>, and all others   cache: {path: /c, size: 1000}

`<backend>` and `<object_store>` are the same. A root that is `<backends>` is the file of Galaxy's old option
`distributed_object_store_config_file`. A DTD is refused, and with it every entity.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final
from xml.parsers import expat

from dolium.config.tree import MAX_DEPTH, Entry, Items, Node, Scalar, Table
from dolium.errors import ConfigError

__all__ = ["XML_NAMES", "read_xml"]

STORES: Final = frozenset({"backend", "object_store"})
_RENAMED: Final = {"maxpctfull": "max_percent_full"}
_ELEMENTS: Final = frozenset(
    {"auth", "backends", "badges", "bucket", "cache", "connection", "container", "description", "extra_dir",
     "files_dir", "quota", "rules", "transfer"}
)  # fmt: skip
_ELSEWHERE: Final = {
    "search_for_missing": "search_for_missing stands on <backends>",
    "global_max_percent_full": "in XML it is maxpctfull, on <backends>",
    "max_percent_full": "in XML it is maxpctfull",
    "extra_dirs": "in XML it is an element, <extra_dir type=… path=…/>",
}
_BACKENDS: Final = {"maxpctfull": "global_max_percent_full", "search_for_missing": "search_for_missing"}

XML_NAMES: Final[Mapping[str, str]] = {
    "max_percent_full": "maxpctfull",
    "global_max_percent_full": "maxpctfull",
    "extra_dirs": "extra_dir",
}
"""Names that differ: key in YAML -> name in XML."""


class _Element:
    __slots__ = ("attributes", "children", "line", "name", "pieces")

    def __init__(self, name: str, line: int, attributes: dict[str, tuple[str, int]]) -> None:
        self.name = name
        self.line = line
        self.attributes = attributes
        self.pieces: list[str] = []
        self.children: list[_Element] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces).strip()


def read_xml(data: bytes, file: str) -> Table:
    """The root store. Raises ConfigError."""
    return _Shaper(file).root(_parse(data, file))


def _parse(data: bytes, file: str) -> _Element:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.ordered_attributes = True
    root: list[_Element] = []
    above: list[_Element] = []

    def wrong(message: str) -> ConfigError:
        return ConfigError(message, file=file, line=parser.CurrentLineNumber)

    def start(name: str, pairs: list[str]) -> None:
        if len(above) > MAX_DEPTH:
            raise wrong("is nested too deeply")
        line, at = parser.CurrentLineNumber, parser.CurrentByteIndex
        attributes = {
            key: (value, line + _lines_before(data, at, key))
            for key, value in zip(pairs[::2], pairs[1::2], strict=True)
        }
        element = _Element(name, line, attributes)
        (above[-1].children if above else root).append(element)
        above.append(element)

    def end(_name: str) -> None:
        above.pop()

    def characters(text: str) -> None:
        above[-1].pieces.append(text)

    def doctype(*_: object) -> None:
        raise wrong("a DOCTYPE is not read, since it could bring in entities; remove it")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ConfigError(
            f"is not XML: {expat.ErrorString(error.code)}", file=file, line=error.lineno
        ) from error
    except (LookupError, ValueError) as error:  # an encoding that is none, or that expat cannot take
        raise ConfigError("is in an encoding that cannot be read; save it as UTF-8", file=file) from error
    return root[0]


def _lines_before(data: bytes, start: int, attribute: str) -> int:
    """How many lines below the start of its tag an attribute stands: expat tells only where the tag begins."""
    found = re.search(rb"\s" + re.escape(attribute.encode()) + rb"\s*=", data[start : start + 65536])
    return 0 if found is None else data.count(b"\n", start, start + found.start() + 1)


class _Shaper:
    def __init__(self, file: str) -> None:
        self._file = file
        self._shapes: Mapping[str, Callable[[_Element], Node]] = {
            "badges": self._badges,
            "cache": self._cache,
            "rules": self._rules,
            "files_dir": self._path,
            "description": self._text,
        }

    def _wrong(self, element: _Element, message: str) -> ConfigError:
        return ConfigError(message, file=self._file, line=element.line)

    def root(self, element: _Element) -> Table:
        name, known = element.name, element.attributes
        legacy = any(child.name in STORES for child in element.children)
        if name == "backends" or (name in STORES and "type" not in known and legacy):
            entries: dict[str, Entry] = {}
            kind = "distributed"
            if "type" in known:
                kind = known.pop("type")[0]
            entries["type"] = Entry("type", "attribute", Scalar(kind, "loose", element.line), element.line)
            self._backends(element, entries)
            return Table(entries, element.line)
        if name not in STORES:
            raise self._wrong(
                element,
                f"the root is <{name}>; expected <object_store type=…>, or <backends> in the old form",
            )
        return self._store(element)

    def _store(self, element: _Element) -> Table:
        entries = {}
        for name, (value, line) in element.attributes.items():
            if name in _ELSEWHERE or name in _ELEMENTS:
                hint = _ELSEWHERE.get(name, f"{name} is an element of its own, <{name} …>")
                raise ConfigError(
                    f"<{element.name}> has no attribute {name!r}; {hint}", file=self._file, line=line
                )
            entries[_RENAMED.get(name, name)] = self._attribute(name, value, line)
        extra_dirs: list[Node] = []
        for child in element.children:
            if child.name == "extra_dir":
                extra_dirs.append(self._flat(child))
                first = entries.get("extra_dirs")
                line = first.line if first else child.line
                entries["extra_dirs"] = Entry("extra_dir", "element", Items(tuple(extra_dirs), line), line)
                continue
            if child.name in STORES:
                raise self._wrong(
                    child, f"<{child.name}> belongs into <backends>, which is missing around it"
                )
            if child.name in _ELSEWHERE:
                raise self._wrong(child, f"there is no <{child.name}>; {_ELSEWHERE[child.name]}")
            taken = entries.get(child.name)
            if taken is not None:
                raise self._wrong(child, f"<{child.name}> stands here twice, first in line {taken.line}")
            if child.name == "backends":
                self._backends(child, entries)
                continue
            shape = self._shapes.get(child.name, self._flat if child.name in _ELEMENTS else self._any)
            entries[child.name] = Entry(child.name, "element", shape(child), child.line)
        self._no_text(element)
        return Table(entries, element.line)

    def _backends(self, element: _Element, entries: dict[str, Entry]) -> None:
        for name, (value, line) in element.attributes.items():
            if name not in _BACKENDS:
                raise ConfigError(
                    f"<backends> has no attribute {name!r}, only {' and '.join(sorted(_BACKENDS))}; "
                    "all others stand on <object_store> or <backend>",
                    file=self._file,
                    line=line,
                )
            entries[_BACKENDS[name]] = self._attribute(name, value, line)
        self._no_text(element)
        stores = []
        for child in element.children:
            if child.name not in STORES:
                raise self._wrong(child, f"<backends> holds <backend> or <object_store>, not <{child.name}>")
            stores.append(self._store(child))
        items = Items(tuple(stores), element.line)
        entries["backends"] = Entry("backends", "element", items, element.line)

    def _attribute(self, name: str, value: str, line: int) -> Entry:
        return Entry(name, "attribute", Scalar(value.strip(), "loose", line), line)

    def _flat(self, element: _Element) -> Table:
        """An element of attributes only."""
        if element.children:
            raise self._wrong(
                element.children[0],
                f"<{element.name}> holds no <{element.children[0].name}>, only attributes",
            )
        self._no_text(element)
        return Table(
            {name: self._attribute(name, value, line) for name, (value, line) in element.attributes.items()},
            element.line,
        )

    def _cache(self, element: _Element) -> Table:
        """Attributes, and folders in `<dirs>`."""
        entries = {
            name: self._attribute(name, value, line) for name, (value, line) in element.attributes.items()
        }
        for child in element.children:
            if child.name != "dirs" or "dirs" in entries:
                raise self._wrong(child, "a <cache> holds one <dirs>, with a <dir …/> for each folder, only")
            self._no_attributes(child)
            for one in child.children:
                if one.name != "dir":
                    raise self._wrong(one, f"<dirs> holds <dir>, not <{one.name}>")
            items = Items(tuple(self._flat(one) for one in child.children), child.line)
            entries["dirs"] = Entry("dirs", "element", items, child.line)
        self._no_text(element)
        return Table(entries, element.line)

    def _any(self, element: _Element) -> Node:
        """An element that is not known here; who reads the tree says what was meant."""
        if element.attributes or element.children:
            return Table({}, element.line)
        return Scalar(element.text, "loose", element.line)

    def _path(self, element: _Element) -> Scalar:
        if set(element.attributes) != {"path"} or element.children or element.text:
            raise self._wrong(element, f'a <{element.name}> is written <{element.name} path="…"/>')
        value, line = element.attributes["path"]
        return Scalar(value.strip(), "loose", line)

    def _text(self, element: _Element) -> Scalar:
        if element.attributes or element.children:
            raise self._wrong(element, f"a <{element.name}> holds text only")
        return Scalar(element.text, "loose", element.line)

    def _badges(self, element: _Element) -> Items:
        self._no_attributes(element)
        return Items(tuple(self._badge(child) for child in element.children), element.line)

    def _badge(self, element: _Element) -> Table:
        message = self._text(element)
        entries = {
            "type": Entry("type", "element", Scalar(element.name, "loose", element.line), element.line)
        }
        if message.text:
            entries["message"] = Entry("message", "element", message, element.line)
        return Table(entries, element.line)

    def _rules(self, element: _Element) -> Items:
        self._no_attributes(element)
        return Items(tuple(self._rule(child) for child in element.children), element.line)

    def _rule(self, element: _Element) -> Table:
        if element.name != "rule":
            raise self._wrong(element, f"<rules> holds <rule>, not <{element.name}>")
        entries = {
            name: self._attribute(name, value, line) for name, (value, line) in element.attributes.items()
        }
        for child in element.children:
            if child.name != "when" or "when" in entries:
                raise self._wrong(child, "a <rule> holds one <when>, and nothing else")
            entries["when"] = Entry("when", "element", self._when(child), child.line)
        self._no_text(element)
        return Table(entries, element.line)

    def _when(self, element: _Element) -> Table:
        """Attributes, or elements of the same name for several values."""
        several: dict[str, list[Scalar]] = {}
        for name, (value, line) in element.attributes.items():
            several[name] = [Scalar(value.strip(), "loose", line)]
        for child in element.children:
            several.setdefault(child.name, []).append(self._text(child))
        self._no_text(element)
        return Table(
            {
                name: Entry(name, "attribute", Items(tuple(found), found[0].line), found[0].line)
                for name, found in several.items()
            },
            element.line,
        )

    def _no_text(self, element: _Element) -> None:
        if element.text:
            raise self._wrong(
                element, f"<{element.name}> holds text that belongs nowhere: {element.text[:40]!r}"
            )

    def _no_attributes(self, element: _Element) -> None:
        if element.attributes:
            raise self._wrong(
                element, f"<{element.name}> has no attribute {next(iter(element.attributes))!r}"
            )
        self._no_text(element)
