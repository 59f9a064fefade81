"""Does everything in a data folder add up? Looks at the catalog and the store directly, while nobody serves them.

    report = check(server.data)
    assert report.problems == []       # always
    assert report.leftovers == []      # after a sweep

It shares no query and no walk with the code that it checks. What it reads is a copy of the catalog, so that recovery
after a crash is left to whoever opens the folder next.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import apsw
from awscrt.checksums import crc32c  # type: ignore[import-untyped]

__all__ = ["Report", "check"]

_ATTRIBUTE: Final = "user.dolium.description"
_SUMS: Final = "user.dolium.sums"
_SIDECAR: Final = ".dolium-about-"
_IDENTITY: Final = ".dolium-store.json"

Row = dict[str, Any]
Name = tuple[int, str]
"""Store id and blob key."""


@dataclass(frozen=True, slots=True)
class Report:
    """`problems`: promises that are broken, whatever happened before. The others are what a crash may leave and a
    sweep takes away: garbage that is listed, blobs that nothing names, temporary files, descriptions of no blob.
    `losses`: the sequences from which on the catalog was found to know nothing, as one that was brought back.
    `unseen`: the orphans that are so old that the next start does not look for them.
    """

    problems: list[str] = field(default_factory=list)
    garbage: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    temporaries: list[str] = field(default_factory=list)
    sidecars: list[str] = field(default_factory=list)
    losses: list[int] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    @property
    def leftovers(self) -> list[str]:
        """All of what a sweep takes away, in words."""
        return [
            *(f"garbage {key}" for key in self.garbage),
            *(f"orphan {key}" for key in self.orphans),
            *(f"temporary {name}" for name in self.temporaries),
            *(f"sidecar {name}" for name in self.sidecars),
        ]


def check(data: Path, store: Path | None = None, *, stores: Mapping[str, Path] | None = None) -> Report:
    """Check the catalog in `data` against itself and against the disk store under `store`; or, of several, those whose
    roots `stores` names. What lies in others is taken to be there.
    """
    book = _Book(data)
    roots = {"default": store or data / "store"} if stores is None else stores
    disk = _Disks(roots, book.stores)
    report = Report()
    for complaint in (
        *book.integrity(), *_rows(book), *_usage(book), *_references(book), *_objects(book, disk), *_parts(book, disk),
        *(complaint for one in disk.all.values() for complaint in one.unsummed()),
    ):  # fmt: skip
        report.problems.append(complaint)
    report.garbage.extend(sorted(row["blob_key"] for row in book.garbage))
    named = book.named.keys() | {(row["store_id"], row["blob_key"]) for row in book.garbage}
    for store_id, one in disk.all.items():
        report.orphans.extend(sorted(key for key in one.blobs if (store_id, key) not in named))
        report.temporaries.extend(one.temporaries)
    report.temporaries.extend(sorted(path.name for path in data.glob(".master.key.*")))
    for one in disk.all.values():
        report.sidecars.extend(sorted(one.sidecars.keys() - one.blobs))
    report.losses.extend(book.losses)
    report.unseen.extend(key for key in report.orphans if _written_ns(key) < book.walked_ns)
    return report


class _Book:
    """All rows of a copy of the catalog, in memory."""

    def __init__(self, data: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="dolium-check-") as folder:
            for name in ("catalog.sqlite", "catalog.sqlite-wal"):
                if (data / name).exists():
                    shutil.copy2(data / name, folder)
            connection = apsw.Connection(f"{folder}/catalog.sqlite")
            try:
                self._read(connection)
            finally:
                connection.close()

    def _read(self, connection: apsw.Connection) -> None:
        def rows(table: str) -> list[Row]:
            names = [str(column[1]) for column in connection.execute(f"PRAGMA table_info({table})")]
            found = connection.execute(f"SELECT {', '.join(names)} FROM {table}")
            return [dict(zip(names, row, strict=True)) for row in found]

        self._integrity = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        self._foreign = connection.execute("PRAGMA foreign_key_check").fetchall()
        self.buckets = {row["id"]: row for row in rows("buckets")}
        self.objects = rows("objects")
        bodies = rows("bodies")
        self.bodies = {row["sequence"]: row["data"] for row in bodies}
        self.crcs = {row["sequence"]: row["crc"] for row in bodies}
        self.uploads = {row["id"]: row for row in rows("uploads")}
        self.parts: dict[int, list[Row]] = defaultdict(list)
        for part in sorted(rows("parts"), key=lambda row: int(row["number"])):
            self.parts[part["upload"]].append(part)
        self.shared = {(row["store_id"], row["blob_key"]): row["refs"] for row in rows("shared_blobs")}
        self.garbage = rows("garbage")
        self.losses = [row["sequence"] for row in rows("losses")]
        self.stores = {row["name"]: row["id"] for row in rows("stores")}
        self.walked_ns = min((row["walked_ns"] for row in rows("stores")), default=0)
        self.bucket_usage = {row["bucket_id"]: (row["objects"], row["bytes"]) for row in rows("bucket_usage")}
        self.tenancy_usage = {
            row["tenancy_id"]: (row["objects"], row["bytes"]) for row in rows("tenancy_usage")
        }
        [self.book] = rows("book")
        self.named: Counter[Name] = Counter()
        for row in self.objects:
            for blob_key in (row["blob_key"], row["manifest"]):
                if blob_key is not None:
                    self.named[row["store_id"], blob_key] += 1
        for parts in self.parts.values():
            self.named.update((part["store_id"], part["blob_key"]) for part in parts)

    def integrity(self) -> Iterator[str]:
        if self._integrity != ["ok"]:
            yield f"the database is damaged: {self._integrity[:3]}"
        if self._foreign:
            yield f"foreign keys point nowhere: {self._foreign[:3]}"


class _Disk:
    """What lies under the root of a disk store."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.blobs: set[str] = set()
        self.sidecars: dict[str, str] = {}  # key of the blob -> path of its description
        self.temporaries: list[str] = []
        for folder, _, names in os.walk(root):
            inside = os.path.relpath(folder, root)
            for name in names:
                key = name if inside == "." else f"{inside}/{name}"
                if inside == ".dolium-tmp":
                    self.temporaries.append(name)
                elif name.startswith(_SIDECAR):
                    blob = name.removeprefix(_SIDECAR).partition("-")[2]
                    self.sidecars[blob if inside == "." else f"{inside}/{blob}"] = f"{folder}/{name}"
                elif key != _IDENTITY:
                    self.blobs.add(key)

    def read(self, key: str) -> bytes | None:
        return (self._root / key).read_bytes() if key in self.blobs else None

    def facts(self, key: str) -> Row:
        """What the description says of the object or part."""
        try:
            text = os.getxattr(self._root / key, _ATTRIBUTE)
        except OSError:
            text = self._beside(key)[0]
        return _json(_json(text).get("dolium", "{}"))

    def unsummed(self) -> Iterator[str]:
        """Blobs that have no checksums, or others than their bytes demand."""
        for key in sorted(self.blobs):
            try:
                sums = os.getxattr(self._root / key, _SUMS)
            except OSError:
                sums = b"\0"
            data = (self._root / key).read_bytes()
            if (self._beside(key)[1] if sums == b"\0" else sums) != _sums(key, data):
                yield f"blob {key} has not the checksums of its bytes"

    def _beside(self, key: str) -> tuple[bytes, bytes]:
        text = Path(self.sidecars[key]).read_bytes() if key in self.sidecars else b"{}"
        said, _, sums = text.partition(b"\n")
        return said, sums


