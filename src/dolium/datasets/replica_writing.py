"""How copies come to be and are replaced: in enough members, in all that have one, or nowhere."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Final

from dolium.datasets import copies as members
from dolium.datasets.replica_repair import written_in
from dolium.errors import DoliumError, PartlyDone, StoreError, StoreReadOnly, StoreUnavailable
from dolium.stores.composites.placement import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dolium.datasets.copies import Copy, Seen
    from dolium.datasets.layout import Address, DatasetId
    from dolium.datasets.shelf import Shelf

__all__ = ["CopyWriting", "partly"]

_log: Final = logging.getLogger(__name__)


class CopyWriting:
    """Who calls it has looked (`Seen`), and is alone with the file in this process."""

    def __init__(self, copies: Sequence[Copy], *, store_id: str, write_quorum: int) -> None:
        self._copies = copies
        self._store_id = store_id
        self._quorum = write_quorum

    def begin(self, dataset: DatasetId, at: Address, seen: Seen, write: Callable[[Shelf], None]) -> None:
        """A file that is new."""
        takers = [copy for copy in seen.absent if copy.state is State.ONLINE]
        if len(takers) < self._quorum:
            raise self._too_few(seen)
        failed: dict[Copy, StoreError] = {}
        for copy in takers if not at.dir_only else ():
            try:
                members.forget_notes([copy], dataset, at)
            except StoreError as error:
                failed[copy] = error
        for number, copy in enumerate(takers, 1):
            try:
                if copy not in failed:
                    write(copy.shelf)
            except StoreError as error:
                failed[copy] = error
            except BaseException:
                self._undo(takers[:number], dataset, at)
                raise
            if len(takers) - len(failed) < self._quorum:
                self._undo(takers[:number], dataset, at)
                raise next(iter(failed.values()))
        without = [copy.id for copy in self._copies if copy not in takers]
        # Of one that did not answer nothing is known.
        without += [copy.id for copy, error in failed.items() if not isinstance(error, StoreUnavailable)]
        if without and not at.dir_only:
            self._note([one for one in takers if one not in failed], dataset, at, frozenset(without))

    def _too_few(self, seen: Seen) -> StoreError:
        words = [f"{copy.id} is down" for copy in seen.down]
        words += [f"{copy.id} is {copy.state}" for copy in seen.absent if copy.state is not State.ONLINE]
        why = f"{self._store_id} needs {self._quorum} members for new data: {', '.join(words)}"
        return StoreUnavailable(self._store_id, why) if seen.down else StoreReadOnly(why)

    def _note(self, holders: Sequence[Copy], dataset: DatasetId, at: Address, ids: frozenset[str]) -> None:
        try:
            members.note(holders, dataset, at, ids)
        except DoliumError as error:
            # Then they count as members that may have it.
            _log.warning("%s: it cannot be noted who lacks %s: %s", self._store_id, dataset, error)

    def _undo(self, begun: Sequence[Copy], dataset: DatasetId, at: Address) -> None:
        if at.dir_only:
            return  # an empty folder is in nobody's way
        left: dict[Copy, DoliumError] = {}
        for copy in begun:
            try:
                copy.shelf.delete(dataset, at, entire_dir=False)
            except DoliumError as error:
                left[copy] = error
        if left:
            done = [copy for copy in begun if copy not in left]
            raise partly("what was begun may be there still", done, list(left), next(iter(left.values())))

    def replace(
        self, dataset: DatasetId, at: Address, seen: Seen, source: str | None, *, keep_links: bool
    ) -> None:
        """Give all the bytes of `source`, or of the copy that was written in place."""
        self.require_all(seen, dataset, at, "it would keep the old bytes")
        own = written_in(seen.has, dataset, at) if source is None else _copy_at(source, seen, dataset, at)
        staying = [one for one in seen.has if one.state is State.ONLINE and one is not own]
        fresh = [one for one in seen.absent if one.state is State.ONLINE]
        kept = len(staying) + len(fresh) + (own is not None and own.state is State.ONLINE)
        if kept < self._quorum:
            raise self._too_few(seen)
        if own is not None:
            own.shelf.update(dataset, at, None, create=False, keep_links=keep_links)
            source = own.shelf.path(dataset, at) if staying or fresh else ""
        assert source is not None
        changed: list[Copy] = []
        for copy in staying:
            try:
                copy.shelf.update(dataset, at, source, create=True, keep_links=keep_links)
            except Exception as error:
                if own is None:
                    still = [one for one in seen.has if one not in changed and one is not copy]
                    self._restore(changed, [*still, copy], dataset, at, error)
                elif changed and isinstance(error, DoliumError):
                    raise partly("say it again", changed, [copy], error) from error
                raise
            changed.append(copy)
        if fresh:
            self._complete(seen, fresh, dataset, at, source, keep_links=keep_links)
        for copy in seen.has:
            if copy.state is State.DRAINING:
                copy.shelf.delete(dataset, at, entire_dir=False)

    def _restore(
        self, changed: list[Copy], still: Sequence[Copy], dataset: DatasetId, at: Address, why: Exception
    ) -> None:
        """Give those that were changed the old bytes, that others still have."""
        for copy in tuple(changed):
            for source in still:
                try:
                    path = source.shelf.path(dataset, at)
                    copy.shelf.update(dataset, at, path, create=True, keep_links=False)
                except (DoliumError, OSError):
                    continue
                changed.remove(copy)
                break
        if changed:
            raise partly("copies differ; put it again", changed, still, why) from why

    def _complete(
        self,
        seen: Seen,
        fresh: Sequence[Copy],
        dataset: DatasetId,
        at: Address,
        source: str,
        *,
        keep_links: bool,
    ) -> None:
        """Members that had nothing get what is replaced in the others."""
        members.note_copies_made(seen.has, fresh, dataset, at)
        done: list[Copy] = []
        failed: dict[Copy, StoreError] = {}
        for copy in fresh:
            try:
                copy.shelf.update(dataset, at, source, create=True, keep_links=keep_links)
            except StoreError as error:
                failed[copy] = error
            else:
                done.append(copy)
        staying = [copy for copy in seen.has if copy.state is State.ONLINE]
        if len(staying) + len(done) < self._quorum:
            raise partly("put it again", [*staying, *done], list(failed), next(iter(failed.values())))

    def require_all(self, seen: Seen, dataset: DatasetId, at: Address, why: str) -> None:
        """Raises StoreUnavailable or StoreReadOnly if a copy cannot be changed."""
        closed = next((copy for copy in seen.has if copy.state is State.READ_ONLY), None)
        if closed is not None:
            raise StoreReadOnly(f"a copy lies in {closed.id}, which is read-only")
        if not seen.down:
            return
        lacking = members.lacking(seen.has, dataset, at)
        for copy, error in seen.down.items():
            if copy.id not in lacking:
                raise StoreUnavailable(copy.id, f"{error.message}; {why}")


def _copy_at(source: str, seen: Seen, dataset: DatasetId, at: Address) -> Copy | None:
    """The member of which this file is the copy."""
    for copy in seen.has:
        with contextlib.suppress(OSError):
            here = os.stat(source)  # noqa: PTH116 - as the shelves do
            # A remote store has a path that it gave out, and nothing on this machine else.
            there = copy.shelf.status(dataset, at) or os.stat(copy.shelf.path(dataset, at, fetch=False))  # noqa: PTH116
            if os.path.samestat(here, there):
                return copy
    return None


def partly(words: str, done: Sequence[Copy], left: Sequence[Copy], why: Exception) -> Exception:
    """`why`, if nothing was done."""
    if not done:
        return why
    names = tuple(copy.id for copy in left) or tuple(copy.id for copy in done)
    return PartlyDone(f"{words}: {why}", done=tuple(copy.id for copy in done), left=names)
