"""Which members may take a new blob, in the order in which they are tried; and why. Pure.

    plan = place(candidates, Request(bucket="climate", size=1 << 30), rules, draw=random.random)
    plan.ids          # ("b", "a"): try b, then a
    plan.explain()    # ["rule 1 (bucket climate): ssd", "b: chosen by its weight 2 of 3", "c: passed over, …"]

A member takes new blobs when it is online, below its limits and not failing, and the blob fits under its limit of
bytes. An unset limit is no limit, and what is not known about a member is not held against it. A member of weight 0
takes a blob only when a rule or the caller names it. A name is honoured whatever the weight, but not by a member that
cannot take writes: then the others are tried, unless the request or the rule says that none of them will do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Candidate", "Plan", "Request", "Rule", "State", "Verdict", "place"]


class State(StrEnum):
    """What an operator lets a member do.

    read-only: reads. draining: reads and deletes. offline: nothing; its blobs are down, not gone.
    """

    ONLINE = "online"
    READ_ONLY = "read-only"
    DRAINING = "draining"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a blob before it is written. `wanted`: the id that the caller asks for; it may be that of a
    member, or of one further down; `only`: no other will do. `key` is the blob's, `name` what people call it.
    """

    key: str = ""
    name: str = ""
    size: int | None = None
    tenancy: str = ""
    person: str = ""
    groups: frozenset[str] = frozenset()
    bucket: str = ""
    content_type: str = ""
    storage_class: str = ""
    wanted: str = ""
    only: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Blobs for which every field that is set holds go to `members`, in this order; `only`: else nowhere.

    Of several values one must fit. `content_types` match whole, or by their first half: `image/`. The size is at least
    `size_from` and less than `size_below`; one that is not known is neither.
    """

    members: tuple[str, ...]
    tenancies: frozenset[str] = frozenset()
    persons: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    buckets: frozenset[str] = frozenset()
    storage_classes: frozenset[str] = frozenset()
    content_types: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    size_from: int = 0
    size_below: int | None = None
    only: bool = True

    def matches(self, request: Request) -> bool:
        if self.size_from and (request.size is None or request.size < self.size_from):
            return False
        if self.size_below is not None and (request.size is None or request.size >= self.size_below):
            return False
        return (
            _in(request.tenancy, self.tenancies)
            and _in(request.person, self.persons)
            and _in(request.bucket, self.buckets)
            and _in(request.storage_class, self.storage_classes)
            and (not self.groups or bool(self.groups & request.groups))
            and (not self.content_types or _is_of(request.content_type, self.content_types))
            and (not self.prefixes or request.name.startswith(self.prefixes))
        )

    def __str__(self) -> str:
        sets = {
            "tenancy": self.tenancies, "person": self.persons, "group": self.groups, "bucket": self.buckets,
            "prefix": self.prefixes, "storage class": self.storage_classes, "content type": self.content_types,
        }  # fmt: skip
        words = [f"{noun} {' or '.join(sorted(values))}" for noun, values in sets.items() if values]
        words += [f"size from {self.size_from}"] if self.size_from else []
        words += [f"size below {self.size_below}"] if self.size_below is not None else []
        return ", ".join(words) or "every blob"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member as it is now. `below`: the ids under it, if it is a composite. `failing`: its breaker is open.

    `used_percent` and `used_bytes` are None when they are not known.
    """

    id: str
    weight: float = 1
    max_percent: float | None = None
    max_bytes: int | None = None
    state: State = State.ONLINE
    failing: bool = False
    used_percent: float | None = None
    used_bytes: int | None = None
    below: frozenset[str] = frozenset()

    def holds(self, name: str) -> bool:
        return name == self.id or name in self.below

    def refusal(self, size: int | None) -> str:
        """Why it cannot take a blob of this size now; empty if it can."""
        if self.state is not State.ONLINE:
            return f"it is {self.state}"
        return "it is failing" if self.failing else self.lack(size)

    def lack(self, size: int | None) -> str:
        """What room is lacking; empty if none is."""
        percent, used = self.used_percent, self.used_bytes
        if self.max_percent is not None and percent is not None and percent >= self.max_percent:
            return f"it is full: {percent:.1f} % used, the limit is {self.max_percent:g} %"
        if self.max_bytes is None or used is None:
            return ""
        if used >= self.max_bytes:
            return f"it is full: {used} bytes used, the limit is {self.max_bytes}"
        if size is not None and used + size > self.max_bytes:
            return f"the blob does not fit: {self.max_bytes - used} bytes are left"
        return ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a member is tried, or not. `named`: the id below or at the member that was asked for, if any; `full`:
    it is passed over for lack of room; `down`: because it cannot be asked.
    """

    id: str
    taken: bool
    reason: str
    named: str = ""
    full: bool = False
    down: bool = False

    def __str__(self) -> str:
        return f"{self.id}: {'' if self.taken else 'passed over, '}{self.reason}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to try, in order; `verdicts` has those first, then the others in the order of the configuration. `only`:
    just those that are named.
    """

    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...] = field(default=())
    only: bool = False

    @property
    def taken(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.taken)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(verdict.id for verdict in self.taken)

    @property
    def full(self) -> bool:
        """Whether nobody can be tried, and one of them only for lack of room."""
        return not self.taken and any(verdict.full for verdict in self.verdicts)

    def explain(self) -> list[str]:
        return [*self.notes, *map(str, self.verdicts)]


