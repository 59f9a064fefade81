"""The port that both engines fill: reads on the caller's thread, writes in committed batches.

    with database.reading() as read:           # rows of one snapshot
        read.all("SELECT name FROM tenancies WHERE id = $1", 7)
    pending = database.submit(lambda tx: buckets.create(tx, ...))
    pending.result()                           # committed and durable, or raised

SQL is written once for both engines: parameters are `$1`, `$2`, … in order of first appearance.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from dolium.errors import CatalogUnavailable, DoliumError

__all__ = ["Database", "Pending", "Read", "Refused", "Row", "Snapshot", "Transaction", "Write"]

T = TypeVar("T")
Row = tuple[Any, ...]
Value = int | str | bytes | float | None


class Read(Protocol):
    """Runs queries: a database, each in a snapshot of its own, or one snapshot."""

    def all(self, sql: str, *values: Value) -> list[Row]:
        """Every row."""
        ...

    def one(self, sql: str, *values: Value) -> Row | None:
        """The only row, or None."""
        ...


class Snapshot(Read, Protocol):
    """Runs queries that all see the same state."""

    def rows(self, sql: str, *values: Value) -> Generator[Row, None, None]:
        """Rows as they are asked for; close the iterator (or exhaust it) before the snapshot ends."""
        ...


class Transaction(Snapshot, Protocol):
    """A read that may also write, inside the batch that is being committed."""

    now_ms: int
    present: set[int]
    """Ids of buckets that this batch has seen: nobody else can delete them before it commits."""

    def run(self, sql: str, *values: Value) -> None:
        """Execute for its effect."""
        ...

    def run_many(self, sql: str, rows: list[Row]) -> None:
        """Execute once per row."""
        ...

    def insert(self, sql: str, *values: Value) -> int:
        """Execute `INSERT ... RETURNING id` and give the id."""
        ...

    def next_sequence(self) -> int:
        """A number above every one handed out before."""
        ...

    def note_sequence(self, sequence: int) -> int:
        """Say that this batch publishes something with a reserved sequence, which is given back: from then on the
        catalog knows that it was handed out.
        """
        ...

    def count(self, bucket_id: int, tenancy_id: int, objects: int, size: int) -> None:
        """Add to the usage of a bucket and its tenancy; written once per batch."""
        ...

    def usage_of(self, tenancy_id: int) -> int:
        """Bytes of the tenancy, with what this batch has added so far."""
        ...

    def touch(self) -> None:
        """Say that identities or buckets changed: every process drops what it remembers of them."""
        ...


@dataclass(frozen=True, slots=True)
class Refused:
    """What a write returns to have `error` raised to its submitter, and what it changed committed all the
    same: a refused object leaves its blob as garbage.
    """

    error: DoliumError


Write = Callable[[Transaction], T | Refused]


class Pending(Generic[T]):
    """The outcome of a write that waits for its commit."""

    __slots__ = ("_callback", "_error", "_lock", "_settled", "_value", "_waiter")

    # Guards the hand-over between the committing thread and whoever asks: every field below.
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._callback: Callable[[Pending[T]], None] | None = None
        self._waiter: threading.Event | None = None

    def resolve(self, value: T | None = None, error: BaseException | None = None) -> None:
        """Called once, by the committing thread."""
        with self._lock:
            self._value = value
            self._error = error
            self._settled = True
            callback, waiter = self._callback, self._waiter
        if waiter is not None:
            waiter.set()
        if callback is not None:
            callback(self)

    @property
    def settled(self) -> bool:
        return self._settled

    def when_settled(self, callback: Callable[[Pending[T]], None]) -> None:
        """Call once, on the committing thread, or at once if it is settled already."""
        with self._lock:
            if not self._settled:
                self._callback = callback
                return
        callback(self)

    def _wait_for(self) -> threading.Event | None:
        """What is set when the outcome comes; None if it is here."""
        with self._lock:
            if self._settled:
                return None
            self._waiter = self._waiter or threading.Event()
            return self._waiter

    def result(self, timeout: float | None = 60.0) -> T:
        """Wait for the commit. Raises what the write raised; CatalogUnavailable after `timeout` seconds
        (the write may still happen).
        """
        waiter = self._wait_for()
        if waiter is not None and not waiter.wait(timeout):
            raise CatalogUnavailable("the catalog did not answer in time")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # settled without an error: a T


class Database(ABC):
    """An engine. Safe for use from many threads; not across a fork."""

    local: bool  # a read takes microseconds, so it may run on an event loop

    @abstractmethod
    def reading(self) -> AbstractContextManager[Snapshot]:
        """One snapshot for several queries."""

    @abstractmethod
    def all(self, sql: str, *values: Value) -> list[Row]:
        """Every row of one query."""

    @abstractmethod
    def one(self, sql: str, *values: Value) -> Row | None:
        """The only row of one query, or None."""

    @abstractmethod
    def submit(self, write: Write[T]) -> Pending[T]:
        """Run `write` in the next batch. It may run more than once, and must have no other effect than on
        its transaction; what it raises undoes it alone.
        """

    @abstractmethod
    def attach(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """Allow commits on the event loop that runs on this thread, while they take microseconds."""

    def write(self, write: Write[T]) -> T:
        """Submit and wait."""
        return self.submit(write).result()

    @abstractmethod
    def reserve_sequence(self) -> int:
        """A number above every one handed out before, outside of any transaction."""

    @abstractmethod
    def generation(self) -> int:
        """Changes whenever a committed write said `touch`, in whatever process."""

    @abstractmethod
    def close(self) -> None:
        """Commit what waits, then give everything back."""
