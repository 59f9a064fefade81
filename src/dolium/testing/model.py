"""Any store behaves like a dictionary: random operations on both, compared after each.

TestMemory = store_test(Memory)
"""

from __future__ import annotations

import io
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dolium.errors import BlobNotFound, BodyTruncated, Conflict, RangeNotSatisfiable
from dolium.stores.contract import BlobStore, PutOptions, TakesChunks, unwrap
from dolium.stores.stream import IterableReader
from dolium.stores.transfer import read_bytes
from dolium.values import ByteRange

if TYPE_CHECKING:
    from collections.abc import Callable
    from unittest import TestCase

__all__ = ["store_test"]

# Few keys, near each other in the order of bytes, so that they meet and one is a folder of the other.
KEYS = st.sampled_from(
    [
        "a",
        "a/a",
        "a/a/a",
        "a/b",
        "a.b",
        "a.b/a",
        "a-",
        "a-/b",
        "a 0",
        "a 0/é",
        "aé",
        "b",
        "b/a",
        "b/a.b",
        "b/a/a",
    ]
)
BODIES = st.binary(max_size=40)


class _StoreMachine(RuleBasedStateMachine):
    """The store and the dictionary that it should be like."""

    opener: Callable[[], AbstractContextManager[BlobStore]]

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.store = self._stack.enter_context(type(self).opener())
        self.model: dict[str, bytes] = {}

    def teardown(self) -> None:
        self._stack.close()

    def _blocked(self, key: str) -> bool:
        return any(key.startswith(f"{other}/") or other.startswith(f"{key}/") for other in self.model)

    def _stored(self, key: str, body: bytes, store: Callable[[], object]) -> None:
        try:
            store()
        except Conflict:
            assert self._blocked(key)
        else:
            self.model[key] = body

    @rule(key=KEYS, pieces=st.lists(BODIES, max_size=3), sized=st.booleans())
    def put(self, key: str, pieces: list[bytes], sized: bool) -> None:  # noqa: FBT001 - a rule's draw
        body = b"".join(pieces)
        options = PutOptions(size=len(body) if sized else None)
        self._stored(key, body, lambda: self.store.put(key, IterableReader(pieces), options=options))

    @rule(key=KEYS, pieces=st.lists(BODIES, max_size=3))
    def put_in_chunks(self, key: str, pieces: list[bytes]) -> None:
        power = unwrap(self.store, TakesChunks)
        if power is None:
            return
        with power.open_writer(key) as writer:
            for piece in pieces:
                writer.write(piece)
            self._stored(key, b"".join(pieces), writer.commit)

    @rule(key=KEYS, body=BODIES, off=st.sampled_from([-1, 1]))
    def put_of_another_length(self, key: str, body: bytes, off: int) -> None:
        size = max(0, len(body) + off)
        if size != len(body):
            with pytest.raises(BodyTruncated):
                self.store.put(key, io.BytesIO(body), options=PutOptions(size=size))

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.store.delete(key)
        self.model.pop(key, None)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        if key in self.model:
            assert read_bytes(self.store, key) == self.model[key]
        else:
            with pytest.raises(BlobNotFound):
                self.store.get(key)

    @rule(key=KEYS)
    def stat(self, key: str) -> None:
        if key in self.model:
            info = self.store.stat(key)
            assert (info.key, info.size) == (key, len(self.model[key]))
        else:
            with pytest.raises(BlobNotFound):
                self.store.stat(key)

    @rule(
        key=KEYS,
        first=st.integers(0, 50),
        length=st.integers(1, 50),
        form=st.sampled_from(["a-b", "a-", "-n"]),
    )
    def get_range(self, key: str, first: int, length: int, form: str) -> None:
        if key not in self.model:
            return
        body = self.model[key]
        last = first + length - 1
        asked, expected = {
            "a-b": (ByteRange(first, last), body[first : last + 1]),
            "a-": (ByteRange(first, None), body[first:]),
            "-n": (ByteRange(None, length), body[-length:]),
        }[form]
        if expected:
            assert read_bytes(self.store, key, range=asked) == expected
        else:
            with pytest.raises(RangeNotSatisfiable):
                self.store.get(key, range=asked)

    @rule(
        prefix=st.one_of(KEYS, st.sampled_from(["", "a", "a/", "a.", "b/a"])),
        after=st.one_of(st.just(""), KEYS),
    )
    def list_part(self, prefix: str, after: str) -> None:
        found = [info.key for info in self.store.list(prefix, after=after)]
        expected = [key for key in self.model if key.startswith(prefix) and key.encode() > after.encode()]
        assert found == sorted(expected, key=str.encode)

    @invariant()
    def lists_all(self) -> None:
        found = [(info.key, info.size) for info in self.store.list()]
        assert found == [(key, len(self.model[key])) for key in sorted(self.model, key=str.encode)]


def store_test(
    opener: Callable[[], AbstractContextManager[BlobStore]], *, examples: int = 40, steps: int = 30
) -> type[TestCase]:
    """A test that plays with the stores that `opener` opens, an empty one each time."""

    class Machine(_StoreMachine):
        pass

    Machine.opener = staticmethod(opener)
    case: type[TestCase] = Machine.TestCase
    case.settings = settings(  # type: ignore[attr-defined]  # where Hypothesis looks for it
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    return case
