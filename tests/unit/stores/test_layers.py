"""Layers forward all; the fault layers misbehave as they are told."""

import inspect
import io
from typing import ClassVar

import pytest

from dolium.errors import StoreError, StoreFull, StoreUnavailable
from dolium.stores.contract import BlobStore, PutOptions, TakesChunks, unwrap
from dolium.stores.layers.layer import Layer
from dolium.stores.leaves.memory import Memory
from dolium.stores.transfer import read_bytes
from dolium.testing.faults import CountingStore, FailingChunks, FailingStore, SlowStore, TornStore
from dolium.testing.powers import keys, put

VERBS = sorted(BlobStore.__abstractmethods__)


def test_the_contract_has_the_five_verbs_and_close() -> None:
    assert VERBS == ["close", "delete", "get", "list", "put", "stat"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_layer_forwards_every_verb_with_all_that_it_was_given(verb: str) -> None:
    """A verb that Layer inherited, or an argument that it dropped, would pass the child by in silence."""
    heard: list[tuple[str, tuple[object, ...], dict[str, object]]] = []
    answer = object()

    class Child:
        def __getattr__(self, name: str) -> object:
            def method(*arguments: object, **options: object) -> object:
                heard.append((name, arguments, options))
                return answer

            return method

    assert verb in vars(Layer), "forwarded explicitly"
    layer = Layer(Child())  # type: ignore[arg-type]
    signature = inspect.signature(getattr(BlobStore, verb))
    assert inspect.signature(getattr(Layer, verb)) == signature
    parameters = [parameter for name, parameter in signature.parameters.items() if name != "self"]
    positional = [object() for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    named = {parameter.name: object() for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    given = getattr(layer, verb)(*positional, **named)
    assert heard == [(verb, tuple(positional), named)]
    assert given is (answer if signature.return_annotation != "None" else None)


class Transparent(Layer):
    transparent: ClassVar[bool] = True


def test_powers_are_found_only_behind_a_transparent_layer() -> None:
    memory = Memory()
    assert unwrap(Transparent(Transparent(memory)), TakesChunks) is memory
    assert unwrap(Layer(memory), TakesChunks) is None
    assert unwrap(Transparent(Layer(memory)), TakesChunks) is None


@pytest.mark.parametrize("layer", [CountingStore, FailingStore, SlowStore, TornStore])
def test_a_fault_layer_hides_the_powers_that_would_pass_it_by(layer: type[Layer]) -> None:
    assert unwrap(layer(Memory()), TakesChunks) is None


@pytest.mark.parametrize("for_good", [False, True])
def test_a_failing_store_fails_at_the_nth_call(*, for_good: bool) -> None:
    store = FailingStore(Memory())
    error = StoreFull("the store is full")
    store.fail("put", error, nth=2, for_good=for_good)
    failed = []
    for number in range(4):
        try:
            put(store, f"a{number}", b"x")
        except StoreFull as raised:
            assert raised is error  # noqa: PT017 - not every call has to fail
            failed.append(number)
    assert failed == ([1, 2, 3] if for_good else [1])
    assert len(keys(store)) == 4 - len(failed)
    store.heal()
    put(store, "b", b"x")


@pytest.mark.parametrize("verb", ["get", "stat", "list", "delete", "read"])
def test_each_verb_can_fail(verb: str) -> None:
    store = FailingStore(Memory())
    put(store, "a", b"x")
    store.fail(verb, StoreUnavailable("memory"))
    with pytest.raises(StoreUnavailable):
        _call(store, verb)
    _call(store, verb)


def _call(store: BlobStore, verb: str) -> None:
    match verb:
        case "read" | "get":
            read_bytes(store, "a")
        case "list":
            keys(store)
        case _:
            getattr(store, verb)("a")


@pytest.mark.parametrize("verb", ["open_writer", "write", "commit"])
def test_a_writer_that_fails_leaves_nothing(verb: str) -> None:
    memory = Memory()
    store = FailingChunks(memory)
    store.fail(verb, StoreUnavailable("memory"))

    def write() -> None:
        with store.open_writer("a") as writer:
            writer.write(b"x")
            writer.commit()

    with pytest.raises(StoreError):
        write()
    assert keys(memory) == []
    write()
    assert keys(memory) == ["a"]


def test_a_slow_store_waits_before_each_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    store = SlowStore(Memory(), seconds=0.5)
    put(store, "a", b"x")
    store.seconds = 2.0
    read_bytes(store, "a")
    assert waited == [0.5, 2.0, 2.0]


def test_a_torn_store_says_all_is_well() -> None:
    memory = Memory()
    store = TornStore(memory, cut=3)
    info = store.put("a", io.BytesIO(b"0123456789"), options=PutOptions(size=10, description={"n": "1"}))
    assert info.size == 10
    assert memory.stat("a").size == 3
    assert memory.description("a") == {"n": "1"}
    assert read_bytes(memory, "a") == b"012"
