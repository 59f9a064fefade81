"""Makes the copies that replicated stores are short of: one round after the other, slowly, beside the requests.

    repairs = Repairs(service, rate, rest)
    repairs.work()      # as much as can be done now

Three things are done for each member that answers:

* what is written down (`catalog.replicas`): copies that were not written, or were found missing or damaged;
* a member that is new is filled, in the order of keys, from where that was left;
* once all members are filled, the blobs that a member had of its own before it was one get their copies and become the
  group's.

A member that is down, full or takes no writes is left alone for a while, for longer each time.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from dolium.catalog import damage, replicas
from dolium.catalog.damage import Subject
from dolium.catalog.database import Transaction
from dolium.catalog.holdings import Item, items
from dolium.catalog.replicas import Repair, Replica
from dolium.crashpoints import reach
from dolium.errors import BlobCorrupt, DoliumError, StoreError, StoreFull
from dolium.movers import copies, look
from dolium.movers.copies import NoSource
from dolium.movers.pace import Pace
from dolium.objects.orphans import named_in
from dolium.objects.service import ObjectService
from dolium.stores.contract import Probes, unwrap

__all__ = ["Repairs"]

_log = logging.getLogger("dolium.copies")

_PAGE: Final = 100
_OPENING: Final = 16 << 10  # what it costs to open a blob, as bytes
_SETTLED_MS: Final = 120_000
"""A blob is named at once when it is written, or not at all; a catalog that is slow has so long."""
_LATER_MS: Final = 60_000
_EVER: Final = 1 << 62
_SHORT_MS: Final = 2_000
"""A member that is new is filled from then on: all processes know it by now."""
_BACKOFF: Final = 0.5
_LONGEST_DOWN: Final = 5.0
_LONGEST_FULL: Final = 300.0
"""To find that a store is still down costs little; that it is still full, a blob."""


@dataclass(slots=True)
class _Away:
    """A member that could not be written to: until when it is left alone, and for how long the next time."""

    until: float
    seconds: float


class Repairs:
    """Remembers who is away from one round to the next."""

    def __init__(self, service: ObjectService, rate: int, rest: Callable[[float], bool]) -> None:
        """`rate`: bytes a second, 0 for as many as can be; `rest(seconds)` sleeps, and says whether to stop."""
        self._service = service
        self._pace = Pace(rate, rest)
        self._away: dict[int, _Away] = {}
        self._everything = False
        self.made = 0

    def work(self, *, everything: bool = False) -> int:
        """One round; how many copies were made. `everything`: also what is to wait a while.

        Raises Stopped, CatalogUnavailable.
        """
        self._everything = everything
        before = self.made
        for step in (self._serve, self._take_all_over):
            for replica in replicas.every(self._service.database):
                if replica.store_id in self._service.members.get(replica.group_id, ()):
                    self._try(step, replica)  # else the configuration of this process is another
        return self.made - before

    def _try(self, step: Callable[[Replica], None], replica: Replica) -> None:
        away = self._away.get(replica.store_id)
        if not self._everything and away is not None and time.monotonic() < away.until:
            return
        try:
            probes = unwrap(self._service.store(replica.store_id), Probes)
            if away is not None and probes is not None:
                probes.probe()  # else its breaker would keep us from seeing that it is back
            step(replica)
        except StoreError as error:
            self._leave_alone(replica.store_id, error)
        else:
            self._away.pop(replica.store_id, None)

    def _leave_alone(self, member: int, error: StoreError) -> None:
        before = self._away.get(member)
        longest = _LONGEST_FULL if isinstance(error, StoreFull) else _LONGEST_DOWN
        seconds = min(longest, before.seconds * 2 if before is not None else _BACKOFF)
        self._away[member] = _Away(time.monotonic() + seconds, seconds)
        if before is None:
            _log.warning("store %d gets no copies for now: %s", member, error.message)

    def _serve(self, replica: Replica) -> None:
        """Raises StoreError if the member cannot be written to."""
        self._drain(replica)
        if replica.place is not None:
            self._fill(replica, replica.place)

    def _take_all_over(self, replica: Replica) -> None:
        ours = [one for one in replicas.every(self._service.database) if one.group_id == replica.group_id]
        if not all(one.place is None for one in ours):
            return
        with contextlib.suppress(StoreError):  # of another member, which is left alone for its own sake
            for item in self._items(replica.store_id, ""):
                self._take_over(replica, item)

    def _items(self, store_id: int, first: str) -> Iterator[Item]:
        while page := items(self._service.database, store_id, first, _PAGE):
            yield from page
            first = f"{page[-1].blob_key}\0"

    # What is written down.

    def _drain(self, replica: Replica) -> None:
        after = ""
        now_ms = _EVER if self._everything else _now_ms()
        while found := replicas.due(self._service.database, replica, now_ms, after, _PAGE):
            after = found[-1].blob_key
            done: list[Repair] = []
            later: list[Repair] = []
            try:
                for repair in found:
                    (done if self._repair(repair) else later).append(repair)
            finally:
                self._settle(done, later)

    def _settle(self, done: list[Repair], later: list[Repair]) -> None:
        def write(tx: Transaction) -> None:
            replicas.forget(tx, done)
            reach("copies.settled")
            replicas.postpone(tx, later, _LATER_MS)

        if done or later:
            self._service.database.write(write)

    def _repair(self, repair: Repair) -> bool:
        """Whether nothing is left to do. Raises StoreError if the member is down or takes nothing."""
        service, key, member = self._service, repair.blob_key, repair.store_id
        found = items(service.database, repair.group_id, key, 1)
        if not found or found[0].blob_key != key:
            named = named_in(service, repair.group_id, key, key)
            return bool(named) or repair.noted_ms + _SETTLED_MS < _now_ms()
        if not repair.damaged:
            return self._make(repair.group_id, member, found[0])
        if not look.at_blob(service.store(member), found[0], 0, self._spend_up_to()).state:
            return True
        return self._make(repair.group_id, member, found[0], anew=True)

    def _make(self, group: int, member: int, item: Item, *, anew: bool = False) -> bool:
        """Whether the member has a copy now. Raises StoreError if it takes none."""
        service = self._service
        self._pace.spend(_OPENING)

        def bad_source(number: int, error: DoliumError) -> None:
            copies.note(service, group, number, item.blob_key, damaged=isinstance(error, BlobCorrupt))

        try:
            self.made += copies.make(
                service,
                member,
                item,
                service.members.get(group, ()),
                self._pace.spend,
                anew=anew,
                bad_source=bad_source,
            )
        except NoSource as error:
            if error.lost:  # that is for a scrub to say
                subject = Subject(group, item.blob_key)
                service.database.write(lambda tx: damage.suspect(tx, subject, "no copy of it is good"))
            return False
        return True

    def _spend_up_to(self) -> Callable[[int], None]:
        """For who is told how far a blob is read."""
        last = 0

        def spend(at: int) -> None:
            nonlocal last
            self._pace.spend(at - last)
            last = at

        return spend

    # What is new.

    def _fill(self, replica: Replica, place: str) -> None:
        if replica.added_ms + _SHORT_MS > _now_ms() and not self._everything:
            return
        database = self._service.database
        count = 0
        try:
            for item in self._items(replica.group_id, place):
                if not self._make(replica.group_id, replica.store_id, item):
                    copies.note(
                        self._service, replica.group_id, replica.store_id, item.blob_key, damaged=False
                    )
                place = f"{item.blob_key}\0"
                count += 1
                if count % _PAGE == 0:
                    self._fill_to(replica, place)
        finally:
            self._fill_to(replica, place)
        database.write(lambda tx: replicas.fill_to(tx, replica, None))
        if count:
            _log.info("store %d has a copy of everything in store %d", replica.store_id, replica.group_id)

    def _fill_to(self, replica: Replica, place: str) -> None:
        self._service.database.write(lambda tx: replicas.fill_to(tx, replica, place))
        reach("copies.filled")

    # What a member had before.

    def _take_over(self, replica: Replica, item: Item) -> None:
        group, member, key = replica.group_id, replica.store_id, item.blob_key
        service = self._service
        manifests = replicas.manifests_of(service.database, member, key)
        wanted = [item, *(Item(manifest, None, "") for manifest in manifests)]
        for other in service.members.get(group, (member,)):
            if other != member and not all(self._make(group, other, one) for one in wanted):
                return
        service.database.write(lambda tx: replicas.take_over(tx, group, member, key, manifests))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
