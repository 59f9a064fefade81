"""A tree of nodes, of XML or YAML, as a `StoresSpec`: which store is in which group, and what is said of it there.

What must hold between several stores is held here: ids that stand once, weights and orders that can be, one `private`
and one quota in a hierarchy. What is odd is noted, and means what Galaxy makes of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from dolium.config.galaxy_leaves import options_of, own_id
from dolium.config.galaxy_rules import read_rules
from dolium.config.galaxy_schema import CHILD, GROUPS, LEAVES, ROOT, home, refusal
from dolium.config.galaxy_values import Reading, Schema, text
from dolium.config.specs import (
    CacheDir,
    CacheSpec,
    Child,
    GalaxyAttributes,
    GroupSpec,
    LeafSpec,
    Notice,
    Place,
    Quota,
    Shard,
    StoresSpec,
)
from dolium.config.tree import Entry, Items, Node, Scalar, Table

__all__ = ["ReadStores", "Stores"]

_GIGABYTE: Final = 1 << 30


class ReadStores(NamedTuple):
    """What a file says, and what in it is odd."""

    spec: StoresSpec
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class _Above:
    """What a store has from the groups around it."""

    takes_new: bool = True  # new data can come here though nobody asks for this store
    whole: GalaxyAttributes | None = None  # private and quota are one for a hierarchy, and for all copies
    copies: bool = False  # it is one of several copies


class Stores:
    """One file: `read` gives what it says."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._ids: dict[str, int] = {}

    def read(self, tree: Node) -> ReadStores:
        reading = self._reading
        table = reading.table(tree, "a file of stores")
        entries = dict(table.entries)
        rules = entries.pop("rules", None)
        kind = self._type(table, child_of=None)
        if table.examples > 1:
            entries = self._last_example(entries, kind, table)
        for key in ("max_percent_full", "order"):
            entry = entries.pop(key, None)
            if entry is not None:
                reading.notice(
                    entry.line, f"{entry.written} on the root has no effect, as in Galaxy{_where(key)}"
                )
        root = self._store(Table(entries, table.line), kind, ROOT, _Above())[0]
        found = () if rules is None else read_rules(reading, rules.node, self._ids)
        return ReadStores(StoresSpec(root, found), tuple(reading.notices))

    def _last_example(self, entries: dict[str, Entry], kind: str, table: Table) -> dict[str, Entry]:
        """What YAML's loader makes of Galaxy's sample, whose examples stand one after the other: of each key the
        last one, also of those that belonged to another example. What this type does not know is left out.
        """
        self._reading.notice(
            table.line,
            f"{table.examples} stores stand here one after the other, as in Galaxy's sample; as in Galaxy the last of "
            "each key counts. Keep one of them",
        )
        schema = {
            "id",
            "backends",
            *(GROUPS[kind].keys() - {"extra_dirs"} if kind in GROUPS else LEAVES[kind].keys),
        }
        return {key: entry for key, entry in entries.items() if key in schema}

    def _type(self, table: Table, child_of: str | None) -> str:
        reading = self._reading
        entry = table.entries.get("type")
        if entry is None or reading.is_unset(entry):
            if child_of is None or "backends" in table.entries:
                raise reading.wrong(table.line, f"a store has a type: {', '.join((*GROUPS, *LEAVES))}")
            if not (reading.xml and child_of == "distributed"):  # there it is Galaxy's default
                reading.notice(table.line, "a store without a type is taken as type disk")
            return "disk"
        kind = text(reading, entry.node)
        if kind in GROUPS or kind in LEAVES:
            return kind
        words = refusal(kind)
        if words is not None:
            raise reading.wrong(entry.line, f"type {kind}: {words}")
        near = difflib.get_close_matches(kind, (*GROUPS, *LEAVES), 1, 0.6)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join((*GROUPS, *LEAVES))}"
        raise reading.wrong(entry.line, f"unknown type {kind!r}; {hint}")

    def _store(
        self, table: Table, kind: str, around: Schema, above: _Above
    ) -> tuple[LeafSpec | GroupSpec, dict[str, Any]]:
        """A store, and what is said of it as a child of its group."""
        entries = dict(table.entries)
        reading = self._reading
        backends = entries.pop("backends", None) if kind in GROUPS else None
        schema = GROUPS.get(kind) or LEAVES[kind].keys
        of = f"a store of type {kind}"
        said = reading.values(Table(entries, table.line), {**around, **schema}, of, home)
        outer: dict[str, Any] = {key: said.pop(key) for key in tuple(said) if key in around}
        said.pop("type", None)
        if kind not in GROUPS:
            return self._leaf(kind, table.line, outer.get("id"), said, above), outer
        if backends is None:
            raise reading.wrong(table.line, f"{of} needs backends")
        return self._group(kind, table.line, outer.get("id"), said, backends, above), outer

    def _claim(self, store_id: str, line: int, why: str = "") -> None:
        if store_id in self._ids:
            first = self._ids[store_id]
            raise self._reading.wrong(line, f"the id {store_id!r} is taken by the store in line {first}{why}")
        self._ids[store_id] = line

    # Leaves

    def _leaf(
        self, kind: str, line: int, store_id: str | None, said: dict[str, Any], above: _Above
    ) -> LeafSpec:
        reading = self._reading
        for need in LEAVES[kind].needs:
            section, _, key = need.partition(".")
            if not (key in said.get(section, {}) if key else section in said):
                raise reading.wrong(
                    line,
                    f"a store of type {kind} needs {key} in {section}"
                    if key
                    else f"a store of type {kind} needs a {need}",
                )
        self._without_effect(kind, said, line)
        served, options = options_of(reading, kind, said, line)
        given = store_id is not None
        if store_id is None:
            store_id = own_id(served, options)
        self._claim(store_id, line, "" if given else ", and this one has none of its own; give it one")
        galaxy = self._attributes(kind, said, line, above)
        return LeafSpec(
            kind=served,
            id=store_id,
            options=options,
            galaxy=galaxy,
            cache=None if served == "disk" else self._cache(said),
            written={"type": kind, **self._complete(said)},
            named=given,
            place=reading.place(line),
        )

    def _without_effect(self, kind: str, said: Mapping[str, Any], line: int) -> None:
        if kind == "disk" and said.get("enable_direct_download"):
            self._reading.notice(line, "enable_direct_download of a disk has no effect: it has no URLs")
        cache = said.get("cache") or {}
        if "dirs" in cache and "path" in cache:
            self._reading.notice(line, "path of cache has no effect beside dirs, as in Galaxy")

    def _complete(self, said: dict[str, Any]) -> dict[str, Any]:
        """A cache of XML without size has none; of YAML, the one of galaxy.yml."""
        cache = said.get("cache")
        if self._reading.xml and cache is not None and "size" not in cache:
            said["cache"] = {**cache, "size": -1}
        return said

    def _attributes(self, kind: str, said: dict[str, Any], line: int, above: _Above) -> GalaxyAttributes:
        reading = self._reading
        found = GalaxyAttributes(
            type_as_written=kind,
            store_by=said.get("store_by", reading.defaults.store_by),
            name=said.get("name"),
            description=said.get("description"),
            private=said.get("private", False),
            quota=Quota(**said.get("quota", {})),
            badges=said.get("badges", ()),
            device=said.get("device"),
            object_expires_after_days=said.get("object_expires_after_days"),
            direct_download=said.get("enable_direct_download", False),
            extra_dirs=said.get("extra_dirs", ()),
            files_dir=said.get("files_dir"),
        )
        return self._as_the_whole(found, said, line, above)

    def _as_the_whole(
        self, found: GalaxyAttributes, said: Mapping[str, Any], line: int, above: _Above
    ) -> GalaxyAttributes:
        whole = above.whole
        if whole is None:
            return found
        shared = ("private", "quota", "store_by") if above.copies else ("private", "quota")
        for key in shared:
            if key in said and getattr(found, key) != getattr(whole, key):
                words = (
                    f"{key} is one for all copies; write it on the replicated store"
                    if above.copies
                    else f"{key} is one for a whole hierarchy; write it on the hierarchical store"
                )
                raise self._reading.wrong(line, f"{words}, not on this one")
        if above.copies:
            for key in (
                "device",
                "badges",
                "object_expires_after_days",
                "enable_direct_download",
                "extra_dirs",
            ):
                if said.get(key):
                    self._reading.notice(
                        line,
                        f"{self._reading.name(key)} of one copy has no effect; it can be said of the replicated store",
                    )
        return replace(found, **{key: getattr(whole, key) for key in shared})

    def _cache(self, said: Mapping[str, Any]) -> CacheSpec:
        defaults, cache = self._reading.defaults, said.get("cache") or {}
        size = cache.get("size")
        if size is None and self._reading.xml and "cache" in said:
            size = -1
        size = size or defaults.cache_size
        dirs: tuple[CacheDir, ...] = cache.get("dirs", (CacheDir(cache.get("path", defaults.cache_path)),))
        return CacheSpec(
            shards=tuple(
                Shard(one.path, one.weight, _bytes(size if one.size is None else one.size)) for one in dirs
            ),
            monitor=cache.get("monitor", defaults.cache_monitor_driver),
            monitor_interval=cache.get("monitor_interval", defaults.cache_monitor_interval),
            cache_updated_data=cache.get("cache_updated_data", True),
            enable_monitor=said.get("enable_cache_monitor", False),
            written="cache" in said,
        )

    # Groups

    def _group(
        self, kind: Any, line: int, store_id: str | None, said: dict[str, Any], backends: Entry, above: _Above
    ) -> GroupSpec:
        reading = self._reading
        if store_id is not None:
            self._claim(store_id, line)
        if "extra_dirs" in said and kind != "replicated":
            reading.notice(
                line, f"{reading.name('extra_dirs')} of a {kind} store has no effect, as in Galaxy"
            )
        galaxy = GalaxyAttributes(
            type_as_written=kind,
            store_by=said.get("store_by", reading.defaults.store_by),
            name=said.get("name"),
            description=said.get("description"),
            private=said.get("private", False),
            quota=Quota(**said.get("quota", {})),
            badges=said.get("badges", ()),
            device=said.get("device"),
            object_expires_after_days=said.get("object_expires_after_days"),
            direct_download=said.get("enable_direct_download", False),
            extra_dirs=said.get("extra_dirs", ()) if kind == "replicated" else (),
        )
        galaxy = self._as_the_whole(galaxy, said, line, above)
        if kind == "hierarchical":
            above = replace(above, whole=galaxy)
        elif kind == "replicated":
            above = replace(above, whole=galaxy, copies=True)
        children = self._children(kind, backends, above)
        quorum = said.get("write_quorum")
        if quorum is not None and quorum > len(children):
            raise reading.wrong(
                line, f"a write_quorum of {quorum} cannot be reached with {len(children)} stores"
            )
        percent = said.get("global_max_percent_full")
        if percent and kind == "hierarchical":
            self._not_in_galaxy(line, reading.name("global_max_percent_full"))
        return GroupSpec(
            kind=kind,
            id=store_id,
            children=children,
            galaxy=galaxy,
            search_for_missing=said.get("search_for_missing", True),
            max_percent=percent or None,
            write_quorum=quorum,
            place=Place(reading.file, line),
        )

    def _not_in_galaxy(self, line: int, name: str) -> None:
        self._reading.notice(
            line,
            f"{name} counts in this hierarchy, as Galaxy's sample says; Galaxy itself has it in distributed only",
        )

    def _children(self, kind: str, backends: Entry, above: _Above) -> tuple[Child, ...]:
        reading = self._reading
        if not isinstance(backends.node, Items):
            raise reading.wrong(backends.line, "backends is a list of stores")
        found: list[tuple[Child, int | None, int]] = []
        tables = [reading.table(node, "a store in backends") for node in backends.node.nodes]
        if not tables:
            raise reading.wrong(backends.line, f"a store of type {kind} needs at least one store in backends")
        first = _first_in_order(tables) if reading.xml and kind == "hierarchical" else tables[0]
        for table in tables:
            below = above if kind != "hierarchical" or table is first else replace(above, takes_new=False)
            child, order = self._child(kind, table, below)
            found.append((child, order, table.line))
        if kind == "hierarchical" and reading.xml:
            found = self._sorted(found)
        children = tuple(child for child, _, _ in found)
        if kind == "distributed" and not any(child.weight for child in children):
            words = "all weights are 0, so new data has nowhere to go"
            if above.takes_new:
                raise reading.wrong(backends.line, f"{words}; give one store a weight")
            reading.notice(
                backends.line, f"{words} in this group: it is only read, or written when asked for"
            )
        return children

    def _child(self, kind: str, table: Table, above: _Above) -> tuple[Child, int | None]:
        reading = self._reading
        spec, said = self._store(table, self._type(table, child_of=kind), CHILD, above)
        ignored = {"distributed": ("order",), "hierarchical": ("weight", "allow_selection")}.get(
            kind, ("order", "weight", "allow_selection", "max_percent_full", "max_bytes")
        )
        for key in ignored:
            if key in said:
                line = table.entries[key].line
                reading.notice(line, f"{reading.name(key)} has no effect in a {kind} store")
                del said[key]
        order = said.get("order")
        if order is not None and not reading.xml:
            reading.notice(
                table.entries["order"].line,
                "order has no effect in YAML, as in Galaxy: the order of the list counts",
            )
        if kind == "distributed" and "id" not in said:
            raise reading.wrong(table.line, "a store in a distributed store needs an id")
        if kind != "distributed" and isinstance(spec, LeafSpec) and not spec.named and table.line:
            reading.notice(table.line, f"this store has no id, and is called {spec.id!r} after where it is")
        percent = said.get("max_percent_full") or None
        if percent is not None and kind == "hierarchical":
            line, name = table.entries["max_percent_full"].line, reading.name("max_percent_full")
            if isinstance(spec, GroupSpec):
                reading.notice(
                    line,
                    f"{name} on a {spec.kind} store has no effect, as in Galaxy{_where('max_percent_full')}",
                )
                percent = None
            else:
                self._not_in_galaxy(line, name)
        weight = said.get("weight", 1)
        if not isinstance(weight, int):
            reading.notice(
                table.entries["weight"].line,
                f"the weight {weight} is taken as it is; Galaxy takes whole ones only",
            )
        child = Child(
            spec=spec,
            weight=weight,
            max_percent=percent,
            max_bytes=said.get("max_bytes"),
            allow_selection=said.get("allow_selection", False),
            state=said.get("state", "online"),
        )
        return child, order

    def _sorted(self, found: list[tuple[Child, int | None, int]]) -> list[tuple[Child, int | None, int]]:
        lines: dict[int, int] = {}
        for _, order, line in found:
            if order is None:
                raise self._reading.wrong(
                    line, 'a store in a hierarchy needs an order: order="0" takes new data'
                )
            if order in lines:
                raise self._reading.wrong(
                    line, f"the order {order} is taken by the store in line {lines[order]}"
                )
            lines[order] = line
        return sorted(found, key=lambda one: one[1] or 0)


def _bytes(gigabytes: float) -> int | None:
    """None for no limit."""
    return None if gigabytes <= 0 else int(gigabytes * _GIGABYTE)


def _first_in_order(tables: list[Table]) -> Table:
    """The one that will come first; what is wrong with the orders is told later."""

    def order(table: Table) -> int:
        entry = table.entries.get("order")
        node = None if entry is None else entry.node
        try:
            return int(node.text) if isinstance(node, Scalar) else 0
        except ValueError:
            return 0

    return min(tables, key=order)


def _where(key: str) -> str:
    return (
        "; the limit of all children stands on <backends>, or as global_max_percent_full"
        if key.startswith("max")
        else ""
    )
