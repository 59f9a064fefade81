"""Specs to composites: the tree of stores of a configuration, over leaves that are there already.

A root that places nothing, a leaf or a replicated store, becomes a hierarchy of one, so that all that serves a tree asks
it the same way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from dolium.config.galaxy_rules import rule_of
from dolium.config.specs import Child, GroupSpec, LeafSpec, StoresSpec
from dolium.errors import ConfigError, DoliumError
from dolium.stores.composites.distributed import Distributed
from dolium.stores.composites.health import HealthOptions
from dolium.stores.composites.hierarchical import Hierarchical
from dolium.stores.composites.members import Member
from dolium.stores.composites.placement import Rule, State
from dolium.stores.composites.replicated import Replicated
from dolium.stores.composites.routed import Routed
from dolium.stores.contract import BlobStore

__all__ = ["Lacking", "Tree", "build_tree", "replicated_in", "require_servable"]

_DEADLINE: Final = 30.0
"""Seconds for one call of a store that may hang and has no `timeout_seconds` of its own."""

_NEVER: Final = 1 << 62

Usage = Callable[[str], int | None]
Lacking = Callable[[str, Collection[str], str, Mapping[str, DoliumError]], object]
"""Told the replicated store, its members, the key of a blob, and what is wrong with the copies of some members."""


@dataclass(frozen=True, slots=True)
class Tree:
    """`replicated`: the replicated stores in it, by id."""

    root: Routed
    replicated: Mapping[str, Replicated]


def replicated_in(spec: StoresSpec) -> Iterator[tuple[GroupSpec, str, tuple[LeafSpec, ...]]]:
    """Every replicated store, its id, and its members. Raises ConfigError for what the service cannot serve."""
    pending: list[LeafSpec | GroupSpec] = [spec.root]
    while pending:
        one = pending.pop(0)
        if not isinstance(one, GroupSpec):
            continue
        if one.kind != "replicated":
            pending += [child.spec for child in one.children]
            continue
        if one.id is None:
            raise _refusal(one, "a replicated store needs an id: its blobs are recorded under it")
        members = tuple(child.spec for child in one.children if isinstance(child.spec, LeafSpec))
        if len(members) < len(one.children):
            group = next(child.spec for child in one.children if isinstance(child.spec, GroupSpec))
            raise _refusal(group, "a member of a replicated store is a store that keeps data, not a group")
        yield one, one.id, members


def require_servable(spec: StoresSpec) -> None:
    """Raises ConfigError for what the library can and the service cannot do."""
    group_of = {leaf.id: group for _, group, members in replicated_in(spec) for leaf in members}
    for rule in spec.rules:
        if rule.store in group_of:
            raise ConfigError(
                f"new data goes to the replicated store {group_of[rule.store]!r}, not to {rule.store!r}, a member "
                "of it",
                file=rule.place.file,
                line=rule.place.line,
            )


def _refusal(spec: GroupSpec, message: str) -> ConfigError:
    return ConfigError(message, file=spec.place.file, line=spec.place.line)


def build_tree(
    spec: StoresSpec,
    leaves: Mapping[str, BlobStore],
    states: Mapping[str, State],
    *,
    usage: Usage,
    lacking: Lacking,
) -> Tree:
    """`leaves` by id; `states`: those that an administrator has set, by id; `usage`: bytes that a store holds, for one
    that cannot tell itself how full it is; `lacking`: told of copies that are to be made. Raises ConfigError.
    """
    builder = _Builder(leaves, states, usage, lacking)
    return Tree(builder.tree(spec), builder.replicated)


class _Builder:
    def __init__(
        self, leaves: Mapping[str, BlobStore], states: Mapping[str, State], usage: Usage, lacking: Lacking
    ) -> None:
        self._leaves = leaves
        self._states = states
        self._usage = usage
        self._lacking = lacking
        self._unnamed = itertools.count(1)
        self.replicated: dict[str, Replicated] = {}

    def tree(self, spec: StoresSpec) -> Routed:
        root = spec.root
        if isinstance(root, LeafSpec) or root.kind == "replicated":
            root = GroupSpec("hierarchical", None, (Child(root),), root.galaxy)
        return self._group(root, tuple(map(rule_of, spec.rules)))

    def _group(self, spec: GroupSpec, rules: tuple[Rule, ...] = ()) -> Routed:
        members = [self._member(child, spec) for child in spec.children]
        if spec.kind == "distributed":
            return Distributed(
                members, rules=rules, usage=self._usage, search_for_missing=spec.search_for_missing
            )
        return Hierarchical(members, rules=rules, usage=self._usage)

    def _copies(self, spec: GroupSpec) -> Replicated:
        """Keys of the service never recur, so any good copy is the right one."""
        assert spec.id is not None, "it is servable"
        members = [self._member(child, spec) for child in spec.children]
        self.replicated[spec.id] = Replicated(
            members,
            write_quorum=spec.write_quorum,
            on_damage=partial(self._lacking, spec.id, [member.id for member in members]),
            keys_recur=False,
        )
        return self.replicated[spec.id]

    def _member(self, child: Child, group: GroupSpec) -> Member:
        spec = child.spec
        name = spec.id or f"{spec.kind} group {next(self._unnamed)}"
        deadline, health = None, HealthOptions()
        store: BlobStore
        if isinstance(spec, LeafSpec):
            store = self._leaves[spec.id]
            deadline = _deadline(spec, local=store.local)
        elif spec.kind == "replicated":
            store = self._copies(spec)
            # It is as well as its members, each of which has a breaker of its own.
            health = HealthOptions(failures=_NEVER)
        else:
            store = self._group(spec)
        max_percent, max_bytes = _limits(child, group)
        return Member(
            name,
            store,
            weight=child.weight,
            max_percent=max_percent,
            max_bytes=max_bytes,
            state=self._states.get(name, State(child.state)),
            deadline_seconds=deadline,
            health=health,
        )


def _limits(child: Child, group: GroupSpec) -> tuple[float | None, int | None]:
    """(percent, bytes). A limit of a member of a replicated store is one of the whole: each has every blob."""
    percents = [child.max_percent if child.max_percent is not None else group.max_percent]
    sizes = [child.max_bytes]
    spec = child.spec
    if isinstance(spec, GroupSpec) and spec.kind == "replicated":
        percents += [spec.max_percent, *(one.max_percent for one in spec.children)]
        sizes += [one.max_bytes for one in spec.children]
    return (
        min((percent for percent in percents if percent is not None), default=None),
        min((size for size in sizes if size is not None), default=None),
    )


def _deadline(spec: LeafSpec, *, local: bool) -> float | None:
    """None for a disk of this machine, unless the file says otherwise."""
    given = spec.options.get("timeout_seconds")
    if isinstance(given, int | float):
        return float(given)
    return None if local else _DEADLINE
