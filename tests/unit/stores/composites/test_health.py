"""The breaker, the figures of space, and the guard around one store: states, deadlines, threads of its own."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dolium.errors import (
    BlobNotFound,
    BodyTruncated,
    Conflict,
    RangeNotSatisfiable,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from dolium.stores.composites.breaker import Breaker
from dolium.stores.composites.cached import Cached, CacheOptions
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.health import Health, HealthOptions, SpaceCache
from dolium.stores.composites.placement import State
from dolium.stores.contract import BlobReader, LocalPaths, PutOptions, TakesChunks, unwrap
from dolium.stores.leaves.memory import Memory
from dolium.stores.stream import IterableReader
from dolium.stores.transfer import read_bytes
from dolium.testing.faults import CountingStore, FailingChunks, FailingStore, HungStore
from dolium.testing.powers import keys, put
from dolium.values import ByteRange, Space
from tests.unit.stores.composites.clock import Clock

DOWN = StoreUnavailable("x", "down")
OPTIONS = HealthOptions(failures=3, open_seconds=10.0, space_seconds=10.0)


# The breaker.


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(failures=3, seconds=10.0, clock=Clock())
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.answered()
    assert [breaker.is_open] == [False]
    for _ in range(3):
        assert breaker.enter()
        breaker.failed()
    assert (breaker.is_open, breaker.enter()) == (True, False)


@pytest.mark.parametrize("answers", [True, False])
def test_after_its_time_one_trial_is_let_through_and_decides(*, answers: bool) -> None:
    clock = Clock()
    breaker = Breaker(failures=1, seconds=10.0, clock=clock)
    breaker.failed()
    clock.now += 9.9
    assert (breaker.due, breaker.enter()) == (False, False)
    clock.now += 0.1
    assert [breaker.due] == [True]
    assert [breaker.enter() for _ in range(3)] == [True, False, False]
    assert [breaker.due] == [False], "one is under way"
    if answers:
        breaker.answered()
        assert (breaker.is_open, breaker.enter()) == (False, True)
    else:
        breaker.failed()
        clock.now += 9.9
        assert not breaker.enter()
        clock.now += 0.1
        assert breaker.enter()


def test_a_trial_that_tells_nothing_leaves_room_for_another() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, seconds=10.0, clock=clock)
    breaker.failed()
    clock.now += 10
    assert breaker.enter()
    breaker.unknown()
    assert breaker.enter()


def test_of_many_threads_one_makes_the_trial() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, seconds=1.0, clock=clock)
    breaker.failed()
    clock.now += 1
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: breaker.enter(), range(200))) == 1


# Space.


def test_a_figure_is_asked_for_anew_when_it_is_old_and_not_before() -> None:
    clock = Clock()
    answers: list[Space | StoreError] = [Space(100, 50), Space(100, 40), DOWN, Space(100, 30)]
    asked = 0

    def ask() -> Space:
        nonlocal asked
        asked += 1
        answer = answers[asked - 1]
        if isinstance(answer, StoreError):
            raise answer
        return answer

    cache = SpaceCache(ask, seconds=10.0, clock=clock)
    assert [cache.space(), cache.space()] == [Space(100, 50)] * 2
    clock.now += 10
    assert cache.space() == Space(100, 40)
    clock.now += 10
    assert cache.space() == Space(100, 40), "the last figure, while it is down"
    assert asked == 3
    clock.now += 10
    assert cache.space() == Space(100, 30)


def test_a_figure_that_cannot_be_renewed_is_forgotten_at_last() -> None:
    clock = Clock()
    down = False

    def ask() -> Space:
        if down:
            raise DOWN
        return Space(100, 50)

    cache = SpaceCache(ask, seconds=10.0, clock=clock)
    assert cache.space() == Space(100, 50)
    down = True
    clock.now += 99
    assert cache.space() == Space(100, 50)
    clock.now += 1
    assert cache.space() is None


def test_a_slow_store_is_asked_off_the_callers_path() -> None:
    clock = Clock()
    jobs: list[Callable[[], None]] = []
    cache = SpaceCache(lambda: Space(100, 50), seconds=10.0, clock=clock, later=jobs.append)
    assert cache.space() is None
    assert len(jobs) == 1
    jobs.pop()()
    assert cache.space() == Space(100, 50)
    clock.now += 10
    assert cache.space() == Space(100, 50)
    assert cache.space() == Space(100, 50)
    assert len(jobs) == 1, "one question, not one for each caller"


def test_a_member_of_known_space_knows_what_is_used() -> None:
    health = Health()
    assert health.used() == (None, None)
    Guarded(Memory(), "a", health)
    percent, used = health.used()
    assert (percent, used) == (0.0, 0)


# The guard: states.


@pytest.mark.parametrize(
    ("state", "reads", "puts", "deletes"),
    [
        (State.ONLINE, None, None, None),
        (State.READ_ONLY, None, StoreReadOnly, StoreReadOnly),
        (State.DRAINING, None, StoreReadOnly, None),
        (State.OFFLINE, StoreUnavailable, StoreUnavailable, StoreUnavailable),
    ],
)
@pytest.mark.parametrize("deadline", [None, 60.0])
def test_a_state_allows_what_it_says(
    state: State,
    reads: type[Exception] | None,
    puts: type[Exception] | None,
    deletes: type[Exception] | None,
    deadline: float | None,
) -> None:
    memory = Memory()
    put(memory, "a", b"old")
    guard = Guarded(memory, "m", Health(state), deadline_seconds=deadline)
    copies = unwrap(guard, TakesChunks)
    assert copies is not None
    verbs: list[tuple[type[Exception] | None, Callable[[], object]]] = [
        (reads, lambda: read_bytes(guard, "a")),
        (reads, lambda: guard.stat("a")),
        (reads, lambda: list(guard.list())),
        (puts, lambda: put(guard, "b", b"new")),
        (puts, lambda: copies.open_writer("b").commit()),
        (deletes, lambda: guard.delete("a")),
    ]
    for expected, verb in verbs:
        if expected is None:
            verb()
        else:
            with pytest.raises(expected):
                verb()
    guard.health.state = State.ONLINE
    put(guard, "c", b"again")


# The guard: what counts as down.


@pytest.mark.parametrize("verb", ["get", "stat", "delete", "put", "list", "read"])
@pytest.mark.parametrize("deadline", [None, 60.0])
def test_a_store_that_is_down_is_asked_no_more_for_a_while(verb: str, deadline: float | None) -> None:
    clock = Clock()
    failing = FailingStore(Memory())
    put(failing, "a", b"bytes")
    counting = CountingStore(failing)
    guard = Guarded(counting, "m", Health(options=OPTIONS, clock=clock), deadline_seconds=deadline)
    failing.fail(verb, DOWN, for_good=True)

    def call() -> None:
        verbs: dict[str, Callable[[], object]] = {
            "get": lambda: guard.get("a"),
            "stat": lambda: guard.stat("a"),
            "delete": lambda: guard.delete("b"),
            "put": lambda: put(guard, "c", b"bytes"),
            "list": lambda: list(guard.list()),
            "read": lambda: read_bytes(guard, "a"),
        }
        verbs[verb]()

    count = OPTIONS.failures if verb != "read" else 10  # each `get` before the `read` is an answer
    for _ in range(count):
        with pytest.raises(StoreUnavailable):
            call()
    if verb == "read":
        return
    asked = counting.calls.total()
    for _ in range(5):
        with pytest.raises(StoreUnavailable, match="failing"):
            guard.stat("a")
    assert counting.calls.total() == asked
    failing.heal()
    clock.now += OPTIONS.open_seconds
    _until_it_answers(guard)
    call()


def _until_it_answers(guard: Guarded) -> None:
    """With threads of its own the trial is made behind the caller's back."""
    end = time.monotonic() + 30
    while True:
        try:
            guard.stat("a")
        except BlobNotFound:
            return
        except StoreUnavailable:
            assert time.monotonic() < end
            time.sleep(0.01)
        else:
            return


