"""All blobs that are named, and what they should be: for whoever looks whether they are."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from dolium.catalog.database import Read

__all__ = ["Item", "items"]


@dataclass(frozen=True, slots=True)
class Item:
    """A blob that something names.

    `size` and `md5` are those of its bytes; None and empty for a manifest. `parts`: the list that the manifest of a
    multipart object must have. `facts`: what its description must say.
    """

    blob_key: str
    size: int | None
    md5: str
    parts: list[list[Any]] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def items(read: Read, store_id: int, first: str, limit: int) -> list[Item]:
    """Blobs of a store in the order of their keys, from `first` on; each once, whoever shares it."""
    ways = [way(read, store_id, first, limit) for way in (_objects, _manifests, _parts)]
    # Behind the end of a list that was cut there may be more of its kind.
    ends = [found[-1].blob_key for found in ways if len(found) == limit]
    merged = heapq.merge(*ways, key=attrgetter("blob_key"))
    grouped = groupby(merged, attrgetter("blob_key"))
    # What several rows share is described by the one that it was written for.
    return [
        max(group, key=lambda item: len(item.facts)) for key, group in grouped if not ends or key <= min(ends)
    ]


_FACTS = "o.key, o.sequence, o.etag, o.size, o.checksum, o.headers, b.name, b.tenancy_id"


def _facts(row: tuple[Any, ...]) -> dict[str, Any]:
    names = ("key", "sequence", "etag", "size", "checksum", "headers", "bucket", "tenancy")
    return dict(zip(names, row, strict=True))


def _objects(read: Read, store_id: int, first: str, limit: int) -> list[Item]:
    rows = read.all(
        f"SELECT o.blob_key, o.upload, o.manifest, {_FACTS} FROM objects o CROSS JOIN buckets b ON b.id = o.bucket_id "
        "WHERE o.blob_key >= $1 AND o.store_id = $2 ORDER BY o.blob_key LIMIT $3",
        first, store_id, limit,
    )  # fmt: skip
    found = []
    for blob_key, upload, manifest, *rest in rows:
        facts = {} if manifest is not None else _facts(tuple(rest))
        if upload is None:
            found.append(Item(blob_key, rest[3], rest[2], None, facts))
        else:
            found.append(Item(blob_key, None, "", _listed(read, upload), facts))
    return found


def _listed(read: Read, upload: int) -> list[list[Any]]:
    rows = read.all(
        "SELECT number, size, etag, checksum, blob_key FROM parts WHERE upload = $1 ORDER BY number", upload
    )
    return [list(row) for row in rows]


def _manifests(read: Read, store_id: int, first: str, limit: int) -> list[Item]:
    rows = read.all(
        f"SELECT o.manifest, {_FACTS} FROM objects o CROSS JOIN buckets b ON b.id = o.bucket_id "
        "WHERE o.manifest >= $1 AND o.store_id = $2 ORDER BY o.manifest LIMIT $3",
        first, store_id, limit,
    )  # fmt: skip
    return [Item(row[0], None, "", None, _facts(row[1:])) for row in rows]


def _parts(read: Read, store_id: int, first: str, limit: int) -> list[Item]:
    rows = read.all(
        "SELECT p.blob_key, p.size, p.etag, p.number, u.upload_id FROM parts p CROSS JOIN uploads u ON u.id = p.upload "
        "WHERE p.blob_key >= $1 AND p.store_id = $2 ORDER BY p.blob_key LIMIT $3",
        first, store_id, limit,
    )  # fmt: skip
    return [
        Item(row[0], row[1], row[2], None, {"upload": row[4], "part": row[3], "etag": row[2]}) for row in rows
    ]
