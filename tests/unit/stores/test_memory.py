"""The limit of a memory store."""

import pytest

from dolium.errors import StoreFull
from dolium.stores.leaves.memory import Memory, Options
from dolium.testing.powers import keys, put


def test_it_is_full_at_its_capacity_and_deletes_make_room() -> None:
    store = Memory(Options(capacity=10))
    put(store, "a", b"12345")
    put(store, "b", b"12345")
    assert store.space().free == 0
    with pytest.raises(StoreFull):
        put(store, "c", b"1")
    with pytest.raises(StoreFull):
        put(store, "a", b"123456")
    put(store, "a", b"54321")
    store.delete("b")
    store.delete("b")
    assert store.space().free == 5
    put(store, "c", b"12345")
    assert keys(store) == ["a", "c"]
