"""Which stores of a group a new dataset may go to, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dolium.errors import StoreError, StoreFull
from dolium.stores.composites.choosing import refusal
from dolium.stores.composites.placement import Candidate, Plan, Request, Rule, State, place

if TYPE_CHECKING:
    from dolium.datasets.concrete import ConcreteStore
    from dolium.datasets.store import ObjectStore

__all__ = ["Branch", "Placing", "acting_for"]

_person: Final[ContextVar[Any]] = ContextVar("person", default=None)


@contextmanager
def acting_for(person: Any) -> Iterator[None]:
    """Within, new data is that of this person of Galaxy: rules go by `username` or `email`, and the names of `groups`."""
    token = _person.set(person)
    try:
        yield
    finally:
        _person.reset(token)


@dataclass(frozen=True, slots=True)
class Branch:
    """A store, or a group of them, in a group."""

    id: str
    store: ObjectStore
    weight: float = 1
    max_percent: float | None = None
    max_bytes: int | None = None
    allow_selection: bool = False
    state: State = State.ONLINE

    def candidate(self) -> Candidate:
        leaves = self.store.leaves()
        limited = self.max_percent is not None or self.max_bytes is not None
        percent, used = self._used() if limited else (None, None)
        return Candidate(
            id=self.id,
            weight=self.weight,
            max_percent=self.max_percent,
            max_bytes=self.max_bytes,
            state=self.state,
            failing=all(leaf.breaker.is_open and not leaf.breaker.due for leaf in leaves),
            used_percent=percent,
            used_bytes=used,
            below=frozenset(self.below()),
        )

    def _used(self) -> tuple[float | None, int | None]:
        try:
            space = self.store.space_of()
        except StoreError:
            return None, None
        if space is None:
            return None, None
        used = space.total - space.free
        return (100.0 * used / space.total if space.total else 100.0), used

    def below(self) -> Iterator[str]:
        for leaf in self.store.leaves():
            yield leaf.store_id
        for branch in getattr(self.store, "branches", ()):
            yield branch.id
            yield from branch.below()


class Placing:
    """`draw`: random numbers, for an order by weight; None: as they stand."""

    def __init__(
        self, branches: Sequence[Branch], rules: Sequence[Rule], draw: Callable[[], float] | None
    ) -> None:
        self._branches = {branch.id: branch for branch in branches}
        self._rules = rules
        self._draw = draw

    def order(self, obj: Any) -> list[ConcreteStore]:
        """At least one. Raises StoreFull, StoreReadOnly or StoreUnavailable if there is none."""
        wanted = getattr(obj, "object_store_id", None) or ""
        request = _request(obj, wanted)
        plan = self._plan(request)
        found = self._leaves(plan, request)
        named = self.named(wanted)
        if named is not None:
            found = [leaf for leaf in found if leaf is named or _alike(leaf, named)]
        if found:
            return found
        if named is not None and plan.taken:
            words = "; ".join(str(one) for one in plan.verdicts)
            raise StoreFull(f"{wanted} takes no new data, and no other store is like it ({words})")
        raise refusal(plan, request)

    def leaves(self, request: Request) -> list[ConcreteStore]:
        """What a group above asks."""
        return self._leaves(self._plan(request), request)

    def explain(self, obj: Any) -> list[str]:
        return self._plan(_request(obj, getattr(obj, "object_store_id", None) or "")).explain()

    def named(self, store_id: str) -> ConcreteStore | None:
        leaves = (leaf for branch in self._branches.values() for leaf in branch.store.leaves())
        return next((leaf for leaf in leaves if leaf.store_id == store_id), None)

    def _plan(self, request: Request) -> Plan:
        candidates = [branch.candidate() for branch in self._branches.values()]
        return place(candidates, request, self._rules, draw=self._draw)

    def _leaves(self, plan: Plan, request: Request) -> list[ConcreteStore]:
        found: list[ConcreteStore] = []
        for verdict in plan.taken:
            store = self._branches[verdict.id].store
            below: Placing | None = getattr(store, "placing", None)
            if below is None:
                found += store.leaves()
            else:
                found += below.leaves(request)
        return found


def _alike(one: ConcreteStore, other: ConcreteStore) -> bool:
    """Whether data that is meant for one may go to the other instead."""
    return (
        one.about.private == other.about.private
        and one.about.quota == other.about.quota
        and one.about.device == other.about.device
    )


def _request(obj: Any, wanted: str) -> Request:
    person = _person.get() or getattr(obj, "user", None)
    name = getattr(person, "username", None) or getattr(person, "email", None) or ""
    groups = (getattr(one, "group", one) for one in getattr(person, "groups", None) or ())
    return Request(
        wanted=wanted,
        person=str(name),
        groups=frozenset(str(getattr(one, "name", one)) for one in groups),
        key=str(getattr(obj, "id", "")),
    )
