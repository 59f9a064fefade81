"""Copies of a file made equal again: which one is right, and who needs it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from dolium.datasets import copies as members
from dolium.errors import DatasetNotFound, DoliumError, StoreError, StoreReadOnly, StoreUnavailable
from dolium.stores.composites.placement import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dolium.datasets.copies import Copy, Seen
    from dolium.datasets.layout import Address, DatasetId

__all__ = ["Repaired", "repair_folder", "repaired", "written_in"]

_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Repaired:
    """By the ids of members. `right`: had the right bytes; `repaired`: have them now; `failed`: have not, and why."""

    right: tuple[str, ...]
    repaired: tuple[str, ...] = ()
    failed: Mapping[str, DoliumError] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every member has the right bytes."""
        return not self.failed


def written_in(has: Mapping[Copy, int], dataset: DatasetId, at: Address) -> Copy:
    """The copy that counts where they differ and nobody says which: the first, whose path is given out; but one with
    bytes before one that is empty, and before both one that was changed after it, by the time of its bytes and by that
    of its entry (a job may put an old file in place, and an administrator touch what nobody has written).
    """
    best, *others = has
    for copy in others:
        if bool(has[copy]) != bool(has[best]):
            best = copy if has[copy] else best
            continue
        mine, theirs = best.shelf.status(dataset, at), copy.shelf.status(dataset, at)
        if mine is None or theirs is None:
            continue  # a remote store gives out paths of what is empty only
        if theirs.st_mtime_ns > mine.st_mtime_ns and theirs.st_ctime_ns > mine.st_ctime_ns:
            best = copy
    return best


def repaired(seen: Seen, dataset: DatasetId, at: Address, right: str) -> Repaired:
    """Make all copies like the right one: that of the member `right`, if it is given; else what more than half of the
    copies say; else the one that counts (`written_in`). Absent copies are made where new data may go.

    Raises DatasetNotFound if the member `right` has none.
    """
    failed: dict[str, DoliumError] = {copy.id: error for copy, error in seen.down.items()}
    digests: dict[Copy, bytes] = {}
    for copy in seen.has:
        try:
            digests[copy] = _digest(copy, dataset, at)
        except (StoreError, DatasetNotFound) as error:
            failed[copy.id] = error
    if not digests:
        raise next(iter(failed.values()))
    good = _right(seen, digests, dataset, at, right)
    wrong = [copy for copy in digests if copy not in good]
    wrong += [copy for copy in seen.absent if copy.state is State.ONLINE]
    members.note_copies_made(digests, [copy for copy in wrong if copy not in digests], dataset, at)
    made = []
    for copy in wrong:
        if copy.state is not State.ONLINE:
            failed[copy.id] = StoreReadOnly(f"{copy.id} is {copy.state}")
            continue
        try:
            _give(good, copy, dataset, at)
        except DoliumError as error:
            failed[copy.id] = error
        else:
            made.append(copy.id)
    return Repaired(tuple(copy.id for copy in good), tuple(made), failed)


def _right(
    seen: Seen, digests: Mapping[Copy, bytes], dataset: DatasetId, at: Address, right: str
) -> list[Copy]:
    if right:
        named = next((copy for copy in digests if copy.id == right), None)
        if named is None:
            raise DatasetNotFound(f"the member {right!r} has no copy that can be read")
        digest = digests[named]
    else:
        digest, count = Counter(digests.values()).most_common(1)[0]
        if 2 * count <= len(digests):
            digest = digests[written_in({copy: seen.has[copy] for copy in digests}, dataset, at)]
    return [copy for copy, one in digests.items() if one == digest]


def _digest(copy: Copy, dataset: DatasetId, at: Address) -> bytes:
    found = hashlib.sha256()
    with copy.shelf.open(dataset, at, None) as reader:
        while piece := reader.read(_PIECE):
            found.update(piece)
    return found.digest()


def _give(good: Sequence[Copy], copy: Copy, dataset: DatasetId, at: Address) -> None:
    """From the first of the good copies that has a path here."""
    refused: DoliumError | None = None
    for source in good:
        try:
            path = source.shelf.path(dataset, at)
        except DoliumError as error:
            refused = error
            continue
        try:
            copy.shelf.update(dataset, at, path, create=True, keep_links=False)
        except OSError as error:
            refused = StoreUnavailable(source.id, f"the copy in {source.id} cannot be read: {error}")
            continue
        return
    raise refused or DatasetNotFound("there is no copy")


def repair_folder(
    copies: Sequence[Copy], dataset: DatasetId, at: Address, repair: Callable[[Address], Repaired]
) -> Repaired:
    """Every file that any member has in it. The right ones are those that had all of them right."""
    names: set[str] = set()
    failed: dict[str, DoliumError] = {}
    found = False
    for copy in copies:
        try:
            copy.require()
            root = copy.shelf.path(dataset, at)
        except DatasetNotFound:
            continue
        except DoliumError as error:
            failed[copy.id] = error
            continue
        found = True
        names |= {
            os.path.relpath(f"{folder}/{one}", root) for folder, _, files in os.walk(root) for one in files
        }
    if not found:
        raise next(iter(failed.values()), DatasetNotFound("there is no such folder"))
    every = [repair(replace(at, dir_only=False, alt_name=name)) for name in sorted(names)]
    for one in every:
        failed |= one.failed
    made = {copy_id for one in every for copy_id in one.repaired} - failed.keys()
    right = [copy.id for copy in copies if copy.id not in made and copy.id not in failed]
    return Repaired(tuple(right), tuple(sorted(made)), failed)
