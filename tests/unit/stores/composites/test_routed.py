"""Hierarchical and distributed stores when members are full, read-only, down, slow or exchanged."""

import io
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dolium.errors import (
    BlobNotFound,
    ConfigError,
    PartlyDone,
    RecordNotFound,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from dolium.stores.composites.distributed import Distributed
from dolium.stores.composites.health import HealthOptions
from dolium.stores.composites.hierarchical import Hierarchical
from dolium.stores.composites.members import Member
from dolium.stores.composites.placement import Request, Rule, State
from dolium.stores.composites.routed import Routed
from dolium.stores.contract import KeepsDescriptions, PutOptions, ReportsSpace, TakesChunks, unwrap
from dolium.stores.leaves.memory import Memory, Options
from dolium.stores.stream import IterableReader
from dolium.stores.transfer import read_bytes
from dolium.testing.faults import CountingStore, FailingChunks, FailingStore, HungStore
from dolium.testing.powers import keys, put
from dolium.values import Space
from tests.unit.stores.composites.clock import Clock

DOWN = StoreUnavailable("x", "down")
KINDS = [Hierarchical, Distributed]
VERBS = ("put", "get", "stat", "list", "delete")


@pytest.fixture
def leaves() -> list[FailingStore]:
    return [FailingStore(Memory()) for _ in range(3)]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, leaves: list[FailingStore]) -> Routed:
    kind: type[Routed] = request.param
    return kind([Member(name, leaf) for name, leaf in zip("abc", leaves, strict=True)])


def _down(leaf: FailingStore) -> None:
    for verb in VERBS:
        leaf.fail(verb, DOWN, for_good=True)


def _holding(leaves: list[FailingStore], key: str) -> list[int]:
    return [number for number, leaf in enumerate(leaves) if key in keys(leaf.child)]


# New blobs.


def test_new_blobs_go_to_the_first_in_order(leaves: list[FailingStore]) -> None:
    store = Hierarchical([Member(name, leaf) for name, leaf in zip("abc", leaves, strict=True)])
    for number in range(10):
        put(store, f"{number}", b"x")
        assert _holding(leaves, f"{number}") == [0]


def test_new_blobs_are_spread_by_weight() -> None:
    members = [Member("a", Memory(), weight=2), Member("b", Memory()), Member("c", Memory(), weight=0)]
    store = Distributed(members, draw=random.Random(3).random)
    for number in range(600):
        put(store, f"{number}", b"x")
    counts = [len(keys(member.store)) for member in members]
    assert counts[2] == 0
    assert 350 < counts[0] < 450
    assert sum(counts) == 600


REFUSALS = [StoreFull("full"), StoreReadOnly("read-only"), DOWN]


@pytest.mark.parametrize("error", REFUSALS)
def test_if_one_refuses_another_takes_it(
    store: Routed, leaves: list[FailingStore], error: StoreError
) -> None:
    leaves[0].fail("put", error, for_good=True)
    leaves[1].fail("put", error, for_good=True)
    for number in range(10):
        put(store, f"{number}", b"x" * number)
        assert read_bytes(store, f"{number}") == b"x" * number
        assert _holding(leaves, f"{number}") == [2]
    leaves[2].fail("put", error, for_good=True)
    with pytest.raises(StoreError):
        put(store, "none", b"x")


@pytest.mark.parametrize("error", REFUSALS)
@pytest.mark.parametrize("verb", ["open_writer", "write", "commit"])
def test_a_small_body_is_sent_again_and_a_large_one_is_not(error: StoreError, verb: str) -> None:
    first, second = FailingChunks(Memory()), Memory()
    store = Hierarchical([Member("a", first), Member("b", second)])
    small, large = b"x" * 1_000_000, b"x" * 3_000_000
    first.fail(verb, error, for_good=True)
    store.put("small", io.BytesIO(small))
    assert read_bytes(second, "small") == small
    if verb == "open_writer":  # before a byte was read
        store.put("large", io.BytesIO(large))
        assert read_bytes(second, "large") == large
        return
    first.fail(verb, error, nth=10 if verb == "write" else 1)
    with pytest.raises(type(error)):
        store.put("large", io.BytesIO(large))
    assert keys(store) == ["small"]


def test_a_writer_is_opened_where_it_can_be() -> None:
    first, second = FailingChunks(Memory()), Memory()
    store = Hierarchical([Member("a", first), Member("b", second)])
    first.fail("open_writer", DOWN)
    chunks = unwrap(store, TakesChunks)
    assert chunks is not None
    with chunks.open_writer("a") as writer:
        writer.write(b"x")
        writer.commit()
    assert keys(second) == ["a"]
    first.fail("write", DOWN)
    writer = chunks.open_writer("b")
    with pytest.raises(StoreUnavailable):
        writer.write(b"x")
    with pytest.raises(ValueError, match="closed"):
        writer.commit()


