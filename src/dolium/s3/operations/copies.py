"""CopyObject and UploadPartCopy. One parser of the source, and the source is authorized like any read."""

from __future__ import annotations

from dolium.asgi.messages import Response
from dolium.catalog import uploads
from dolium.catalog.buckets import Bucket
from dolium.catalog.objects import ObjectRow
from dolium.errors import Malformed
from dolium.identity.permissions import Action
from dolium.objects import copy, get, multipart
from dolium.objects.copy import CopyRequest
from dolium.s3.call import Call
from dolium.s3.demands import copied_headers, refuse_unbuilt, stored_headers, write_check
from dolium.s3.download import until_it_stays
from dolium.s3.operations.objects import int_of
from dolium.s3.respond import checksum_of, xml
from dolium.values import Checksum, ChecksumAlgorithm
from dolium.wire import checksums, conditions
from dolium.wire.names import parse_copy_source
from dolium.wire.ranges import parse_copy_range, resolve_copy_range
from dolium.wire.render import copy_object_result, copy_part_result

__all__ = ["copy_object", "upload_part_copy"]


def _source(call: Call) -> tuple[Bucket, ObjectRow]:
    """The object to copy from, found and authorized, with its conditions true.

    Raises Malformed, Denied, BucketNotFound, ObjectNotFound, PreconditionFailed.
    """
    text = call.header(b"x-amz-copy-source") or ""
    named = parse_copy_source(text.encode("latin-1"))
    service = call.site.service
    bucket = service.bucket(call.tenancy_id, named.bucket)
    call.authorize(Action.GET_OBJECT, bucket, named.key)
    call.expect_owner(b"x-amz-source-expected-bucket-owner", bucket)
    row = get.find(service, bucket, named.key, with_body=False)
    if named.version_id not in (None, row.version):
        raise Malformed("NoSuchVersion", Key=named.key, VersionId=str(named.version_id))
    demanded = conditions.read_copy_conditions(call.headers)
    if demanded is not None:
        conditions.check_copy(demanded, row.etag, row.modified_ms // 1000)
    return bucket, row


def _directive(call: Call, name: bytes) -> str:
    value = (call.header(name) or "COPY").upper()
    if value not in ("COPY", "REPLACE"):
        raise Malformed(
            "InvalidArgument", f"Unknown {name.decode()}", ArgumentName=name.decode(), ArgumentValue=value
        )
    return value


async def copy_object(call: Call) -> Response:
    """Copy on the server, metadata as the directive says."""
    refuse_unbuilt(call)
    return await until_it_stays(lambda: _copy(call))


async def _copy(call: Call) -> Response:
    source_bucket, source = _source(call)
    replaces = _directive(call, b"x-amz-metadata-directive") == "REPLACE"
    _directive(call, b"x-amz-tagging-directive")
    said = stored_headers(call)  # read also when it is not used: what is malformed is refused
    same = source_bucket.id == call.found.id and source.key == call.key
    if same and not replaces and call.header(b"x-amz-storage-class") is None:
        raise Malformed(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )
    request = CopyRequest(
        call.key,
        call.principal.person_id,
        said if replaces else copied_headers(source.headers, call.header(b"x-amz-storage-class")),
        _algorithm(call),
        write_check(call.headers, call.key),
        call.quota(),
    )
    row = await call.site.bridge.run(
        source.store_id or 0, copy.copy, call.site.service, source_bucket, source, call.found, request
    )
    return xml(copy_object_result(row.etag, row.modified_ms, checksum_of(row.checksum)))


def _algorithm(call: Call) -> ChecksumAlgorithm | None:
    name = call.header(b"x-amz-checksum-algorithm")
    return None if name is None else checksums.parse_algorithm(name)


async def upload_part_copy(call: Call) -> Response:
    """A part from bytes that are here already."""
    return await until_it_stays(lambda: _copy_part(call))


async def _copy_part(call: Call) -> Response:
    number = int_of("partNumber", call.query.get("partNumber", ""), 1, 10_000)
    service = call.site.service
    upload = uploads.find(service.database, call.found.id, call.key, call.query["uploadId"])
    _, source = _source(call)
    start, stop = 0, source.size
    text = call.header(b"x-amz-copy-source-range")
    if text is not None:
        start, stop = resolve_copy_range(parse_copy_range(text.encode("latin-1")), source.size)
    part = await call.site.bridge.run(
        source.store_id or service.default_store,
        multipart.copy_part,
        service,
        upload,
        number,
        source,
        start,
        stop,
    )
    checksum = None
    if part.checksum and upload.algorithm:
        checksum = Checksum(ChecksumAlgorithm(upload.algorithm), part.checksum)
    return xml(copy_part_result(part.etag, part.modified_ms, checksum))
