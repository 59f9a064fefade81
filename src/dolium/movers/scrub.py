"""The walk that looks at everything that is stored, and says what has rotted.

First the inline bodies, by bucket and key; then each store, by blob. Where it is stands in the catalog, so it can be
cut off anywhere and goes on there: in the midst of a blob that has checksums at the block, and of others at their
beginning. What it finds is entered at once (`catalog.damage`): the objects are held back, and nothing is deleted,
moved or written over. A blob that was found damaged and is right again, as after its file was brought back, is
given free when the next walk, or `recheck`, comes by.

Blobs that came after the walk had begun are left to the next one, or it would never end. A store that is down is left
for the end. Of a replicated store every copy is looked at, and one that is missing or wrong is written anew from
another; those in a member that is down are left to the next walk.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from dolium.catalog import damage, scrubs
from dolium.catalog.damage import INLINE, Subject
from dolium.catalog.holdings import Item, items
from dolium.crashpoints import reach
from dolium.errors import StoreUnavailable
from dolium.movers import copies, look
from dolium.movers.look import Verdict
from dolium.movers.pace import Pace, Stopped
from dolium.objects.blob_keys import written_ns
from dolium.objects.service import ObjectService

__all__ = ["Scrub", "claim", "hold", "is_wanted", "recheck"]

_log = logging.getLogger("dolium.scrub")

_PAGE: Final = 200
_SAVE_SECONDS: Final = 5.0
_OPENING: Final = 16 << 10
"""What it costs to open a blob, as bytes: a million small ones must not keep a disk busy either."""


def hold(folder: Path, work: str = "scrub") -> int | None:
    """The right to scrub (or to other `work`), which one process has at a time, as a descriptor to close; None if
    another has it.
    """
    return _locked(folder / f"{work}.lock")


def claim(folder: Path, work: str = "scrub", *, patience: float = 15.0) -> int | None:
    """As `hold`, for one who goes first: the service stops for it. None if another command has it."""
    wanted = _locked(folder / f"{work}.wanted")
    if wanted is None:
        return None
    try:
        deadline = time.monotonic() + patience
        while (held := hold(folder, work)) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return held
    finally:
        os.close(wanted)


def is_wanted(folder: Path, work: str = "scrub") -> bool:
    """Whether a command waits for the right."""
    wanted = _locked(folder / f"{work}.wanted")
    if wanted is not None:
        os.close(wanted)
    return wanted is None


def _locked(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


class Scrub:
    """One walk, begun or gone on with. Hold the right to it meanwhile."""

    def __init__(self, service: ObjectService, rate: int, rest: Callable[[float], bool]) -> None:
        """`rate`: bytes a second, 0 for as many as can be; `rest(seconds)` sleeps, and says whether to stop.

        Goes on with the newest walk if that has not ended. Raises CatalogUnavailable.
        """
        self._service = service
        self._pace = Pace(rate, rest)
        self._looked = _Looked(service)
        self._saved = time.monotonic()
        self._left: dict[
            int, tuple[str, int]
        ] = {}  # stores that were down when their turn came, and where they go on
        self._reached = ("", 0)
        run = scrubs.latest(service.database)
        if run is None or run.ended_ms is not None:
            place = json.dumps({"stage": "bodies", "after": [0, "", 0]})
            run = service.database.write(lambda tx: scrubs.begin(tx, place))
            reach("scrub.begun")
        self.run = run

    def work(self) -> bool:
        """Walk until the end, or until told to stop; whether it came to the end.

        Raises StoreUnavailable, CatalogUnavailable; what was done until then is kept.
        """
        try:
            self._walk()
        except Stopped:
            return False
        finally:
            self._save()
        self._service.database.write(self._end)
        return True

    def _walk(self) -> None:
        place = json.loads(self.run.place)
        if place["stage"] == "bodies":
            self._bodies(*place["after"])
            place = {"stage": "blobs", "store": min(self._service.stores), "from": "", "at": 0}
            self._go_on(place)
        self._left = {int(store): (first, at) for store, (first, at) in place.get("left", {}).items()}
        if place["stage"] == "blobs":
            for store_id in sorted(self._service.stores):
                if store_id == place["store"]:
                    self._unless_down(store_id, place["from"], place["at"])
                elif store_id > place["store"]:
                    self._unless_down(store_id, "", 0)
        self._come_back()

    def _unless_down(self, store_id: int, first: str, at: int) -> None:
        self._reached = (first, at)
        try:
            self._blobs(store_id, first, at)
        except StoreUnavailable as error:
            _log.warning("store %d is left for the end: %s", store_id, error.message)
            self._left[store_id] = self._reached
            self._go_on({"stage": "blobs", "store": store_id + 1, "from": "", "at": 0})

    def _come_back(self) -> None:
        """To those that were down. Raises StoreUnavailable for one that still is, after all others."""
        down: StoreUnavailable | None = None
        if self._left:
            self._go_on({"stage": "left"})
        for store_id, (first, at) in sorted(self._left.items()):
            try:
                if store_id in self._service.stores:
                    self._blobs(store_id, first, at)
            except StoreUnavailable as error:
                down = error
            else:
                del self._left[store_id]
                self._go_on({"stage": "left"})
        if down is not None:
            raise down

    def _end(self, tx: Any) -> None:
        damage.forget_unnamed(tx)
        scrubs.end(tx, self.run)

    def _bodies(self, bucket_id: int, key: str, sequence: int) -> None:
        while page := scrubs.bodies(self._service.database, bucket_id, key, sequence, _PAGE):
            self._looked.renew()
            for row in page:
                bucket_id, key, sequence, is_inline, size, *rest = row
                if is_inline:
                    self._pace.spend(size)
                    verdict = look.at_body(sequence, size, *rest)
                    self._looked.body(Subject(INLINE, str(sequence), bucket_id, key), verdict)
                    self._add(bodies=1, bytes=size, mended=int(verdict.mended))
                self._go_on({"stage": "bodies", "after": [bucket_id, key, sequence]})

    def _blobs(self, store_id: int, first: str, at: int) -> None:
        """From the blob `first` on, in which all is looked at up to `at`."""
        while page := items(self._service.database, store_id, first, _PAGE):
            self._looked.renew()
            for item in page:
                written = written_ns(item.blob_key)
                if written is None or written <= self.run.started_ms * 1_000_000:
                    self._blob(store_id, item, at if item.blob_key == first else 0)
                first = f"{item.blob_key}\0"  # what comes next
                self._came_to(store_id, first, 0)

    def _blob(self, store_id: int, item: Item, start: int) -> None:
        last = -1
        self._pace.spend(_OPENING)

        def pace(at: int) -> None:
            nonlocal last
            size = max(0, at - last) if last >= 0 else 0  # the next copy begins at its beginning
            last = at
            self._add(bytes=size)
            self._came_to(store_id, item.blob_key, at)
            self._pace.spend(size)

        verdict = copies.at_blob(self._service, store_id, item, start, pace)
        self._looked.blob(Subject(store_id, item.blob_key), verdict)
        self._add(
            blobs=1, mended=int(verdict.mended), unknown=int(verdict.unknown), repaired=verdict.repaired
        )

    def _add(self, **more: int) -> None:
        self.run = replace(
            self.run, **{name: getattr(self.run, name) + count for name, count in more.items()}
        )

    def _came_to(self, store_id: int, first: str, at: int) -> None:
        self._reached = (first, at)
        if store_id in self._left:
            self._left[store_id] = self._reached
            self._go_on({"stage": "left"})
        else:
            self._go_on({"stage": "blobs", "store": store_id, "from": first, "at": at})

    def _go_on(self, place: dict[str, Any]) -> None:
        if self._left:
            place["left"] = self._left
        self.run = replace(self.run, place=json.dumps(place))
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        run = self.run
        self._service.database.write(lambda tx: scrubs.save(tx, run))
        reach("scrub.saved")


def recheck(service: ObjectService, pace: Pace, *, states: Iterable[str] = damage.STATES) -> int:
    """Look again at what is known to be damaged; how many are right now. Raises Stopped, StoreUnavailable."""
    looked = _Looked(service)
    cleared = 0
    for state in states:
        for finding in damage.every(service.database, state=state, limit=-1):
            verdict = _again(service, finding.subject, pace)
            if verdict is None:
                service.database.write(damage.forget_unnamed)
                continue
            looked.note(finding.subject, verdict)
            cleared += not verdict.state
    return cleared


def _again(service: ObjectService, subject: Subject, pace: Pace) -> Verdict | None:
    """None if nothing names it any more."""
    read = service.database
    if subject.store_id == INLINE:
        sequence = int(subject.blob_key)
        page = scrubs.bodies(read, subject.bucket_id or 0, subject.key or "", sequence + 1, 1)
        if not page or page[0][2] != sequence:
            return None
        return look.at_body(sequence, *page[0][4:])
    found = items(read, subject.store_id, subject.blob_key, 1)
    if not found or found[0].blob_key != subject.blob_key:
        return None
    done = 0

    def spend(at: int) -> None:
        nonlocal done
        pace.spend(max(0, at - done))
        done = at

    pace.spend(_OPENING)
    return copies.at_blob(service, subject.store_id, found[0], 0, spend)


class _Looked:
    """Enters what was seen: damage that is there, and damage that is gone."""

    def __init__(self, service: ObjectService) -> None:
        self._service = service
        self._known: dict[tuple[int, str], str] = {}
        self.renew()

    def renew(self) -> None:
        found = damage.every(self._service.database, limit=-1)
        self._known = {(one.subject.store_id, one.subject.blob_key): one.state for one in found}

    def body(self, subject: Subject, verdict: Verdict) -> None:
        if verdict.mended:
            sequence = int(subject.blob_key)
            self._service.database.write(lambda tx: scrubs.mend_body(tx, sequence))
        self.blob(subject, verdict)

    def blob(self, subject: Subject, verdict: Verdict) -> None:
        """Most are well, and were."""
        if verdict.state or (subject.store_id, subject.blob_key) in self._known:
            self.note(subject, verdict)

    def note(self, subject: Subject, verdict: Verdict) -> None:
        write = self._service.database.write
        was = self._known.get((subject.store_id, subject.blob_key), "")
        if not verdict.state:
            write(lambda tx: damage.clear(tx, subject))
            _log.warning(
                "%s is right: it was %s, and its object is given free", _name(subject), was or "damaged"
            )
            return
        if not write(lambda tx: damage.enter(tx, subject, verdict.state, verdict.what)):
            return
        reach("scrub.marked")
        if was != verdict.state:
            _log.error("%s is %s: %s", _name(subject), verdict.state, verdict.what)


def _name(subject: Subject) -> str:
    if subject.store_id == INLINE:
        return f"object {subject.key!r} of bucket {subject.bucket_id}"
    return f"blob {subject.blob_key} of store {subject.store_id}"