def test_what_a_body_raises_is_not_taken_for_a_refusal(store: Routed, leaves: list[FailingStore]) -> None:
    def body() -> Iterator[bytes]:
        yield b"x"
        raise DOWN

    with pytest.raises(StoreUnavailable) as raised:
        store.put("a", IterableReader(body()))
    assert raised.value is DOWN
    assert keys(store) == []


def test_limits_are_looked_at_and_full_is_said() -> None:
    clock = Clock()
    small = Memory(Options(capacity=100))
    large = Memory(Options(capacity=1000))
    store = Hierarchical(
        [Member("a", small, max_percent=50.0), Member("b", large, max_bytes=300)], clock=clock
    )
    for number in range(6):
        put(store, f"{number}", b"x" * 50)
        clock.now += 60
    assert keys(small) == ["0"]
    assert keys(large) == ["1", "2", "3", "4", "5"]
    with pytest.raises(StoreFull, match="50 bytes are left"):
        store.put("6", io.BytesIO(b"x" * 51), options=PutOptions(size=51))
    put(store, "6", b"x" * 50)
    clock.now += 60
    with pytest.raises(StoreFull):
        put(store, "7", b"")
    store.delete("0")
    clock.now += 60
    put(store, "7", b"")


def test_what_somebody_else_counts_is_a_limit_too() -> None:
    used = {"a": 100, "b": 10}
    store = Hierarchical(
        [Member(name, FailingStore(Memory()), max_bytes=50) for name in used],
        usage=used.get,
    )
    assert store.choose(Request(size=5)) == ("b",)


@pytest.mark.parametrize("state", [State.READ_ONLY, State.DRAINING, State.OFFLINE])
def test_a_state_keeps_new_blobs_away(store: Routed, leaves: list[FailingStore], state: State) -> None:
    for name in "ab":
        store.member(name).health.state = state
    for number in range(10):
        put(store, f"{number}", b"x")
        assert _holding(leaves, f"{number}") == [2]
    store.member("c").health.state = state
    with pytest.raises(StoreUnavailable if state is State.OFFLINE else StoreReadOnly):
        put(store, "none", b"x")


# Down is never not-found.


@pytest.mark.parametrize("how", ["error", "offline"])
def test_what_may_be_in_a_member_that_is_down_is_not_missing(
    store: Routed, leaves: list[FailingStore], how: str
) -> None:
    put(store.member("b"), "there", b"x")
    for number in range(3):
        if how == "offline":
            store.member("abc"[number]).health.state = State.OFFLINE
        else:
            _down(leaves[number])
        for verb in (store.get, store.stat, store.find):
            with pytest.raises(StoreUnavailable):
                verb("absent")
            if number == 1:
                with pytest.raises(StoreUnavailable):
                    verb("there")
            else:
                verb("there")
        with pytest.raises(StoreUnavailable):
            list(store.list())
        store.member("abc"[number]).health.state = State.ONLINE
        leaves[number].heal()
        store.member("abc"[number]).probe()
        with pytest.raises(BlobNotFound):
            store.stat("absent")


def test_the_breaker_opens_and_one_store_down_costs_the_others_nothing() -> None:
    clock = Clock()
    failing = CountingStore(FailingStore(Memory()))
    _down(failing.child)  # type: ignore[arg-type]
    good = Memory()
    store = Hierarchical([Member("a", failing), Member("b", good)], clock=clock)
    for number in range(20):
        put(store, f"{number}", b"x")
        assert read_bytes(store, f"{number}") == b"x"
    assert failing.calls.total() == 3
    clock.now += 10
    put(store, "again", b"x")
    assert failing.calls.total() == 4
    failing.child.heal()  # type: ignore[attr-defined]
    clock.now += 10
    put(store, "back", b"x")
    put(store, "back 2", b"x")
    assert keys(failing) == ["back", "back 2"]


def test_a_store_that_hangs_delays_nobody_else() -> None:
    hung, good = HungStore(Memory()), Memory()
    store = Distributed([Member("a", hung, deadline_seconds=60.0), Member("b", good, deadline_seconds=60.0)])
    put(good, "x", b"x")
    hung.hang()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.stat, "absent")
        assert hung.entered.acquire(timeout=30)
        for _ in range(20):
            assert read_bytes(store.member("b"), "x") == b"x"
        assert not waiting.done()
        hung.release()
        with pytest.raises(BlobNotFound):
            waiting.result()


