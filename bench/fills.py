"""Many small objects, put straight into the data folder of a stopped server.

A million objects by S3 PUT take from five minutes to an hour; a listing does not care how its keys came.
So one object, the *template*, is written through S3, and its stored form is repeated under other keys.
Each fill must leave what as many PUTs would have left: that the server lists and returns the copies as it
does the template is checked through S3 before anything is measured.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import apsw

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "TEMPLATE_BODY",
    "TEMPLATE_KEY",
    "Fill",
    "bucket",
    "dolium_catalog",
    "key",
    "minio_entries",
    "plain_files",
]

TEMPLATE_KEY = "zz/template"  # after every key(i), so that no page but the last shows it
TEMPLATE_BODY = b"dolium bench: one small object, as good as another. 0123456789\n."
_PER_FOLDER = 1000


class Fill(Protocol):
    """Repeat the template in `bucket` as key(0) … key(count - 1), in the data folder of a stopped server."""

    def __call__(self, data: Path, bucket: str, count: int) -> None: ...


def bucket(count: int) -> str:
    """The bucket that holds `count` filled objects."""
    return f"filled-{count}"


def key(number: int) -> str:
    """The keys of a filled bucket, in order: a thousand under each prefix."""
    return f"d{number // _PER_FOLDER:05d}/k{number:08d}"


def plain_files(root: str) -> Fill:
    """For servers whose object is a file at its key's path: the same bytes and extended attributes."""

    def fill(data: Path, bucket: str, count: int) -> None:
        top = data / root / bucket
        template = top / TEMPLATE_KEY
        body = template.read_bytes()
        attributes = [(name, os.getxattr(template, name)) for name in os.listxattr(template)]
        for number in range(count):
            path = top / key(number)
            if number % _PER_FOLDER == 0:
                path.parent.mkdir()
            with path.open("wb") as file:
                file.write(body)
                for name, value in attributes:
                    os.setxattr(file.fileno(), name, value)

    return fill


def minio_entries(data: Path, bucket: str, count: int) -> None:
    """MinIO keeps a small object in one file, KEY/xl.meta, which does not name the key."""
    top = data / "minio" / bucket
    entry = (top / TEMPLATE_KEY / "xl.meta").read_bytes()
    for number in range(count):
        folder = top / key(number)
        folder.mkdir(parents=number % _PER_FOLDER == 0)
        (folder / "xl.meta").write_bytes(entry)


# The version row, its inline body, and the usage that a PUT adds, repeated from the template's. One more
# sequence number each, in key order, as a client that writes its keys in order would have got them.
_NUMBERS = (
    "WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :last)"
)
_DOLIUM_OBJECTS = f"""
{_NUMBERS}
INSERT INTO objects (bucket_id, key, sequence, version, kind, size, etag, checksum, modified_ms, owner_id,
                     headers, inline, store_id, blob_key, upload, manifest)
SELECT bucket_id, printf('d%05d/k%08d', n / 1000, n), :sequence + n + 1, version, kind, size, etag, checksum,
       modified_ms, owner_id, headers, inline, store_id, blob_key, upload, manifest
FROM numbers, objects WHERE bucket_id = :bucket AND key = :template
"""
_DOLIUM_BODIES = f"""
{_NUMBERS} INSERT INTO bodies (sequence, data) SELECT :sequence + n + 1, :body FROM numbers
"""
_DOLIUM_USAGE = """
UPDATE bucket_usage SET objects = objects + :count, bytes = bytes + :bytes WHERE bucket_id = :bucket;
UPDATE tenancy_usage SET objects = objects + :count, bytes = bytes + :bytes WHERE tenancy_id = :tenancy;
UPDATE book SET sequence = sequence + :count
"""
_BATCH = 200_000


def dolium_catalog(data: Path, bucket: str, count: int) -> None:
    """dolium keeps a small object in its catalog: a row and a body, written here by SQL."""
    database = apsw.Connection(str(data / "dolium" / "catalog.sqlite"))
    try:
        find = "SELECT b.id, b.tenancy_id, o.inline FROM buckets b JOIN objects o ON o.bucket_id = b.id"
        found = database.execute(f"{find} WHERE b.name = ? AND o.key = ?", (bucket, TEMPLATE_KEY)).get
        bucket_id, tenancy, inline = found
        if not inline:
            raise RuntimeError("the template is not inline: the fill does not know how to repeat its blob")
        values = {
            "bucket": bucket_id,
            "tenancy": tenancy,
            "template": TEMPLATE_KEY,
            "body": TEMPLATE_BODY,
            "sequence": database.execute("SELECT sequence FROM book").get,
            "count": count,
            "bytes": count * len(TEMPLATE_BODY),
        }
        for first in range(0, count, _BATCH):
            batch = {**values, "first": first, "last": min(first + _BATCH, count)}
            with database:
                for statement in (_DOLIUM_OBJECTS, _DOLIUM_BODIES):
                    for _ in database.execute(statement, batch):
                        pass
        with database:
            for _ in database.execute(_DOLIUM_USAGE, values):
                pass
        for _ in database.execute("PRAGMA wal_checkpoint(TRUNCATE)"):
            pass
    finally:
        database.close()
