"""Copies that replicated stores are short of, written down for the mover that makes them (`movers.copies`).

A replicated store tells of them on the path of a request: they are handed to the catalog's writer, and nobody waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping
from typing import Final

from dolium.catalog import replicas, stores
from dolium.catalog.database import Database, Pending, Transaction
from dolium.errors import BlobCorrupt, DoliumError

__all__ = ["Notes"]

_log = logging.getLogger("dolium.copies")

_REMEMBERED: Final = 10_000
_AGAIN_SECONDS: Final = 10.0


class Notes:
    """One per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()  # guards the next
        # When: a blob that is read often is told of once in a while.
        self._told: dict[tuple[str, str, str, bool], float] = {}

    def take(
        self, group: str, members: Collection[str], blob_key: str, faults: Mapping[str, DoliumError]
    ) -> None:
        """`members`: those that were asked; others that the group has by now are short of the blob, too. `faults`: what
        is wrong, by member. Never waits, and never raises.
        """
        news = {
            member: isinstance(fault, BlobCorrupt)
            for member, fault in faults.items()
            if self._is_news((group, member, blob_key, isinstance(fault, BlobCorrupt)))
        }
        for member, fault in faults.items():
            if news.get(member):
                _log.error("the copy of %s in %s, of %s, is damaged: %s", blob_key, member, group, fault)
        if news or not faults:
            self._write(group, members, blob_key, news)

    def _is_news(self, what: tuple[str, str, str, bool]) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._told.get(what, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
                return False
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            self._told[what] = now
            return True

    def _write(
        self, group: str, members: Collection[str], blob_key: str, lacking: Mapping[str, bool]
    ) -> None:
        def write(tx: Transaction) -> None:
            names = {record.id: record.name for record in stores.every(tx)}
            for replica in replicas.every(tx):
                name = names[replica.store_id]
                if names[replica.group_id] == group and (name in lacking or name not in members):
                    replicas.note(
                        tx, replica.group_id, replica.store_id, blob_key, damaged=lacking.get(name, False)
                    )

        try:
            self._database.submit(write).when_settled(_told)
        except DoliumError as failure:
            _log.error("a copy that is to be made could not be written down: %s", failure.message)


def _told(pending: object) -> None:
    assert isinstance(pending, Pending)
    try:
        pending.result(0)
    except DoliumError as failure:
        _log.error("a copy that is to be made could not be written down: %s", failure.message)