def test_a_store_that_hangs_is_given_up_and_then_passed_over() -> None:
    hung, good = HungStore(Memory()), Memory()
    options = HealthOptions(failures=1, open_seconds=3600.0)
    store = Distributed(
        [
            Member("a", hung, weight=1000, deadline_seconds=0.1, threads=2, health=options),
            Member("b", good, weight=1),
        ]
    )
    hung.hang()
    began = time.monotonic()
    for number in range(20):
        put(store, f"{number}", b"x")
        assert read_bytes(store, f"{number}") == b"x"
    assert time.monotonic() - began < 1.9, "one of them waited, not all twenty"
    assert len(keys(good)) == 20
    with pytest.raises(StoreUnavailable):
        store.stat("absent")
    hung.release()


# One blob in one place.


def test_a_blob_is_replaced_where_it_lies(store: Routed, leaves: list[FailingStore]) -> None:
    for number, name in enumerate("abc"):
        put(store.member(name), name, b"old")
        put(store, name, b"new")
        assert read_bytes(store, name) == b"new"
        assert _holding(leaves, name) == [number]
        store.delete(name)
        assert _holding(leaves, name) == []


@pytest.mark.parametrize("chunks", [False, True])
def test_if_it_cannot_be_replaced_there_it_moves_and_nothing_hides_behind_it(*, chunks: bool) -> None:
    memories = [Memory(), Memory()]
    leaves = memories if chunks else [FailingStore(one) for one in memories]
    for kind, (first, second) in itertools.product(KINDS, [("a", "b"), ("b", "a")]):
        store = kind([Member("a", leaves[0]), Member("b", leaves[1])])
        put(store.member(first), "x", b"old")
        store.member(first).health.state = State.DRAINING
        put(store, "x", b"new")
        assert read_bytes(store, "x") == b"new"
        assert store.find("x") == second
        assert sum(keys(one) == ["x"] for one in memories) == 1
        store.delete("x")
        with pytest.raises(BlobNotFound):
            store.stat("x")


def test_what_lies_in_a_read_only_member_is_neither_replaced_nor_deleted(
    store: Routed, leaves: list[FailingStore]
) -> None:
    put(store.member("c"), "x", b"old")
    store.member("c").health.state = State.READ_ONLY
    with pytest.raises(StoreReadOnly):
        put(store, "x", b"new")
    put(leaves[0].child, "x", b"above")
    with pytest.raises(StoreReadOnly):
        store.delete("x")
    assert read_bytes(store, "x") == b"above", "nothing was done"
    leaves[0].child.delete("x")
    assert read_bytes(store, "x") == b"old"
    store.delete("y")


def test_a_delete_is_one_in_every_member_or_says_where_not(store: Routed, leaves: list[FailingStore]) -> None:
    for leaf in leaves:
        put(leaf.child, "x", b"x")
    _down(leaves[1])
    with pytest.raises(PartlyDone) as raised:
        store.delete("x")
    assert (set(raised.value.done), raised.value.left) == ({"a", "c"}, ("b",))
    assert isinstance(raised.value, StoreUnavailable)
    assert _holding(leaves, "x") == [1]
    leaves[1].heal()
    store.delete("x")
    assert _holding(leaves, "x") == []


def test_if_the_old_copy_cannot_be_deleted_the_put_says_so_and_is_not_made_twice() -> None:
    leaves = [FailingStore(Memory()), FailingStore(Memory()), FailingStore(Memory())]
    store = Hierarchical([Member(name, leaf) for name, leaf in zip("abc", leaves, strict=True)])
    put(leaves[2].child, "x", b"old")
    store.member("c").health.state = State.DRAINING
    leaves[2].fail("delete", DOWN)
    with pytest.raises(PartlyDone) as raised:
        put(store, "x", b"new")
    assert raised.value.left == ("c",)
    assert _holding(leaves, "x") == [0, 2]
    put(store, "x", b"newer")
    assert _holding(leaves, "x") == [0]


def test_a_blob_that_moves_under_readers_is_never_missing() -> None:
    """It is replaced again and again from a member that drains into the other, and back."""
    members = [Member("a", Memory()), Member("b", Memory())]
    store = Hierarchical(members)
    put(store, "x", b"0")
    ended = threading.Event()

    def read() -> int:
        count = 0
        while not ended.is_set() or count < 100:
            assert int(read_bytes(store, "x")) >= 0
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for number in range(300):
            drained = "ab"[number % 2]
            store.reconfigure(
                [replace(one, state=State.DRAINING if one.id == drained else State.ONLINE) for one in members]
            )
            put(store, "x", str(number).encode())
        ended.set()
        assert all(reader.result() for reader in readers)
    assert read_bytes(store, "x") == b"299"
    assert sum(keys(one.store) == ["x"] for one in members) == 1