def place(
    candidates: Sequence[Candidate],
    request: Request,
    rules: Sequence[Rule] = (),
    *,
    draw: Callable[[], float] | None = None,
) -> Plan:
    """`draw`: random numbers from 0 up to 1, for an order by weight; None: the order of the candidates."""
    names, only, notes = _named(candidates, request, rules)
    refused = {one.id: one.refusal(request.size) for one in candidates}
    taken: dict[str, Verdict] = {}
    for name in names:
        for one in candidates:
            if one.holds(name) and one.id not in taken and not refused[one.id]:
                taken[one.id] = Verdict(one.id, taken=True, reason="named", named=name)
    passed: dict[str, Verdict] = {}
    free: list[Candidate] = []
    for one in candidates:
        if one.id in taken:
            continue
        if refused[one.id]:
            passed[one.id] = Verdict(
                one.id,
                taken=False,
                reason=refused[one.id],
                full=refused[one.id] == one.lack(request.size),
                down=one.failing or one.state is State.OFFLINE,
            )
        elif only:
            passed[one.id] = Verdict(one.id, taken=False, reason="another is asked for, and only that")
        elif one.weight <= 0:
            passed[one.id] = Verdict(one.id, taken=False, reason="its weight is 0, and it is not named")
        else:
            free.append(one)
    taken.update((verdict.id, verdict) for verdict in _ordered(free, draw))
    return Plan((*taken.values(), *passed.values()), tuple(notes), only)


def _named(
    candidates: Sequence[Candidate], request: Request, rules: Sequence[Rule]
) -> tuple[list[str], bool, list[str]]:
    """(names in order, whether no others will do, words): the caller's own word first, then the first rule's."""
    names: list[str] = []
    only = False
    notes: list[str] = []
    if request.wanted and any(one.holds(request.wanted) for one in candidates):
        names.append(request.wanted)
        only = request.only
        notes.append(f"asked for: {request.wanted}{', and only that' if only else ''}")
    elif request.wanted:
        only = request.only
        notes.append(f"asked for: {request.wanted}, which is not here")
    if only:
        return names, only, notes
    for number, rule in enumerate(rules, 1):
        if rule.matches(request):
            notes.append(f"rule {number} ({rule}): {', '.join(rule.members)}{' only' if rule.only else ''}")
            return [*names, *rule.members], rule.only, notes
    return names, only, notes


def _ordered(free: Sequence[Candidate], draw: Callable[[], float] | None) -> list[Verdict]:
    if draw is None:
        return [Verdict(one.id, taken=True, reason=f"number {n} in order") for n, one in enumerate(free, 1)]
    total = sum(one.weight for one in free)
    # The smallest of exponential times at these rates is drawn by weight, and so is the next among the rest.
    timed = sorted(((-math.log(1.0 - draw()) / one.weight, n) for n, one in enumerate(free)))
    return [
        Verdict(free[n].id, taken=True, reason=f"drawn by its weight, {free[n].weight:g} of {total:g}")
        for _, n in timed
    ]


def _in(value: str, allowed: frozenset[str]) -> bool:
    return not allowed or value in allowed


def _is_of(content_type: str, allowed: tuple[str, ...]) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return any(kind == one.lower() or (one.endswith("/") and kind.startswith(one.lower())) for one in allowed)
