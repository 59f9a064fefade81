"""Is there an order of these operations, in keeping with real time, that explains everything the clients were told?

    history = [Operation("k", begun=1, ended=3, value="a"), Operation("k", begun=2, ended=4, value="a", reads=True)]
    assert violations(history) == []

Each key is a register: it holds a value (an ETag, say) or None, that is no object. Registers compose: a history is
linearizable exactly if the history of every key is (Herlihy and Wing 1990), so each is looked at alone. The search is
that of Wing and Gong (1993) with the memory of Lowe (2017), as he arranges it by returns: operations are gone through
in the order in which they began and ended, with the set of all *situations* that explain what has been seen so far.
Where one ends, every situation must be able to have it take effect, after others that are under way or not; those that
cannot are dropped, and where none is left, there is no such order. That is exact: nothing is sampled.

An operation of unknown outcome never ends: it may take effect at any time after its beginning, or never. There may be
many of these, and which of them have been used up would make a situation of its own for every subset. Of two
situations that differ in nothing else, the one that used up fewer can do all that the other can: only that one is kept.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Final

__all__ = ["Demand", "Operation", "UndecidedError", "Violation", "violations"]

_SHOWN: Final = 25
_MOST: Final = 1_000_000
"""Situations that are looked at for one key: about half a minute. Histories of drills need a few thousand."""


class UndecidedError(Exception):
    """There are too many ways in which it may have been. To decide it is NP-hard, and this history is of the hard ones."""


class Demand(Enum):
    """What a write may demand of the state that it finds, beside a certain value."""

    NOTHING = "nothing"
    ABSENCE = "absence"  # If-None-Match: *


@dataclass(frozen=True, slots=True)
class Operation:
    """What a client asked of one key, and what it was told.

    `begun` and `ended` are of one clock; `ended` None: nobody knows whether it was done. `value`: what was written or
    read; None: no object. `demand`: of a write, a value that must be there (If-Match), or a `Demand`. `refused`: it was
    told that the demand does not hold. `note`: for people.
    """

    key: str
    begun: int
    ended: int | None
    value: str | None
    reads: bool = False
    demand: str | Demand = Demand.NOTHING
    refused: bool = False
    note: str = field(default="", compare=False)

    @property
    def looks(self) -> bool:
        """Whether what it does, or is told, depends on the value that it finds."""
        return self.reads or self.demand is not Demand.NOTHING

    def __str__(self) -> str:
        if self.reads:
            what = f"read {self.value}"
        else:
            what = f"write {self.value}" if self.value is not None else "delete"
            if self.demand is not Demand.NOTHING:
                what += f" if {self.demand.value if isinstance(self.demand, Demand) else self.demand}"
        outcome = "unknown" if self.ended is None else "refused" if self.refused else "done"
        return (
            f"{self.begun}..{'' if self.ended is None else self.ended} {what}: {outcome} {self.note}".rstrip()
        )


@dataclass(frozen=True, slots=True)
class Violation:
    """No order explains `operation`. `before`: what was seen of its key up to then, the newest last; `possible`: the
    values that may have been there.
    """

    operation: Operation
    before: tuple[Operation, ...]
    possible: frozenset[str | None]

    def __str__(self) -> str:
        seen = "\n".join(f"  {one}" for one in self.before)
        values = ", ".join(sorted(map(str, self.possible)))
        return f"{self.operation.key!r}: nothing explains\n  {self.operation}\nafter\n{seen}\nfrom {values}"


_Numbers = frozenset[int]


@dataclass(frozen=True, slots=True)
class _Situation:
    """Of the operations under way: `written` and `seen` have taken effect, as writes and as what only looks at the
    value. `used`: of the unknown ones likewise.
    """

    value: str | None
    written: _Numbers = frozenset()
    seen: _Numbers = frozenset()
    used: _Numbers = frozenset()


class _Situations:
    """A set of them without those that another one makes needless."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | None, _Numbers], list[tuple[_Numbers, _Numbers]]] = {}

    def add(self, situation: _Situation) -> bool:
        """False if it is needless."""
        seen, used = situation.seen, situation.used
        known = self._known.setdefault((situation.value, situation.written), [])
        if any(more >= seen and less <= used for more, less in known):
            return False
        known[:] = [one for one in known if not (seen >= one[0] and used <= one[1])]
        known.append((seen, used))
        return True

    def __iter__(self) -> Iterator[_Situation]:
        return (_Situation(*at, *one) for at, every in self._known.items() for one in every)


