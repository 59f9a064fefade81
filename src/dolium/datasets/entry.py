"""From a configuration of stores to an object store.

    build_object_store(file=Path("/srv/galaxy/config/object_store_conf.xml"))
    build_object_store({"type": "disk", "files_dir": "/data"})
    build_object_store(store.to_dict())

A file is looked at again before new data is placed, every ten seconds at most: weights, limits, states and stores that
were added count from then on; one that cannot be read leaves things as they are, and is told of in the log.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dolium.config.galaxy import ReadStores, handed_over, read_stores, read_stores_objects
from dolium.config.galaxy_leaves import leaf_options
from dolium.config.galaxy_rules import rule_of
from dolium.config.specs import GALAXY_DEFAULTS, Child, GalaxyDefaults, GroupSpec, LeafSpec, StoresSpec
from dolium.datasets.concrete import ConcreteStore
from dolium.datasets.describe import Describer
from dolium.datasets.disk import DiskShelf
from dolium.datasets.group import GroupStore
from dolium.datasets.placing import Branch
from dolium.datasets.remote import RemoteShelf
from dolium.datasets.shelf import Shelf
from dolium.datasets.store import ObjectStore
from dolium.errors import ConfigError
from dolium.stores.composites.placement import State
from dolium.stores.registry import build_leaf
from dolium.values import Durability

__all__ = ["build_object_store"]

_log: Final = logging.getLogger(__name__)

_SEVERITY: Final = (State.ONLINE, State.DRAINING, State.READ_ONLY, State.OFFLINE)


def build_object_store(
    config: Mapping[str, Any] | StoresSpec | None = None,
    *,
    file: Path | None = None,
    defaults: GalaxyDefaults = GALAXY_DEFAULTS,
    environ: Mapping[str, str] | None = None,
    reload_seconds: float = 10.0,
) -> ObjectStore:
    """One of `config` and `file`. `defaults`: what `galaxy.yml` says; `environ`: for references, the process's own if
    not given. Raises ConfigError.
    """
    environ = os.environ if environ is None else environ
    if (config is None) == (file is None):
        raise ConfigError("an object store is built from a config or from a file, one of them")
    if isinstance(config, StoresSpec):
        return _Building(defaults).tree(config)
    if config is not None:
        read = read_stores_objects(config, environ, defaults=defaults)
        return _Building(handed_over(config, defaults)).tree(_told(read))
    assert file is not None
    marked = _mark(file)
    store = _Building(defaults).tree(_told(read_stores(file, environ, defaults=defaults)))
    if isinstance(store, GroupStore):
        store.watch = _Watch(store, file, marked, defaults, environ, reload_seconds)
    return store


def _told(read: ReadStores) -> StoresSpec:
    for notice in read.notices:
        _log.info("%s", notice)
    return read.spec


class _Building:
    """`known`: stores that are there already, and stay if nothing of them has changed."""

    def __init__(self, defaults: GalaxyDefaults, known: Sequence[ConcreteStore] = ()) -> None:
        self._defaults = defaults
        self._known = {one.store_id: one for one in known}

    def tree(self, spec: StoresSpec) -> ObjectStore:
        describer = Describer(self._defaults, spec.rules)
        if isinstance(spec.root, LeafSpec):
            return self._leaf(spec.root, describer)
        return self._group(spec.root, spec, describer, State.ONLINE)

    def _group(self, spec: GroupSpec, whole: StoresSpec, describer: Describer, above: State) -> GroupStore:
        if spec.kind == "replicated":
            raise ConfigError(
                "the library has no replicated stores: a job writes one file",
                file=spec.place.file, line=spec.place.line,
            )  # fmt: skip
        branches = [self._branch(child, spec, whole, describer, above) for child in spec.children]
        rules = [rule_of(rule) for rule in whole.rules]
        return GroupStore(
            spec, branches, describe=describer.group, quotas=self._defaults.enable_quotas, rules=rules
        )

    def _branch(
        self, child: Child, group: GroupSpec, whole: StoresSpec, describer: Describer, above: State
    ) -> Branch:
        state = max(State(child.state), above, key=_SEVERITY.index)
        store: ObjectStore
        if isinstance(child.spec, LeafSpec):
            store = self._leaf(child.spec, describer)
            store.state = state
        else:
            store = self._group(child.spec, whole, describer, state)
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
        known = self._known.get(spec.id)
        if known is not None and known.spec == spec:
            return known
        return ConcreteStore(
            spec, self._shelf(spec), describe=describer.leaf, quotas=self._defaults.enable_quotas
        )

    def _shelf(self, spec: LeafSpec) -> Shelf:
        defaults = self._defaults
        extra = {"job_work": defaults.jobs_directory, "temp": defaults.new_file_path}
        extra |= {one.type: one.path for one in spec.galaxy.extra_dirs}
        if spec.kind != "disk":
            assert spec.cache is not None, "a remote store has a cache"
            local = DiskShelf(
                defaults.file_path, store_id=spec.id, extra=extra, umask=defaults.umask, strict=False
            )
            return RemoteShelf(
                spec.kind,
                lambda: build_leaf(spec.kind, leaf_options(spec), store_id=spec.id),
                spec.cache,
                local,
                store_id=spec.id,
            )
        options: dict[str, Any] = leaf_options(spec)
        return DiskShelf(
            Path(options["root"]),
            store_id=spec.id,
            extra=extra,
            umask=defaults.umask,
            strict=Durability(options.get("durability", Durability.STRICT)) is Durability.STRICT,
            old_style=defaults.check_old_style,
            min_free_bytes=options.get("min_free_bytes", 0),
            expected_uuid=options.get("expected_uuid", ""),
        )


@dataclass(slots=True)
class _Watch:
    """Looks whether the file has changed, and lets the store become what it says."""

    store: GroupStore
    file: Path
    marked: tuple[int, int, int] | None
    defaults: GalaxyDefaults
    environ: Mapping[str, str]
    seconds: float
    looked: float = 0.0
    lock: threading.Lock = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.looked = time.monotonic()
        self.lock = threading.Lock()  # guards `looked` and `marked`

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self.looked < self.seconds or not self.lock.acquire(blocking=False):
            return
        try:
            self.looked = now
            marked = _mark(self.file)
            if marked is not None and marked != self.marked:
                self.marked = marked
                self._become()
        finally:
            self.lock.release()

    def _become(self) -> None:
        try:
            spec = _told(read_stores(self.file, self.environ, defaults=self.defaults))
            other = _Building(self.defaults, self.store.leaves()).tree(spec)
            if not isinstance(other, GroupStore):
                raise ConfigError(
                    "a group of stores cannot become a single one while it runs", file=str(self.file)
                )
        except ConfigError as error:
            _log.warning("the stores stay as they were: %s", error)
            return
        self.store.become(other)
        _log.info("the stores are now as %s says", self.file)


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