def test_writers_of_one_new_key_leave_one_blob() -> None:
    members = [Member(name, Memory()) for name in "abcd"]
    store = Distributed(members)
    for number in range(30):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda body: put(store, f"{number}", body), [b"1", b"2", b"3", b"4"]))  # noqa: B023
        holding = [one.id for one in members if f"{number}" in keys(one.store)]
        assert len(holding) == 1


def test_of_two_writers_in_different_members_the_last_one_stays() -> None:
    members = [Member("a", Memory()), Member("b", Memory())]
    store = Hierarchical(members)
    chunks = unwrap(store, TakesChunks)
    assert chunks is not None
    first = chunks.open_writer("x")
    store.member("a").health.state = State.DRAINING
    second = chunks.open_writer("x")
    store.member("a").health.state = State.ONLINE
    second.write(b"second")
    first.write(b"first")
    second.commit()
    assert store.find("x") == "b"
    first.commit()
    assert read_bytes(store, "x") == b"first"
    assert [keys(one.store) for one in members] == [["x"], []]


# Places.


def test_a_hint_is_asked_alone() -> None:
    counted = [CountingStore(Memory()) for _ in range(10)]
    store = Hierarchical([Member(f"{number}", one) for number, one in enumerate(counted)])
    put(store.member("9"), "x", b"x")
    for one in counted:
        one.calls.clear()
    assert store.find("x", hint="9") == "9"
    assert read_bytes(store.member("9"), "x") == b"x"
    assert [one.calls.total() for one in counted[:9]] == [0] * 9


def test_a_hint_that_is_down_is_not_overruled_by_those_that_do_not_have_it(
    store: Routed, leaves: list[FailingStore]
) -> None:
    put(store.member("b"), "x", b"x")
    _down(leaves[0])
    assert store.find("x", hint="a") == "b", "found elsewhere"
    with pytest.raises(StoreUnavailable):
        store.find("y", hint="a")


def test_without_a_search_only_the_hint_counts() -> None:
    store = Distributed([Member("a", Memory()), Member("b", Memory())], search_for_missing=False)
    put(store.member("b"), "x", b"x")
    assert store.find("x", hint="b") == "b"
    for hint in (None, "a", "unknown"):
        with pytest.raises(BlobNotFound):
            store.find("x", hint=hint)
    assert read_bytes(store, "x") == b"x", "the five verbs know no hint"


def _tree() -> tuple[Hierarchical, Distributed]:
    fast = Distributed(
        [Member("ssd1", Memory()), Member("ssd2", Memory(Options(capacity=100)), max_percent=50.0)],
        draw=random.Random(1).random,
    )
    rules = [Rule(("ssd2",), storage_classes=frozenset({"HOT"})), Rule(("tape", "fast"), size_from=1000)]
    return Hierarchical(
        [Member("disk", Memory()), Member("fast", fast), Member("tape", Memory(), weight=0)], rules=rules
    ), fast


def test_a_tree_is_seen_through() -> None:
    store, fast = _tree()
    assert store.ids() == ("disk", "ssd1", "ssd2", "tape")
    assert store.choose(Request())[0] == "disk"
    assert set(store.choose(Request())) == {"disk", "ssd1", "ssd2"}
    assert store.choose(Request(storage_class="HOT")) == ("ssd2",)
    assert store.choose(Request(size=1000))[0] == "tape"
    assert set(store.choose(Request(wanted="fast", only=True))) == {"ssd1", "ssd2"}
    assert store.choose(Request(wanted="ssd1", only=True)) == ("ssd1",)
    put(fast, "x", b"x")
    assert store.find("x") in {"ssd1", "ssd2"}
    assert store.find("x", hint="tape") == fast.find("x")


def test_a_group_far_down_can_be_named() -> None:
    tree, _ = _tree()
    store = Hierarchical([Member("near", Memory()), Member("all", tree)], rules=[Rule(("fast",))])
    assert store.names() == {"near", "all", "disk", "fast", "ssd1", "ssd2", "tape"}
    assert set(store.choose(Request())) == {"ssd1", "ssd2"}
    assert store.choose(Request(wanted="tape"))[0] == "tape"
    with pytest.raises(ConfigError, match="fast"):
        Hierarchical([Member("fast", Memory()), Member("all", tree)])


