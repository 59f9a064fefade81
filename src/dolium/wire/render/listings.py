"""ListObjects in both versions, and ListBuckets. A page of a thousand keys is on the path of every list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dolium.wire.dates import iso_millis
from dolium.wire.render.text import (
    Owner,
    document,
    escape,
    escape_all,
    owner_elements,
    speakable,
    url_encode,
    url_encode_all,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ListedBucket",
    "ListedObject",
    "ListingV1",
    "ListingV2",
    "list_buckets_result",
    "list_v1_result",
    "list_v2_result",
    "prefix_elements",
]


@dataclass(slots=True)
class ListedObject:
    """One key of a page. `etag` is bare. `owner`: None if it is not told. The last two are "" without a
    checksum. Not frozen: that makes one four times as dear, and a page makes a thousand.
    """

    key: str
    size: int
    etag: str
    modified_ms: int
    storage_class: str = "STANDARD"
    owner: Owner | None = None
    checksum_algorithm: str = ""
    checksum_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingV1:
    """A page of ListObjects. `encoding`: names are to be percent-encoded. `prefixes`: the common ones."""

    bucket: str
    prefix: str
    delimiter: str
    limit: int
    encoding: bool
    truncated: bool
    objects: Sequence[ListedObject]
    prefixes: Sequence[str]
    marker: str
    next_marker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingV2:
    """A page of ListObjectsV2."""

    bucket: str
    prefix: str
    delimiter: str
    limit: int
    encoding: bool
    truncated: bool
    objects: Sequence[ListedObject]
    prefixes: Sequence[str]
    token: str | None = None
    next_token: str | None = None
    start_after: str | None = None


@dataclass(frozen=True, slots=True)
class ListedBucket:
    name: str
    created_ms: int
    region: str


def list_v1_result(page: ListingV1) -> bytes:
    name = url_encode if page.encoding else escape
    marker = (
        f"<NextMarker>{name(page.next_marker)}</NextMarker>" if page.truncated and page.next_marker else ""
    )
    # The prefix as it is, also with encoding-type=url: SDKs decode every other name of version 1, but not it.
    prefix = escape(page.prefix) if speakable(page.prefix) else name(page.prefix)
    return _result(page, prefix, f"<Marker>{name(page.marker)}</Marker>{marker}")


def list_v2_result(page: ListingV2) -> bytes:
    name = url_encode if page.encoding else escape
    token = "" if page.token is None else f"<ContinuationToken>{escape(page.token)}</ContinuationToken>"
    if page.truncated and page.next_token is not None:
        token += f"<NextContinuationToken>{escape(page.next_token)}</NextContinuationToken>"
    start = "" if page.start_after is None else f"<StartAfter>{name(page.start_after)}</StartAfter>"
    count = len(page.objects) + len(page.prefixes)
    return _result(page, name(page.prefix), f"{token}{start}<KeyCount>{count}</KeyCount>")


def _result(page: ListingV1 | ListingV2, prefix: str, place: str) -> bytes:
    name = url_encode if page.encoding else escape
    delimiter = f"<Delimiter>{name(page.delimiter)}</Delimiter>" if page.delimiter else ""
    encoding = "<EncodingType>url</EncodingType>" if page.encoding else ""
    truncated = "true" if page.truncated else "false"
    return document(
        "ListBucketResult",
        f"<Name>{escape(page.bucket)}</Name><Prefix>{prefix}</Prefix>{place}"
        f"<MaxKeys>{page.limit}</MaxKeys>{delimiter}{encoding}<IsTruncated>{truncated}</IsTruncated>",
        *_contents(page.objects, encoding=page.encoding),
        prefix_elements(page.prefixes, encoding=page.encoding),
    )


def _contents(objects: Sequence[ListedObject], *, encoding: bool) -> list[str]:
    if not objects:
        return []
    keys = [entry.key for entry in objects]
    names = url_encode_all(keys) if encoding else escape_all(keys)
    # Most pages have one owner, handed in as one object: its text is made once.
    first = objects[0].owner
    owned = _owner(first)
    return [
        f"<Contents><Key>{name}</Key><LastModified>{iso_millis(entry.modified_ms)}</LastModified>"
        f"<ETag>&quot;{entry.etag}&quot;</ETag>{_checksum(entry) if entry.checksum_algorithm else ''}"
        f"<Size>{entry.size}</Size>{owned if entry.owner is first else _owner(entry.owner)}"
        f"<StorageClass>{entry.storage_class}</StorageClass></Contents>"
        for name, entry in zip(names, objects, strict=True)
    ]


def _checksum(entry: ListedObject) -> str:
    return (
        f"<ChecksumAlgorithm>{entry.checksum_algorithm}</ChecksumAlgorithm>"
        f"<ChecksumType>{entry.checksum_type}</ChecksumType>"
    )


def _owner(owner: Owner | None) -> str:
    return "" if owner is None else owner_elements(owner)


def prefix_elements(prefixes: Sequence[str], *, encoding: bool) -> str:
    """The common prefixes of any listing."""
    names = url_encode_all(prefixes) if encoding else escape_all(prefixes)
    return "".join([f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in names])


def list_buckets_result(
    owner: Owner, buckets: Sequence[ListedBucket], *, prefix: str | None = None, token: str | None = None
) -> bytes:
    """`prefix`: as asked for. `token`: where to go on, if there are more."""
    listed = "".join(
        [
            f"<Bucket><Name>{escape(bucket.name)}</Name><CreationDate>{iso_millis(bucket.created_ms)}</CreationDate>"
            f"<BucketRegion>{escape(bucket.region)}</BucketRegion></Bucket>"
            for bucket in buckets
        ]
    )
    more = "" if token is None else f"<ContinuationToken>{escape(token)}</ContinuationToken>"
    if prefix is not None:
        more += f"<Prefix>{escape(prefix)}</Prefix>"
    return document("ListAllMyBucketsResult", f"{owner_elements(owner)}<Buckets>{listed}</Buckets>{more}")