def violations(history: Iterable[Operation], *, initially: str | None = None) -> list[Violation]:
    """Of each key whose history cannot be explained, the first operation at which that shows.

    `initially`: what every key holds before the first. Raises UndecidedError.
    """
    keys: dict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        keys[operation.key].append(operation)
    found = (_first_violation(operations, initially) for operations in keys.values())
    return [violation for violation in found if violation is not None]


def _effect(operation: Operation, value: str | None) -> tuple[bool, str | None]:
    """Whether the operation can take effect where `value` is, and what is there then."""
    if operation.reads:
        return operation.value == value, value
    match operation.demand:
        case Demand.NOTHING:
            holds = True
        case Demand.ABSENCE:
            holds = value is None
        case wanted:
            holds = value == wanted
    if operation.refused:
        return not holds, value
    return holds, operation.value if holds else value


def _first_violation(operations: list[Operation], initially: str | None) -> Violation | None:
    operations.sort(key=attrgetter("begun"))
    # At the same moment a beginning comes before an end: then the two may be in either order.
    events = sorted(
        [(operation.begun, 0, number) for number, operation in enumerate(operations)]
        + [(one.ended, 1, number) for number, one in enumerate(operations) if one.ended is not None]
    )
    search = _Search(operations, initially)
    for _, ends, number in events:
        if not ends:
            search.begin(number)
        elif not search.end(number):
            ended = [one for one in operations if one.begun <= (operations[number].ended or 0)]
            return Violation(operations[number], tuple(ended[-_SHOWN:]), frozenset(search.possible))
    return None


class _Search:
    def __init__(self, operations: list[Operation], initially: str | None) -> None:
        self._operations = operations
        self._situations = [_Situation(initially)]
        self._looking: set[int] = set()  # under way, without an effect
        self._writing: set[int] = set()  # under way
        # Of the unknown ones that write the same on the same demand it does not matter which is used.
        self._unknown: dict[tuple[str | None, str | Demand], list[int]] = {}
        self._looked_at = 0
        self.possible: set[str | None] = set()

    def begin(self, number: int) -> None:
        operation = self._operations[number]
        if operation.ended is not None:
            (self._looking if operation.reads or operation.refused else self._writing).add(number)
        elif not operation.reads and not operation.refused:
            self._unknown.setdefault((operation.value, operation.demand), []).append(number)

    def end(self, number: int) -> bool:
        """Have the operation take effect, if it has not yet; False if there is no way."""
        found, known = _Situations(), _Situations()
        self.possible = {situation.value for situation in self._situations}
        # Those that used up less come first, so that what they make needless is never gone into.
        waiting = [(len(situation.used), at, situation) for at, situation in enumerate(self._situations)]
        heapify(waiting)
        count = len(waiting)
        while waiting:
            situation = self._having_looked(heappop(waiting)[2])
            if number in situation.written or number in situation.seen:
                found.add(
                    replace(situation, written=situation.written - {number}, seen=situation.seen - {number})
                )
            elif known.add(situation):
                self._looked_at += 1
                if self._looked_at > _MOST:
                    raise UndecidedError
                for following in self._next(situation):
                    heappush(waiting, (len(following.used), count, following))
                    count += 1
        self._looking.discard(number)
        self._writing.discard(number)
        self._situations = list(found)
        return bool(self._situations)

    def _having_looked(self, situation: _Situation) -> _Situation:
        """What only looks at the value does so at once, if it sees now what it was told: that takes nothing from anybody."""
        more = [
            number
            for number in self._looking - situation.seen
            if _effect(self._operations[number], situation.value)[0]
        ]
        return replace(situation, seen=situation.seen.union(more)) if more else situation

    def _next(self, situation: _Situation) -> Iterable[_Situation]:
        """After one more write."""
        for number in self._writing - situation.written:
            can, value = _effect(self._operations[number], situation.value)
            if can:
                yield replace(situation, value=value, written=situation.written | {number})
        for number in self._unused(situation):
            can, value = _effect(self._operations[number], situation.value)
            if can and value != situation.value and self._is_noticed(value, situation, number):
                yield replace(situation, value=value, used=situation.used | {number})

    def _unused(self, situation: _Situation) -> Iterator[int]:
        for alike in self._unknown.values():
            unused = next((number for number in alike if number not in situation.used), None)
            if unused is not None:
                yield unused

    def _is_noticed(self, value: str | None, situation: _Situation, but: int) -> bool:
        """Whether anything that has begun could tell that `value` is there; else what brings it can come later."""
        others = itertools.chain(
            self._looking - situation.seen, self._writing - situation.written, self._unused(situation)
        )
        return any(
            number != but and self._operations[number].looks and _effect(self._operations[number], value)[0]
            for number in others
        )
