"""Specs to composites: the tree of stores of a configuration, over leaves that are there already.

A root that is no group becomes a hierarchy of one, so that all that serves a tree asks it the same way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Final

from dolium.config.galaxy_rules import rule_of
from dolium.config.specs import Child, GroupSpec, LeafSpec, StoresSpec
from dolium.errors import ConfigError
from dolium.stores.composites.distributed import Distributed
from dolium.stores.composites.hierarchical import Hierarchical
from dolium.stores.composites.members import Member
from dolium.stores.composites.placement import Rule, State
from dolium.stores.composites.routed import Routed
from dolium.stores.contract import BlobStore

__all__ = ["build_tree", "require_servable"]

_DEADLINE: Final = 30.0
"""Seconds for one call of a store that may hang and has no `timeout_seconds` of its own."""

Usage = Callable[[str], int | None]


def require_servable(spec: StoresSpec) -> None:
    """Raises ConfigError for what the library can and the service cannot do."""
    pending: list[LeafSpec | GroupSpec] = [spec.root]
    while pending:
        one = pending.pop()
        if not isinstance(one, GroupSpec):
            continue
        if one.kind == "replicated":
            raise ConfigError(
                "the service does not serve replicated stores yet; use hierarchical or distributed",
                file=one.place.file,
                line=one.place.line,
            )
        pending += [child.spec for child in one.children]


def build_tree(
    spec: StoresSpec, leaves: Mapping[str, BlobStore], states: Mapping[str, State], *, usage: Usage
) -> Routed:
    """`leaves` by id; `states`: those that an administrator has set, by id; `usage`: bytes that a store holds, for one
    that cannot tell itself how full it is. Raises ConfigError.
    """
    return _Builder(leaves, states, usage).tree(spec)


class _Builder:
    def __init__(self, leaves: Mapping[str, BlobStore], states: Mapping[str, State], usage: Usage) -> None:
        self._leaves = leaves
        self._states = states
        self._usage = usage
        self._unnamed = itertools.count(1)

    def tree(self, spec: StoresSpec) -> Routed:
        root = spec.root
        if isinstance(root, LeafSpec):
            root = GroupSpec("hierarchical", None, (Child(root),), root.galaxy)
        return self._group(root, tuple(map(rule_of, spec.rules)))

    def _group(self, spec: GroupSpec, rules: tuple[Rule, ...] = ()) -> Routed:
        members = [self._member(child, spec) for child in spec.children]
        if spec.kind == "distributed":
            return Distributed(
                members, rules=rules, usage=self._usage, search_for_missing=spec.search_for_missing
            )
        return Hierarchical(members, rules=rules, usage=self._usage)

    def _member(self, child: Child, group: GroupSpec) -> Member:
        spec = child.spec
        store = self._group(spec) if isinstance(spec, GroupSpec) else self._leaves[spec.id]
        deadline = None if isinstance(spec, GroupSpec) else _deadline(spec, local=store.local)
        name = spec.id or f"{spec.kind} group {next(self._unnamed)}"
        return Member(
            name,
            store,
            weight=child.weight,
            max_percent=child.max_percent if child.max_percent is not None else group.max_percent,
            max_bytes=child.max_bytes,
            state=self._states.get(name, State(child.state)),
            deadline_seconds=deadline,
        )


def _deadline(spec: LeafSpec, *, local: bool) -> float | None:
    """None for a disk of this machine, unless the file says otherwise."""
    given = spec.options.get("timeout_seconds")
    if isinstance(given, int | float):
        return float(given)
    return None if local else _DEADLINE