@pytest.mark.parametrize(
    "answer",
    [BlobNotFound("a"), Conflict("x"), StoreFull("x"), StoreReadOnly("x"), RangeNotSatisfiable(1)],
)
def test_an_unwelcome_answer_is_an_answer(answer: Exception) -> None:
    failing = FailingStore(Memory())
    guard = Guarded(failing, "m", Health(options=OPTIONS))
    for _ in range(OPTIONS.failures - 1):
        failing.fail("stat", DOWN)
        with pytest.raises(StoreUnavailable):
            guard.stat("a")
    failing.fail("stat", answer)
    with pytest.raises(type(answer)):
        guard.stat("a")
    failing.fail("stat", DOWN)
    with pytest.raises(StoreUnavailable):
        guard.stat("a")
    assert not guard.health.breaker.is_open


@pytest.mark.parametrize("deadline", [None, 60.0])
@pytest.mark.parametrize("chunks", [False, True])
def test_what_a_body_raises_says_nothing_of_the_store(deadline: float | None, *, chunks: bool) -> None:
    store = Memory() if chunks else FailingStore(Memory())
    guard = Guarded(store, "m", Health(options=OPTIONS), deadline_seconds=deadline)

    def body() -> Iterator[bytes]:
        yield b"x"
        raise DOWN

    for _ in range(2 * OPTIONS.failures):
        with pytest.raises(StoreUnavailable) as raised:
            guard.put("a", IterableReader(body()))
        assert raised.value is DOWN
        with pytest.raises(BodyTruncated):
            guard.put("a", io.BytesIO(b"x"), options=PutOptions(size=2))
    assert not guard.health.breaker.is_open
    assert keys(guard) == []


