"""The members of a replicated store, what they have of a file, and the notes on what one of them has not.

A *note* stands in members that took a new file while others were down, as a small file beside the datasets:

    R/_dolium_missing/000/dataset_24.dat                    ids of members that have nothing of 000/dataset_24.dat
    R/_dolium_missing/dataset_24_files/000/report.html      … of 000/dataset_24_files/report.html

That a member has nothing counts only if all members that have the file, and can be asked, say so: a note that could not
be changed while its member was away is then outvoted by who made the copy meanwhile. A note that is lost costs no
bytes: the member counts as one that may have the file.
"""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dolium.datasets.layout import Address
from dolium.errors import DatasetNotFound, DoliumError, StoreUnavailable
from dolium.stores.composites.placement import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dolium.config.specs import LeafSpec
    from dolium.datasets.layout import DatasetId
    from dolium.datasets.shelf import Shelf

__all__ = ["Copy", "Seen", "forget_notes", "lacking", "lacking_below", "look", "note", "note_copies_made"]

_log: Final = logging.getLogger(__name__)

_NOTES: Final = "_dolium_missing"


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """A member."""

    spec: LeafSpec
    shelf: Shelf
    state: State = State.ONLINE

    @property
    def id(self) -> str:
        return self.spec.id

    def require(self) -> None:
        if self.state is State.OFFLINE:
            raise StoreUnavailable(self.id, f"{self.id} is offline")


@dataclass(slots=True)
class Seen:
    """Who has a file, and of what size; who has not; of whom it cannot be told."""

    has: dict[Copy, int] = field(default_factory=dict)
    absent: list[Copy] = field(default_factory=list)
    down: dict[Copy, StoreUnavailable] = field(default_factory=dict)


def look(copies: Iterable[Copy], dataset: DatasetId, at: Address) -> Seen:
    seen = Seen()
    for copy in copies:
        try:
            copy.require()
            size = copy.shelf.size(dataset, at)
        except StoreUnavailable as error:
            seen.down[copy] = error
            continue
        if size is None:
            seen.absent.append(copy)
        else:
            seen.has[copy] = size
    return seen


def lacking(holders: Iterable[Copy], dataset: DatasetId, at: Address) -> frozenset[str]:
    """The members that have nothing of the file, by the word of all these."""
    said = [noted_in(copy, dataset, at) for copy in holders]
    return frozenset.intersection(*said) if said else frozenset()


def noted_in(copy: Copy, dataset: DatasetId, at: Address) -> frozenset[str]:
    if at.dir_only:
        return frozenset()  # of its files only
    where = _address(at)
    try:
        if copy.shelf.size(dataset, where) is None:
            return frozenset()
        with copy.shelf.open(dataset, where, None) as reader:
            return frozenset(reader.read().decode().split("\n")) - {""}
    except (DoliumError, ValueError) as error:
        _log.warning("%s: what it notes of %s cannot be read: %s", copy.id, dataset, error)
        return frozenset()


def note(copies: Iterable[Copy], dataset: DatasetId, at: Address, ids: frozenset[str]) -> None:
    """In each of these, instead of what was noted. Raises what the shelf does."""
    where = _address(at)
    if not ids:
        for copy in copies:
            copy.shelf.delete(dataset, where, entire_dir=False)
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write("\n".join(sorted(ids)).encode())
        file.flush()
        for copy in copies:
            copy.shelf.update(dataset, where, file.name, create=True, keep_links=False)


def note_copies_made(holders: Iterable[Copy], made: Iterable[Copy], dataset: DatasetId, at: Address) -> None:
    """Before they are made, so that no note ever denies bytes that are there. Raises what the shelf does."""
    holders, made = tuple(holders), tuple(made)
    left = lacking(holders, dataset, at) - {copy.id for copy in made}
    for copy in (*holders, *made):
        if noted_in(copy, dataset, at) != left:
            note([copy], dataset, at, left)


def forget_notes(
    copies: Iterable[Copy], dataset: DatasetId, at: Address, *, entire_dir: bool = False
) -> None:
    """Of what is deleted. Raises what the shelf does."""
    where = _address(at)
    for copy in copies:
        copy.shelf.delete(dataset, where, entire_dir=entire_dir)


def lacking_below(copies: Iterable[Copy], dataset: DatasetId, at: Address) -> frozenset[str]:
    """The members that lack a file of a folder, by the word of any of these that can be asked."""
    found: set[str] = set()
    for copy in copies:
        try:
            copy.require()
            root = copy.shelf.path(dataset, _address(at))
            for folder, _, names in os.walk(root):
                for name in names:
                    found.update(Path(folder, name).read_text().split("\n"))
        except (DatasetNotFound, StoreUnavailable, OSError):
            continue
    return frozenset(found)


def _address(at: Address) -> Address:
    parts = (_NOTES, "_root" if at.extra_dir_at_root else "", at.extra_dir)
    return replace(at, extra_dir="/".join(filter(None, parts)), extra_dir_at_root=True)
