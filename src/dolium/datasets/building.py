"""From what a configuration says to stores: a tree of them over shelves, those that are there already first of all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from dolium.config.galaxy_leaves import leaf_options
from dolium.config.galaxy_rules import rule_of
from dolium.config.specs import Child, GalaxyAttributes, GalaxyDefaults, GroupSpec, LeafSpec, StoresSpec
from dolium.datasets.concrete import ConcreteStore
from dolium.datasets.copies import Copy
from dolium.datasets.describe import Describer
from dolium.datasets.disk import DiskShelf
from dolium.datasets.group import GroupStore
from dolium.datasets.placing import Branch
from dolium.datasets.remote import RemoteShelf
from dolium.datasets.replicated import ReplicatedShelf
from dolium.datasets.shelf import Shelf
from dolium.datasets.store import ObjectStore
from dolium.datasets.timed import TimedShelf, moved
from dolium.datasets.tree import Tree
from dolium.errors import ConfigError
from dolium.stores.composites.placement import State
from dolium.stores.leaves.disk_mount import is_local
from dolium.stores.registry import build_leaf
from dolium.values import Durability

__all__ = ["Building"]

_log: Final = logging.getLogger(__name__)

_SEVERITY: Final = (State.ONLINE, State.DRAINING, State.READ_ONLY, State.OFFLINE)
_DEADLINE: Final = 30.0  # of a disk that may hang, and has no `timeout_seconds`
_LOOKED_AT: Final = 2.0


class Building:
    """`known`: stores that are there already, and stay if nothing of them has changed. Their states change when all is
    built, by `settle`.
    """

    def __init__(self, defaults: GalaxyDefaults, known: Iterable[ConcreteStore] = ()) -> None:
        self._defaults = defaults
        self._known = tuple(known)
        self._states: list[tuple[ConcreteStore, State]] = []

    def store(self, spec: StoresSpec) -> ObjectStore:
        """Raises ConfigError."""
        found = self._any(spec.root, spec, Describer(self._defaults, spec.rules), State.ONLINE)
        self.settle()
        return found

    def tree(self, spec: StoresSpec) -> Tree | None:
        """What a group is to become; None if it is none any more. Raises ConfigError."""
        if isinstance(spec.root, LeafSpec) or spec.root.kind == "replicated":
            return None
        return self._tree(spec.root, spec, Describer(self._defaults, spec.rules), State.ONLINE)

    def settle(self) -> None:
        for store, state in self._states:
            store.state = state

    def _any(
        self, spec: LeafSpec | GroupSpec, whole: StoresSpec, describer: Describer, state: State
    ) -> ObjectStore:
        if isinstance(spec, GroupSpec) and spec.kind != "replicated":
            return self._group(spec, whole, describer, state)
        if isinstance(spec, LeafSpec):
            store = self._leaf(spec, describer)
        else:
            store = self._replicated(spec, whole, describer)
        self._states.append((store, state))
        return store

    def _group(self, spec: GroupSpec, whole: StoresSpec, describer: Describer, above: State) -> GroupStore:
        return GroupStore(self._tree(spec, whole, describer, above), quotas=self._defaults.enable_quotas)

    def _tree(self, spec: GroupSpec, whole: StoresSpec, describer: Describer, above: State) -> Tree:
        branches = [self._branch(child, spec, whole, describer, above) for child in spec.children]
        return Tree(spec, branches, describe=describer.group, rules=[rule_of(rule) for rule in whole.rules])

    def _branch(
        self, child: Child, group: GroupSpec, whole: StoresSpec, describer: Describer, above: State
    ) -> Branch:
        state = max(State(child.state), above, key=_SEVERITY.index)
        store = self._any(child.spec, whole, describer, state)
        number = group.children.index(child)
        return Branch(
            id=store.store_id or f"{group.kind}-{number}",
            store=store,
            weight=child.weight,
            max_percent=child.max_percent if child.max_percent is not None else group.max_percent,
            max_bytes=child.max_bytes,
            allow_selection=child.allow_selection,
            state=state,
        )

    def _leaf(self, spec: LeafSpec, describer: Describer) -> ConcreteStore:
        return self._known_store(spec) or ConcreteStore(
            spec,
            self._shelf(spec),
            describe=lambda: describer.leaf(spec),
            quotas=self._defaults.enable_quotas,
        )

    def _known_store(self, spec: LeafSpec | GroupSpec) -> ConcreteStore | None:
        return next((one for one in self._known if one.spec == spec), None)

    def _replicated(self, spec: GroupSpec, whole: StoresSpec, describer: Describer) -> ConcreteStore:
        """One store, with one id: that of its first member with a word before, if it has none of its own."""
        copies = []
        for child in spec.children:
            if not isinstance(child.spec, LeafSpec):
                raise ConfigError(
                    f"a replicated store keeps its copies in single stores; this is a {child.spec.kind} one",
                    file=child.spec.place.file, line=child.spec.place.line,
                )  # fmt: skip
            if child.spec.kind == "disk" and not child.spec.options.get("expected_uuid"):
                _log.warning(
                    "%s: without expected_uuid a disk that is not mounted when a process starts counts as empty, and "
                    "the old bytes of what is replaced meanwhile come back with it; `dolium galaxy identify %s` gives one",
                    child.spec.id,
                    child.spec.options["root"],
                )
            copies.append(Copy(child.spec, self._member_shelf(child.spec), State(child.state)))
        store_id = spec.id or f"copies-of-{copies[0].id}"
        named = replace(spec, id=store_id)
        if spec.id is None and whole.find(store_id) is not None:
            raise ConfigError(
                f"a replicated store without an id would be called {store_id!r}, and so is another; give it one",
                file=spec.place.file, line=spec.place.line,
            )  # fmt: skip
        if known := self._known_store(named):
            return known
        extra = self._extra_dirs(spec.galaxy)
        shelf = ReplicatedShelf(
            copies, self._local(store_id, extra), store_id=store_id, write_quorum=spec.write_quorum
        )
        return ConcreteStore(
            named, shelf, describe=lambda: describer.replicated(named), quotas=self._defaults.enable_quotas
        )

    def _member_shelf(self, spec: LeafSpec) -> Shelf:
        """One that is there already, alone or in a group: two would not know of each other's caches and threads."""
        for one in self._known:
            if one.spec == spec:
                return one.shelf
            if isinstance(one.shelf, ReplicatedShelf):
                for copy in one.shelf.copies:
                    if copy.spec == spec:
                        return copy.shelf
        return self._shelf(spec)

    def _extra_dirs(self, about: GalaxyAttributes) -> dict[str, Path]:
        defaults = self._defaults
        extra = {"job_work": defaults.jobs_directory, "temp": defaults.new_file_path}
        return extra | {one.type: one.path for one in about.extra_dirs}

    def _local(self, store_id: str, extra: Mapping[str, Path]) -> DiskShelf:
        """For folders that are on this machine wherever the datasets are."""
        defaults = self._defaults
        return DiskShelf(
            defaults.file_path, store_id=store_id, extra=extra, umask=defaults.umask, strict=False
        )

    def _shelf(self, spec: LeafSpec) -> Shelf:
        extra = self._extra_dirs(spec.galaxy)
        if spec.kind != "disk":
            assert spec.cache is not None, "a remote store has a cache"
            return RemoteShelf(
                spec.kind,
                lambda: build_leaf(spec.kind, leaf_options(spec), store_id=spec.id),
                spec.cache,
                self._local(spec.id, extra),
                store_id=spec.id,
            )
        options: dict[str, Any] = leaf_options(spec)
        deadline = disk_deadline(spec)
        disk = DiskShelf(
            Path(options["root"]),
            store_id=spec.id,
            extra=extra,
            umask=self._defaults.umask,
            strict=Durability(options.get("durability", Durability.STRICT)) is Durability.STRICT,
            old_style=self._defaults.check_old_style,
            min_free_bytes=options.get("min_free_bytes", 0),
            expected_uuid=options.get("expected_uuid", ""),
            moved=None if deadline is None else moved,
        )
        if deadline is not None:
            return TimedShelf(disk, deadline_seconds=deadline)
        disk.see()
        return disk


def disk_deadline(spec: LeafSpec) -> float | None:
    """Seconds for a call that does not move; None for a disk of this machine, which does not hang."""
    given = spec.options.get("timeout_seconds")
    if isinstance(given, int | float):
        return float(given)
    return None if _is_local(Path(str(spec.options["root"]))) else _DEADLINE


def _is_local(root: Path) -> bool:
    """To look at a path may hang by itself, where the disk is a network's; who does not answer is one."""
    found: list[bool] = []
    asking = threading.Thread(target=lambda: found.append(is_local(root)), daemon=True)
    asking.start()
    asking.join(_LOOKED_AT)
    return found == [True]
