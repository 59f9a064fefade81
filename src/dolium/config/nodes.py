"""Readers for one value of a YAML file each: a node in, a value out, or a ConfigError with its line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dolium.errors import ConfigError
from dolium.values import Secret

__all__ = [
    "Reader",
    "Where",
    "choice",
    "integer",
    "items",
    "parse_size",
    "rate",
    "read_secret",
    "seconds",
    "seconds_or_off",
    "size",
    "switch",
    "text",
]

T = TypeVar("T")

_UNITS = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
}  # fmt: skip
_TIMES = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_OFF = frozenset({"off", "no", "false"})
_SIZE = re.compile(r"([0-9]{1,30})\s*([A-Za-z]*)")


class Where:
    """Where values of one file come from: its name for errors, its folder for relative paths, and the
    environment for `env:` references.
    """

    def __init__(self, file: Path, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ

    def wrong(self, node: Node, message: str) -> ConfigError:
        return ConfigError(message, file=str(self.file), line=node.start_mark.line + 1)

    def unknown_key(self, node: Node, name: str, known: Iterable[str], elsewhere: str = "") -> ConfigError:
        """Names what was probably meant, or, with `elsewhere`, where the key belongs."""
        names = sorted(known)
        near = difflib.get_close_matches(name, names, 1, 0.6)
        hint = f"known here: {', '.join(names)}"
        if elsewhere:
            hint = f"it belongs {elsewhere}"
        elif near:
            hint = f"did you mean {near[0]}?"
        return self.wrong(node, f"unknown key {name!r}; {hint}")

    def path(self, node: Node) -> Path:
        """Relative to the folder of the file."""
        return self.file.parent / text(self, node)

    def secret(self, node: Node) -> Secret:
        """`env:NAME` or `file:PATH`; the secret itself never stands in the file."""
        try:
            found = read_secret(text(self, node), self.file.parent, self.environ)
        except ConfigError as error:
            raise self.wrong(node, error.message) from error
        if found is None:
            raise self.wrong(node, "a secret is a reference, env:NAME or file:PATH, never the secret itself")
        return found


def read_secret(reference: str, folder: Path, environ: Mapping[str, str]) -> Secret | None:
    """What `env:NAME` or `file:PATH` refers to; None for what is no reference. Raises ConfigError."""
    kind, _, rest = reference.partition(":")
    if kind == "env" and rest:
        found = environ.get(rest)
        if not found:
            raise ConfigError(f"the environment variable {rest} is not set")
        return Secret(found)
    if kind == "file" and rest:
        try:
            return Secret((folder / rest).read_text("utf-8").strip())
        except OSError as error:
            raise ConfigError(f"{rest} cannot be read: {error.strerror}") from error
        except ValueError as error:  # not UTF-8, or a name with a NUL
            raise ConfigError(f"{rest} is not text") from error
    return None


Reader = Callable[[Where, Node], T]


def _scalar(where: Where, node: Node, expected: str) -> tuple[str, str]:
    """(value, YAML's tag without its prefix)."""
    if not isinstance(node, ScalarNode):
        found = "a mapping" if isinstance(node, MappingNode) else "a list"
        raise where.wrong(node, f"expected {expected}, found {found}")
    return str(node.value), str(node.tag).rpartition(":")[2]


def text(where: Where, node: Node) -> str:
    value, tag = _scalar(where, node, "text")
    if tag == "null" or not value:
        raise where.wrong(node, "expected text, found nothing")
    if tag != "str":
        raise where.wrong(node, "expected text; put it in quotes if this is meant")
    return value


def integer(least: int, most: int) -> Reader[int]:
    """A whole number from `least` to `most`."""

    def read(where: Where, node: Node) -> int:
        value, tag = _scalar(where, node, "a number")
        if tag != "int" or not value.isdecimal() or len(value) > 18 or not least <= int(value) <= most:
            raise where.wrong(node, f"expected a whole number from {least} to {most}, found {value!r}")
        return int(value)

    return read


def size(where: Where, node: Node) -> int:
    """Bytes: a number, or one with a unit, as in `16 KiB` or `5 GB`."""
    value, _ = _scalar(where, node, "a size")
    found = parse_size(value)
    if found is None:
        raise where.wrong(node, f"expected a size such as 16 KiB, 1 GiB or 5000000, found {value!r}")
    return found


def parse_size(text: str) -> int | None:
    """Bytes, from a number with or without a unit; None for what is no size."""
    match = _SIZE.fullmatch(text)
    if match is None or match[2].upper() not in _UNITS:
        return None
    return int(match[1]) * _UNITS[match[2].upper()]


def seconds(where: Where, node: Node) -> int:
    """A number of seconds, or one with a unit, as in `90s`, `30m`, `1h` or `7d`."""
    value, _ = _scalar(where, node, "a time")
    match = _SIZE.fullmatch(value)
    if match is None or match[2] not in _TIMES:
        raise where.wrong(node, f"expected a time such as 90s, 30m, 1h or 7d, found {value!r}")
    return int(match[1]) * _TIMES[match[2]]


def seconds_or_off(where: Where, node: Node) -> int:
    """As `seconds`; 0 for `off`."""
    value, tag = _scalar(where, node, "a time, or off")
    return 0 if value == "off" or (tag == "bool" and value.lower() in _OFF) else seconds(where, node)


def rate(where: Where, node: Node) -> int:
    """Bytes a second, as in `20 MiB/s`."""
    value, _ = _scalar(where, node, "a rate")
    match = _SIZE.fullmatch(value.removesuffix("/s"))
    if match is None or match[2].upper() not in _UNITS or not int(match[1]):
        raise where.wrong(node, f"expected a rate such as 20MiB/s, found {value!r}")
    return int(match[1]) * _UNITS[match[2].upper()]


def switch(where: Where, node: Node) -> bool:
    """`on` or `off`; to YAML these are true and false, too."""
    value, tag = _scalar(where, node, "on or off")
    if tag != "bool":
        raise where.wrong(node, f"expected on or off, found {value!r}")
    return value.lower() not in _OFF


def choice(*allowed: str) -> Reader[str]:
    """One of some words."""

    def read(where: Where, node: Node) -> str:
        value, _ = _scalar(where, node, "a word")
        if value not in allowed:
            near = difflib.get_close_matches(value, allowed, 1, 0.6)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise where.wrong(node, f"expected one of {', '.join(allowed)}, found {value!r}{hint}")
        return value

    return read


def items(read: Callable[[str], T]) -> Reader[tuple[T, ...]]:
    """A list of texts, or a single one; `read` refuses with a ConfigError, which gets its line here."""

    def read_all(where: Where, node: Node) -> tuple[T, ...]:
        nodes = node.value if isinstance(node, SequenceNode) else [node]
        if not nodes:
            raise where.wrong(node, "expected at least one, found an empty list")
        found = []
        for one in nodes:
            try:
                found.append(read(text(where, one)))
            except ConfigError as error:
                if error.file:
                    raise
                raise where.wrong(one, error.message) from error
        return tuple(found)

    return read_all
