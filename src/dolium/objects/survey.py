"""What lies in the stores that a restored catalog does not know, read from the descriptions beside the bytes.

Nothing is changed. A blob is one of: the bytes of an object; the manifest of a multipart object, which lists its parts;
the manifest of a copy, whose bytes are another object's; a part; or nobody can tell.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dolium.catalog.objects import Part
from dolium.errors import BlobCorrupt, BlobNotFound, Malformed
from dolium.objects import orphans
from dolium.objects.blob_keys import written_ns
from dolium.objects.orphans import Orphan
from dolium.objects.service import ObjectService
from dolium.objects.sweep import WORD
from dolium.stores.contract import KeepsDescriptions, unwrap
from dolium.stores.transfer import size_at_origin
from dolium.wire.names import check_bucket_name

__all__ = ["Found", "FoundPart", "Kind", "Origin", "Survey", "resolve", "size_of", "survey"]

_LARGEST_MANIFEST = 16 << 20  # 10,000 parts take two


class Kind(StrEnum):
    """What the blob of an object is."""

    PLAIN = "bytes"
    PARTS = "manifest of parts"
    COPY = "manifest of a copy"


@dataclass(frozen=True, slots=True)
class Found:
    """The blob of one version of an object. `size`: of the object."""

    store_id: int
    blob_key: str
    sequence: int
    kind: Kind
    tenancy: int
    bucket: str
    key: str
    size: int

    @property
    def place(self) -> tuple[int, str, str]:
        """What versions of one object have in common."""
        return self.tenancy, self.bucket, self.key


@dataclass(frozen=True, slots=True)
class FoundPart:
    """The blob of a part."""

    store_id: int
    blob_key: str
    sequence: int
    upload_id: str
    number: int
    etag: str
    size: int


@dataclass(slots=True)
class Survey:
    """`newest`: of each object, the version that stands. `older`: versions that another has replaced. `unknown`: blobs
    whose description is not there or makes no sense. `sequences`: all that were found. `discarded`: keys of blobs that
    no row named any more, as `words` say (`objects.sweep`).
    """

    newest: dict[tuple[int, str, str], Found] = field(default_factory=dict)
    older: list[Found] = field(default_factory=list)
    parts: list[FoundPart] = field(default_factory=list)
    unknown: list[tuple[int, Orphan]] = field(default_factory=list)
    sequences: set[int] = field(default_factory=set)
    discarded: set[str] = field(default_factory=set)
    words: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Origin:
    """All that a row needs. `body`: the blob that the row names: its own, or that of the object it was copied from.
    `parts`: of the upload `upload_id`, where it came in parts; `whole`: what their manifest says of the object.
    """

    found: Found
    facts: Mapping[str, Any] = field(hash=False)
    body: str
    upload_id: str | None = None
    parts: tuple[Part, ...] = ()
    whole: Mapping[str, Any] = field(default_factory=dict, hash=False)


def survey(service: ObjectService) -> Survey:
    """Walk all stores. Raises StoreUnavailable, CatalogUnavailable."""
    seen = Survey()
    for store_id in service.stores:
        for orphan in orphans.find(service, store_id):
            if orphan.lost:
                _sort_in(service, seen, store_id, orphan)
    return seen


def _sort_in(service: ObjectService, seen: Survey, store_id: int, orphan: Orphan) -> None:
    facts = orphan.facts
    if WORD in facts:
        seen.discarded.update(
            (_read(service, store_id, orphan.key) or b"").decode("ascii", "replace").split("\n")
        )
        seen.words.append((store_id, orphan.key))
        return
    part, version = _part(store_id, orphan), None
    if part is not None:
        seen.parts.append(part)
        seen.sequences.add(part.sequence)
        return
    if _is_whole(facts):
        version = _version(service, store_id, orphan)
    if version is None:
        seen.unknown.append((store_id, orphan))
        return
    seen.sequences.add(version.sequence)
    other = seen.newest.get(version.place)
    if other is None or other.sequence < version.sequence:
        seen.newest[version.place] = version
        version = other
    if version is not None:
        seen.older.append(version)


def _part(store_id: int, orphan: Orphan) -> FoundPart | None:
    facts = orphan.facts
    upload, number, etag, sequence = (facts.get(name) for name in ("upload", "part", "etag", "sequence"))
    if not isinstance(upload, str) or not isinstance(etag, str):
        return None
    if isinstance(number, int) and _is_number(number) and isinstance(sequence, int) and _is_number(sequence):
        return FoundPart(store_id, orphan.key, sequence, upload, number, etag, orphan.size)
    return None


def _is_whole(facts: Mapping[str, Any]) -> bool:
    """Whether a description has all that a row needs. A store's folder is not ours alone: nothing of it is trusted."""
    numbers = all(_is_number(facts.get(name)) for name in ("tenancy", "sequence", "size", "owner"))
    texts = all(isinstance(facts.get(name), str) for name in ("bucket", "key", "etag", "headers", "checksum"))
    texts = texts and all(isinstance(facts.get(name, ""), str) for name in ("upload", "copy_of"))
    if not numbers or not texts or not facts["sequence"] or not facts["tenancy"]:
        return False
    try:
        check_bucket_name(facts["bucket"])
        json.loads(facts["headers"])
        return 0 < len(facts["key"].encode()) <= 1024
    except (Malformed, ValueError):
        return False


