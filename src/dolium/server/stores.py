"""The stores of one process: built from the configuration and the catalog, and built again while it runs.

    live = LiveStores(database, settings)
    service = live.serve(limits)
    live.apply(changed)      # SIGHUP: weights, limits, states, rules, more stores
    live.refresh()           # an administrator has set a state (dolium store set-state)

A change takes the place of what was there at once. Requests that are under way end as they began; a store that stays
is the same store, a store that left is closed with the process.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dolium.catalog import replicas, stores
from dolium.catalog.database import Database
from dolium.catalog.stores import Holding, StoreRecord
from dolium.config.settings import Settings
from dolium.config.specs import CacheSpec, LeafSpec, StoresSpec
from dolium.errors import CatalogError, ConfigError
from dolium.objects.room import Room
from dolium.objects.service import Limits, ObjectService
from dolium.server.lacking import Notes
from dolium.server.store_entry import DEFAULT_STORE, build_leaf_of, require_complete
from dolium.server.store_tree import Tree, build_tree, replicated_in
from dolium.stores.composites.cached import Cached, CacheOptions
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.health import Health
from dolium.stores.composites.placement import Request, State
from dolium.stores.composites.replicated import Replicated
from dolium.stores.composites.routed import Routed
from dolium.stores.composites.shards import ShardedCache, Shards
from dolium.stores.contract import BlobStore
from dolium.stores.leaves.disk import Disk, Options
from dolium.wire.headers import STORAGE_CLASSES

__all__ = ["LiveStores", "StoreNow", "identify"]

_log = logging.getLogger("dolium.stores")

_COUNT_SECONDS: Final = 60.0
_SHARE: Final = 20
"""Counting takes at most one part in so many of the time."""


@dataclass(frozen=True, slots=True)
class StoreNow:
    """A store as it is now. `leaf`: itself; `store`: what the service asks, with state, breaker and deadline. `group`: the
    number of the replicated store of which it is a member.
    """

    record: StoreRecord
    leaf: BlobStore
    store: BlobStore
    group: int | None = None

    @property
    def state(self) -> State:
        return self.store.health.state if isinstance(self.store, Guarded) else State.ONLINE


@dataclass(frozen=True, slots=True)
class _Built:
    spec: StoresSpec | None
    tree: Tree | None
    now: Mapping[int, StoreNow]
    default: int
    members: Mapping[int, Sequence[int]] = field(default_factory=dict)  # of replicated stores


def identify(leaf: BlobStore, store: BlobStore) -> None:
    """Whether a store is there, without writing anything on a disk. `leaf`, `store`: as in `StoreNow`.

    Raises StoreUnavailable.
    """
    if isinstance(leaf, Disk):
        leaf.identify()
    elif isinstance(leaf, Replicated):
        leaf.require_quorum(lambda guard: identify(guard.child, guard))
    elif isinstance(store, Guarded):
        store.probe()


class _TreePlacing:
    """`objects.placing.Placing` over a tree."""

    def __init__(self, spec: StoresSpec, tree: Routed, numbers: Mapping[str, int]) -> None:
        self.storage_classes = STORAGE_CLASSES.union(*(rule.when.storage_class for rule in spec.rules))
        self.asks_groups = any(rule.when.group for rule in spec.rules)
        self._tree = tree
        self._numbers = numbers

    def choose(self, request: Request, /) -> Sequence[int]:
        return [self._numbers[name] for name in self._tree.choose(request)]


class LiveStores:
    """Raises ConfigError if the catalog and the configuration do not fit together."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._changing = threading.Lock()  # held by a change of the configuration, which may take its time
        self._lock = threading.Lock()  # held while `_built` is replaced
        self._service: ObjectService | None = None
        self._made: dict[
            str, tuple[object, BlobStore, BlobStore]
        ] = {}  # what of, the leaf, the leaf in its cache
        self._left: list[BlobStore] = []
        self._counts = _Counts(database)
        self._notes = Notes(database)
        self._built = self._build(settings)

    @property
    def tree(self) -> Routed | None:
        """None for the one store of a service without a tree."""
        tree = self._built.tree
        return None if tree is None else tree.root

    @property
    def now(self) -> Mapping[int, StoreNow]:
        """By number in the catalog."""
        return self._built.now

    def holdings(self) -> Mapping[int, Holding]:
        """What rows name in each store, as it was counted a while ago; counts now if that is long ago."""
        return self._counts.fresh()

    def serve(self, limits: Limits, room: Room | None = None) -> ObjectService:
        """The service over these stores; closing it closes them. `room`: of the catalog's disk."""
        built = self._built
        self._service = ObjectService(self._database, self._verbs(built), built.default, limits, room)
        self._service.on_change = self.refresh
        self._service.on_close = self.close
        self._give(built)
        return self._service

    def apply(self, settings: Settings) -> bool:
        """Be as these settings say; False if nothing is another. Raises ConfigError, and then nothing has changed."""
        with self._changing:
            if settings.stores == self._built.spec:
                return False
            built = self._build(settings)
            with self._lock:
                before, self._built = self._built, built
                self._give(built)
            for store in before.tree.replicated.values() if before.tree is not None else ():
                store.superseded = True  # uploads that are under way know the members of before
        self.refresh()  # what was set while we built
        return True

    def refresh(self) -> None:
        """Take up the states that stand in the catalog."""
        try:
            records = {record.id: record for record in stores.every(self._database)}
            damaged = replicas.known_damaged(self._database) if self._built.members else []
        except CatalogError:
            return  # the next change brings us here again, and the request that asked will be told
        with self._lock:
            built = self._built
            self._distrust(built, damaged)
            if all(records.get(number) == one.record for number, one in built.now.items()):
                return
            now = {
                number: self._stated(built, records.get(number, one.record), one)
                for number, one in built.now.items()
            }
            self._built = replace(built, now=now)
            self._give(self._built)

    def close(self) -> None:
        for one in self._built.now.values():
            one.store.close()
        for store in self._left:
            store.close()

    # How it goes about it.

    def _give(self, built: _Built) -> None:
        service = self._service
        if service is None:
            return
        numbers = {one.record.name: number for number, one in built.now.items()}
        placing = (
            None
            if built.tree is None or built.spec is None
            else _TreePlacing(built.spec, built.tree.root, numbers)
        )
        service.change_stores(self._verbs(built), built.default, placing, built.members)

    def _distrust(self, built: _Built, damaged: Sequence[tuple[int, int, str]]) -> None:
        """Let no process read copies that one of them has found to be damaged, if there are others."""
        for number in built.members:
            assert built.tree is not None, "a replicated store is in one"
            store = built.tree.replicated[built.now[number].record.name]
            store.distrusted = {
                (built.now[member].record.name, key)
                for group, member, key in damaged
                if group == number and member in built.now
            }

    def _verbs(self, built: _Built) -> Mapping[int, BlobStore]:
        return {number: one.store for number, one in built.now.items()}

    def _build(self, settings: Settings) -> _Built:
        require_complete(self._database, settings)
        records = {record.name: record for record in stores.every(self._database)}
        spec = settings.stores
        if spec is None:
            return self._one(records, settings)
        groups = list(replicated_in(spec))
        unknown = [name for name in _names(spec) if name not in records]
        if unknown:
            raise ConfigError(
                f"the catalog does not know the stores {', '.join(unknown)} yet; they are made when the service "
                "starts, or at SIGHUP to its parent process"
            )
        before = dict(self._made)
        made = {leaf.id: self._leaf(leaf, settings, records[leaf.id].uuid) for leaf in spec.leaves()}
        tree = build_tree(
            spec,
            {name: store for name, (_, _, store) in made.items()},
            {name: State(one.state) for name, one in records.items() if one.state_set},
            usage=lambda name: self._counts.bytes_of(records[name].id) if name in records else None,
            lacking=self._notes.take,
        )
        self._made = made
        self._left += [
            store for name, (_, _, store) in before.items() if made.get(name, (0, 0, 0))[2] is not store
        ]
        ids = tree.root.ids()
        now = {}
        for name in ids:
            leaf = made[name][1] if name in made else tree.replicated[name]
            now[records[name].id] = StoreNow(records[name], leaf, tree.root.member(name))
        members: dict[int, list[int]] = {}
        for _, group, leaves in groups:
            number = records[group].id
            members[number] = [records[leaf.id].id for leaf in leaves]
            for one in leaves:
                guard = tree.replicated[group].member(one.id)
                now[records[one.id].id] = StoreNow(records[one.id], made[one.id][1], guard, number)
        return _Built(spec, tree, now, records[ids[0]].id, members)

    def _one(self, records: Mapping[str, StoreRecord], settings: Settings) -> _Built:
        record = records.get(DEFAULT_STORE)
        if record is None:
            raise ConfigError(
                "the catalog knows no store of this configuration; start the service with dolium serve, or name "
                "its configuration with --config"
            )
        options = Options(
            root=settings.store_root,
            durability=settings.durability,
            expected_uuid=record.uuid,
            min_free_bytes=settings.min_free,
            verify_reads=settings.verify_reads,
        )
        what = (options, None)
        before = self._made.get(record.name)
        disk = before[1] if before is not None and before[0] == what else Disk(options, store_id=record.name)
        self._left += [store for _, _, store in self._made.values() if store is not disk]
        self._made = {record.name: (what, disk, disk)}
        built = _Built(None, None, {}, record.id)
        return replace(built, now={record.id: self._stated(built, record, StoreNow(record, disk, disk))})

    def _stated(self, built: _Built, record: StoreRecord, one: StoreNow) -> StoreNow:
        """The store in the state that the catalog gives it, or else the configuration."""
        if built.tree is None:
            # A single store that is online is asked without a detour.
            state = State(record.state) if record.state_set else State.ONLINE
            if state is State.ONLINE:
                return StoreNow(record, one.leaf, one.leaf)
            return StoreNow(record, one.leaf, Guarded(one.leaf, record.name, Health(state)))
        given = State(record.state) if record.state_set else _configured(built.spec, record.name)
        if one.group is None:
            guard = built.tree.root.member(record.name)
        else:
            guard = built.tree.replicated[built.now[one.group].record.name].member(record.name)
        guard.health.state = given
        return StoreNow(record, one.leaf, guard, one.group)

    def _leaf(self, spec: LeafSpec, settings: Settings, uuid: str) -> tuple[object, BlobStore, BlobStore]:
        """The one that is there, if it is to be the same."""
        cache = spec.cache if spec.cache is not None and spec.cache.written and spec.kind != "disk" else None
        what = (spec.kind, dict(spec.options), cache, uuid, settings.min_free, settings.verify_reads)
        before = self._made.get(spec.id)
        if before is not None and before[0] == what:
            return before
        leaf = build_leaf_of(spec, settings, uuid)
        return what, leaf, leaf if cache is None else _cached(leaf, cache, spec.id)


