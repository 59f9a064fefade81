"""The members of a composite: what they are told to be, and the guards around them.

A set of members never changes. Another takes its place at once (`Members.changed`), while calls that began with the
old one go on with it; a member that stays, the same store under the same id, keeps its breaker and its threads.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dolium.errors import ConfigError, RecordNotFound
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.health import Health, HealthOptions
from dolium.stores.composites.placement import Candidate, State
from dolium.stores.composites.places import Places
from dolium.stores.contract import unwrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dolium.stores.contract import BlobStore

__all__ = ["Member", "Members"]

_NEVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Member:
    """A store and its part in a composite.

    `weight`: of new blobs; 0: only those for which it is named. `max_percent`, `max_bytes`: it is full from there on.
    `deadline_seconds`: how long one call may take, and whether the store has `threads` of its own; None: calls are
    made on the caller's thread, for a store that cannot hang. `health`: when it counts as down.
    """

    id: str
    store: BlobStore
    weight: float = 1
    max_percent: float | None = None
    max_bytes: int | None = None
    state: State = State.ONLINE
    deadline_seconds: float | None = None
    threads: int = 8
    health: HealthOptions = field(default=HealthOptions())


class Members:
    """Raises ConfigError for no member at all, for an id twice, also further down, and for a negative weight."""

    def __init__(
        self,
        members: Iterable[Member],
        *,
        clock: Callable[[], float] = time.monotonic,
        usage: Callable[[str], int | None] | None = None,
        before: Members | None = None,
    ) -> None:
        self.all = tuple(members)
        self._clock = clock
        self._usage = usage
        self._by_id = {one.id: one for one in self.all}
        self._places = {one.id: unwrap(one.store, Places) for one in self.all}
        self._names: set[str] = set()
        self._owner: dict[str, str] = {}  # leaf -> the member that it is, or is under
        self._check()
        self._guards = {one.id: self._guard(one, before) for one in self.all}

    def changed(self, members: Iterable[Member]) -> Members:
        return Members(members, clock=self._clock, usage=self._usage, before=self)

    def __iter__(self) -> Iterator[Guarded]:
        return iter(self._guards.values())

    def __len__(self) -> int:
        return len(self.all)

    def backwards(self) -> Iterator[Guarded]:
        return reversed(self._guards.values())

    @property
    def leaves(self) -> tuple[str, ...]:
        return tuple(self._owner)

    @property
    def names(self) -> frozenset[str]:
        """The ids of the members and of all that lies below them."""
        return frozenset(self._names)

    def guard(self, member_id: str) -> Guarded:
        """Of a member of this very set."""
        return self._guards[member_id]

    def places(self, member_id: str) -> Places | None:
        """The member, if it is a composite that knows its leaves."""
        return self._places[member_id]

    def owner(self, leaf: str) -> str | None:
        """The member that this leaf is, or lies under; None if it is none of these."""
        return self._owner.get(leaf)

    def leaf(self, leaf: str) -> Guarded:
        """Raises RecordNotFound."""
        owner = self._owner.get(leaf)
        if owner is None:
            raise RecordNotFound("store", leaf)
        guard, places = self._guards[owner], self._places[owner]
        if places is None:
            return guard
        below = places.member(leaf)
        # What a group is told to be holds for all that lies under it.
        return below if guard.health.state is State.ONLINE else Guarded(below, leaf, guard.health)

    def candidates(self) -> list[Candidate]:
        """The members as they are now, for `place`."""
        return [self._candidate(one) for one in self.all]

    def kept(self, one: Member) -> Guarded | None:
        """The guard that goes on with this member, if its store and the ways to ask it are the same."""
        old = self._by_id.get(one.id)
        return self._guards[one.id] if old is not None and _same(old, one) else None

    def retire(self, after: Members) -> list[BlobStore]:
        """End what has no part in the set that came after this one; the stores that have left, which are not closed."""
        kept = set(after)
        gone = [one for one in self.all if self._guards[one.id] not in kept]
        for one in gone:
            self._guards[one.id].retire()
        staying = {id(one.store) for one in after.all}
        return [one.store for one in gone if id(one.store) not in staying]

    def _candidate(self, one: Member) -> Candidate:
        guard = self._guards[one.id]
        guard.nudge()
        percent, used = (
            guard.health.used() if one.max_percent is not None or one.max_bytes is not None else (None, None)
        )
        if used is None and one.max_bytes is not None and self._usage is not None:
            used = self._usage(one.id)
        places = self._places[one.id]
        return Candidate(
            id=one.id,
            weight=one.weight,
            max_percent=one.max_percent,
            max_bytes=one.max_bytes,
            state=guard.health.state,
            failing=guard.failing,
            used_percent=percent,
            used_bytes=used,
            below=places.names() if places is not None else frozenset(),
        )

    def _guard(self, one: Member, before: Members | None) -> Guarded:
        kept = before.kept(one) if before is not None else None
        if kept is not None:
            kept.health.state = one.state
            return kept
        # A composite is as well as its leaves, each of which has a breaker of its own.
        options = one.health if self._places[one.id] is None else HealthOptions(failures=_NEVER)
        health = Health(one.state, options, clock=self._clock)
        return Guarded(one.store, one.id, health, deadline_seconds=one.deadline_seconds, threads=one.threads)

    def _check(self) -> None:
        if not self.all:
            raise ConfigError("a composite needs at least one member")
        for one in self.all:
            if one.weight < 0:
                raise ConfigError(f"the weight of {one.id!r} is negative")
            places = self._places[one.id]
            below = places.names() if places is not None else ()
            for name in (one.id, *below):
                if name in self._names:
                    raise ConfigError(f"two stores have the id {name!r}")
                self._names.add(name)
            self._owner |= dict.fromkeys((one.id,) if places is None else places.ids(), one.id)


def _same(old: Member, new: Member) -> bool:
    return (
        old.store is new.store
        and old.deadline_seconds == new.deadline_seconds
        and old.threads == new.threads
        and old.health == new.health
    )
