"""What a check of the books reads: a page of rows at a time, with all that must agree with it in the same snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dolium.catalog.database import Read, Snapshot
from dolium.wire.checksums import multipart_etag

__all__ = [
    "Entry",
    "Named",
    "Standing",
    "Totals",
    "bodies_after",
    "bucket_name",
    "bucket_of_rows_after",
    "bucket_totals",
    "entries",
    "garbage_totals",
    "highest_sequence",
    "is_named",
    "names",
    "part_owner_after",
    "standing",
    "stands_somewhere",
    "tenancy_totals",
    "uploads_after",
]


class Totals(NamedTuple):
    """`said`: objects and bytes as the usage has them, None if there is none; `true`: what the rows add up to.

    `exists`: whether the bucket or tenancy is there.
    """

    id: int
    said: tuple[int, int] | None
    true: tuple[int, int]
    exists: bool


class Entry(NamedTuple):
    """A version. `body`: bytes that it has in the catalog, None without any."""

    bucket_id: int
    key: str
    sequence: int
    size: int
    etag: str
    checksum: str
    inline: int
    store_id: int | None
    blob_key: str | None
    upload: int | None
    body: int | None


class Standing(NamedTuple):
    """A completed upload: what it counts, how many versions stand on it, and what its parts add up to."""

    refs: int
    versions: int
    completed: bool
    parts: int
    size: int
    etag: str


class Named(NamedTuple):
    """One mention of a blob. `role`: object, manifest (of parts), note (of a copy), part, shared or garbage.

    `size` of the bytes, where the role knows it; `etag` of a manifest is that of its object; `checksum` as in the table
    `objects`. `sequence`: what its description must say, if anything; of shared blobs the count.
    """

    blob_key: str
    role: str
    size: int | None
    etag: str | None
    checksum: str
    sequence: int | None
    bucket_id: int | None
    key: str | None


def highest_sequence(read: Read) -> int:
    """Of all that was committed so far."""
    row = read.one("SELECT sequence FROM book WHERE id = 1")
    return int(row[0]) if row else 0


# Usage -------------------------------------------------------------------------------------------------------


def bucket_of_rows_after(read: Read, bucket_id: int) -> int | None:
    """The next bucket that is there, has a row, or has a usage."""
    row = read.one(
        "SELECT min(id) FROM (SELECT min(id) AS id FROM buckets WHERE id > $1 "
        "UNION ALL SELECT min(bucket_id) FROM objects WHERE bucket_id > $1 "
        "UNION ALL SELECT min(bucket_id) FROM bucket_usage WHERE bucket_id > $1)",
        bucket_id,
    )
    return row[0] if row else None


def bucket_totals(read: Snapshot, bucket_id: int) -> Totals:
    """Counts every row of the bucket."""
    true = read.one("SELECT count(*), coalesce(sum(size), 0) FROM objects WHERE bucket_id = $1", bucket_id)
    said = read.one("SELECT objects, bytes FROM bucket_usage WHERE bucket_id = $1", bucket_id)
    there = read.one("SELECT 1 FROM buckets WHERE id = $1", bucket_id)
    return Totals(
        bucket_id,
        None if said is None else (said[0], said[1]),
        (0, 0) if true is None else (true[0], true[1]),
        there is not None,
    )


def tenancy_totals(read: Snapshot) -> list[Totals]:
    """From the usage of the buckets."""
    rows = read.all(
        "SELECT t.id, u.objects, u.bytes, "
        "(SELECT coalesce(sum(o.objects), 0) FROM buckets b JOIN bucket_usage o ON o.bucket_id = b.id WHERE b.tenancy_id = t.id), "
        "(SELECT coalesce(sum(o.bytes), 0) FROM buckets b JOIN bucket_usage o ON o.bucket_id = b.id WHERE b.tenancy_id = t.id), "
        "EXISTS (SELECT 1 FROM tenancies n WHERE n.id = t.id) "
        "FROM (SELECT id FROM tenancies UNION SELECT tenancy_id FROM tenancy_usage) t "
        "LEFT JOIN tenancy_usage u ON u.tenancy_id = t.id ORDER BY t.id"
    )
    return [
        Totals(row[0], None if row[1] is None else (row[1], row[2]), (row[3], row[4]), bool(row[5]))
        for row in rows
    ]


def garbage_totals(read: Read, now_ms: int) -> tuple[int, int]:
    """Blobs that wait to be deleted, and those of them that are due."""
    row = read.one("SELECT count(*), count(CASE WHEN due_ms <= $1 THEN 1 END) FROM garbage", now_ms)
    return (0, 0) if row is None else (row[0], row[1])


def bucket_name(read: Read, bucket_id: int) -> tuple[str, str] | None:
    """The names of its tenancy and its own; None if it is gone."""
    row = read.one(
        "SELECT t.name, b.name FROM buckets b JOIN tenancies t ON t.id = b.tenancy_id WHERE b.id = $1",
        bucket_id,
    )
    return None if row is None else (row[0], row[1])


# Rows --------------------------------------------------------------------------------------------------------

_ENTRIES = (
    "SELECT o.bucket_id, o.key, o.sequence, o.size, o.etag, o.checksum, o.inline, o.store_id, o.blob_key, o.upload, "
    "length(b.data) FROM objects o LEFT JOIN bodies b ON b.sequence = CASE o.inline WHEN 1 THEN o.sequence END "
    "WHERE o.bucket_id = $1 AND o.key >= $2 AND NOT (o.key = $2 AND o.sequence >= $3) "
    "ORDER BY o.key, o.sequence DESC LIMIT $4"
)


def entries(read: Read, bucket_id: int, after: tuple[str, int], limit: int) -> list[Entry]:
    """Versions behind (key, sequence): by key, the newest first. Nothing is behind ("", 0)."""
    return [Entry(*row) for row in read.all(_ENTRIES, bucket_id, *after, limit)]


def standing(read: Snapshot, upload: int, blob_key: str | None) -> Standing | None:
    """The upload that versions with this manifest stand on; None if there is none."""
    row = read.one("SELECT refs, completed IS NOT NULL FROM uploads WHERE id = $1", upload)
    if row is None:
        return None
    versions = read.one("SELECT count(*) FROM objects WHERE blob_key = $1 AND upload = $2", blob_key, upload)
    parts = read.all("SELECT size, etag FROM parts WHERE upload = $1 ORDER BY number", upload)
    return Standing(
        row[0], versions[0] if versions else 0, bool(row[1]), len(parts), sum(part[0] for part in parts),
        _etag_of(part[1] for part in parts),
    )  # fmt: skip


def _etag_of(etags: Iterable[str]) -> str:
    try:
        return multipart_etag(etags)
    except ValueError:
        return ""  # one of them is none


def stands_somewhere(read: Read, upload: int) -> bool:
    """Whether any version has these parts. Looks at every row."""
    return read.one("SELECT 1 FROM objects WHERE upload = $1 LIMIT 1", upload) is not None


def bodies_after(read: Read, sequence: int, limit: int) -> list[int]:
    """The sequences that inline bytes are kept for."""
    rows = read.all(
        "SELECT sequence FROM bodies WHERE sequence > $1 ORDER BY sequence LIMIT $2", sequence, limit
    )
    return [row[0] for row in rows]


def uploads_after(read: Read, upload: int, limit: int) -> list[tuple[int, bool, bool]]:
    """(id, whether it is completed, whether its bucket is there)."""
    rows = read.all(
        "SELECT u.id, u.completed IS NOT NULL, b.id IS NOT NULL FROM uploads u LEFT JOIN buckets b ON b.id = u.bucket_id "
        "WHERE u.id > $1 ORDER BY u.id LIMIT $2",
        upload, limit,
    )  # fmt: skip
    return [(row[0], bool(row[1]), bool(row[2])) for row in rows]


def part_owner_after(read: Read, upload: int) -> tuple[int, bool] | None:
    """The next upload that has parts, and whether it is there."""
    row = read.one(
        "SELECT upload, EXISTS (SELECT 1 FROM uploads WHERE id = upload) FROM parts WHERE upload > $1 "
        "ORDER BY upload LIMIT 1",
        upload,
    )
    return None if row is None else (row[0], bool(row[1]))


# Blobs -------------------------------------------------------------------------------------------------------


def _where(table: str, column: str) -> str:
    return f"{table}.{column} > $1 AND {table}.{column} <= $2 AND {table}.store_id = $3"


_NAMES = f"""
SELECT blob_key, CASE WHEN upload IS NULL THEN 'object' ELSE 'manifest' END,
       CASE WHEN upload IS NULL THEN size END, etag,
       CASE WHEN upload IS NULL THEN checksum ELSE '' END, CASE WHEN manifest IS NULL THEN sequence END, bucket_id, key
