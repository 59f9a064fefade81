"""The bytes of a blob once more, and its description, held against what the catalog says of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator

from dolium.catalog import audit
from dolium.catalog.audit import Named
from dolium.errors import BlobCorrupt, BlobNotFound, StoreUnavailable
from dolium.objects.audit.findings import Finding, Kind, Progress
from dolium.objects.orphans import facts_of, sequence_in
from dolium.objects.service import ObjectService
from dolium.stores.contract import KeepsDescriptions, unwrap
from dolium.stores.transfer import open_origin
from dolium.values import BlobInfo, ChecksumAlgorithm
from dolium.wire.checksums import Hasher, hasher, multipart_etag

__all__ = ["reread"]

_PIECE = 1 << 20
_MD5 = re.compile(r"[0-9a-f]{32}")


def reread(
    service: ObjectService, store_id: int, info: BlobInfo, mentions: list[Named], progress: Progress
) -> Iterator[Finding]:
    """What is wrong with a blob, if it is named still when that is seen."""
    wrong = _bytes(service, store_id, info, mentions, progress) or _description(
        service, store_id, info, mentions
    )
    if wrong is None or not audit.is_named(service.database, store_id, info.key):
        return
    kind, text = wrong
    owner = next((one for one in mentions if one.key is not None), None)
    yield Finding(
        kind, text, owner.bucket_id if owner else None, owner.key if owner else None, store_id, info.key
    )


def _bytes(
    service: ObjectService, store_id: int, info: BlobInfo, mentions: list[Named], progress: Progress
) -> tuple[Kind, str] | None:
    body = next((one for one in mentions if one.role in {"object", "part"}), None)
    manifest = next((one for one in mentions if one.role == "manifest"), None)
    if body is None and manifest is None:
        return None
    md5 = hashlib.md5(usedforsecurity=False)
    algorithm, _, value = (body.checksum if body else "").partition(" FULL_OBJECT ")
    summed: Hasher | None = hasher(ChecksumAlgorithm(algorithm)) if value else None
    text = bytearray()
    try:
        with open_origin(service.store(store_id), info.key) as reader:
            while piece := reader.read(_PIECE):
                progress.reread += len(piece)
                progress.advance()
                if body is None:
                    text += piece
                    continue
                md5.update(piece)
                if summed is not None:
                    summed.update(piece)
    except BlobNotFound:
        return None  # gone meanwhile: what is named and not there is found elsewhere
    except BlobCorrupt as error:
        return Kind.WRONG_BYTES, f"is damaged: {error.message}"
    except StoreUnavailable as error:
        return Kind.UNREADABLE, f"cannot be read: {error.message}"
    if body is None:
        return None if _lists(bytes(text), manifest) else (Kind.WRONG_BYTES, "is a manifest of other parts")
    if body.etag and _MD5.fullmatch(body.etag) and md5.hexdigest() != body.etag:
        return Kind.WRONG_BYTES, "has bytes that are not those of its ETag"
    if summed is not None and _base64(summed.digest()) != value:
        return Kind.WRONG_BYTES, f"has bytes that are not those of its {algorithm}"
    return None


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _lists(text: bytes, manifest: Named | None) -> bool:
    """Whether the manifest is of the parts that the ETag of its object is made of."""
    try:
        listed = json.loads(text)["parts"]
        return manifest is not None and multipart_etag(part[2] for part in listed) == manifest.etag
    except (ValueError, KeyError, TypeError, IndexError):
        return False


def _description(
    service: ObjectService, store_id: int, info: BlobInfo, mentions: list[Named]
) -> tuple[Kind, str] | None:
    wanted = next(
        (one.sequence for one in mentions if one.role != "shared" and one.sequence is not None), None
    )
    store = service.store(store_id)
    if wanted is None or unwrap(store, KeepsDescriptions) is None:
        return None
    facts = facts_of(store, info.key)
    if facts is None or sequence_in(facts) == wanted:
        return None
    return Kind.WRONG_DESCRIPTION, f"is described as sequence {sequence_in(facts)}, and should be {wanted}"