def test_a_probe_asks_whatever_the_breaker_says() -> None:
    failing = FailingStore(Memory())
    guard = Guarded(failing, "m", Health(options=OPTIONS, clock=Clock()))
    failing.fail("stat", DOWN, for_good=True)
    for _ in range(OPTIONS.failures):
        with pytest.raises(StoreUnavailable):
            guard.probe()
    assert guard.failing
    failing.heal()
    guard.probe()
    assert not guard.failing


def test_powers_are_those_of_the_child() -> None:
    assert unwrap(Guarded(Memory(), "m", Health()), TakesChunks) is not None
    assert unwrap(Guarded(Memory(), "m", Health()), LocalPaths) is None
    assert unwrap(Guarded(FailingStore(Memory()), "m", Health()), TakesChunks) is None


# The guard: a store that hangs.


@pytest.fixture
def hung() -> Iterator[HungStore]:
    store = HungStore(Memory())
    put(store, "a", b"bytes")
    yield store
    store.release()


VERBS: dict[str, Callable[[Guarded], object]] = {
    "get": lambda guard: guard.get("a"),
    "stat": lambda guard: guard.stat("a"),
    "delete": lambda guard: guard.delete("a"),
    "put": lambda guard: put(guard, "b", b"bytes"),
    "list": lambda guard: list(guard.list()),
    "read": lambda guard: read_bytes(guard, "a"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_hangs_is_given_up_and_the_next_ones_too_at_once(hung: HungStore, verb: str) -> None:
    clock = Clock()
    guard = Guarded(
        hung, "m", Health(options=HealthOptions(failures=1), clock=clock), deadline_seconds=0.05, threads=2
    )
    hung.hang(verb)
    with pytest.raises(StoreUnavailable, match="in time"):
        VERBS[verb](guard)
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(StoreUnavailable):
            guard.stat("a")
    assert time.monotonic() - began < 5, "nobody else waits"
    hung.release()
    clock.now += 100
    _until_it_answers(guard)


def test_threads_are_bounded_and_when_all_hang_callers_are_told_at_once(hung: HungStore) -> None:
    guard = Guarded(hung, "m", Health(options=HealthOptions(failures=1000)), deadline_seconds=0.05, threads=2)
    hung.hang("stat")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="in time"):
            guard.stat("a")
    before = threading.active_count()
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(StoreUnavailable, match="too many"):
            guard.stat("a")
    assert time.monotonic() - began < 2
    assert threading.active_count() == before
    hung.release()
    _until_it_answers(guard)


def test_while_the_body_is_slow_the_stores_time_does_not_count(hung: HungStore) -> None:
    guard = Guarded(hung, "m", Health(), deadline_seconds=0.2)

    def slow() -> Iterator[bytes]:
        for _ in range(3):
            time.sleep(0.3)
            yield b"x"

    guard.put("b", IterableReader(slow()))
    assert read_bytes(guard, "b") == b"xxx"


def test_a_put_that_was_given_up_reads_no_more_of_the_body(hung: HungStore) -> None:
    guard = Guarded(hung, "m", Health(), deadline_seconds=0.05)
    hung.hang("put")
    body = io.BytesIO(b"bytes")
    with pytest.raises(StoreUnavailable):
        guard.put("b", body)
    hung.release()
    _until_it_answers(guard)
    time.sleep(0.1)
    assert body.tell() == 0
    assert keys(hung) == ["a"]


def test_a_reader_that_came_too_late_is_closed() -> None:
    closed = threading.Event()

    class Closing(HungStore):
        def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002
            reader = super().get(key, range=range)
            reader.close = closed.set  # type: ignore[method-assign]
            return reader

    store = Closing(Memory())
    put(store, "a", b"bytes")
    guard = Guarded(store, "m", Health(), deadline_seconds=0.05)
    store.hang("get")
    with pytest.raises(StoreUnavailable):
        guard.get("a")
    assert not closed.is_set()
    store.release()
    assert closed.wait(10)


def test_a_writer_that_hangs_is_aborted_when_it_comes_back() -> None:
    memory = Memory()
    entered, free = threading.Event(), threading.Event()

    class Hanging(FailingChunks):
        def _before(self, verb: str) -> None:
            if verb == "write":
                entered.set()
                free.wait(30)

    guard = Guarded(Hanging(memory), "m", Health(), deadline_seconds=0.05)
    chunks = unwrap(guard, TakesChunks)
    assert chunks is not None
    writer = chunks.open_writer("b")
    with pytest.raises(StoreUnavailable):
        writer.write(b"x")
    assert entered.is_set()
    writer.abort()
    with pytest.raises((ValueError, StoreUnavailable)):
        writer.commit()
    free.set()
    _until_there_is(guard)
    assert keys(memory) == []


def _until_there_is(guard: Guarded) -> None:
    with pytest.raises(BlobNotFound):
        guard.stat("absent")


# Bodies that break off.


def test_a_store_that_opens_well_and_breaks_off_each_time_is_failing() -> None:
    far = FailingStore(Memory())
    clock = Clock()
    store = Guarded(far, "x", Health(options=OPTIONS, clock=clock))
    put(store, "a", b"x" * 100)
    for _ in range(3):
        far.fail("read", DOWN, nth=2)
        with store.get("a") as reader:
            assert len(reader.read(10)) == 10
            with pytest.raises(StoreUnavailable):
                reader.read(10)
    with pytest.raises(StoreUnavailable, match="failing"):
        store.get("a")
    clock.now += 10
    with store.get("a") as reader:  # the trial
        far.fail("read", DOWN)
        with pytest.raises(StoreUnavailable):
            reader.read(10)
    with pytest.raises(StoreUnavailable, match="failing"):
        store.get("a")
    clock.now += 10
    assert read_bytes(store, "a") == b"x" * 100
    for _ in range(2):
        far.fail("read", DOWN)
        with store.get("a") as reader, pytest.raises(StoreUnavailable):
            reader.read(10)
    assert read_bytes(store, "a") == b"x" * 100, "one that came to its end clears the score"
    far.fail("read", DOWN)
    with store.get("a") as reader, pytest.raises(StoreUnavailable):
        reader.read(10)
    assert store.stat("a").size == 100


def test_what_is_at_hand_is_read_while_the_store_is_failing(tmp_path: Path) -> None:
    far, clock = FailingStore(Memory()), Clock()
    cached = Cached(far, CacheOptions(tmp_path, fresh_seconds=60.0, keep_writes=False), clock=clock)
    store = Guarded(cached, "x", Health(options=OPTIONS, clock=clock))
    for key in "ab":
        put(store, key, key.encode() * 100)
    assert read_bytes(store, "a") == b"a" * 100
    far.fail("stat", DOWN, for_good=True)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.get("b")
        assert read_bytes(store, "a") == b"a" * 100
    assert store.failing, "a copy is no answer of the store"
    assert read_bytes(store, "a", range=ByteRange(90, None)) == b"a" * 10
    with pytest.raises(RangeNotSatisfiable):
        store.get("a", range=ByteRange(100, None))
    store.health.state = State.OFFLINE
    with pytest.raises(StoreUnavailable, match="offline"):
        store.get("a")
    store.health.state = State.ONLINE
    clock.now += 61
    with pytest.raises(StoreUnavailable):
        store.get("a")
    store.close()