FROM objects WHERE {_where("objects", "blob_key")}
UNION ALL SELECT manifest, 'note', NULL, NULL, '', sequence, bucket_id, key
FROM objects WHERE {_where("objects", "manifest")}
UNION ALL SELECT parts.blob_key, 'part', parts.size, parts.etag,
       CASE WHEN parts.checksum = '' OR coalesce(uploads.algorithm, '') = '' THEN ''
            ELSE uploads.algorithm || ' FULL_OBJECT ' || parts.checksum END, NULL,
       uploads.bucket_id, uploads.key
FROM parts LEFT JOIN uploads ON uploads.id = parts.upload WHERE {_where("parts", "blob_key")}
UNION ALL SELECT blob_key, 'shared', NULL, NULL, '', refs, NULL, NULL
FROM shared_blobs WHERE {_where("shared_blobs", "blob_key")}
UNION ALL SELECT blob_key, 'garbage', NULL, NULL, '', NULL, NULL, NULL
FROM garbage WHERE {_where("garbage", "blob_key")}
ORDER BY 1 LIMIT $4
"""


def names(read: Read, store_id: int, after: str, up_to: str, limit: int) -> list[Named]:
    """Mentions of blobs of a store with keys behind `after`, up to `up_to`, by key."""
    return [Named(*row) for row in read.all(_NAMES, after, up_to, store_id, limit)]


_IS_NAMED = (
    "SELECT 1 FROM objects WHERE blob_key = $1 AND store_id = $2 "
    "UNION ALL SELECT 1 FROM objects WHERE manifest = $1 AND store_id = $2 "
    "UNION ALL SELECT 1 FROM parts WHERE blob_key = $1 AND store_id = $2 LIMIT 1"
)


def is_named(read: Read, store_id: int, blob_key: str) -> bool:
    """Whether a version or a part has its bytes or its description there."""
    return read.one(_IS_NAMED, blob_key, store_id) is not None
