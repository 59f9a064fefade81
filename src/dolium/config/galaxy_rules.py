"""Rules that place new data, beyond Galaxy: a list at the root of the file, of which the first that fits decides.

    rules:
      - when: {bucket: [scratch, tmp], size: "< 64 MiB"}
        store: fast
        only: false
      - when: {tenancy: climate, storage_class: GLACIER}
        store: tape

All parts of `when` must hold; of a list, one must. Names are matched whole, `content_type` also by its first half
(`image/`), `prefix` is the beginning of a key. `size` takes `<`, `<=`, `>`, `>=`, one or a list of both ends. `only:
false` lets other stores take what this one cannot; else it is refused then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from dolium.config.galaxy_schema import home
from dolium.config.galaxy_values import Reading, Schema, boolean, text, texts
from dolium.config.nodes import parse_size
from dolium.config.specs import RuleSpec, When
from dolium.config.tree import Items, Node, Table
from dolium.stores.composites.placement import Rule

__all__ = ["read_rules", "rule_of"]

_BOUND: Final = re.compile(r"(<=|>=|<|>)\s*(.+)")


def _names(reading: Reading, node: Node) -> tuple[str, ...]:
    found = texts(reading, node)
    for one in found:
        if "*" in one or "?" in one:
            raise reading.wrong(
                node.line,
                f"{one!r}: names are matched whole, without * and ?; open are only prefix, and the first half of a "
                "content_type (image/)",
            )
    return found


_WHEN: Final[Schema] = {
    **dict.fromkeys(("tenancy", "person", "group", "bucket", "content_type", "storage_class"), _names),
    "prefix": texts,
    "size": texts,
}


def read_rules(reading: Reading, node: Node, ids: Mapping[str, int]) -> tuple[RuleSpec, ...]:
    """The rules, each for a store of these ids. Raises ConfigError."""
    if not isinstance(node, Items):
        raise reading.wrong(node.line, "rules are a list; each has a when and a store")
    found: list[RuleSpec] = []
    for one in node.nodes:
        if found and found[-1].when == When():
            raise reading.wrong(one.line, "no data comes to this rule: the one before it fits all")
        found.append(_rule(reading, reading.table(one, "a rule"), ids))
    return tuple(found)


def _rule(reading: Reading, table: Table, ids: Mapping[str, int]) -> RuleSpec:
    said = reading.values(table, {"when": _WHEN, "store": text, "only": boolean}, "a rule", home)
    if "store" not in said:
        raise reading.wrong(table.line, "a rule needs a store: the id to which data goes that fits")
    store = str(said["store"])
    if store not in ids:
        line = table.entries["store"].line
        raise reading.wrong(line, f"there is no store {store!r}; there are {', '.join(sorted(ids))}")
    when: dict[str, Any] = dict(said.get("when") or {})  # type: ignore[call-overload]
    bounds = when.pop("size", ())
    node = table.entries["when"].node if "when" in table.entries else table
    low, high = _bounds(reading, node, bounds)
    place = reading.place(table.line)
    return RuleSpec(When(**when, size_from=low, size_below=high), store, said.get("only") is not False, place)


def _bounds(reading: Reading, node: Node, bounds: tuple[str, ...]) -> tuple[int, int | None]:
    line = node.entries["size"].line if isinstance(node, Table) and "size" in node.entries else node.line
    low, high = 0, None
    for bound in bounds:
        match = _BOUND.fullmatch(bound.strip())
        size = None if match is None else parse_size(match[2].strip())
        if match is None or size is None:
            raise reading.wrong(line, f"expected a size such as '< 64 MiB' or '>= 1 GiB', found {bound!r}")
        edge = size + (match[1] in ("<=", ">"))
        if match[1].startswith("<"):
            high = edge if high is None else min(high, edge)
        else:
            low = max(low, edge)
    if high is not None and low >= high:
        raise reading.wrong(line, "no size fits these bounds")
    return low, high


def rule_of(spec: RuleSpec) -> Rule:
    """As placement takes it."""
    when = spec.when
    return Rule(
        members=(spec.store,),
        tenancies=frozenset(when.tenancy),
        persons=frozenset(when.person),
        groups=frozenset(when.group),
        buckets=frozenset(when.bucket),
        storage_classes=frozenset(when.storage_class),
        content_types=when.content_type,
        prefixes=when.prefix,
        size_from=when.size_from,
        size_below=when.size_below,
        only=spec.only,
    )
