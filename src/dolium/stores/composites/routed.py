"""Many members, each blob in one of them: what hierarchical and distributed have in common.

* A new blob goes to the first member that takes it, of those that placement names. When one refuses, or is down, the
  next is tried, as long as the body can be read again: its first mebibyte is kept for that. After that an error
  passes. A writer (`open_writer`) is opened where somebody opens it, and stays there.
* A blob is written where it lies already, if that member takes writes. If not, it goes elsewhere and the old copy is
  deleted, last of all; if that lies in a read-only member, the put is refused. So nothing is hidden by a newer copy,
  to come back when that is deleted.
* A delete is one in every member. One that cannot be reached is named (PartlyDone); the delete is to be made again.
* A search that finds nothing, but met a member that is down, says StoreUnavailable.
* A list has all members, or raises StoreUnavailable.

What this process cannot know: whether a member that is down holds an older blob under a key that is put elsewhere
meanwhile, and what other processes write under the same key in the same moment. Who keeps the ids (`Places`) need
not care.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

from dolium.errors import BlobNotFound, PartlyDone, StoreFull, StoreReadOnly, StoreUnavailable
from dolium.stores.composites import choosing, everywhere
from dolium.stores.composites.everywhere import power_of
from dolium.stores.composites.key_locks import KeyLocks
from dolium.stores.composites.listing import merged
from dolium.stores.composites.members import Members
from dolium.stores.composites.placement import Request, State, place
from dolium.stores.composites.powers import offer
from dolium.stores.composites.routed_writer import RoutedWriter
from dolium.stores.contract import BlobStore, KeepsDescriptions, PutOptions, ReportsSpace, TakesChunks, unwrap
from dolium.stores.keys import check_key
from dolium.stores.stream import ReplayReader
from dolium.stores.transfer import PIECE
from dolium.values import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dolium.stores.composites.guarded import Guarded
    from dolium.stores.composites.members import Member
    from dolium.stores.composites.placement import Plan, Rule
    from dolium.stores.contract import BlobReader, BlobWriter, Reader
    from dolium.values import BlobInfo, ByteRange

__all__ = ["Routed"]

T = TypeVar("T")

_REPLAY: Final = 1 << 20
_REFUSALS: Final = (StoreUnavailable, StoreFull, StoreReadOnly)


class Routed(BlobStore):
    """Offers Places; takes chunks, keeps descriptions and reports space if every member does.

    `draw`: random numbers for a choice by weight; None: by order. `usage`: bytes in a member by somebody else's count,
    for a store that does not know itself. `search_for_missing`: whether `find` asks more than the hint.
    """

    def __init__(
        self,
        members: Iterable[Member],
        *,
        rules: Sequence[Rule] = (),
        draw: Callable[[], float] | None = None,
        usage: Callable[[str], int | None] | None = None,
        search_for_missing: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._draw = draw
        self._search_for_missing = search_for_missing
        self._locks = KeyLocks()
        self._moves = 0  # grows when a blob leaves one member for another; read without a lock
        self._lock = Lock()  # guards the three below against two changes at once; each is replaced whole
        self._members = Members(members, clock=clock, usage=usage)
        self._rules = tuple(rules)
        self.local = all(guard.local for guard in self._members)
        offer(self, self._members)

    def reconfigure(
        self, members: Iterable[Member], *, rules: Sequence[Rule] | None = None
    ) -> Sequence[BlobStore]:
        """Other members, weights, limits or states, at once and while it runs; calls under way end as they began.

        The stores that have no part in it any more are given back, for the caller to close when he knows that
        nobody reads from them. Raises ConfigError, and then nothing has changed.
        """
        with self._lock:
            before = self._members
            self._members = after = before.changed(members)
            self._rules = self._rules if rules is None else tuple(rules)
            self.local = all(guard.local for guard in after)
            offer(self, after)
        return before.retire(after)

    # The five verbs.

    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:  # noqa: B008 - frozen
        check_key(key)
        members = self._members
        replay = ReplayReader(body, _REPLAY)
        holders, targets = self._targets(members, key, options.size)
        for number, target in enumerate(targets, 1):
            try:
                return self._put_to(members, target, key, replay, options, holders)
            except PartlyDone:
                raise  # it is put
            except _REFUSALS:
                if number == len(targets) or not replay.rewind():
                    raise
        raise AssertionError("there is always a target")

    def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002 - as the contract
        return self._search(key, lambda guard: guard.get(key, range=range))

    def stat(self, key: str) -> BlobInfo:
        return self._search(key, lambda guard: guard.stat(key))

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[BlobInfo]:
        return merged([guard.list(prefix, after=after) for guard in self._members])

    def delete(self, key: str) -> None:
        check_key(key)
        with self._locks.hold(key):
            members = self._members
            kept = [guard for guard in members if guard.health.state is State.READ_ONLY]
            if held := everywhere.holders(kept, key, strict=True):
                raise StoreReadOnly(f"the blob lies in {held[0].store_id}, which is read-only")
            # The last first: a reader that searches in order finds the blob as long as it is there at all.
            everywhere.delete([guard for guard in members.backwards() if guard not in kept], key)

    def close(self) -> None:
        for guard in self._members:
            guard.close()

    # Places.

    def ids(self) -> tuple[str, ...]:
        return self._members.leaves

    def names(self) -> frozenset[str]:
        return self._members.names

    def member(self, store_id: str, /) -> Guarded:
        return self._members.leaf(store_id)

    def find(self, key: str, /, *, hint: str | None = None) -> str:
        check_key(key)
        members = self._members
        owner = members.owner(hint) if hint is not None else None
        down: StoreUnavailable | None = None
        if hint is not None and owner is not None:
            try:
                members.leaf(hint).stat(key)
            except BlobNotFound:
                pass
            except StoreUnavailable as error:
                down = error
            else:
                return hint
        if not self._search_for_missing:
            raise down or BlobNotFound(key)
        try:
            return self._search(key, lambda guard: self._leaf_of(members, guard, key), members)
        except BlobNotFound:
            if down is not None:
                raise down from None
            raise

    def choose(self, request: Request, /) -> tuple[str, ...]:
        members = self._members
        return choosing.choose(members, self._plan(members, request), request)

    def explain(self, request: Request, /) -> Sequence[str]:
        members = self._members
        return choosing.explain(members, self._plan(members, request), request)

    # The powers that depend on the members.

    def _open_writer(self, key: str, *, options: PutOptions = PutOptions()) -> BlobWriter:  # noqa: B008 - frozen
        check_key(key)
        members = self._members
        holders, targets = self._targets(members, key, options.size)
        for number, target in enumerate(targets, 1):
            try:
                return self._writer(members, target, key, options, holders)
            except _REFUSALS:
                if number == len(targets):
                    raise
        raise AssertionError("there is always a target")

    def _description(self, key: str) -> dict[str, str]:
        return self._search(key, lambda guard: power_of(guard, KeepsDescriptions).description(key))

    def _space(self) -> Space | None:
        """Of the members that answer and know."""
        found: list[Space] = []
        down: StoreUnavailable | None = None
        for guard in self._members:
            try:
                space = power_of(guard, ReportsSpace).space()
            except StoreUnavailable as error:
                down = error
            else:
                found += [] if space is None else [space]
        if not found:
            if down is not None:
                raise down
            return None
        return Space(total=sum(space.total for space in found), free=sum(space.free for space in found))

    # How it goes about it.

    def _plan(self, members: Members, request: Request) -> Plan:
        return place(members.candidates(), request, self._rules, draw=self._draw)

    def _search(self, key: str, work: Callable[[Guarded], T], members: Members | None = None) -> T:
        """What `work` says of the first member that has the blob."""
        check_key(key)
        while True:
            moves = self._moves
            down: StoreUnavailable | None = None
            for guard in members or self._members:
                try:
                    return work(guard)
                except BlobNotFound:
                    continue
                except StoreUnavailable as error:
                    down = down or error
            if down is not None:
                raise StoreUnavailable(down.store_id, f"{down.store_id} is down, and might have it") from down
            if moves == self._moves:  # else it may have gone behind our back
                raise BlobNotFound(key)

    def _leaf_of(self, members: Members, guard: Guarded, key: str) -> str:
        places = members.places(guard.store_id)
        if places is not None:
            return places.find(key)
        guard.stat(key)
        return guard.store_id

    def _targets(
        self, members: Members, key: str, size: int | None
    ) -> tuple[Sequence[Guarded], Sequence[Guarded]]:
        """(the members that have the blob, those to try in order). Raises StoreReadOnly if one has it for good."""
        holders = self._holders(members, key)
        candidates = {one.id: one for one in members.candidates()}
        plan = place(
            list(candidates.values()), Request(key=key, name=key, size=size), self._rules, draw=self._draw
        )
        here = [guard for guard in holders if not candidates[guard.store_id].refusal(size)][:1]
        targets = here + [guard for name in plan.ids if (guard := members.guard(name)) not in here]
        if not targets:
            raise choosing.refusal(plan, Request(key=key, size=size))
        return holders, targets

    def _holders(self, members: Members, key: str) -> Sequence[Guarded]:
        holders = everywhere.holders(members, key) if len(members) > 1 else ()
        for guard in holders:
            guard.require(State.READ_ONLY)
        return holders

    def _put_to(
        self,
        members: Members,
        target: Guarded,
        key: str,
        body: ReplayReader,
        options: PutOptions,
        holders: Sequence[Guarded],
    ) -> BlobInfo:
        if unwrap(target, TakesChunks) is None:
            with self._locks.hold(key):
                others = [guard for guard in self._holders(members, key) if guard is not target]
                return self._moving(key, others, lambda: target.put(key, body, options=options))
        with self._writer(members, target, key, options, holders) as writer:
            taken = 0
            while (piece := body.read(PIECE)) and (options.size is None or taken <= options.size):
                writer.write(piece)
                taken += len(piece)
            return writer.commit()

    def _writer(
        self, members: Members, target: Guarded, key: str, options: PutOptions, holders: Sequence[Guarded]
    ) -> RoutedWriter:
        mark = self._locks.begin(key)

        def publish(commit: Callable[[], BlobInfo]) -> BlobInfo:
            with self._locks.hold(key):
                found = self._holders(members, key) if mark else holders
                return self._moving(key, [guard for guard in found if guard is not target], commit)

        try:
            inner = power_of(target, TakesChunks).open_writer(key, options=options)
        except BaseException:
            self._locks.end(key, mark)
            raise
        return RoutedWriter(inner, publish, lambda: self._locks.end(key, mark))

    def _moving(self, key: str, others: Sequence[Guarded], publish: Callable[[], BlobInfo]) -> BlobInfo:
        """Publish, and delete what `others` had before."""
        if not others:
            return publish()
        try:
            self._moves += 1
            info = publish()
            everywhere.delete(others, key)
        finally:
            self._moves += 1
        return info
