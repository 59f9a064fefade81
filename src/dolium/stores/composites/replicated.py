"""Every blob in every member.

    Replicated([Member("a", disk_a), Member("b", disk_b), Member("c", disk_c)], write_quorum=2)

* A new blob is acknowledged when `write_quorum` members have it durably (all of them, if it is not given). One that
  failed is named (`Written.missing`, and `on_damage`), and made good by `repair`. With fewer, nothing is acknowledged,
  and what was written is deleted again.
* A blob that is replaced needs every member: otherwise the old bytes could come back from the one that was away. If
  the last step fails in some of them after it was made in others, PartlyDone names both; to put it again is the cure.
* Reads ask one member after the other until the first bytes are there; an absent, damaged or unreachable copy is passed
  over. An error that comes later passes: the copies might not be of one age. A copy that was found damaged is
  asked last from then on (`distrusted`).
* BlobNotFound needs the word of every member. One that is down might have it.
* Deletes are complete, or name what is left (PartlyDone).
* A list is that of all members, or raises StoreUnavailable.

It is one place with one id: its members are its own affair.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dolium.errors import (
    BlobCorrupt,
    BlobNotFound,
    ConfigError,
    DoliumError,
    PartlyDone,
    StoreError,
    StoreReadOnly,
    StoreUnavailable,
)
from dolium.stores.composites import everywhere
from dolium.stores.composites.everywhere import power_of
from dolium.stores.composites.key_locks import KeyLocks
from dolium.stores.composites.listing import merged
from dolium.stores.composites.members import Members
from dolium.stores.composites.placement import State
from dolium.stores.composites.powers import offer
from dolium.stores.composites.repair import Repair, repair
from dolium.stores.composites.replica_streams import REFUSALS, CopySums, FirstBytesReader, ReplicaWriter
from dolium.stores.composites.spooled import open_writer
from dolium.stores.contract import (
    Audit,
    BlobStore,
    ChecksBlobs,
    DeletesMany,
    KeepsDescriptions,
    LocalFiles,
    LocalPaths,
    PutOptions,
    ReportsSpace,
    unwrap,
)
from dolium.stores.keys import check_key
from dolium.stores.transfer import PIECE
from dolium.values import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dolium.stores.composites.guarded import Guarded
    from dolium.stores.composites.members import Member
    from dolium.stores.contract import BlobReader, BlobWriter, BlockSums, Reader
    from dolium.values import BlobInfo, ByteRange

__all__ = ["Replicated", "Written"]

T = TypeVar("T")

_PASSED_OVER: Final = (StoreUnavailable, BlobCorrupt)
_MOST_DISTRUSTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Written:
    """A blob that enough members have: which do, and which do not, and why."""

    info: BlobInfo
    members: tuple[str, ...]
    missing: Mapping[str, StoreError]


class _NotAFileError(Exception):
    """The copy that is to be read lies elsewhere."""


class Replicated(BlobStore):
    """Takes chunks; keeps descriptions, reports space, checks and deletes many blobs, has local paths and files if they
    all do.

    `on_damage`: told the key of a blob of which a copy was found missing or damaged, or was not written, and of each
    member that has none what is wrong; it may hand them to a mover. It is called on the path of whoever found it.
    `keys_recur`: whether a key may be written twice; if not, nobody is asked whether there is an older blob.
    """

    def __init__(
        self,
        members: Iterable[Member],
        *,
        write_quorum: int | None = None,
        on_damage: Callable[[str, Mapping[str, DoliumError]], object] | None = None,
        keys_recur: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._members = Members(members, clock=clock)
        self.write_quorum = len(self._members) if write_quorum is None else write_quorum
        if not 1 <= self.write_quorum <= len(self._members):
            raise ConfigError(
                f"a write quorum of {self.write_quorum} among {len(self._members)} members cannot be"
            )
        self.on_damage = on_damage
        self.keys_recur = keys_recur
        self.distrusted: set[tuple[str, str]] = set()
        """(member, key) of copies that are known to be damaged: another copy is read, if there is one."""
        self.superseded = False
        """Whether the members are others by now: of each blob that is still written here, `on_damage` is told."""
        self._locks = KeyLocks()
        self.local = all(guard.local for guard in self._members)
        offer(self, self._members)
        self._offer_checks()

    @property
    def members(self) -> tuple[Guarded, ...]:
        """In the order in which they are asked."""
        return tuple(self._members)

    def member(self, member_id: str) -> Guarded:
        """One of the members, for who repairs or looks after them. Raises RecordNotFound."""
        return self._members.leaf(member_id)

    # Writes.

    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:  # noqa: B008 - frozen
        return self.write(key, body, options=options).info

    def write(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> Written:  # noqa: B008 - frozen
        """As `put`, and tells who has it."""
        with self._writer(key, options) as writer:
            taken = 0
            while (piece := body.read(PIECE)) and (options.size is None or taken <= options.size):
                writer.write(piece)
                taken += len(piece)
            info = writer.commit()
        return Written(info, tuple(writer.written), dict(writer.failed))

    def open_writer(self, key: str, *, options: PutOptions = PutOptions()) -> BlobWriter:  # noqa: B008 - frozen
        return self._writer(key, options)

    def delete(self, key: str) -> None:
        check_key(key)
        with self._locks.hold(key):
            kept = [guard for guard in self._members if guard.health.state is State.READ_ONLY]
            if held := everywhere.holders(kept, key, strict=True):
                raise StoreReadOnly(f"a copy lies in {held[0].store_id}, which is read-only")
            everywhere.delete([guard for guard in self._members.backwards() if guard not in kept], key)

    # Reads.

    def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002 - as the contract
        return self._first(
            key, lambda guard: FirstBytesReader(guard.get(key, range=range), self._distrust(guard, key))
        )

    def stat(self, key: str) -> BlobInfo:
        return self._first(key, lambda guard: guard.stat(key))

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[BlobInfo]:
        return merged([guard.list(prefix, after=after) for guard in self._members])

    def close(self) -> None:
        for guard in self._members:
            guard.close()

    def probe(self) -> None:
        """Raises StoreUnavailable if too few members answer for a new blob to be acknowledged."""
        self.require_quorum(lambda guard: guard.probe())

    def require_quorum(self, ask: Callable[[Guarded], object]) -> None:
        """As `probe`, by what `ask` says of each."""
        down: list[StoreUnavailable] = []
        for guard in self._members:
            try:
                guard.require()
                ask(guard)
            except StoreUnavailable as error:
                down.append(error)
        if len(self._members) - len(down) < self.write_quorum:
            raise down[0]

    # Copies.

    def repair(self, key: str, *, sha256: bytes | None = None) -> Repair:
        """Read every copy, and write anew those that are absent or not like the right one.

        Right is the one with the digest, if the caller knows it; else what more than half of the copies found say;
        else nothing is touched and `Repair.right` is empty. Raises BlobNotFound if no member has it, and
        StoreUnavailable if one is down and no other has it.
        """
        check_key(key)
        with self._locks.hold(key):
            return repair(tuple(self._members), key, sha256)

    # The powers that depend on the members.

    def _delete_many(self, keys: Sequence[str]) -> set[str]:
        """Those that are gone in every member."""
        if any(guard.health.state is State.READ_ONLY for guard in self._members):
            raise StoreReadOnly("a member is read-only, and may have copies")
        gone = set(keys)
        for guard in self._members.backwards():
            try:
                gone &= power_of(guard, DeletesMany).delete_many(keys)
            except StoreError:
                gone = set()
        return gone

    def _description(self, key: str) -> dict[str, str]:
        return self._first(key, lambda guard: power_of(guard, KeepsDescriptions).description(key))

    def _local_path(self, key: str) -> Path:
        return self._first(key, lambda guard: power_of(guard, LocalPaths).local_path(key))

    def _open_file(self, key: str) -> tuple[int, int]:
        return self._first(key, lambda guard: power_of(guard, LocalFiles).open_file(key))

    def _space(self) -> Space | None:
        """Of the member that has the least left, among those that answer and know."""
        found: list[Space] = []
        down: list[StoreUnavailable] = []
        for guard in self._members:
            try:
                space = power_of(guard, ReportsSpace).space()
            except StoreUnavailable as error:
                down.append(error)
            else:
                found += [] if space is None else [space]
        if len(down) == len(self._members):
            raise down[0]
        return min(found, key=lambda one: one.free, default=None)

    def _offer_checks(self) -> None:
        """A power of three: `powers.offer` knows those of one method."""
        powers = [unwrap(guard, ChecksBlobs) for guard in self._members]
        checks = [power for power in powers if power is not None]
        if len(checks) < len(powers):
            if any(unwrap(guard, LocalFiles) is not None for guard in self._members):
                vars(self)["open_if_file"] = self._open_first_file
            return

        def audit(key: str, **how: Any) -> Audit:
            """Of the first good copy: who wants to know of all asks the members."""
            return self._first(key, lambda guard: power_of(guard, ChecksBlobs).audit(key, **how))

        def open_checked(key: str) -> tuple[int, int, BlockSums | None]:
            return self._first(key, lambda guard: self._open_checked(guard, key))

        for name, value in (
            ("audit", audit),
            ("open_checked", open_checked),
            ("verify_reads", any(power.verify_reads for power in checks)),
        ):
            setattr(self, name, value)

    def _open_first_file(self, key: str) -> tuple[int, int, BlockSums | None] | None:
        """If the first good copy is in a member of files."""

        def work(guard: Guarded) -> tuple[int, int, BlockSums | None]:
            files, checks = unwrap(guard, LocalFiles), unwrap(guard, ChecksBlobs)
            if files is None:
                raise _NotAFileError
            if checks is not None and checks.verify_reads:
                return self._open_checked(guard, key)
            return (*files.open_file(key), None)

        try:
            return self._first(key, work)
        except (_NotAFileError, StoreError, BlobNotFound):
            return None  # `get` says what is wrong, if something is

    def _open_checked(self, guard: Guarded, key: str) -> tuple[int, int, BlockSums | None]:
        descriptor, size, sums = power_of(guard, ChecksBlobs).open_checked(key)
        return descriptor, size, None if sums is None else CopySums(sums, self._distrust(guard, key))

    # How it goes about it.

    def _first(self, key: str, work: Callable[[Guarded], T]) -> T:
        """What `work` says of the first good copy."""
        check_key(key)
        faults: dict[str, DoliumError] = {}
        for guard in self._in_order(key):
            try:
                found = work(guard)
            except (BlobNotFound, *_PASSED_OVER) as error:
                faults[guard.store_id] = error
            else:
                if faults:
                    self._tell(key, {
                        name: fault for name, fault in faults.items() if not isinstance(fault, StoreUnavailable)
                    })  # fmt: skip
                return found
        for fault in faults.values():
            if isinstance(fault, StoreUnavailable):
                raise StoreUnavailable(
                    fault.store_id, f"{fault.store_id} is down, and might have it"
                ) from fault
        raise next((fault for fault in faults.values() if isinstance(fault, BlobCorrupt)), BlobNotFound(key))

    def _in_order(self, key: str) -> Iterable[Guarded]:
        """Copies that are known to be damaged last."""
        distrusted = self.distrusted
        if not distrusted:
            return self._members
        return sorted(self._members, key=lambda guard: (guard.store_id, key) in distrusted)

    def _distrust(self, guard: Guarded, key: str) -> Callable[[BlobCorrupt], None]:
        def tell(error: BlobCorrupt) -> None:
            if len(self.distrusted) < _MOST_DISTRUSTED:
                self.distrusted.add((guard.store_id, key))
            self._tell(key, {guard.store_id: error})

        return tell

    def _writer(self, key: str, options: PutOptions) -> ReplicaWriter:
        check_key(key)
        failed: dict[str, StoreError] = {}
        writers: dict[str, BlobWriter] = {}
        try:
            for guard in self._members:
                try:
                    writers[guard.store_id] = open_writer(guard, key, options)
                except REFUSALS as error:
                    failed[guard.store_id] = error
            return ReplicaWriter(
                writers,
                failed,
                self.write_quorum,
                lambda commit: self._publish(key, commit),
                lambda: self._tell(key, failed),
            )
        except BaseException:
            for writer in writers.values():
                writer.abort()
            raise

    def _publish(self, key: str, commit: Callable[[int], None]) -> None:
        """Commit at all members as far as `commit` is told that it must; undo what does not reach so many."""
        with self._locks.hold(key):
            replaces = self.keys_recur and bool(everywhere.holders(self._members, key))
            try:
                commit(len(self._members) if replaces else self.write_quorum)
            except PartlyDone as error:
                if replaces:
                    raise
                everywhere.delete([self._members.leaf(name) for name in error.done], key)
                raise error.__cause__ or error from None

    def _tell(self, key: str, faults: Mapping[str, DoliumError]) -> None:
        if self.on_damage is not None and (faults or self.superseded):
            self.on_damage(key, faults)
