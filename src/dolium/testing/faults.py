"""Stores that misbehave: layers to put around a good one.

    store = FailingStore(Memory())
    store.fail("put", StoreFull("the store is full"), nth=3)

Without being told to misbehave, each passes everything on. They hide the powers of their child, which would pass
them by; `FailingChunks` is the one that offers a power of its own.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dolium.stores.contract import BlobReader, BlobStore, BlobWriter, PutOptions, TakesChunks, unwrap
from dolium.stores.layers.layer import Layer
from dolium.stores.stream import BoundedReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dolium.stores.contract import Reader
    from dolium.values import BlobInfo, ByteRange

__all__ = ["CountingStore", "FailingChunks", "FailingStore", "HungStore", "SlowStore", "TornStore"]


@dataclass(slots=True)
class _Fault:
    error: Exception
    left: int  # calls until it fails
    for_good: bool


class _WatchedStore(Layer):
    """Says the name of each verb before it is passed on; and of each `read` of what `get` gave."""

    def _before(self, verb: str) -> None:
        raise TypeError("a watched store says what it does before each verb")

    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:  # noqa: B008 - frozen
        self._before("put")
        return self.child.put(key, body, options=options)

    def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002 - as the contract
        self._before("get")
        return _WatchedReader(self.child.get(key, range=range), self._before)

    def stat(self, key: str) -> BlobInfo:
        self._before("stat")
        return self.child.stat(key)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[BlobInfo]:
        self._before("list")
        return self.child.list(prefix, after=after)

    def delete(self, key: str) -> None:
        self._before("delete")
        self.child.delete(key)


class _WatchedReader(BlobReader):
    def __init__(self, reader: BlobReader, before: Callable[[str], None]) -> None:
        self._reader = reader
        self._before = before
        self.size, self.start, self.stop = reader.size, reader.start, reader.stop

    def read(self, size: int = -1, /) -> bytes:
        self._before("read")
        return self._reader.read(size)

    def close(self) -> None:
        self._reader.close()


class CountingStore(_WatchedStore):
    """`calls`: how often each verb was called, `read` among them."""

    def __init__(self, child: BlobStore) -> None:
        super().__init__(child)
        self.calls: Counter[str] = Counter()

    def _before(self, verb: str) -> None:
        self.calls[verb] += 1


class SlowStore(_WatchedStore):
    """Each verb and each `read` begins so many seconds late; `seconds` can be changed meanwhile."""

    def __init__(self, child: BlobStore, seconds: float = 0.0) -> None:
        super().__init__(child)
        self.seconds = seconds

    def _before(self, verb: str) -> None:
        time.sleep(self.seconds)


class HungStore(_WatchedStore):
    """Hangs in the verbs that it is told to, `read` among them, until it is released; then they go on."""

    def __init__(self, child: BlobStore) -> None:
        super().__init__(child)
        self._verbs: frozenset[str] = frozenset()
        self._free = threading.Event()
        self._free.set()
        self.entered = threading.Semaphore(0)  # grows with each call that hangs

    def hang(self, *verbs: str) -> None:
        """Without any: all of them."""
        self._verbs = frozenset(verbs or ("put", "get", "read", "stat", "list", "delete"))
        self._free.clear()

    def release(self) -> None:
        self._verbs = frozenset()
        self._free.set()

    def _before(self, verb: str) -> None:
        if verb in self._verbs:
            self.entered.release()
            self._free.wait()


class FailingStore(_WatchedStore):
    """Raises what it was told to at the nth call of a verb, or of `read`, before the child hears of it."""

    def __init__(self, child: BlobStore) -> None:
        super().__init__(child)
        self._faults: dict[str, _Fault] = {}

    def fail(self, verb: str, error: Exception, *, nth: int = 1, for_good: bool = False) -> None:
        """At the nth call from now on, or at it and all that follow."""
        self._faults[verb] = _Fault(error, nth, for_good)

    def heal(self) -> None:
        self._faults.clear()

    def _before(self, verb: str) -> None:
        fault = self._faults.get(verb)
        if fault is None:
            return
        fault.left -= 1
        if fault.left == 0 or (fault.left < 0 and fault.for_good):
            raise fault.error


class FailingChunks(FailingStore):
    """A FailingStore that takes chunks, as its child must; verbs `open_writer`, `write` and `commit`."""

    def open_writer(self, key: str, *, options: PutOptions = PutOptions()) -> BlobWriter:  # noqa: B008 - frozen
        self._before("open_writer")
        power = unwrap(self.child, TakesChunks)
        assert power is not None, "the child takes no chunks"
        return _FailingWriter(power.open_writer(key, options=options), self._before)


class _FailingWriter(BlobWriter):
    def __init__(self, writer: BlobWriter, before: Callable[[str], None]) -> None:
        self._writer = writer
        self._before = before

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        self._or_abort("write")
        self._writer.write(data)

    def commit(self, description: Mapping[str, str] | None = None) -> BlobInfo:
        self._or_abort("commit")
        return self._writer.commit(description)

    def abort(self) -> None:
        self._writer.abort()

    def _or_abort(self, verb: str) -> None:
        try:
            self._before(verb)
        except BaseException:
            self._writer.abort()
            raise


class TornStore(Layer):
    """Keeps only the first `cut` bytes of a body and says that all is well, as a lying disk does; None: all."""

    def __init__(self, child: BlobStore, cut: int | None = None) -> None:
        super().__init__(child)
        self.cut = cut

    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:  # noqa: B008 - frozen
        if self.cut is None:
            return self.child.put(key, body, options=options)
        torn = PutOptions(description=options.description)
        info = self.child.put(key, BoundedReader(body, self.cut), options=torn)
        return info if options.size is None else replace(info, size=options.size)