def test_what_is_full_below_is_full_above() -> None:
    store, fast = _tree()
    put(fast.member("ssd2"), "x", b"x" * 60)
    fast.member("ssd2").health.space.refresh()  # type: ignore[union-attr]
    with pytest.raises(StoreFull):
        store.choose(Request(storage_class="HOT"))
    lines = store.explain(Request(storage_class="HOT"))
    assert lines[0] == "rule 1 (storage class HOT): ssd2 only"
    assert "fast: named" in lines
    assert any(line.startswith("  ssd2: passed over, it is full: 60.0 %") for line in lines)
    assert "disk: passed over, another is asked for, and only that" in lines


def test_a_group_that_is_offline_takes_its_leaves_with_it() -> None:
    store, _ = _tree()
    put(store.member("ssd1"), "x", b"x")
    store.reconfigure(
        [Member("disk", Memory()), Member("fast", _tree()[1], state=State.OFFLINE)],
    )
    with pytest.raises(StoreUnavailable):
        store.member("ssd1").stat("x")
    assert store.choose(Request()) == ("disk",)


def test_one_leaf_down_does_not_take_its_group_down() -> None:
    failing = FailingStore(Memory())
    group = Distributed([Member("bad", failing), Member("good", Memory())])
    store = Hierarchical([Member("group", group), Member("other", Memory())])
    _down(failing)
    for number in range(20):
        with pytest.raises(StoreUnavailable):
            store.stat("absent")
        put(store, f"{number}", b"x")
    assert len(keys(group.member("good"))) == 20


# Members that change.


def test_members_change_at_once_and_those_that_stay_keep_their_breaker() -> None:
    clock = Clock()
    failing, gone, new = FailingStore(Memory()), Memory(), Memory()
    a, b = Member("a", failing), Member("b", gone)
    store = Distributed([a, b], clock=clock)
    _down(failing)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.member("a").stat("x")
    put(gone, "old", b"old")
    reader_of_old = store.get("old")
    assert store.reconfigure([replace(a, weight=5), Member("c", new)]) == [gone]
    assert store.ids() == ("a", "c")
    assert store.member("a").failing
    assert reader_of_old.read() == b"old"
    with pytest.raises(RecordNotFound):
        store.member("b")
    for number in range(5):
        put(store, f"{number}", b"x")
    assert len(keys(new)) == 5


def test_a_change_that_cannot_be_changes_nothing(store: Routed) -> None:
    for members in (
        [],
        [Member("a", Memory()), Member("a", Memory())],
        [Member("a", Memory(), weight=-1)],
        [Member("g", Hierarchical([Member("a", Memory())])), Member("a", Memory())],
    ):
        with pytest.raises(ConfigError):
            store.reconfigure(members)
        with pytest.raises(ConfigError):
            Distributed(members)
    assert store.ids() == ("a", "b", "c")


def test_powers_follow_the_members() -> None:
    store = Distributed([Member("a", Memory())])
    assert unwrap(store, KeepsDescriptions) is not None
    space = unwrap(store, ReportsSpace)
    assert space is not None
    assert space.space() == Space(1 << 40, 1 << 40)
    store.reconfigure([Member("a", FailingStore(Memory()))])
    assert unwrap(store, KeepsDescriptions) is None
    assert unwrap(store, ReportsSpace) is None


def test_weights_are_exchanged_under_load() -> None:
    memories = [Memory() for _ in range(4)]
    members = [Member(f"{n}", memory) for n, memory in enumerate(memories)]
    store = Distributed(members)
    ended = threading.Event()
    names = itertools.count()

    def work() -> list[str]:
        mine = []
        while not ended.is_set():
            mine.append(f"{next(names)}")
            put(store, mine[-1], mine[-1].encode())
            assert read_bytes(store, mine[-1]) == mine[-1].encode()
        return mine

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(work) for _ in range(3)]
        rng = random.Random(1)
        for _ in range(40):
            store.reconfigure(
                [replace(member, weight=rng.randrange(4)) for member in members[:3]] + members[3:]
            )
            time.sleep(0.003)
        ended.set()
        written = [name for job in jobs for name in job.result()]
    assert len(written) > 50
    assert sorted(written) == keys(store)
    assert all(sum(name in keys(memory) for memory in memories) == 1 for name in written[:50])


def test_closing_closes_all(leaves: list[FailingStore]) -> None:
    closed: list[str] = []

    def closer(name: str) -> Callable[[], None]:
        return lambda: closed.append(name)

    for name, leaf in zip("abc", leaves, strict=True):
        leaf.close = closer(name)  # type: ignore[method-assign]
    Distributed([Member(name, leaf) for name, leaf in zip("abc", leaves, strict=True)]).close()
    assert closed == ["a", "b", "c"]