def _sums(key: str, data: bytes) -> bytes:
    """As `stores.leaves.disk_sums` says: blocks of 128 KiB."""
    blocks = [data[at : at + (128 << 10)] for at in range(0, len(data), 128 << 10)]
    text = struct.pack("<BBHIQ", 1, 17, 0, crc32c(key.encode()), len(data))
    text += b"".join(struct.pack("<I", crc32c(block)) for block in blocks)
    return text + struct.pack("<I", crc32c(text))


class _Disks:
    """By the numbers that the catalog gives them."""

    def __init__(self, roots: Mapping[str, Path], numbers: Mapping[str, int]) -> None:
        self.all = {number: _Disk(roots[name]) for name, number in numbers.items() if name in roots}

    def __getitem__(self, store_id: int) -> _Disk | None:
        """None for a store that is not looked at."""
        return self.all.get(store_id)


def _rows(book: _Book) -> Iterator[str]:
    """Every row belongs to one that is there."""
    sequences = Counter(row["sequence"] for row in book.objects)
    yield from (
        f"sequence {number} is of {count} versions" for number, count in sequences.items() if count > 1
    )
    if sequences and max(sequences) > book.book["sequence"]:
        yield "the catalog does not know the highest sequence that it holds"
    inline = {row["sequence"] for row in book.objects if row["inline"]}
    yield from (f"inline bytes {number} are of no version" for number in book.bodies.keys() - inline)
    keys = Counter((row["bucket_id"], row["key"]) for row in book.objects)
    yield from (f"{key!r} has {count} versions" for (_, key), count in keys.items() if count > 1)
    for row in book.objects:
        if row["bucket_id"] not in book.buckets:
            yield f"{row['key']!r} is in a bucket that is gone"
        if row["upload"] is not None and row["upload"] not in book.uploads:
            yield f"{row['key']!r} stands on parts that are gone"
    for upload in book.uploads.values():
        if upload["completed"] is None and upload["bucket_id"] not in book.buckets:
            yield f"upload {upload['id']} is open in a bucket that is gone"
    yield from (
        f"parts of upload {number}, which is gone" for number in book.parts.keys() - book.uploads.keys()
    )


