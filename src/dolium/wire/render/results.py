"""Errors, and the answers of operations on objects and settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dolium.wire.dates import iso_millis
from dolium.wire.render.text import (
    DECLARATION,
    Owner,
    checksum_elements,
    document,
    escape,
    legible,
    owner_elements,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dolium.values import Checksum
    from dolium.wire.render.multipart import ListedPart

__all__ = [
    "AttributeParts",
    "DeleteFailure",
    "DeletedKey",
    "acl_result",
    "attributes_result",
    "copy_object_result",
    "copy_part_result",
    "delete_result",
    "empty_document",
    "error_document",
    "location_result",
    "request_payment_result",
]


@dataclass(frozen=True, slots=True)
class DeletedKey:
    key: str
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteFailure:
    key: str
    code: str
    message: str
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class AttributeParts:
    """The parts of an object, from the one after `marker`; `total`: how many it has."""

    total: int
    marker: int
    limit: int
    truncated: bool
    parts: Sequence[ListedPart]


def error_document(
    code: str, message: str, resource: str, request_id: str, fields: Mapping[str, str], *, host_id: str = ""
) -> bytes:
    """`<Error>`, which AWS puts in no namespace. `fields`: further elements by name.

    What XML cannot carry is replaced: an error that cannot be parsed tells nobody anything.
    """
    more = "".join([f"<{name}>{escape(legible(value))}</{name}>" for name, value in fields.items()])
    return (
        f"{DECLARATION}<Error><Code>{code}</Code><Message>{escape(legible(message))}</Message>{more}"
        f"<Resource>{escape(legible(resource))}</Resource><RequestId>{escape(request_id)}</RequestId>"
        f"<HostId>{escape(host_id or request_id)}</HostId></Error>"
    ).encode()


def delete_result(deleted: Sequence[DeletedKey], failures: Sequence[DeleteFailure]) -> bytes:
    return document(
        "DeleteResult",
        "".join(
            [
                f"<Deleted><Key>{escape(done.key)}</Key>{_version(done.version_id)}</Deleted>"
                for done in deleted
            ]
        )
        + "".join(
            [
                f"<Error><Key>{escape(failure.key)}</Key>{_version(failure.version_id)}<Code>{failure.code}</Code>"
                f"<Message>{escape(failure.message)}</Message></Error>"
                for failure in failures
            ]
        ),
    )


def _version(version_id: str | None) -> str:
    return "" if version_id is None else f"<VersionId>{escape(version_id)}</VersionId>"


def copy_object_result(etag: str, modified_ms: int, checksum: Checksum | None) -> bytes:
    return _copied("CopyObjectResult", etag, modified_ms, checksum_elements(checksum, with_type=True))


def copy_part_result(etag: str, modified_ms: int, checksum: Checksum | None) -> bytes:
    return _copied("CopyPartResult", etag, modified_ms, checksum_elements(checksum))


def _copied(root: str, etag: str, modified_ms: int, checksum: str) -> bytes:
    modified = iso_millis(modified_ms)
    return document(root, f"<LastModified>{modified}</LastModified><ETag>&quot;{etag}&quot;</ETag>{checksum}")


def attributes_result(
    *,
    etag: str | None = None,
    checksum: Checksum | None = None,
    parts: AttributeParts | None = None,
    storage_class: str | None = None,
    size: int | None = None,
) -> bytes:
    """GetObjectAttributes: what is not None. The ETag stands bare here, as AWS has it."""
    content = "" if etag is None else f"<ETag>{etag}</ETag>"
    if checksum is not None:
        content += f"<Checksum>{checksum_elements(checksum, with_type=True)}</Checksum>"
    if parts is not None:
        content += _parts(parts)
    if storage_class is not None:
        content += f"<StorageClass>{storage_class}</StorageClass>"
    if size is not None:
        content += f"<ObjectSize>{size}</ObjectSize>"
    return document("GetObjectAttributesResponse", content)


def _parts(page: AttributeParts) -> str:
    listed = "".join(
        [
            f"<Part>{checksum_elements(part.checksum)}<PartNumber>{part.number}</PartNumber>"
            f"<Size>{part.size}</Size></Part>"
            for part in page.parts
        ]
    )
    last = page.parts[-1].number if page.parts else 0
    return (
        f"<ObjectParts><IsTruncated>{'true' if page.truncated else 'false'}</IsTruncated>"
        f"<MaxParts>{page.limit}</MaxParts><NextPartNumberMarker>{last}</NextPartNumberMarker>"
        f"<PartNumberMarker>{page.marker}</PartNumberMarker><PartsCount>{page.total}</PartsCount>{listed}</ObjectParts>"
    )


def location_result(region: str | None) -> bytes:
    """None for us-east-1, which AWS tells as an empty element."""
    return document("LocationConstraint", escape(region or ""))


def acl_result(owner: Owner) -> bytes:
    """The owner may do everything, and nobody else is named."""
    grantee = owner_elements(owner, "Grantee").replace(
        "<Grantee>",
        '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">',
        1,
    )
    return document(
        "AccessControlPolicy",
        f"{owner_elements(owner)}<AccessControlList><Grant>{grantee}<Permission>FULL_CONTROL</Permission></Grant>"
        "</AccessControlList>",
    )


def request_payment_result() -> bytes:
    return document("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>")


def empty_document(root: str, *children: str) -> bytes:
    """A setting that was never made: `<VersioningConfiguration/>`, or `<Tagging><TagSet/></Tagging>`."""
    return document(root, "".join([f"<{child}></{child}>" for child in children]))