def _is_number(value: object) -> bool:
    """Whether the catalog can hold it."""
    return isinstance(value, int) and 0 <= value < 1 << 62


def _version(service: ObjectService, store_id: int, orphan: Orphan) -> Found | None:
    facts = orphan.facts
    if facts.get("upload"):
        kind = Kind.PARTS
    elif facts.get("copy_of") and _is_own_description(service, store_id, orphan):
        kind = Kind.COPY
    elif orphan.size == facts["size"]:
        kind = Kind.PLAIN
    else:
        return None
    return Found(
        store_id,
        orphan.key,
        facts["sequence"],
        kind,
        facts["tenancy"],
        facts["bucket"],
        facts["key"],
        facts["size"],
    )


def _is_own_description(service: ObjectService, store_id: int, orphan: Orphan) -> bool:
    """The manifest of a copy is its description once more; a clone has the bytes of its source instead."""
    text = json.dumps(orphan.facts, ensure_ascii=False, separators=(",", ":")).encode()
    return orphan.size == len(text) and _read(service, store_id, orphan.key) == text


def resolve(service: ObjectService, found: Found) -> Origin | None:
    """Read what a row needs; None if some of its bytes are not there. Raises StoreUnavailable."""
    facts = _facts(service, found.store_id, found.blob_key)
    if facts is None or not _is_whole(facts):
        return None
    if found.kind is Kind.PLAIN:
        return Origin(found, facts, found.blob_key)
    if found.kind is Kind.PARTS:
        return _of_parts(service, found, facts, found.blob_key, facts)
    body = facts.get("copy_of")
    source = _facts(service, found.store_id, body) if isinstance(body, str) else None
    if source is None or not isinstance(body, str):
        return None
    if source.get("upload"):
        return _of_parts(service, found, facts, body, source)
    return Origin(found, facts, body) if size_of(service, found.store_id, body) == found.size else None


def _of_parts(
    service: ObjectService, found: Found, facts: Mapping[str, Any], manifest: str, whole: Mapping[str, Any]
) -> Origin | None:
    try:
        text = json.loads(_read(service, found.store_id, manifest) or b"")
        listed = [_listed(service, found.store_id, one) for one in text["parts"]]
    except (ValueError, TypeError, KeyError):
        return None
    parts = tuple(part for part in listed if part is not None)
    if len(parts) != len(listed) or not parts or sum(part.size for part in parts) != found.size:
        return None
    if not _is_whole(whole) or not isinstance(whole["upload"], str):
        return None
    return Origin(found, facts, manifest, whole["upload"], parts, whole)


def _listed(service: ObjectService, store_id: int, one: Sequence[Any]) -> Part | None:
    """A part as the manifest lists it; None if its bytes are not there. It may lie in another store."""
    number, size, etag, checksum, blob_key = one
    if not _is_number(number) or not isinstance(etag, str) or not isinstance(checksum, str):
        raise TypeError
    for where in (store_id, *(other for other in service.stores if other != store_id)):
        if size_of(service, where, str(blob_key)) == size:
            modified_ms = (written_ns(blob_key) or 0) // 1_000_000
            return Part(number, int(size), etag, checksum, where, blob_key, modified_ms)
    return None


def size_of(service: ObjectService, store_id: int, blob_key: str) -> int | None:
    """None if the blob is not there. Raises StoreUnavailable."""
    try:
        return size_at_origin(service.store(store_id), blob_key)
    except (BlobNotFound, ValueError):
        return None


def _facts(service: ObjectService, store_id: int, blob_key: str) -> dict[str, Any] | None:
    """The description; None if the blob is not there, or has none that can be read."""
    power = unwrap(service.store(store_id), KeepsDescriptions)
    if power is None:
        return None
    try:
        found = json.loads(power.description(blob_key).get("dolium", ""))
    except (BlobNotFound, BlobCorrupt, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _read(service: ObjectService, store_id: int, blob_key: str) -> bytes | None:
    try:
        with service.store(store_id).get(blob_key) as reader:
            return reader.read() if reader.size <= _LARGEST_MANIFEST else None
    except BlobNotFound:
        return None
