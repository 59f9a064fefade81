"""A disk that may hang, as a network file system does: threads of its own, and a deadline for each call.

* A call that has not moved for `deadline_seconds` is given up, and is StoreUnavailable: the thread stays with the disk,
  the caller goes on. Something that takes long moves: bytes that are copied, files of a folder that are removed. When
  the disk lets the thread go, a write that was given up undoes itself, unless the last step was what hung.
* After three such failures in a row the disk is not asked for ten seconds at a time; then one call is made in its own
  thread, and nobody waits for it.
* The path that is given out is the caller's own affair: who opens it may hang.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dolium.errors import DoliumError, StoreUnavailable
from dolium.stores.composites.breaker import Breaker
from dolium.stores.composites.guarded_streams import GuardedReader
from dolium.stores.composites.health import SpaceCache
from dolium.stores.composites.threads import StoreThreads

if TYPE_CHECKING:
    from dolium.datasets.disk import DiskShelf
    from dolium.datasets.layout import Address, DatasetId
    from dolium.datasets.shelf import CacheTarget
    from dolium.stores.contract import BlobReader
    from dolium.values import ByteRange, Space

__all__ = ["TimedShelf", "moved"]

T = TypeVar("T")

_THREADS: Final = 8
_SPACE_SECONDS: Final = 10.0
_PIECE: Final = 8 << 20

_here = threading.local()  # `pulse`: of the call that this thread makes


class TimedShelf:
    """`disk` was made with `moved`, and not touched yet."""

    def __init__(self, disk: DiskShelf, *, deadline_seconds: float) -> None:
        self._disk = disk
        self._deadline = deadline_seconds
        self._lock = threading.Lock()  # guards the next two
        self._process = 0
        self._life: _Life | None = None
        self._living()

    def _living(self) -> _Life:
        """Of this process: threads do not come along into one that was forked."""
        life = self._life
        if life is not None and self._process == os.getpid():
            return life
        with self._lock:
            if self._life is None or self._process != os.getpid():
                self._life, self._process = _Life(self._disk, self._deadline), os.getpid()
            return self._life

    # Reads.

    def size(self, dataset: DatasetId, at: Address) -> int | None:
        return self._living().call(self._disk.size, dataset, at)

    def path(self, dataset: DatasetId, at: Address, *, fetch: bool = True) -> str:
        return self._living().call(lambda: self._disk.path(dataset, at, fetch=fetch))

    def status(self, dataset: DatasetId, at: Address) -> os.stat_result | None:
        return self._living().call(self._disk.status, dataset, at)

    def construct(self, dataset: DatasetId, at: Address, *, local: bool = False) -> str:
        return self._disk.construct(dataset, at, local=local)

    def open(self, dataset: DatasetId, at: Address, wanted: ByteRange | None) -> BlobReader:
        life = self._living()
        reader = life.begin(self._disk.open, dataset, at, wanted)
        return _PiecesReader(reader, life.begin, life.threads.call, life.breaker.answered)

    def at_hand(self, dataset: DatasetId, at: Address) -> bool:
        return self._living().call(self._disk.at_hand, dataset, at)

    def url(self, *_: object, **__: object) -> None:
        """A disk has none."""

    def space(self) -> Space | None:
        """As of some seconds ago; only the first who asks waits for it."""
        life = self._living()
        if (found := life.space.space()) is None:
            with contextlib.suppress(StoreUnavailable):
                life.call(life.space.refresh)
            found = life.space.space()
        return found

    # Writes.

    def create(self, dataset: DatasetId, at: Address) -> None:
        self._living().call(self._disk.create, dataset, at)

    def update(
        self, dataset: DatasetId, at: Address, source: str | None, *, create: bool, keep_links: bool
    ) -> None:
        self._living().call(
            lambda: self._disk.update(dataset, at, source, create=create, keep_links=keep_links)
        )

    def delete(self, dataset: DatasetId, at: Address, *, entire_dir: bool) -> bool:
        return self._living().call(lambda: self._disk.delete(dataset, at, entire_dir=entire_dir))

    # The disk.

    def probe(self) -> None:
        self._living().probe()

    def cache_targets(self) -> list[CacheTarget]:
        return self._disk.cache_targets()

    def start(self) -> None:
        self._living().threads.later(self._disk.start)

    def close(self) -> None:
        life, self._life = self._life, None
        if life is not None and self._process == os.getpid():
            life.threads.close()


def moved() -> None:
    """The call of this thread has come on. Raises StoreUnavailable if nobody waits for it any more."""
    pulse: _Pulse | None = getattr(_here, "pulse", None)
    if pulse is not None:
        pulse.move()


class _Pulse:
    """When a call moved last, for who waits for it; whether that one still does, for the call."""

    def __init__(self, store_id: str) -> None:
        self._store_id = store_id
        self._lock = threading.Lock()  # guards the two below
        self._beat: float | None = None  # not begun
        self._ended = False

    def begin(self) -> None:
        _here.pulse = self
        self.move()

    def move(self) -> None:
        with self._lock:
            if self._ended:
                raise StoreUnavailable(self._store_id, "the call was given up")
            self._beat = time.monotonic()

    def left(self, deadline_seconds: float) -> float:
        """Seconds that the call has; if none, it does nothing any more."""
        with self._lock:
            left = 0.0 if self._beat is None else self._beat + deadline_seconds - time.monotonic()
            self._ended = left <= 0
            return left


class _Life:
    """The threads of one process, and what they have found."""

    def __init__(self, disk: DiskShelf, deadline_seconds: float) -> None:
        self._disk = disk
        self.threads = StoreThreads(disk.store_id, threads=_THREADS, deadline_seconds=deadline_seconds)
        self.breaker = Breaker()
        self.space = SpaceCache(
            self._ask_space, seconds=_SPACE_SECONDS, clock=time.monotonic, later=self.threads.later
        )

    def call(self, work: Callable[..., T], *args: Any) -> T:
        found = self.begin(work, *args)
        self.breaker.answered()
        return found

    def begin(self, work: Callable[..., T], *args: Any) -> T:
        """One of several calls: that it is answered does not show yet that the disk is up."""
        breaker = self.breaker
        if breaker.is_open:
            self._nudge()
            raise self._named(StoreUnavailable(self._disk.store_id, "it did not answer in time"))
        pulse = _Pulse(self._disk.store_id)

        def run() -> T:
            pulse.begin()
            return work(*args)

        try:
            return self.threads.call(run, left=pulse.left)
        except StoreUnavailable as error:
            breaker.failed()
            raise self._named(error) from error
        except DoliumError:
            breaker.answered()
            raise

    def probe(self) -> None:
        try:
            self.threads.call(self._disk.probe)
        except StoreUnavailable as error:
            self.breaker.failed()
            raise self._named(error) from error
        self.breaker.answered()

    def _nudge(self) -> None:
        breaker = self.breaker
        if breaker.due and breaker.enter() and not self.threads.later(self._try):
            breaker.unknown()

    def _try(self) -> None:
        try:
            self._disk.look_again()
        except StoreUnavailable:
            self.breaker.failed()
        except BaseException:
            self.breaker.unknown()
            raise
        else:
            self.breaker.answered()

    def _ask_space(self) -> Space:
        found = self._disk.space()
        if found is None:
            raise StoreUnavailable(self._disk.store_id, "nothing is there yet")
        return found

    def _named(self, error: StoreUnavailable) -> StoreUnavailable:
        name = self._disk.store_id
        return error if name in error.message else StoreUnavailable(name, f"{name} is down: {error.message}")


class _PiecesReader(GuardedReader):
    """Each piece has the deadline, and not all of a large file."""

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        pieces = []
        while wanted and (piece := super().read(min(wanted, _PIECE))):
            wanted -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)
