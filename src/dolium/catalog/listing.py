"""Pages of keys: a range scan that skips what a delimiter folds together. Never an offset.

A page costs the same at any size of bucket: it seeks to where it begins, reads rows in key order, and when
rows fall under a common prefix it seeks past all of them.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import starmap
from operator import itemgetter
from typing import NamedTuple

from dolium.catalog.database import Row, Snapshot
from dolium.catalog.objects import MARKER

__all__ = ["Entry", "Page", "after_prefix", "list_objects"]

# How many rows under one common prefix (or versions of one key) are read before it is cheaper to seek.
_PATIENCE = 12


class Entry(NamedTuple):
    """An object in a listing."""

    key: str
    size: int
    etag: str
    checksum: str
    modified_ms: int
    owner_id: int | None
    headers: str
    kind: int


@dataclass(frozen=True, slots=True)
class Page:
    """`next_after`: give it as `after` to get the next page; None on the last one."""

    entries: list[Entry]
    prefixes: list[str]
    next_after: str | None


def after_prefix(prefix: str) -> str | None:
    """The least string above every string that starts with `prefix`, in UTF-8 order; None if there is none."""
    for end in range(len(prefix), 0, -1):
        point = ord(prefix[end - 1])
        if point < 0x10FFFF:
            return prefix[: end - 1] + chr(0xE000 if point == 0xD7FF else point + 1)
    return None


_SELECT = (
    "SELECT key, size, etag, checksum, modified_ms, owner_id, headers, kind FROM objects WHERE bucket_id = $1"
)
# Without an upper bound, with one; `key >= $2` as every way to begin is turned into the least key wanted.
_OPEN = f"{_SELECT} AND key >= $2 ORDER BY key, sequence DESC LIMIT $3"
_BOUNDED = f"{_SELECT} AND key >= $2 AND key < $3 ORDER BY key, sequence DESC LIMIT $4"


def list_objects(
    read: Snapshot,
    bucket_id: int,
    *,
    prefix: str = "",
    delimiter: str = "",
    after: str = "",
    limit: int = 1000,
) -> Page:
    """The next `limit` entries and common prefixes together, behind `after`, in key order.

    `after` may be a key or a common prefix that an earlier page ended with: then nothing under it comes.
    """
    if limit <= 0:
        return Page([], [], None)
    start = _start(prefix, delimiter, after)
    if start is None:
        return Page([], [], None)
    if not delimiter:
        return _plain(read, bucket_id, prefix, start, limit)
    return _folded(read, bucket_id, prefix, delimiter, start, limit)


def _start(prefix: str, delimiter: str, after: str) -> str | None:
    if after < prefix:
        return prefix
    if delimiter and after.startswith(prefix):
        cut = after.find(delimiter, len(prefix))
        if cut >= 0:
            # Everything that folds into the same common prefix was on an earlier page.
            return after_prefix(after[: cut + len(delimiter)])
    # The least string above `after` is `after` and a NUL, which no key contains.
    return after + "\0"


def _query(
    read: Snapshot, bucket_id: int, start: str, stop: str | None, limit: int
) -> Generator[Row, None, None]:
    if stop is None:
        return read.rows(_OPEN, bucket_id, start, limit)
    return read.rows(_BOUNDED, bucket_id, start, stop, limit)


def _plain(read: Snapshot, bucket_id: int, prefix: str, start: str, limit: int) -> Page:
    stop = after_prefix(prefix)
    entries: list[Entry] = []
    while True:
        wanted = limit + 1 - len(entries)
        if stop is None:
            rows = read.all(_OPEN, bucket_id, start, wanted)
        else:
            rows = read.all(_BOUNDED, bucket_id, start, stop, wanted)
        found = list(starmap(Entry, rows))
        entries += _newest(found, entries[-1].key if entries else None)
        if len(entries) > limit:
            del entries[limit:]
            return Page(entries, [], entries[-1].key)
        if len(found) < wanted:
            return Page(entries, [], None)
        start = found[-1].key + "\0"


_key, _kind = itemgetter(0), itemgetter(7)


def _newest(found: list[Entry], previous: str | None) -> list[Entry]:
    """Without older versions and delete markers; nearly always there are none, which is cheap to see."""
    if len(set(map(_key, found))) == len(found) and not any(map(_kind, found)):
        return found
    kept = []
    for entry in found:
        if entry.key != previous and entry.kind != MARKER:
            kept.append(entry)
        previous = entry.key
    return kept


def _folded(read: Snapshot, bucket_id: int, prefix: str, delimiter: str, start: str, limit: int) -> Page:
    stop = after_prefix(prefix)
    entries: list[Entry] = []
    prefixes: list[str] = []
    last: str | None = None  # the entry or common prefix that came last
    previous: str | None = None  # the key of the row before
    seek: str | None = start
    while seek is not None:
        scan = _query(read, bucket_id, seek, stop, 2 * limit + _PATIENCE)
        seek, folded, seen = None, 0, 0
        with closing(scan) as rows:
            for row in rows:
                seen += 1
                key = row[0]
                is_older = key == previous
                previous = key
                if is_older or row[7] == MARKER:
                    continue
                cut = key.find(delimiter, len(prefix))
                found = key if cut < 0 else key[: cut + len(delimiter)]
                if cut >= 0 and found == last:
                    folded += 1
                    if folded > _PATIENCE:
                        seek = after_prefix(found)
                        break
                    continue
                if len(entries) + len(prefixes) == limit:
                    return Page(entries, prefixes, last)
                folded, last = 0, found
                if cut < 0:
                    entries.append(Entry(*row))
                else:
                    prefixes.append(found)
            else:
                if seen == 2 * limit + _PATIENCE and previous is not None:
                    seek = previous + "\0"
    return Page(entries, prefixes, None)
