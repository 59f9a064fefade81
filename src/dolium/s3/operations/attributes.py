"""GetObjectAttributes."""

from __future__ import annotations

from dolium.asgi.messages import Response
from dolium.catalog.objects import Part
from dolium.errors import Malformed
from dolium.objects import get
from dolium.s3.call import Call
from dolium.s3.download import until_it_stays
from dolium.s3.operations.objects import find_version, int_of
from dolium.s3.respond import checksum_of, kept_headers, object_headers, xml
from dolium.values import Checksum
from dolium.wire.render import AttributeParts, ListedPart, attributes_result

__all__ = ["get_attributes"]

_KNOWN = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})


async def get_attributes(call: Call) -> Response:
    """The attributes that the header asks for, and no other."""

    async def look() -> Response:
        return _look(call)

    return await until_it_stays(look)


def _look(call: Call) -> Response:
    asked = {
        name.strip() for name in (call.header(b"x-amz-object-attributes") or "").split(",") if name.strip()
    }
    if not asked or not asked <= _KNOWN:
        raise Malformed(
            "InvalidArgument", "Invalid attribute name specified.",
            ArgumentName="x-amz-object-attributes", ArgumentValue=",".join(sorted(asked)),
        )  # fmt: skip
    row = find_version(call, call.key, call.query.get("versionId"), with_body=False)
    checksum = checksum_of(row.checksum)
    storage_class = dict(kept_headers(row.headers)).get(b"x-amz-storage-class", b"STANDARD").decode("ascii")
    parts = None
    if "ObjectParts" in asked and row.upload is not None:
        parts = _parts(call, get.parts(call.site.service, row), checksum)
    document = attributes_result(
        etag=row.etag if "ETag" in asked else None,
        checksum=checksum if "Checksum" in asked else None,
        parts=parts,
        storage_class=storage_class if "StorageClass" in asked else None,
        size=row.size if "ObjectSize" in asked else None,
    )
    response = xml(document)
    response.headers += [header for header in object_headers(row) if header[0] == b"last-modified"]
    return response


def _parts(call: Call, found: list[Part], checksum: Checksum | None) -> AttributeParts:
    limit = int_of("x-amz-max-parts", call.header(b"x-amz-max-parts") or "1000", 0, 999_999_999)
    marker = int_of(
        "x-amz-part-number-marker", call.header(b"x-amz-part-number-marker") or "0", 0, 999_999_999
    )
    behind = [part for part in found if part.number > marker]
    limit = min(limit, 1000)
    return AttributeParts(
        total=len(found),
        marker=marker,
        limit=limit,
        truncated=len(behind) > limit,
        parts=[
            ListedPart(
                part.number,
                part.size,
                part.etag,
                part.modified_ms,
                Checksum(checksum.algorithm, part.checksum) if checksum and part.checksum else None,
            )
            for part in behind[:limit]
        ],
    )
