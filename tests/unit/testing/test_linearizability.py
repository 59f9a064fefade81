"""The checker of histories accepts all that a register can have said, and nothing else."""

from dataclasses import replace
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolium.testing import linearizability
from dolium.testing.linearizability import Demand, Operation, UndecidedError, violations

VALUES = ("a", "b", "c", "d")


def put(value: str, begun: int, ended: int | None, demand: str | Demand = Demand.NOTHING) -> Operation:
    return Operation("k", begun, ended, value, demand=demand)


def get(value: str | None, begun: int, ended: int) -> Operation:
    return Operation("k", begun, ended, value, reads=True)


def delete(begun: int, ended: int | None) -> Operation:
    return Operation("k", begun, ended, None)


# What a register says ---------------------------------------------------------------------------------------


def demands(*values: str) -> st.SearchStrategy[str | Demand]:
    return st.one_of(st.sampled_from([Demand.NOTHING, Demand.ABSENCE]), st.sampled_from(values))


@st.composite
def histories(draw: st.DrawFn, *, most: int = 40, unique: bool = False) -> list[Operation]:
    """Operations that took effect one after the other on a register, each begun before and ended after that; some of
    unknown outcome, that took effect or did not.
    """
    value: str | None = None
    history = []
    for moment in range(draw(st.integers(1, most))):
        at = moment * 10
        begun, ended = at - draw(st.integers(0, 60)), at + draw(st.integers(0, 60))
        kind = draw(st.sampled_from(["read", "put", "put", "delete"]))
        if kind == "read":
            history.append(get(value, begun, ended))
            continue
        new = None if kind == "delete" else f"v{moment}" if unique else draw(st.sampled_from(VALUES))
        demand = draw(demands(*VALUES, value or "a"))
        holds = demand is Demand.NOTHING or (value is None if demand is Demand.ABSENCE else value == demand)
        operation = Operation("k", begun, ended, new, demand=demand, refused=not holds)
        if draw(st.integers(0, 4)) == 0:
            # Nobody was told. It may have been done, and long after it was begun.
            operation = replace(operation, begun=begun - draw(st.integers(0, 300)), ended=None, refused=False)
            holds = holds and draw(st.booleans())
        if holds:
            value = new
        history.append(operation)
    return history


@settings(max_examples=300)
@given(histories())
def test_what_a_register_says_is_accepted(history: list[Operation]) -> None:
    assert violations(history) == []


# Exactly: small histories, compared with all orders there are ------------------------------------------------


def explained(history: list[Operation]) -> bool:
    """By trying: every subset of what is unknown, in every order."""
    unknown = [one for one in history if one.ended is None]
    known = [one for one in history if one.ended is not None]
    for kept in product([False, True], repeat=len(unknown)):
        chosen = known + [one for one, keep in zip(unknown, kept, strict=True) if keep]
        if any(in_time(order) and in_register(order) for order in permutations(chosen)):
            return True
    return False


def in_time(order: tuple[Operation, ...]) -> bool:
    return not any(
        late.ended is not None and late.ended < early.begun
        for at, early in enumerate(order)
        for late in order[at + 1 :]
    )


def in_register(order: tuple[Operation, ...]) -> bool:
    value: str | None = None
    for one in order:
        if one.reads:
            if one.value != value:
                return False
            continue
        holds = one.demand is Demand.NOTHING or (
            value is None if one.demand is Demand.ABSENCE else value == one.demand
        )
        if one.ended is None:
            value = one.value if holds else value
        elif holds == one.refused:
            return False
        elif holds:
            value = one.value
    return True


@st.composite
def anything(draw: st.DrawFn) -> list[Operation]:
    history = []
    for _ in range(draw(st.integers(1, 6))):
        begun = draw(st.integers(0, 12))
        ended = draw(st.one_of(st.none(), st.integers(begun, begun + 8)))
        value = draw(st.sampled_from([None, "a", "b"]))
        if draw(st.booleans()) and ended is not None:
            history.append(get(value, begun, ended))
            continue
        demand = draw(demands("a", "b"))
        refused = ended is not None and demand is not Demand.NOTHING and draw(st.booleans())
        history.append(Operation("k", begun, ended, value, demand=demand, refused=refused))
    return history


@settings(max_examples=1000, deadline=None)
@given(anything())
def test_the_verdict_is_that_of_trying_every_order(history: list[Operation]) -> None:
    assert (violations(list(history)) == []) == explained(history)


