"""Readers for one value of a file of stores each, and what reading one file collects.

A reader takes a node and gives a value, or raises ConfigError with file and line. The same readers serve XML, where
every value is text, and YAML, where a value has a kind.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from dolium.config.nodes import parse_size, read_secret
from dolium.config.specs import Credential, GalaxyDefaults, Notice, Place
from dolium.config.tree import Entry, Items, Node, Scalar, Table
from dolium.config.tree_xml import XML_NAMES
from dolium.errors import ConfigError
from dolium.values import Secret

__all__ = [
    "Reading",
    "Schema",
    "boolean",
    "credential",
    "folder",
    "identifier",
    "number",
    "one_of",
    "prefix",
    "public",
    "size",
    "text",
    "texts",
    "url",
    "whole",
]

_TRUE: Final = frozenset({"true", "yes", "on", "y", "t", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "n", "f", "0"})
_TEXT_ELEMENTS: Final = frozenset(
    {"description", "files_dir", "type", "message"}
)  # scalars that XML has as elements
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(slots=True)
class Reading:
    """One file being read.

    `base`: where relative paths start; None leaves them as they stand. `resolve`: references to secrets are
    followed. `notices` grow while reading.
    """

    file: str
    environ: Mapping[str, str]
    defaults: GalaxyDefaults
    base: Path | None = None
    resolve: bool = True
    xml: bool = False
    notices: list[Notice] = field(default_factory=list)

    def wrong(self, line: int, message: str) -> ConfigError:
        return ConfigError(message, file=self.file, line=line)

    def notice(self, line: int, message: str) -> None:
        self.notices.append(Notice(message, Place(self.file, line)))

    def place(self, line: int) -> Place:
        return Place(self.file, line)

    def table(self, node: Node, of: str) -> Table:
        if not isinstance(node, Table):
            raise self.wrong(node.line, f"{of} has keys with values, not {_found(node)}")
        return node

    def name(self, key: str) -> str:
        """A key as it is called in this file."""
        return XML_NAMES.get(key, key) if self.xml else key

    def unknown(self, entry: Entry, known: Iterable[str], of: str, home: str) -> ConfigError:
        """Says what was probably meant: where the key belongs, else a name that is near, else all of them."""
        names = {one: self.name(one) for one in known}
        near = difflib.get_close_matches(entry.written, {*names, *names.values()}, 1, 0.7)
        if home:
            hint = home
        elif near:
            hint = f"did you mean {names.get(near[0], near[0])}?"
        else:
            hint = f"known here: {', '.join(sorted(names.values()))}"
        return self.wrong(entry.line, f"{of} has no {entry.form} {entry.written!r}; {hint}")

    def values(
        self, table: Table, schema: Schema, of: str, home: Home, section: str = ""
    ) -> dict[str, object]:
        """What the table has of the schema, by key; what is empty is as if it were absent."""
        found: dict[str, object] = {}
        for key, entry in table.entries.items():
            if key not in schema:
                raise self.unknown(entry, schema, of, home(key, section))
            if self.is_unset(entry):
                continue
            reader = schema[key]
            if isinstance(reader, Mapping):
                below = self.table(entry.node, key)
                found[key] = self.values(below, reader, f"{key} of {of}", home, key)
            elif entry.form == "element" and isinstance(entry.node, Scalar) and key not in _TEXT_ELEMENTS:
                raise self.wrong(entry.line, f'{key} is written as an attribute: {key}="{entry.node.text}"')
            else:
                found[key] = reader(self, entry.node)
        return found

    def is_unset(self, entry: Entry) -> bool:
        node = entry.node
        if not isinstance(node, Scalar) or node.kind == "null":
            return isinstance(node, Scalar)
        if not node.text.strip() and node.kind in ("loose", "text"):
            if entry.written != "conn_path":  # there it is how people write "none"
                self.notice(entry.line, f"{entry.written} is empty, and taken as not set")
            return True
        return False


Home: TypeAlias = Callable[
    [str, str], str
]  # where a key belongs that is not known in a section ("": a store)
Reader: TypeAlias = Callable[[Reading, Node], object]
Schema: TypeAlias = "Mapping[str, Reader | Schema]"


def _found(node: Node) -> str:
    if isinstance(node, Table):
        return "keys with values"
    if isinstance(node, Items):
        return "a list"
    return "nothing" if node.kind == "null" else repr(node.text)


def _scalar(reading: Reading, node: Node, expected: str, *kinds: str) -> str:
    if not isinstance(node, Scalar) or node.kind not in ("loose", *kinds):
        quotes = ""
        if isinstance(node, Scalar) and kinds == ("text",) and node.kind != "null":
            quotes = "; put it in quotes if this is meant"
        elif isinstance(node, Scalar) and node.kind == "text":
            quotes = " in quotes, which makes it text"
        raise reading.wrong(node.line, f"expected {expected}, found {_found(node)}{quotes}")
    return node.text


def text(reading: Reading, node: Node) -> str:
    value = _scalar(reading, node, "text", "text")
    if "\0" in value:
        raise reading.wrong(node.line, "text with a NUL in it cannot be")
    return value


def identifier(reading: Reading, node: Node) -> str:
    """The id of a store: Galaxy's `object_store_id`, which its database has up to 255 letters of."""
    value = text(reading, node)
    if len(value) > 255 or not value.isprintable() or value != value.strip():
        raise reading.wrong(node.line, f"an id is up to 255 printable letters, not {value[:40]!r}")
    return value