def _usage(book: _Book) -> Iterator[str]:
    """The usage of buckets and tenancies is the sum of their rows."""
    buckets: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    tenancies: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in book.objects:
        bucket = book.buckets.get(row["bucket_id"])
        objects, size = buckets[row["bucket_id"]]
        buckets[row["bucket_id"]] = objects + 1, size + row["size"]
        if bucket is not None:
            objects, size = tenancies[bucket["tenancy_id"]]
            tenancies[bucket["tenancy_id"]] = objects + 1, size + row["size"]
    for what, said, true in (
        ("bucket", book.bucket_usage, buckets), ("tenancy", book.tenancy_usage, tenancies)
    ):  # fmt: skip
        for number in said.keys() | true.keys():
            if said.get(number, (0, 0)) != true.get(number, (0, 0)):
                yield f"usage of {what} {number} is {said.get(number)}, its rows add up to {true.get(number)}"
    yield from (
        f"usage of bucket {number}, which is gone"
        for number in book.bucket_usage.keys() - book.buckets.keys()
    )


def _references(book: _Book) -> Iterator[str]:
    """What is counted is what is there, and nothing that is named is to be deleted."""
    for name, count in book.named.items():
        if count != book.shared.get(name, 1):
            yield f"blob {name[1]} is named {count} times and counted {book.shared.get(name, 1)} times"
    yield from (
        f"blob {name[1]} is counted, and not named" for name in book.shared.keys() - book.named.keys()
    )
    yield from (
        f"blob {name[1]} is counted {count} times" for name, count in book.shared.items() if count < 2
    )
    for row in book.garbage:
        if (row["store_id"], row["blob_key"]) in book.named:
            yield f"blob {row['blob_key']} is named, and is to be deleted"
    standing = Counter(row["upload"] for row in book.objects if row["upload"] is not None)
    for upload in book.uploads.values():
        if upload["refs"] != standing[upload["id"]]:
            yield f"upload {upload['id']} has {standing[upload['id']]} objects and counts {upload['refs']}"
        if (upload["completed"] is None) != (upload["refs"] == 0):
            yield f"upload {upload['id']} is completed without an object, or has one and is open"