def _cached(leaf: BlobStore, spec: CacheSpec, store_id: str) -> BlobStore:
    """The service never writes a blob twice, so what the cache has stays true."""
    every = [
        CacheOptions(
            Path(one.path),
            size_bytes=one.size_bytes,
            fresh_seconds=math.inf,
            keep_writes=spec.cache_updated_data,
        )
        for one in spec.shards
    ]
    caches = [Cached(leaf, options, scope=store_id) for options in every]
    if len(caches) == 1:
        return caches[0]
    names = [str(one.path) for one in spec.shards]
    return ShardedCache(caches, Shards(names, [one.weight for one in spec.shards]))


def _names(spec: StoresSpec) -> Iterator[str]:
    """What the catalog has to know."""
    yield from (leaf.id for leaf in spec.leaves())
    yield from (name for _, name, _ in replicated_in(spec))


def _configured(spec: StoresSpec | None, store_id: str) -> State:
    """The state that the file gives a store."""
    pending = [] if spec is None or isinstance(spec.root, LeafSpec) else list(spec.root.children)
    while pending:
        child = pending.pop()
        if child.spec.id == store_id:
            return State(child.state)
        if not isinstance(child.spec, LeafSpec):
            pending += child.spec.children
    return State.ONLINE


class _Counts:
    """What rows name in each store, counted now and then: for figures, and for limits of stores that do not know
    themselves how full they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()  # guards the next two, and that one counts at a time
        self._known: Mapping[int, Holding] = {}
        self._due = 0.0
        self._counting = False

    def fresh(self) -> Mapping[int, Holding]:
        with self._lock:
            if time.monotonic() >= self._due:
                began = time.monotonic()
                self._known = stores.holdings(self._database)
                took = time.monotonic() - began
                self._due = time.monotonic() + max(_COUNT_SECONDS, took * _SHARE)
        return self._known

    def bytes_of(self, store_id: int) -> int | None:
        """As last counted; None before the first time. Never waits."""
        if time.monotonic() >= self._due and not self._counting:
            self._counting = True
            threading.Thread(target=self._count, name="counting", daemon=True).start()
        return self._known[store_id].bytes if store_id in self._known else None

    def _count(self) -> None:
        try:
            self.fresh()
        except Exception as error:  # noqa: BLE001 - a figure that is missing must not end anything
            _log.warning("the blobs of the stores could not be counted: %s", error)
        finally:
            self._counting = False
