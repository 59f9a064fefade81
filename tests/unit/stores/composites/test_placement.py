"""Placement is pure: who takes a new blob, in which order, and why."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolium.stores.composites.placement import Candidate, Request, Rule, State, place

A, B, C = Candidate("a"), Candidate("b"), Candidate("c")
CLIMATE = Request(
    name="raw/x.nc", size=100, tenancy="ocean", person="ada", groups=frozenset({"lab"}), bucket="climate",
    content_type="Image/PNG; q=1", storage_class="COLD",
)  # fmt: skip


def test_without_weights_the_order_is_that_of_the_members() -> None:
    assert place([B, A, C], Request()).ids == ("b", "a", "c")


def test_with_weights_the_first_is_drawn_by_them_and_the_others_follow() -> None:
    rng = random.Random(1)
    members = [Candidate("a", weight=1.5), Candidate("b", weight=0.5), Candidate("c", weight=0)]
    plans = [place(members, Request(), draw=rng.random).ids for _ in range(4000)]
    assert set(plans) == {("a", "b"), ("b", "a")}
    share = Counter(plan[0] for plan in plans)["a"] / len(plans)
    assert 0.71 < share < 0.79
    assert "a: drawn by its weight, 1.5 of 2" in place(members, Request(), draw=rng.random).explain()


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (Candidate("a", state=State.READ_ONLY), "it is read-only"),
        (Candidate("a", state=State.DRAINING), "it is draining"),
        (Candidate("a", state=State.OFFLINE), "it is offline"),
        (Candidate("a", failing=True), "it is failing"),
        (Candidate("a", weight=0), "its weight is 0, and it is not named"),
        (Candidate("a", max_percent=90, used_percent=90.0), "it is full: 90.0 % used, the limit is 90 %"),
        (Candidate("a", max_bytes=500, used_bytes=500), "it is full: 500 bytes used, the limit is 500"),
        (Candidate("a", max_bytes=500, used_bytes=450), "the blob does not fit: 50 bytes are left"),
    ],
)
def test_who_cannot_take_it_is_passed_over_and_told_why(candidate: Candidate, reason: str) -> None:
    plan = place([candidate, B], Request(size=51))
    assert plan.ids == ("b",)
    assert plan.explain() == ["b: number 1 in order", f"a: passed over, {reason}"]
    alone = place([candidate], Request(size=51))
    assert alone.ids == ()
    assert alone.full == ("full" in reason or "fit" in reason)


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate("a", used_percent=100.0, used_bytes=1 << 60),
        Candidate("a", max_percent=90, used_percent=89.9),
        Candidate("a", max_percent=90, used_percent=None),
        Candidate("a", max_bytes=10, used_bytes=None),
        Candidate("a", max_bytes=500, used_bytes=450),
    ],
)
def test_no_limit_is_none_and_what_is_not_known_is_not_held_against_it(candidate: Candidate) -> None:
    assert place([candidate, B], Request(size=50)).ids == ("a", "b")


def test_limits_of_some_do_not_exclude_those_without() -> None:
    """As they do in Galaxy."""
    members = [Candidate("a", max_percent=80, used_percent=99.0), Candidate("b", used_percent=99.0)]
    assert place(members, Request(), draw=random.random).ids == ("b",)


def test_who_is_asked_for_comes_first_whatever_its_weight() -> None:
    members = [A, Candidate("b", weight=0), C]
    assert place(members, Request(wanted="b")).ids == ("b", "a", "c")
    assert place(members, Request(wanted="b", only=True)).ids == ("b",)


@pytest.mark.parametrize("draw", [None, random.random])
def test_who_is_asked_for_and_cannot_leaves_it_to_the_others_unless_only_it_will_do(
    draw: Callable[[], float] | None,
) -> None:
    members = [A, Candidate("b", max_percent=50, used_percent=60.0)]
    assert place(members, Request(wanted="b"), draw=draw).ids == ("a",)
    only = place(members, Request(wanted="b", only=True), draw=draw)
    assert (only.ids, only.full) == ((), True)
    assert only.explain()[0] == "asked for: b, and only that"


def test_an_unknown_id_is_a_hint_or_nothing() -> None:
    assert place([A, B], Request(wanted="gone")).ids == ("a", "b")
    assert place([A, B], Request(wanted="gone", only=True)).ids == ()


FIELDS = {
    "tenancies": frozenset({"ocean", "x"}),
    "persons": frozenset({"ada"}),
    "groups": frozenset({"lab", "x"}),
    "buckets": frozenset({"climate"}),
    "storage_classes": frozenset({"COLD"}),
    "content_types": ("text/", "image/"),
    "prefixes": ("x/", "raw/"),
    "size_from": 100,
    "size_below": 101,
}
OTHERS = {
    "tenancies": frozenset({"x"}),
    "persons": frozenset({"eve"}),
    "groups": frozenset({"x"}),
    "buckets": frozenset({"x"}),
    "storage_classes": frozenset({"HOT"}),
    "content_types": ("image/pn", "text/"),
    "prefixes": ("rawer/", "x/"),
    "size_from": 101,
    "size_below": 100,
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_rule_holds_if_every_field_that_is_set_does(field: str) -> None:
    good = Rule(("b",), **{field: FIELDS[field]})  # type: ignore[arg-type]
    bad = Rule(("c",), **(FIELDS | {field: OTHERS[field]}))  # type: ignore[arg-type]
    assert good.matches(CLIMATE)
    assert not bad.matches(CLIMATE)
    assert Rule(("b",), **FIELDS).matches(CLIMATE)  # type: ignore[arg-type]
    assert place([A, B, C], CLIMATE, [bad, good]).ids == ("b",)
    assert str(good) != str(Rule(("b",))) == "every blob"


def test_an_unknown_size_meets_no_rule_of_sizes() -> None:
    assert not Rule(("b",), size_from=1).matches(Request())
    assert not Rule(("b",), size_below=1 << 60).matches(Request())


def test_the_first_rule_that_matches_decides() -> None:
    rules = [Rule(("c",), persons=frozenset({"eve"})), Rule(("b", "c")), Rule(("a",))]
    plan = place([A, B, C], CLIMATE, rules)
    assert plan.ids == ("b", "c")
    assert plan.explain() == [
        "rule 2 (every blob): b, c only", "b: named", "c: named",
        "a: passed over, another is asked for, and only that",
    ]  # fmt: skip


def test_a_rule_may_leave_it_to_the_others() -> None:
    full = Candidate("b", max_bytes=1, used_bytes=1)
    assert place([A, full, C], CLIMATE, [Rule(("b",))]).ids == ()
    assert place([A, full, C], CLIMATE, [Rule(("b",), only=False)]).ids == ("a", "c")
    assert place([A, B, C], CLIMATE, [Rule(("b",), only=False)]).ids == ("b", "a", "c")


def test_a_name_further_down_leads_to_the_member_above_it() -> None:
    group = Candidate("fast", below=frozenset({"ssd1", "ssd2"}))
    plan = place([A, group], CLIMATE, [Rule(("ssd2",))])
    assert [(verdict.id, verdict.named) for verdict in plan.taken] == [("fast", "ssd2")]


def test_a_rule_reads_like_its_configuration() -> None:
    rule = Rule(("a",), tenancies=frozenset({"t", "s"}), prefixes=("p/",), size_from=1, size_below=2)
    assert str(rule) == "tenancy s or t, prefix p/, size from 1, size below 2"


CANDIDATES = st.builds(
    Candidate,
    id=st.sampled_from("abcdef"),
    weight=st.integers(0, 3),
    max_percent=st.none() | st.floats(1, 100),
    used_percent=st.none() | st.floats(0, 100),
    state=st.sampled_from(State),
    failing=st.booleans(),
)


@given(
    members=st.lists(CANDIDATES, unique_by=lambda one: one.id),
    wanted=st.sampled_from(["", *"abcdefg"]),
    only=st.booleans(),
    ruled=st.lists(st.sampled_from("abcdefg"), max_size=2),
    weighted=st.booleans(),
)
def test_everyone_is_tried_or_told_why_not(
    members: list[Candidate], wanted: str, ruled: list[str], only: bool, weighted: bool
) -> None:
    rules = [Rule(tuple(ruled))] if ruled else []
    plan = place(members, Request(wanted=wanted, only=only), rules, draw=random.random if weighted else None)
    assert sorted(verdict.id for verdict in plan.verdicts) == sorted(one.id for one in members)
    able = {one.id for one in members if not one.refusal(None)}
    assert set(plan.ids) <= able
    if not (wanted and only) and not ruled:
        assert able - set(plan.ids) <= {one.id for one in members if one.weight == 0}
    if wanted in able:
        assert plan.ids[0] == wanted