def _objects(book: _Book, disk: _Disks) -> Iterator[str]:
    """Every object has its bytes and its description."""
    for row in book.objects:
        complaint = _inline(book, row) if row["inline"] else _stored(book, disk, row)
        if complaint:
            yield f"{row['key']!r} (sequence {row['sequence']}) {complaint}"


def _inline(book: _Book, row: Row) -> str:
    if row["store_id"] is not None or row["blob_key"] is not None or row["upload"] is not None:
        return "is inline and elsewhere"
    data = book.bodies.get(row["sequence"])
    if data is None:
        return "has no bytes"
    crc = book.crcs[row["sequence"]]  # an older dolium wrote none
    unsound = crc not in (None, crc32c(data, row["sequence"] & 0xFFFFFFFF))
    return _differs(data, row["size"], row["etag"]) or ("has another checksum" if unsound else "")


def _stored(book: _Book, disks: _Disks, row: Row) -> str:
    disk = disks[row["store_id"]]
    if disk is None:
        return ""
    data = disk.read(row["blob_key"])
    if data is None:
        return f"has lost its blob {row['blob_key']}"
    if row["manifest"] is not None and row["manifest"] not in disk.blobs:
        return f"has lost its manifest {row['manifest']}"
    facts = disk.facts(row["manifest"] or row["blob_key"])
    bucket = book.buckets.get(row["bucket_id"], {})
    true = {"tenancy": bucket.get("tenancy_id"), "bucket": bucket.get("name")} | {
        name: row[name] for name in ("key", "sequence", "etag", "size", "checksum", "headers")
    }
    if {name: facts.get(name) for name in true} != true:
        return f"is described as {facts}, and is {true}"
    if row["upload"] is None:
        return _differs(data, row["size"], row["etag"])
    parts = book.parts[row["upload"]]
    listed = [[part[name] for name in ("number", "size", "etag", "checksum", "blob_key")] for part in parts]
    if _json(data).get("parts") != listed:
        return "has a manifest of other parts"
    whole = hashlib.md5(b"".join(bytes.fromhex(part["etag"]) for part in parts)).hexdigest()
    if (sum(part["size"] for part in parts), f"{whole}-{len(parts)}") != (row["size"], row["etag"]):
        return "is not the sum of its parts"
    return ""


def _parts(book: _Book, disks: _Disks) -> Iterator[str]:
    """Every part has its bytes and its description."""
    for upload, parts in book.parts.items():
        for part in parts:
            disk = disks[part["store_id"]]
            if disk is None:
                continue
            data = disk.read(part["blob_key"])
            if data is None:
                yield f"part {part['number']} of upload {upload} has lost its blob {part['blob_key']}"
                continue
            complaint = _differs(data, part["size"], part["etag"])
            facts = disk.facts(part["blob_key"])
            true = (book.uploads.get(upload, {}).get("upload_id"), part["number"], part["etag"])
            if (facts.get("upload"), facts.get("part"), facts.get("etag")) != true:
                complaint = f"is described as {facts}, and is {true}"
            if complaint:
                yield f"part {part['number']} of upload {upload} {complaint}"


def _written_ns(key: str) -> int:
    """When the upload of a blob began, which its name tells; what is not of dolium's making is not looked for."""
    time = key.rpartition("/")[2].partition("-")[0]
    return int(time, 16) if re.fullmatch("[0-9a-f]{16}", time) else sys.maxsize


def _json(text: str | bytes) -> Row:
    """An object; empty if it is damaged, which is then seen as different from what it should be."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _differs(data: bytes, size: int, etag: str) -> str:
    if len(data) != size:
        return f"has {len(data)} bytes and should have {size}"
    return "" if hashlib.md5(data).hexdigest() == etag else "has bytes that are not those of its ETag"