def texts(reading: Reading, node: Node) -> tuple[str, ...]:
    """One text, or a list of them."""
    nodes = node.nodes if isinstance(node, Items) else (node,)
    if not nodes:
        raise reading.wrong(node.line, "expected at least one, found an empty list")
    return tuple(text(reading, one) for one in nodes)


def boolean(reading: Reading, node: Node) -> bool:
    value = _scalar(reading, node, "true or false", "bool").strip().lower()
    if value not in _TRUE | _FALSE:
        raise reading.wrong(node.line, f"expected true or false, found {value!r}")
    return value in _TRUE


def whole(least: int, most: int = 1 << 53, *, quoted: bool = False) -> Callable[[Reading, Node], int]:
    """A whole number. `quoted`: Galaxy takes it in quotes too."""
    kinds = ("int", "text") if quoted else ("int",)

    def read(reading: Reading, node: Node) -> int:
        value = _scalar(reading, node, "a whole number", *kinds).strip()
        if not _WHOLE.fullmatch(value) or not least <= int(value) <= most:
            raise reading.wrong(node.line, f"expected a whole number{_range(least, most)}, found {value!r}")
        return int(value)

    return read


def _range(least: float, most: float) -> str:
    if most < 1 << 53:
        return f" from {least:g} to {most:g}"
    return f" of {least:g} or more" if least > -(1 << 31) else ""


def number(least: float, most: float = math.inf) -> Callable[[Reading, Node], float]:
    """A number, which stays whole if it is."""

    def read(reading: Reading, node: Node) -> float:
        value = _scalar(reading, node, "a number", "int", "float").strip()
        try:
            found = float(value) if value.isascii() else math.nan
        except ValueError:
            found = math.nan
        if not (math.isfinite(found) and least <= found <= most):
            raise reading.wrong(node.line, f"expected a number{_range(least, most)}, found {value!r}")
        return int(found) if found.is_integer() and abs(found) < 1 << 53 else found

    return read


def size(reading: Reading, node: Node) -> int:
    """Bytes, with or without a unit."""
    value = _scalar(reading, node, "a size", "int", "text").strip()
    found = parse_size(value)
    if found is None:
        raise reading.wrong(node.line, f"expected a size such as 500 GiB, 2 TB or 5000000, found {value!r}")
    return found


def one_of(*allowed: str) -> Callable[[Reading, Node], str]:
    def read(reading: Reading, node: Node) -> str:
        value = text(reading, node)
        if value not in allowed:
            near = difflib.get_close_matches(value, allowed, 1, 0.6)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise reading.wrong(node.line, f"expected one of {', '.join(allowed)}, found {value!r}{hint}")
        return value

    return read


def folder(reading: Reading, node: Node) -> Path:
    """A path, from `base` if it is relative."""
    found = Path(text(reading, node))
    return found if reading.base is None else reading.base / found


def url(reading: Reading, node: Node) -> str:
    value = text(reading, node)
    try:
        split = urlsplit(value)
        sound = (
            split.scheme in ("http", "https")
            and bool(split.hostname)
            and (split.port is None or split.port > 0)
        )
    except ValueError:
        sound = False
    if not sound or "@" in split.netloc or split.query or split.fragment:
        raise reading.wrong(node.line, f"expected a URL such as https://host:9000, found {value!r}")
    return value


def prefix(reading: Reading, node: Node) -> str:
    """What stands in front of every key: `a` or `a/b`."""
    value = text(reading, node).removesuffix("/")
    if not value or any(part in ("", ".", "..") for part in value.split("/")):
        raise reading.wrong(node.line, f"expected a prefix such as galaxy or data/galaxy, found {value!r}")
    return value


def _reference(reading: Reading, node: Node, *, public: bool) -> Credential:
    value = text(reading, node)
    here = Path(reading.file).parent
    is_reference = value.startswith(("env:", "file:")) and not value.endswith(":")
    if not is_reference:
        return Credential("", Secret(value), public)
    if not reading.resolve:
        return Credential(value, None, public)
    try:
        return Credential(value, read_secret(value, here, reading.environ), public)
    except ConfigError as error:
        raise reading.wrong(node.line, error.message) from error


def credential(reading: Reading, node: Node) -> Credential:
    """A secret: `env:NAME`, `file:PATH`, or, since Galaxy's files have it so, the secret itself."""
    found = _reference(reading, node, public=False)
    if not found.reference:
        reading.notice(
            node.line, "a secret stands here in the clear; write env:NAME or file:PATH in its place"
        )
    return found


def public(reading: Reading, node: Node) -> Credential:
    """A user name or the id of a key: it may be a reference, and may be shown."""
    return _reference(reading, node, public=True)
