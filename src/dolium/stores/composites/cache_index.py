"""What lies in a cache, and how much: a small SQLite database beside the files, shared by all processes.

Every file has a row before it is made and until it is gone, so the sum of the rows is never less than what lies there,
nothing has to be walked, and what a killed process has left is found by its row. The sum itself is kept, not computed.

*Epochs*: a put or delete gives its key another epoch. A copy that was begun under an older one is not published, so
that a slow reader cannot bring back what has been replaced meanwhile. Keys share 4,096 epochs by their hash; to lose a
copy to a namesake costs one more read of the far store.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dolium.stores.composites.cache_database import BORN, CacheDatabase
from dolium.values import BlobInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["FILLING", "OLD", "READY", "WHOLE", "CacheIndex", "Entry", "Known"]

WHOLE: Final = -1
"""The number of the block that is all of a blob."""

FILLING: Final = 0
READY: Final = 1
OLD: Final = 2
"""Not to be used any more, and removed as soon as nobody reads it."""

_EPOCHS: Final = 4096
_COLUMNS: Final = "id, key, block, size, written_ns"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the cache. `size`: bytes that are counted for it; `written_ns`: its time when it was made. One that has
    another size or time was written to by somebody else.
    """

    id: int
    key: str
    block: int
    size: int
    written_ns: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What the far store said of a blob, when that was asked, and the whole of it, if it is here."""

    info: BlobInfo
    checked: float
    whole: Entry | None


class CacheIndex(CacheDatabase):
    """All of its methods are calls of `with index.lock():`, and raise CacheBroken."""

    def __init__(self, folder: str, on_open: Callable[[], None] = lambda: None) -> None:
        super().__init__(folder, on_open)
        self._touched: dict[int, float] = {}  # when entries were used, not written down yet

    # What is known of blobs.

    def known(self, key: str) -> Known | None:
        row = self._one(
            "SELECT b.size, b.modified_ns, b.checked, e.id, e.size, e.written_ns FROM blobs b LEFT JOIN entries e"
            " ON e.key = b.key AND e.block = -1 AND e.state = 1 WHERE b.key = ?",
            key,
        )
        if row is None:
            return None
        whole = Entry(row[3], key, WHOLE, *row[4:]) if row[3] is not None else None
        return Known(BlobInfo(key, row[0], row[1]), row[2], whole)

    def note(self, key: str, info: BlobInfo, now: float) -> None:
        """What the far store says of a blob. Copies of another one under this key are old from now on."""
        known = self.known(key)
        if known is not None and (known.info.size, known.info.modified_ns) != (info.size, info.modified_ns):
            self.drop(key)
        self._run("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?)", key, info.size, info.modified_ns, now)

    def epoch(self, key: str) -> int:
        row = self._one(
            f"SELECT coalesce((SELECT epoch FROM epochs WHERE number = ?), {BORN})",  # noqa: S608 - a constant
            _number(key),
        )
        assert row is not None
        return int(row[0])

    def change(self, key: str) -> int:
        """The blob is being replaced, or was: what is here of it is old. The new epoch."""
        self.drop(key)
        self._run(
            f"INSERT INTO epochs VALUES (?, {BORN} + 1)"  # noqa: S608 - a constant
            " ON CONFLICT (number) DO UPDATE SET epoch = epoch + 1",
            _number(key),
        )
        return self.epoch(key)

    def drop(self, key: str) -> None:
        self._run("UPDATE entries SET state = 2 WHERE key = ? AND state = 1", key)
        self._run("DELETE FROM blobs WHERE key = ?", key)

    # Entries.

    def ready(self, key: str, block: int) -> Entry | None:
        row = self._one(
            f"SELECT {_COLUMNS} FROM entries WHERE key = ? AND block = ? AND state = 1",  # noqa: S608 - a constant
            key,
            block,
        )
        return None if row is None else Entry(*row)

    def is_filling(self, key: str, block: int) -> bool:
        return (
            self._one("SELECT 1 FROM entries WHERE key = ? AND block = ? AND state = 0", key, block)
            is not None
        )

    def add(self, key: str, block: int, size: int, now: float) -> Entry:
        """A file that is about to be made, and may grow to so many bytes."""
        self._run(
            "INSERT INTO entries (key, block, state, size, used) VALUES (?, ?, 0, ?, ?)",
            key,
            block,
            size,
            now,
        )
        row = self._one("SELECT last_insert_rowid()")
        assert row is not None
        self._count(size)
        return Entry(row[0], key, block, size)

    def resize(self, entry: Entry, size: int, written_ns: int = 0) -> Entry | None:
        """Another number of bytes for a file, and its time; None if the entry is gone."""
        row = self._one("SELECT size FROM entries WHERE id = ?", entry.id)
        if row is None:
            return None
        self._run("UPDATE entries SET size = ?, written_ns = ? WHERE id = ?", size, written_ns, entry.id)
        self._count(size - row[0])
        return Entry(entry.id, entry.key, entry.block, size, written_ns)

    def set_state(self, entry: Entry, state: int) -> None:
        """To be ready is to take the place of whatever was."""
        if state == READY:
            self._run(
                "UPDATE entries SET state = 2 WHERE key = ? AND block = ? AND state = 1",
                entry.key,
                entry.block,
            )
        self._run("UPDATE entries SET state = ? WHERE id = ?", state, entry.id)

    def remove(self, entry: Entry) -> None:
        row = self._one("SELECT size FROM entries WHERE id = ?", entry.id)
        self._touched.pop(entry.id, None)
        if row is not None:
            self._run("DELETE FROM entries WHERE id = ?", entry.id)
            self._count(-row[0])
            self._run(
                "DELETE FROM blobs WHERE key = ?1 AND NOT EXISTS"
                " (SELECT 1 FROM entries WHERE key = ?1 AND state = 1)",
                entry.key,
            )

    def pin(self, entry: Entry, until: float) -> None:
        self._run("UPDATE entries SET pinned = MAX(pinned, ?) WHERE id = ?", until, entry.id)

    def touch(self, entry: Entry, now: float) -> None:
        """It was used. Written down some uses later: a hit shall not cost a write."""
        self._touched[entry.id] = now
        if len(self._touched) >= 64:
            self.write_touched()

    def write_touched(self) -> None:
        touched, self._touched = self._touched, {}
        for number, used in touched.items():
            self._run("UPDATE entries SET used = MAX(used, ?) WHERE id = ?", used, number)

    def removable(self, now: float, *, only_old: bool, limit: int, beyond: Iterable[int] = ()) -> list[Entry]:
        """Entries that nobody has pinned, the old ones first, then those that were not used for longest."""
        states = "(2)" if only_old else "(1, 2)"
        skipped = ",".join(map(str, beyond))
        rows = self._all(
            f"SELECT {_COLUMNS} FROM entries WHERE state IN {states} AND pinned <= ?"  # noqa: S608 - numbers
            f" AND id NOT IN ({skipped}) ORDER BY state DESC, used, id LIMIT ?",
            now, limit,
        )  # fmt: skip
        return [Entry(*row) for row in rows]

    def of_state(self, *states: int) -> list[Entry]:
        rows = self._all(
            f"SELECT {_COLUMNS} FROM entries WHERE state IN ({','.join(map(str, states))})"  # noqa: S608
        )
        return [Entry(*row) for row in rows]

    def given(self, key: str) -> list[Entry]:
        """The files whose paths were given out for a key, those that are old by now too."""
        rows = self._all(
            f"SELECT {_COLUMNS} FROM entries WHERE key = ? AND block = -1 AND state IN (1, 2) AND pinned > 0",  # noqa: S608
            key,
        )
        return [Entry(*row) for row in rows]

    def total(self) -> int:
        """Bytes of all entries."""
        return int(self.fact("bytes"))

    def fact(self, name: str) -> str:
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        assert row is not None
        return str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        self._run("UPDATE facts SET value = ? WHERE name = ?", value, name)

    def _count(self, more: int) -> None:
        self._run("UPDATE facts SET value = value + ? WHERE name = 'bytes'", more)


def _number(key: str) -> int:
    return zlib.crc32(key.encode()) % _EPOCHS
