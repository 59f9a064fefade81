"""Every dataset in every one of several shelves: one place, with one id.

* New: acknowledged when `write_quorum` members have it (all of them, if it is not given), with a note in those on those
  that were down (`copies`). With fewer it is an error, and what was written is deleted again.
* Replaced: in every member that has it, or may have it; else it fails, and those that were done get their old bytes
  back, for what one of them still had would come back with it.
* Written in place, by a job that was given a path: `update` without a source makes the others like it
  (`replica_repair.written_in`).
* Read: the first member that is up and has it, those that take new data before the others. If nobody has it, one that is
  down makes it StoreUnavailable.
* Deleted: in all members, or nowhere if one that may have it is down.
* States are those of a group: read-only keeps what it has, and so neither lets it be replaced nor deleted; what is
  replaced in the others is deleted in one that is draining; offline is down.

An error has the id of the member that is the matter, and that of the store only if too few are up to write at all: who
places new data goes by that. Further folders, `job_work` and `temp`, are there once, on this machine.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final, TypeVar

from dolium.datasets import copies as members
from dolium.datasets.copies import Copy
from dolium.datasets.layout import Address, disk_path
from dolium.datasets.replica_repair import Repaired, repair_folder, repaired
from dolium.datasets.replica_writing import CopyWriting, partly
from dolium.errors import (
    Conflict,
    DatasetNotFound,
    DoliumError,
    StoreError,
    StoreUnavailable,
)
from dolium.stores.composites.key_locks import KeyLocks
from dolium.stores.composites.placement import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from dolium.datasets.disk import DiskShelf
    from dolium.datasets.layout import DatasetId
    from dolium.datasets.shelf import CacheTarget, Shelf
    from dolium.stores.contract import BlobReader
    from dolium.values import ByteRange, Space

__all__ = ["ReplicatedShelf"]

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

_TOLD: Final = 10_000
"""So many files that lack a copy are told of, each once."""


class ReplicatedShelf:
    """`local` serves further folders."""

    def __init__(
        self, copies: Iterable[Copy], local: DiskShelf, *, store_id: str, write_quorum: int | None = None
    ) -> None:
        # Paths are given out to be written, so those that can be come first.
        self.copies: Sequence[Copy] = sorted(copies, key=lambda one: one.state is not State.ONLINE)
        self.store_id = store_id
        self.write_quorum = len(self.copies) if write_quorum is None else write_quorum
        self._writing = CopyWriting(self.copies, store_id=store_id, write_quorum=self.write_quorum)
        self._local = local
        self._locks = KeyLocks()
        self._told: set[str] = set()

    # Reads.

    def size(self, dataset: DatasetId, at: Address) -> int | None:
        if at.base_dir:
            return self._local.size(dataset, at)
        try:
            return self._first(dataset, at, lambda shelf: _size(shelf, dataset, at))
        except DatasetNotFound:
            return None

    def path(self, dataset: DatasetId, at: Address, *, fetch: bool = True) -> str:
        if at.base_dir:
            return self._local.path(dataset, at, fetch=fetch)
        copies = self.copies
        if fetch and at.dir_only and (at.extra_dir or at.obj_dir) and self.write_quorum < len(copies):
            lacking = members.lacking_below(copies, dataset, at)
            copies = [copy for copy in copies if copy.id not in lacking] or copies
        return self._first(dataset, at, lambda shelf: shelf.path(dataset, at, fetch=fetch), copies)

    def construct(self, dataset: DatasetId, at: Address, *, local: bool = False) -> str:
        shelf = self._local if at.base_dir else self.copies[0].shelf
        return shelf.construct(dataset, at, local=local)

    def status(self, dataset: DatasetId, at: Address) -> os.stat_result | None:
        if at.base_dir:
            return self._local.status(dataset, at)
        has = members.look(self.copies, dataset, at).has
        return next(iter(has)).shelf.status(dataset, at) if has else None

    def open(self, dataset: DatasetId, at: Address, wanted: ByteRange | None) -> BlobReader:
        if at.base_dir:
            return self._local.open(dataset, at, wanted)
        return self._first(dataset, at, lambda shelf: shelf.open(dataset, at, wanted))

    def at_hand(self, dataset: DatasetId, at: Address) -> bool:
        if at.base_dir:
            return self._local.at_hand(dataset, at)
        return self._first(dataset, at, lambda shelf: shelf.at_hand(dataset, at))

    def url(
        self, dataset: DatasetId, at: Address, seconds: int, *, disposition: str = "", media_type: str = ""
    ) -> str | None:
        """Of the first member that has one."""
        if at.base_dir:
            return None
        has = members.look(self.copies, dataset, at).has
        urls = (
            copy.shelf.url(dataset, at, seconds, disposition=disposition, media_type=media_type)
            for copy in has
        )
        return next((one for one in urls if one is not None), None)

    def space(self) -> Space | None:
        """Of the member that has the least left, of those that can tell."""
        found = []
        for copy in self.copies:
            try:
                copy.require()
                space = copy.shelf.space()
            except StoreError:
                continue
            found += [] if space is None else [space]
        return min(found, key=lambda one: one.free, default=None)

    # Writes.

    def create(self, dataset: DatasetId, at: Address) -> None:
        if at.base_dir:
            self._local.create(dataset, at)
            return
        with self._locked(dataset, at):
            seen = members.look(self.copies, dataset, at)
            if not seen.has:
                self._writing.begin(dataset, at, seen, lambda shelf: shelf.create(dataset, at))

    def update(
        self, dataset: DatasetId, at: Address, source: str | None, *, create: bool, keep_links: bool
    ) -> None:
        if at.base_dir:
            self._local.update(dataset, at, source, create=create, keep_links=keep_links)
            return

        def write(shelf: Shelf) -> None:
            shelf.update(dataset, at, source, create=True, keep_links=keep_links)

        with self._locked(dataset, at):
            seen = members.look(self.copies, dataset, at)
            if seen.has:
                self._writing.replace(dataset, at, seen, source, keep_links=keep_links)
            elif create:
                self._writing.begin(dataset, at, seen, write)
            else:
                raise self._absent(seen.down, dataset, at)

    def delete(self, dataset: DatasetId, at: Address, *, entire_dir: bool) -> bool:
        if at.base_dir:
            return self._local.delete(dataset, at, entire_dir=entire_dir)
        with self._locked(dataset, at):
            seen = members.look(self.copies, dataset, at)
            self._writing.require_all(seen, dataset, at, "it might keep a copy, so nothing is deleted")
            deleted: list[Copy] = []
            # Whom readers ask first comes last. Who has nothing may have a link that leads nowhere.
            for copy in (*seen.absent, *reversed(seen.has)):
                try:
                    if copy.shelf.delete(dataset, at, entire_dir=entire_dir):
                        deleted.append(copy)
                except (StoreError, Conflict) as error:
                    left = [one for one in seen.has if one not in deleted]
                    raise partly("a copy may be there still", deleted, left, error) from error
            members.forget_notes((*seen.has, *seen.absent), dataset, at, entire_dir=entire_dir)
            return bool(deleted)

    def repair(self, dataset: DatasetId, at: Address, *, right: str = "") -> Repaired:
        """See `replica_repair.repaired`. Of a folder, each file in it. Raises DatasetNotFound, StoreUnavailable."""
        if at.dir_only:
            return repair_folder(self.copies, dataset, at, lambda one: self.repair(dataset, one, right=right))
        with self._locked(dataset, at):
            seen = members.look(self.copies, dataset, at)
            if not seen.has:
                raise self._absent(seen.down, dataset, at)
            self._told.discard(self._name(dataset, at))
            return repaired(seen, dataset, at, right)

    # The members.

    def probe(self) -> None:
        """Raises StoreUnavailable for the first member that is down, after all were asked."""
        down: StoreUnavailable | None = None
        for copy in self.copies:
            try:
                copy.shelf.probe()
            except StoreUnavailable as error:
                down = down or error
        if down is not None:
            raise down

    def cache_targets(self) -> list[CacheTarget]:
        return [target for copy in self.copies for target in copy.shelf.cache_targets()]

    def start(self) -> None:
        for copy in self.copies:
            copy.shelf.start()

    def close(self) -> None:
        for copy in self.copies:
            copy.shelf.close()

    # How it reads.

    def _first(
        self, dataset: DatasetId, at: Address, work: Callable[[Shelf], T], copies: Sequence[Copy] = ()
    ) -> T:
        absent: list[Copy] = []
        down: dict[Copy, StoreUnavailable] = {}
        for copy in copies or self.copies:
            try:
                if copy.state is State.OFFLINE:
                    copy.require()
                found = work(copy.shelf)
            except DatasetNotFound:
                absent.append(copy)
            except StoreUnavailable as error:
                down[copy] = error
            else:
                if absent:
                    self._tell(dataset, at, absent)
                return found
        raise self._absent(down, dataset, at)

    def _absent(self, down: dict[Copy, StoreUnavailable], dataset: DatasetId, at: Address) -> DoliumError:
        for copy, error in down.items():
            store_id = self.store_id if len(self.copies) - len(down) < self.write_quorum else copy.id
            return StoreUnavailable(store_id, f"{error.message}; it might have the dataset")
        return DatasetNotFound(f"no file {disk_path(dataset, at)} in {self.store_id}")

    def _tell(self, dataset: DatasetId, at: Address, absent: Sequence[Copy]) -> None:
        name = self._name(dataset, at)
        if at.dir_only or name in self._told or len(self._told) >= _TOLD:
            return
        self._told.add(name)
        names = ", ".join(copy.id for copy in absent)
        _log.warning("%s: %s has no copy in %s; `repair` makes one", self.store_id, name, names)

    def _name(self, dataset: DatasetId, at: Address) -> str:
        return disk_path(dataset, at)

    def _locked(self, dataset: DatasetId, at: Address) -> AbstractContextManager[None]:
        return self._locks.hold(self._name(dataset, at))


def _size(shelf: Shelf, dataset: DatasetId, at: Address) -> int:
    found = shelf.size(dataset, at)
    if found is None:
        raise DatasetNotFound("no such file")
    return found
