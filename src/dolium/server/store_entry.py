"""Stores and the catalog: a store that is new is made and entered, one that is known is held to its identity.

A store that the catalog knows is never made anew: its folder may be the mount point of a disk that is missing. One
that holds blobs cannot leave the configuration, for they would be lost to the service without a word.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
import uuid as uuids
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from dolium.catalog import fences, replicas, stores
from dolium.catalog.database import Database, Read, Transaction
from dolium.catalog.stores import StoreRecord
from dolium.config.galaxy_leaves import leaf_options
from dolium.config.settings import Settings
from dolium.config.specs import LeafSpec, Place, StoresSpec
from dolium.errors import ConfigError, StoreUnavailable
from dolium.objects.blob_keys import written_ns
from dolium.server.store_tree import replicated_in, require_servable
from dolium.stores.contract import BlobStore
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.leaves.remote import Remote
from dolium.stores.registry import build_leaf

__all__ = ["DEFAULT_STORE", "REPLICATED", "Made", "build_leaf_of", "enter_stores", "make", "require_complete"]

DEFAULT_STORE = "default"
REPLICATED: Final = "replicated"
_MADE_WITHIN: Final = 60  # seconds
_LOOKED_AT: Final = 10_000  # names, in a tree that may be somebody else's


class Made(NamedTuple):
    """The identity of a store, and whether blobs of dolium's lie in it already."""

    uuid: str
    used: bool


def enter_stores(database: Database, settings: Settings) -> None:
    """Make the stores that the catalog does not know, and enter them. Raises ConfigError, StoreUnavailable."""
    require_complete(database, settings)
    if settings.stores is None:
        if stores.find(database, DEFAULT_STORE) is None:
            disk = Disk(Options(root=settings.store_root), store_id=DEFAULT_STORE)
            uuid = _make_folder(DEFAULT_STORE, settings.store_root)
            _enter(database, DEFAULT_STORE, "disk", Made(uuid, _is_used(disk)))
        if replicas.every(database):
            database.write(lambda tx: _change_members(tx, None))
        return
    for leaf in settings.stores.leaves():
        if stores.find(database, leaf.id) is None:
            making = make if leaf.kind == "disk" else _make_apart
            _enter(database, leaf.id, leaf.kind, making(leaf, settings))
    spec = settings.stores
    for _, name, _ in replicated_in(spec):
        if stores.find(database, name) is None:
            _enter(database, name, REPLICATED, Made(str(uuids.uuid4()), used=False))
    if _changes(database, spec):
        database.write(lambda tx: _change_members(tx, spec))


def require_complete(read: Read, settings: Settings) -> None:
    """Raises ConfigError if a store that holds blobs is not in the configuration, with their number."""
    known = {DEFAULT_STORE}
    if settings.stores is not None:
        require_servable(settings.stores)
        known = {leaf.id for leaf in settings.stores.leaves()}
        known |= {name for _, name, _ in replicated_in(settings.stores)}
        _require_kinds(read, settings.stores)
        _require_copies(read, settings.stores)
    gone = [record for record in stores.every(read) if record.name not in known]
    if not gone:
        return
    holdings = stores.holdings(read)
    for record in gone:
        if held := holdings.get(record.id):
            what = (
                f"{held.objects} objects, {held.parts} parts and {held.garbage} blobs that wait to be deleted"
            )
            raise ConfigError(
                f"the store {record.name!r} is not in the configuration and holds {held.blobs} blobs: {what}. "
                + _remedy(record, settings)
            )


def _require_kinds(read: Read, spec: StoresSpec) -> None:
    """Raises ConfigError for an id of a replicated store that is that of a store that keeps data, or the other way."""
    groups = {name: group.place for group, name, _ in replicated_in(spec)}
    places: dict[str, Place] = {leaf.id: leaf.place for leaf in spec.leaves()} | groups
    for record in stores.every(read):
        place = places.get(record.name)
        if place is not None and (record.kind == REPLICATED) is not (record.name in groups):
            is_now = "replicated" if record.name in groups else "one that keeps data"
            was = "a replicated store" if record.kind == REPLICATED else f"a {record.kind} store"
            raise ConfigError(
                f"the id {record.name!r} is that of {was} in the catalog, and cannot be {is_now}: choose another id",
                file=place.file,
                line=place.line,
            )


def _require_copies(read: Read, spec: StoresSpec) -> None:
    """Raises ConfigError if a member leaves a replicated store that may have the only copy of a blob."""
    names = {record.id: record for record in stores.every(read)}
    waiting = replicas.waiting(read)
    known = replicas.every(read)
    for group, name, members in replicated_in(spec):
        ours = [one for one in known if names[one.group_id].name == name]
        staying = [one for one in ours if names[one.store_id].name in {leaf.id for leaf in members}]
        leaving = [names[one.store_id] for one in ours if one not in staying]
        # Who says that a store is offline, and then takes it out, knows that it is gone.
        missed = [record.name for record in leaving if record.state != "offline"]
        if not missed:
            continue
        short = sum(waiting.get((one.group_id, one.store_id), 0) for one in staying)
        filling = [names[one.store_id].name for one in staying if one.place is not None]
        if (not staying and stores.holding(read, ours[0].group_id).blobs) or short or filling:
            what = (
                "no other member has its blobs" if not staying
                else f"{', '.join(filling)} has not got all copies yet" if filling
                else f"{short} copies are still to be made in the others"
            )  # fmt: skip
            raise ConfigError(
                f"{', '.join(missed)} cannot leave the replicated store {name!r}: {what}. See dolium store repair; a "
                "member that is lost for good leaves after dolium store set-state MEMBER offline",
                file=group.place.file,
                line=group.place.line,
            )


