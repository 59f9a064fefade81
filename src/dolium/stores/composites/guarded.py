"""A member of a composite as its siblings and callers see it: state, breaker, threads and deadline around one store.

It refuses what the member's state forbids, asks nothing of a store whose breaker is open, and, if the member has a
deadline, makes every call in threads of the member's own. A store that is down, hung, failing or offline raises
StoreUnavailable, never anything else; what a cache before it has a copy of is read all the same, unless it is offline.

A call that was given up at its deadline may still come to its end in the store: a put that raised StoreUnavailable
leaves the old blob or the new one, and which of them is known when the store answers again.
"""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dolium.errors import (
    BlobCorrupt,
    BlobNotFound,
    Conflict,
    RangeNotSatisfiable,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from dolium.stores.composites.guarded_streams import GuardedReader, GuardedWriter, LivelyReader
from dolium.stores.composites.health import Health, SpaceCache
from dolium.stores.composites.placement import State
from dolium.stores.composites.powers import offer
from dolium.stores.composites.threads import StoreThreads
from dolium.stores.contract import (
    Audit,
    BlobReader,
    BlobWriter,
    BlockSums,
    ChecksBlobs,
    CopiesWithin,
    DeletesMany,
    HasSomeFiles,
    KeepsCopies,
    KeepsDescriptions,
    LocalFiles,
    LocalPaths,
    PutOptions,
    ReadsOrigin,
    ReportsSpace,
    TakesChunks,
    unwrap,
)
from dolium.stores.keys import check_key
from dolium.stores.layers.layer import Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dolium.stores.contract import BlobStore, Reader
    from dolium.values import BlobInfo, ByteRange, Space

__all__ = ["Guarded"]

T = TypeVar("T")

_ANSWERS: Final = (BlobCorrupt, BlobNotFound, Conflict, RangeNotSatisfiable, StoreFull, StoreReadOnly)
_PROBE: Final = "dolium-probe"
"""A key that is stat'ed to see whether a store answers, if it has no probe of its own; it need not be there."""
_BATCH: Final = 256
_DELETES: Final = 100
"""In one call, which has one deadline."""
_PIECE: Final = 1 << 20


class Guarded(Layer):
    """Has the powers that its child has."""

    def __init__(
        self,
        child: BlobStore,
        store_id: str,
        health: Health,
        *,
        deadline_seconds: float | None = None,
        threads: int = 8,
    ) -> None:
        super().__init__(child)
        self.store_id = store_id
        self.health = health
        self._threads = (
            None
            if deadline_seconds is None
            else StoreThreads(store_id, threads=threads, deadline_seconds=deadline_seconds)
        )
        self.local = child.local and self._threads is None
        self._chunks = unwrap(child, TakesChunks)
        self._copies = unwrap(child, KeepsCopies)
        offer(self, [child])
        self._offer_checks(unwrap(child, ChecksBlobs))
        if (space := unwrap(child, ReportsSpace)) is not None:
            later = None if self._threads is None else self._threads.later
            health.space = SpaceCache(
                lambda: self._call(space.space),
                seconds=health.options.space_seconds,
                clock=health.clock,
                later=later,
            )
            health.space.space()

    # The five verbs.

    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:  # noqa: B008 - frozen
        if self._chunks is None:
            return self._put_whole(key, body, options)
        with self._open_writer(key, options=options) as writer:
            taken = 0
            while (piece := body.read(_PIECE)) and (options.size is None or taken <= options.size):
                writer.write(piece)
                taken += len(piece)
            return writer.commit()

    def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002 - as the contract
        check_key(key)
        self.require()
        # What is at hand says nothing of the store, neither that it answers nor that it does not.
        if self._copies is not None and (copy := self._copies.get_copy(key, range=range)) is not None:
            return copy
        return self._open(lambda: self.child.get(key, range=range))

    def stat(self, key: str) -> BlobInfo:
        check_key(key)
        return self._call(self.child.stat, key)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[BlobInfo]:
        found = self._call(lambda: iter(self.child.list(prefix, after=after)))
        # A hop for each blob would cost more than the blob.
        batch = 1 if self._threads is None else _BATCH
        while page := self._call(lambda: list(islice(found, batch))):
            yield from page

    def delete(self, key: str) -> None:
        check_key(key)
        self.require(State.READ_ONLY)
        self._call(self.child.delete, key)

    def close(self) -> None:
        self.retire()
        self.child.close()

    # What a composite asks of its members.

    def retire(self) -> None:
        """Let the threads end, not the store: it has left the composite."""
        if self._threads is not None:
            self._threads.close()

    def probe(self) -> None:
        """Ask the store now, whatever its state and breaker. Raises StoreUnavailable."""
        try:
            self._run(self._ask)
        except StoreUnavailable:
            self.health.breaker.failed()
            raise
        self.health.breaker.answered()

    def nudge(self) -> None:
        """If the breaker is due for its trial and the store may hang, let the trial be made on nobody's time."""
        breaker = self.health.breaker
        if (
            self._threads is not None
            and breaker.due
            and breaker.enter()
            and not self._threads.later(self._try)
        ):
            breaker.unknown()

    @property
    def failing(self) -> bool:
        """Whether no new blob should be tried here: it is down, and no trial is due that the caller could make."""
        breaker = self.health.breaker
        return breaker.is_open and (self._threads is not None or not breaker.due)

    def require(self, *forbidden: State) -> None:
        """Raises StoreReadOnly if it is in one of these states, StoreUnavailable if it is offline."""
        state = self.health.state
        if state is State.OFFLINE:
            raise StoreUnavailable(self.store_id, "the store is offline")
        if state in forbidden:
            raise StoreReadOnly(f"the store is {state}")

    # The powers, each of them in place if the child has it.

    def _open_writer(self, key: str, *, options: PutOptions = PutOptions()) -> BlobWriter:  # noqa: B008 - frozen
        check_key(key)
        self.require(State.READ_ONLY, State.DRAINING)
        chunks = self._chunks
        assert chunks is not None, "the child takes no chunks"
        return GuardedWriter(
            self._call(lambda: chunks.open_writer(key, options=options)), self._call, self._run
        )

    def _get_origin(self, key: str) -> BlobReader:
        check_key(key)
        origin = self._power(ReadsOrigin)
        return self._open(lambda: origin.get_origin(key))

    def _copy_within(
        self,
        source: str,
        target: str,
        *,
        options: PutOptions = PutOptions(),  # noqa: B008 - frozen
    ) -> BlobInfo | None:
        check_key(source)
        check_key(target)
        self.require(State.READ_ONLY, State.DRAINING)
        copies = self._power(CopiesWithin)
        return self._call(lambda: copies.copy_within(source, target, options=options))

    def _delete_many(self, keys: Sequence[str]) -> set[str]:
        for key in keys:
            check_key(key)
        self.require(State.READ_ONLY)
        power = self._power(DeletesMany)
        gone: set[str] = set()
        for batch in (keys[at : at + _DELETES] for at in range(0, len(keys), _DELETES)):
            try:
                gone |= self._call(power.delete_many, batch)
            except StoreUnavailable:
                if not gone:
                    raise
                break
        return gone

    def _description(self, key: str) -> dict[str, str]:
        check_key(key)
        return self._call(self._power(KeepsDescriptions).description, key)

    def _local_path(self, key: str) -> Path:
        check_key(key)
        return self._call(self._power(LocalPaths).local_path, key)

    def _open_file(self, key: str) -> tuple[int, int]:
        check_key(key)
        return self._call(self._power(LocalFiles).open_file, key)

    def _open_if_file(self, key: str) -> tuple[int, int, BlockSums | None] | None:
        check_key(key)
        return self._call(self._power(HasSomeFiles).open_if_file, key)

    def _offer_checks(self, checks: ChecksBlobs | None) -> None:
        """A power of three: `powers.offer` knows those of one method."""
        if checks is None:
            return

        def audit(key: str, **how: Any) -> Audit:
            check_key(key)
            self._call(self.child.stat, key)  # in time, if the store hangs
            return checks.audit(key, **how)  # on the caller's thread: it takes as long as the blob is large

        def open_checked(key: str) -> tuple[int, int, BlockSums | None]:
            check_key(key)
            return self._call(checks.open_checked, key)

        for name, value in (
            ("audit", audit), ("open_checked", open_checked), ("verify_reads", checks.verify_reads)
        ):  # fmt: skip
            setattr(self, name, value)

    def _space(self) -> Space | None:
        return self._call(self._power(ReportsSpace).space)

    def _power(self, power: type[T]) -> T:
        found = unwrap(self.child, power)
        assert found is not None, "the child has lost a power"
        return found

    def _put_whole(self, key: str, body: Reader, options: PutOptions) -> BlobInfo:
        check_key(key)
        self.require(State.READ_ONLY, State.DRAINING)
        lively = LivelyReader(body, self.store_id)
        return self._call(lambda: self.child.put(key, lively, options=options), body=lively)

    def _open(self, work: Callable[[], BlobReader]) -> BlobReader:
        """An answer that has only begun: who opens well and breaks off each time is failing all the same."""
        breaker = self.health.breaker
        reader = self._call(work, answered=breaker.began)

        def call(work: Callable[..., Any], *args: object) -> Any:
            return self._call(work, *args, answered=breaker.began)

        return GuardedReader(reader, call, self._run, breaker.answered)

    def _call(
        self,
        work: Callable[..., T],
        *args: object,
        body: LivelyReader | None = None,
        answered: Callable[[], None] | None = None,
    ) -> T:
        self.require()
        breaker = self.health.breaker
        if self._threads is not None and breaker.is_open:
            self.nudge()
            raise StoreUnavailable(self.store_id, "the store is failing")
        if not breaker.enter():
            raise StoreUnavailable(self.store_id, "the store is failing")
        try:
            result = self._run(work, *args, left=body.left if body is not None else None)
        except BaseException as error:
            if body is not None and error is body.error:
                breaker.unknown()
            elif isinstance(error, StoreUnavailable):
                breaker.failed()
            elif isinstance(error, _ANSWERS):
                breaker.answered()
            else:
                breaker.unknown()
            raise
        (answered or breaker.answered)()
        return result

    def _run(self, work: Callable[..., T], *args: object, left: Callable[[float], float] | None = None) -> T:
        if self._threads is None:
            return work(*args)
        return self._threads.call(work, *args, left=left)

    def _ask(self) -> None:
        own: Callable[[], None] | None = getattr(self.child, "probe", None)
        if own is not None:
            own()
            return
        with contextlib.suppress(BlobNotFound):
            self.child.stat(_PROBE)

    def _try(self) -> None:
        try:
            self._ask()
        except StoreUnavailable:
            self.health.breaker.failed()
        except BaseException:
            self.health.breaker.unknown()
            raise
        else:
            self.health.breaker.answered()
