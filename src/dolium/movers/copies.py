"""The copies of replicated stores: compared, made, and made again.

A key of the service is written once, so any good copy is the right one. Good is what has the size and the checksums of
what was written; where a member keeps no checksums, the MD5 that the catalog knows.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from dolium.catalog import audit, replicas
from dolium.catalog.damage import CORRUPT, SUSPECT
from dolium.catalog.holdings import Item
from dolium.crashpoints import reach
from dolium.errors import BlobCorrupt, BlobNotFound, DoliumError, StoreUnavailable
from dolium.movers import look
from dolium.movers.look import Verdict
from dolium.objects.orphans import named_in
from dolium.objects.service import ObjectService
from dolium.stores.contract import BlobReader, BlobStore, KeepsDescriptions, PutOptions, unwrap
from dolium.stores.transfer import open_origin, size_at_origin

__all__ = ["NoSource", "at_blob", "make"]

_log = logging.getLogger("dolium.copies")


class NoSource(Exception):
    """No member that answers has a good copy to take. `lost`: none is down either."""

    def __init__(self, *, lost: bool) -> None:
        self.lost = lost
        super().__init__("there is no good copy")


class _SourceFailed(Exception):
    def __init__(self, error: DoliumError) -> None:
        self.error = error
        super().__init__(error.message)


def at_blob(
    service: ObjectService, store_id: int, item: Item, start: int, pace: Callable[[int], None]
) -> Verdict:
    """`look.at_blob`, of every copy where there are several; what is missing or wrong in one is written anew from
    another. Raises StoreUnavailable, what `pace` raises.

    Copies in members that are down are passed over, as long as one is good; if none is, the verdict waits for them. What
    a member lacks that is being filled, it gets by that.
    """
    members = service.members.get(store_id)
    if members is None:
        return look.at_blob(service.store(store_id), item, start, pace)
    found: dict[int, Verdict] = {}
    down: StoreUnavailable | None = None
    filling = {one.store_id for one in replicas.every(service.database) if one.place is not None}
    for member in members:
        try:
            if member in filling and not _has(service.store(member), item):
                continue
            found[member] = look.at_blob(service.store(member), item, 0, pace)
        except StoreUnavailable as error:
            down = error
    if not found:
        if down is not None:
            raise down
        return look.at_blob(service.store(store_id), item, 0, pace)  # it is nowhere
    good = [member for member, verdict in found.items() if not _is_bad(verdict, item)]
    if not good:
        best = min(found.values(), key=lambda verdict: verdict.state == CORRUPT)
        if down is not None:
            return Verdict(SUSPECT, f"{best.what}; {down.store_id} is down, and may have a good copy")
        return best
    described = _described(service, found, item)
    repaired = 0
    for member, verdict in found.items():
        if verdict.state and (described is not None or member not in good):
            repaired += _mend(service, store_id, member, item, verdict, good, described)
    mended = any(verdict.mended for verdict in found.values())
    if described is not None or not all(found[member].state for member in good):
        return Verdict(mended=mended, unknown=found[good[0]].unknown, repaired=repaired)
    return replace(found[good[0]], mended=mended, repaired=repaired)


def _is_bad(verdict: Verdict, item: Item) -> bool:
    """Whether the bytes are wrong or lost; of a list, which has no ETag to be held against, whether anything is."""
    return bool(verdict.state) if item.size is None else verdict.state == CORRUPT


def _described(service: ObjectService, members: Iterable[int], item: Item) -> Mapping[str, str] | None:
    """The description as it should be, from whatever copy still has it; None if it has to say nothing."""
    for member in members if item.facts else ():
        power = unwrap(service.store(member), KeepsDescriptions)
        with contextlib.suppress(DoliumError):
            if power is not None and not look.description(service.store(member), item):
                return power.description(item.blob_key)
    return None


def _mend(
    service: ObjectService,
    group: int,
    member: int,
    item: Item,
    verdict: Verdict,
    good: Sequence[int],
    described: Mapping[str, str] | None,
) -> int:
    """1 if the copy is good now; what cannot be written now is written down."""
    if not audit.is_named(service.database, group, item.blob_key):
        return 0  # it was deleted while we looked
    where = f"the copy of blob {item.blob_key} of store {group} in its member {member}"
    sources = [number for number in good if number != member] or good
    try:
        make(service, member, item, sources, lambda _: None, anew=True, described=described)
    except (NoSource, DoliumError) as error:
        _log.error("%s: %s; it could not be written anew: %s", where, verdict.what, error)
        note(service, group, member, item.blob_key, damaged=True)
        return 0
    _log.warning("%s: %s; it was written anew", where, verdict.what)
    return 1


def note(service: ObjectService, group: int, member: int, blob_key: str, *, damaged: bool) -> None:
    """A copy is to be made, later."""
    service.database.write(lambda tx: replicas.note(tx, group, member, blob_key, damaged=damaged))


def make(
    service: ObjectService,
    member: int,
    item: Item,
    sources: Sequence[int],
    pace: Callable[[int], None],
    *,
    anew: bool = False,
    described: Mapping[str, str] | None = None,
    bad_source: Callable[[int, DoliumError], None] = lambda *_: None,
) -> bool:
    """Let the member have a copy, from the first of `sources` that has a good one; False if it has one already, which is
    looked at only if not `anew`.

    `described`: its description, where that of the source is not the right one. `bad_source`: told of a source whose
    copy is absent or wrong. Raises NoSource; StoreError if the member takes none; what `pace` raises.
    """
    target = service.store(member)
    if not anew and _has(target, item):
        return False
    lost = True
    for number in sources:
        if number == member and not anew:
            continue
        try:
            _copy(service.store(number), target, item, pace, described)
        except _SourceFailed as failed:
            lost = lost and not isinstance(failed.error, StoreUnavailable)
            if isinstance(failed.error, BlobNotFound | BlobCorrupt):
                bad_source(number, failed.error)
            continue
        reach("copies.made")
        # It may have been deleted everywhere else meanwhile, and then nobody would find this copy again.
        if not named_in(service, member, item.blob_key, item.blob_key):
            target.delete(item.blob_key)
        return True
    raise NoSource(lost=lost)


def _has(store: BlobStore, item: Item) -> bool:
    try:
        size = size_at_origin(store, item.blob_key)
    except (BlobNotFound, BlobCorrupt):
        return False
    return item.size is None or size == item.size


def _copy(
    source: BlobStore,
    target: BlobStore,
    item: Item,
    pace: Callable[[int], None],
    described: Mapping[str, str] | None,
) -> None:
    """Raises _SourceFailed, and what the target raises; then nothing has changed there."""
    try:
        power = unwrap(source, KeepsDescriptions)
        if described is None:
            described = power.description(item.blob_key) if power is not None else {}
        reader = open_origin(source, item.blob_key)
    except DoliumError as error:
        raise _SourceFailed(error) from error
    with reader:
        if item.size is not None and reader.size != item.size:
            raise _SourceFailed(BlobCorrupt(f"it has {reader.size} bytes and should have {item.size}"))
        body = _Body(reader, item.md5, pace)
        options = PutOptions(size=reader.size, description=described)
        try:
            target.put(item.blob_key, body, options=options)
        except DoliumError as error:
            if error is body.error:
                raise _SourceFailed(error) from error
            raise


class _Body:
    """The bytes of a copy, held against their MD5 before the last of them is given."""

    def __init__(self, reader: BlobReader, md5: str, pace: Callable[[int], None]) -> None:
        self._reader = reader
        self._md5 = md5
        self._pace = pace
        self._hasher = hashlib.md5(usedforsecurity=False)
        self._left = reader.size
        self.error: DoliumError | None = None

    def read(self, size: int, /) -> bytes:
        try:
            piece = self._reader.read(size)
            self._hasher.update(piece)
            self._left -= len(piece)
            if self._left <= 0 and self._md5 and self._hasher.hexdigest() != self._md5:
                raise BlobCorrupt("the bytes are not those that were written: their MD5 is another")
        except DoliumError as error:
            self.error = error
            raise
        self._pace(len(piece))
        return piece