def _wanted(read: Read, spec: StoresSpec | None) -> set[tuple[int, int]]:
    """(group, member) as the configuration has them, of those that the catalog knows."""
    if spec is None:
        return set()
    numbers = {record.name: record.id for record in stores.every(read)}
    return {
        (numbers[name], numbers[leaf.id])
        for _, name, members in replicated_in(spec)
        for leaf in members
        if name in numbers and leaf.id in numbers
    }


def _changes(read: Read, spec: StoresSpec) -> bool:
    return _wanted(read, spec) != {(one.group_id, one.store_id) for one in replicas.every(read)}


def _change_members(tx: Transaction, spec: StoresSpec | None) -> None:
    wanted = _wanted(tx, spec)
    there = {(one.group_id, one.store_id) for one in replicas.every(tx)}
    for group_id, store_id in sorted(there - wanted):
        replicas.leave(tx, group_id, store_id)
    for group_id, store_id in sorted(wanted - there):
        replicas.join(tx, group_id, store_id)


def _remedy(record: StoreRecord, settings: Settings) -> str:
    if record.name == DEFAULT_STORE and settings.stores is not None:
        root = (settings.data / "store").resolve()
        return (
            "It is the one that the service had before it had a tree of stores; add it to the tree: "
            f"{{id: {DEFAULT_STORE}, type: disk, files_dir: {root}}} (or the folder that store: root: named)"
        )
    return "Put it back; with dolium store set-state it can be kept from taking new data (draining)"


def build_leaf_of(spec: LeafSpec, settings: Settings, uuid: str) -> BlobStore:
    """The store of a spec; `uuid`: the identity that it must have, empty for one that is to be made.

    Raises ConfigError.
    """
    options = leaf_options(spec)
    said = options.get("expected_uuid")
    if said and uuid and said != uuid:
        raise ConfigError(
            f"the store {spec.id!r} has the identity {uuid} in the catalog, not {said}",
            file=spec.place.file,
            line=spec.place.line,
        )
    if uuid:
        options["expected_uuid"] = uuid
    if spec.kind == "disk":
        options.setdefault("min_free_bytes", settings.min_free)
        options.setdefault("verify_reads", settings.verify_reads)
    try:
        return build_leaf(spec.kind, options, store_id=spec.id)
    except ConfigError as error:
        raise ConfigError(error.message, file=spec.place.file, line=spec.place.line) from error


def _is_used(store: BlobStore) -> bool:
    return any(written_ns(info.key) is not None for info in islice(store.list(), _LOOKED_AT))


def make(spec: LeafSpec, settings: Settings) -> Made:
    """Make the store of a spec. Raises ConfigError, StoreUnavailable."""
    leaf = build_leaf_of(spec, settings, "")
    try:
        if isinstance(leaf, Disk):
            uuid = _make_folder(spec.id, Path(str(spec.options["root"])))
        elif isinstance(leaf, Remote):
            uuid = leaf.initialise()
        else:
            raise ConfigError(f"a {spec.kind} store cannot be served")
        said = spec.options.get("expected_uuid")
        if said and said != uuid:
            raise StoreUnavailable(spec.id, f"its identity is {uuid}, not {said}")
        return Made(uuid, _is_used(leaf))
    except StoreUnavailable as error:
        raise StoreUnavailable(
            spec.id, f"the new store {spec.id!r} cannot be made a store: {error.message}"
        ) from error
    finally:
        leaf.close()


def _make_apart(spec: LeafSpec, settings: Settings) -> Made:
    """As `make`, in a process that ends again: clients of remote stores start threads, and who forks workers
    afterwards must not have any.
    """
    unanswered = StoreUnavailable(spec.id, f"the new store {spec.id!r} did not answer in time")
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "dolium.server.make_store"],
            input=pickle.dumps((spec, settings.min_free)), stdout=subprocess.PIPE, timeout=_MADE_WITHIN, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise unanswered from None
    answer = json.loads(ran.stdout) if ran.stdout else {"error": unanswered.message}
    if "error" in answer:
        raise StoreUnavailable(spec.id, answer["error"])
    return Made(**answer)


def _make_folder(store_id: str, root: Path) -> str:
    try:
        return Disk.initialise(root)
    except OSError as error:
        message = f"{root} cannot be made a store: {error.strerror}"
        raise StoreUnavailable(store_id, message) from error


def _enter(database: Database, name: str, kind: str, made: Made) -> None:
    def write(tx: Transaction) -> None:
        if stores.find(tx, name) is not None:
            return
        other = next((one for one in stores.every(tx) if one.uuid == made.uuid), None)
        if other is not None:
            raise ConfigError(
                f"where the store {name!r} is to be lies the store {other.name!r}; a store keeps its id, "
                f"so call it {other.name!r}"
            )
        stores.add(tx, name, kind, made.uuid)
        if made.used:
            # Another catalog named these blobs, or this one before it was lost: they are kept, for `dolium rebuild`.
            fences.add_loss(tx, time.time_ns())

    database.write(write)
