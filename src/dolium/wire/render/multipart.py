"""Answers about multipart uploads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dolium.wire.dates import iso_millis
from dolium.wire.render.listings import prefix_elements
from dolium.wire.render.text import Owner, checksum_elements, document, escape, owner_elements, url_encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dolium.values import Checksum, ChecksumAlgorithm, ChecksumType

__all__ = [
    "ListedPart",
    "ListedUpload",
    "PartsPage",
    "UploadsPage",
    "complete_result",
    "initiate_result",
    "list_parts_result",
    "list_uploads_result",
]


@dataclass(frozen=True, slots=True)
class ListedPart:
    number: int
    size: int
    etag: str
    modified_ms: int
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsPage:
    """A page of ListParts. `marker`: the part that the page begins after."""

    bucket: str
    key: str
    upload_id: str
    owner: Owner
    storage_class: str
    marker: int
    limit: int
    truncated: bool
    parts: Sequence[ListedPart]
    algorithm: ChecksumAlgorithm | None = None
    checksum_type: ChecksumType | None = None
    encoding: bool = False


@dataclass(frozen=True, slots=True)
class ListedUpload:
    key: str
    upload_id: str
    owner: Owner
    storage_class: str
    created_ms: int
    algorithm: ChecksumAlgorithm | None = None
    checksum_type: ChecksumType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadsPage:
    """A page of ListMultipartUploads."""

    bucket: str
    prefix: str
    delimiter: str
    key_marker: str
    upload_id_marker: str
    next_key_marker: str
    next_upload_id_marker: str
    limit: int
    truncated: bool
    uploads: Sequence[ListedUpload]
    prefixes: Sequence[str]
    encoding: bool = False


def initiate_result(bucket: str, key: str, upload_id: str) -> bytes:
    return document(
        "InitiateMultipartUploadResult",
        f"<Bucket>{escape(bucket)}</Bucket><Key>{escape(key)}</Key><UploadId>{escape(upload_id)}</UploadId>",
    )


def complete_result(location: str, bucket: str, key: str, etag: str, checksum: Checksum | None) -> bytes:
    return document(
        "CompleteMultipartUploadResult",
        f"<Location>{escape(location)}</Location><Bucket>{escape(bucket)}</Bucket><Key>{escape(key)}</Key>"
        f"<ETag>&quot;{etag}&quot;</ETag>{checksum_elements(checksum, with_type=True)}",
    )


def _algorithm(algorithm: ChecksumAlgorithm | None, kind: ChecksumType | None) -> str:
    if algorithm is None:
        return ""
    told = f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm>"
    return told if kind is None else f"{told}<ChecksumType>{kind}</ChecksumType>"


def list_parts_result(page: PartsPage) -> bytes:
    name = url_encode if page.encoding else escape
    parts = "".join(
        [
            f"<Part><PartNumber>{part.number}</PartNumber><LastModified>{iso_millis(part.modified_ms)}</LastModified>"
            f"<ETag>&quot;{part.etag}&quot;</ETag><Size>{part.size}</Size>{checksum_elements(part.checksum)}</Part>"
            for part in page.parts
        ]
    )
    last = page.parts[-1].number if page.parts else 0
    return document(
        "ListPartsResult",
        f"<Bucket>{escape(page.bucket)}</Bucket>{'<EncodingType>url</EncodingType>' if page.encoding else ''}"
        f"<Key>{name(page.key)}</Key><UploadId>{escape(page.upload_id)}</UploadId>"
        f"{owner_elements(page.owner, 'Initiator')}{owner_elements(page.owner)}"
        f"<StorageClass>{page.storage_class}</StorageClass><PartNumberMarker>{page.marker}</PartNumberMarker>"
        f"<NextPartNumberMarker>{last}</NextPartNumberMarker><MaxParts>{page.limit}</MaxParts>"
        f"<IsTruncated>{'true' if page.truncated else 'false'}</IsTruncated>"
        f"{_algorithm(page.algorithm, page.checksum_type)}{parts}",
    )


def list_uploads_result(page: UploadsPage) -> bytes:
    name = url_encode if page.encoding else escape
    uploads = "".join(
        [
            f"<Upload><Key>{name(upload.key)}</Key><UploadId>{escape(upload.upload_id)}</UploadId>"
            f"{owner_elements(upload.owner, 'Initiator')}{owner_elements(upload.owner)}"
            f"<StorageClass>{upload.storage_class}</StorageClass>"
            f"<Initiated>{iso_millis(upload.created_ms)}</Initiated>"
            f"{_algorithm(upload.algorithm, upload.checksum_type)}</Upload>"
            for upload in page.uploads
        ]
    )
    following = ""
    if page.truncated:
        following = (
            f"<NextKeyMarker>{name(page.next_key_marker)}</NextKeyMarker>"
            f"<NextUploadIdMarker>{escape(page.next_upload_id_marker)}</NextUploadIdMarker>"
        )
    delimiter = f"<Delimiter>{name(page.delimiter)}</Delimiter>" if page.delimiter else ""
    return document(
        "ListMultipartUploadsResult",
        f"<Bucket>{escape(page.bucket)}</Bucket><KeyMarker>{name(page.key_marker)}</KeyMarker>"
        f"<UploadIdMarker>{escape(page.upload_id_marker)}</UploadIdMarker>{following}"
        f"<Prefix>{name(page.prefix)}</Prefix>{delimiter}"
        f"{'<EncodingType>url</EncodingType>' if page.encoding else ''}<MaxUploads>{page.limit}</MaxUploads>"
        f"<IsTruncated>{'true' if page.truncated else 'false'}</IsTruncated>"
        f"{uploads}{prefix_elements(page.prefixes, encoding=page.encoding)}",
    )