# What must be seen ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "at"),
    [
        pytest.param([put("a", 0, 1), put("b", 2, 3), get("a", 4, 5)], 2, id="a stale read"),
        pytest.param([put("a", 0, 1), get(None, 2, 3)], 1, id="an acknowledged write that is gone"),
        pytest.param([put("a", 0, 1), delete(2, 3), get("a", 4, 5)], 2, id="a delete that came back"),
        pytest.param([put("a", 0, 1), get("x", 2, 3)], 1, id="a value that nobody wrote"),
        pytest.param([put("a", 4, 5), get("a", 0, 1)], 1, id="a value read before it was written"),
        pytest.param(
            [put("a", 0, 5, Demand.ABSENCE), put("b", 1, 6, Demand.ABSENCE)], 1, id="two that found nothing"
        ),
        pytest.param(
            [put("a", 0, 1), put("b", 2, 5, "a"), put("c", 3, 6, "a")], 2, id="a lost update: two that matched"
        ),
        pytest.param(
            [put("a", 0, None), put("b", 1, 2), get("a", 3, 4), get("b", 5, 6)], 3, id="an old value after it was replaced"
        ),
        pytest.param(
            [put("a", 0, 1), put("b", 2, 20), get("b", 3, 4), get("a", 5, 6)], 3, id="a new value, then the old one"
        ),
        pytest.param(
            [put("a", 0, 1), Operation("k", 2, 3, "b", demand="a", refused=True)], 1, id="refused, though it matched"
        ),
        pytest.param(
            [Operation("k", 0, 1, "b", demand=Demand.ABSENCE, refused=True)], 0, id="refused, though nothing was there"
        ),
    ],
)  # fmt: skip
def test_what_no_order_explains_is_told(history: list[Operation], at: int) -> None:
    [violation] = violations(list(history))
    assert violation.operation == history[at]
    assert str(history[at]) in str(violation)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([put("a", 0, None), get(None, 1, 2), get("a", 90, 91)], id="unknown, done late"),
        pytest.param([put("a", 0, None), get(None, 1, 2), get(None, 90, 91)], id="unknown, never done"),
        pytest.param([put("a", 0, 10), get("a", 1, 2), get("a", 3, 4)], id="seen before it is acknowledged"),
        pytest.param([put("a", 0, 10), delete(0, 10), get(None, 11, 12)], id="at the same time"),
        pytest.param(
            [
                put("a", 0, 1),
                put("b", 2, 20),
                put("a", 2, 20),
                get("a", 3, 4),
                get("b", 5, 6),
                get("a", 7, 8),
            ],
            id="the same value again",
        ),
    ],
)
def test_what_an_order_explains_is_accepted(history: list[Operation]) -> None:
    assert violations(list(history)) == []


@settings(max_examples=200)
@given(histories(unique=True), st.data())
def test_a_planted_violation_is_found(history: list[Operation], data: st.DataObject) -> None:
    """To a history in which every value is written once: a read, after everything, of what cannot be there."""
    end = max(one.ended or one.begun for one in history) + 1
    final = put("final", end, end + 1)
    plants: list[list[Operation]] = [
        [final, get("never written", end + 2, end + 3)],
        [final, get(None, end + 2, end + 3)],
        [final, delete(end + 2, end + 3), get("final", end + 4, end + 5)],
        [final, put("more", end + 2, end + 4, "final"), put("twin", end + 3, end + 5, "final")],
        [delete(end, end + 1), *(put(name, end + 2, end + 3, Demand.ABSENCE) for name in "xy")],
    ]
    planted = data.draw(st.sampled_from(plants))
    # What was never answered may still come, and then explain what is planted.
    known = [one for one in history if one.ended is not None]
    sound = [] if violations(list(known)) else known
    assert len(violations(sound + planted)) == 1


def test_keys_are_apart() -> None:
    other = replace(get("a", 4, 5), key="other")
    assert [one.operation for one in violations([put("a", 0, 1), get("a", 2, 3), other])] == [other]


def test_what_is_too_hard_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linearizability, "_MOST", 100)
    with pytest.raises(UndecidedError):
        violations([put(f"v{n}", 0, 10) for n in range(12)])


def test_many_unknown_outcomes_cost_little() -> None:
    """Two hundred writes that may still be done: their subsets are not looked at one by one."""
    history: list[Operation] = []
    for n in range(200):
        history += [
            put(f"u{n}", 10 * n, None),
            put(f"v{n}", 10 * n + 1, 10 * n + 3),
            get(f"v{n}", 10 * n + 4, 10 * n + 5),
        ]
    history += [get("u7", 3000, 3001), get("u150", 3002, 3003), put("z", 3004, 3005), get("u7", 3006, 3007)]
    [violation] = violations(history)
    assert violation.operation.begun == 3006
