"""CreateMultipartUpload, UploadPart, Complete, Abort, ListParts, ListMultipartUploads."""

from __future__ import annotations

from dolium.asgi.messages import Headers, Response
from dolium.catalog import uploads
from dolium.catalog.uploads import Upload
from dolium.errors import Malformed
from dolium.objects import multipart
from dolium.objects.multipart import ChosenPart, PartIntake
from dolium.s3.body import Incoming, read_document, receive_into, with_algorithm
from dolium.s3.call import Call
from dolium.s3.demands import refuse_dates, refuse_unbuilt, stored_headers, write_check
from dolium.s3.operations.listing import encoding_of, limit_of
from dolium.s3.operations.objects import int_of
from dolium.s3.respond import empty, kept_headers, xml
from dolium.values import Checksum, ChecksumAlgorithm, ChecksumType
from dolium.wire import checksums
from dolium.wire.documents import read_complete
from dolium.wire.render import (
    ListedPart,
    ListedUpload,
    PartsPage,
    UploadsPage,
    complete_result,
    initiate_result,
    list_parts_result,
    list_uploads_result,
)

__all__ = ["abort", "complete", "create", "list_parts", "list_uploads", "upload_part"]


def _upload(call: Call, *, completed: bool = False) -> Upload:
    return uploads.find(
        call.site.service.database, call.found.id, call.key, call.query["uploadId"], completed=completed
    )


async def create(call: Call) -> Response:
    """Begin an upload."""
    refuse_unbuilt(call)
    name = call.header(b"x-amz-checksum-algorithm")
    algorithm = None if name is None else checksums.parse_algorithm(name)
    kind = checksums.multipart_type(algorithm, call.header(b"x-amz-checksum-type"))
    upload = await call.site.bridge.settle(
        multipart.begin(
            call.site.service,
            call.found,
            call.key,
            owner_id=call.principal.person_id,
            initiator=call.principal.key_id,
            headers=stored_headers(call),
            algorithm=algorithm,
            kind=kind,
        )
    )
    response = xml(initiate_result(call.found.name, call.key, upload.upload_id))
    if algorithm is not None and kind is not None:
        response.headers.append((b"x-amz-checksum-algorithm", algorithm.encode("ascii")))
        response.headers.append((b"x-amz-checksum-type", kind.encode("ascii")))
    return response


async def upload_part(call: Call) -> Response:
    """Store the body as a part."""
    number = int_of("partNumber", call.query.get("partNumber", ""), 1, 10_000)
    upload = _upload(call)
    incoming = Incoming(call)
    algorithm = ChecksumAlgorithm(upload.algorithm) if upload.algorithm else None
    said = incoming.digests.algorithm
    if said is not None and algorithm is not None and said is not algorithm:
        raise Malformed(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, "
            f"actual checksum Type: {said.lower()}",
        )
    service = call.site.service
    intake = PartIntake(
        service, upload, number, size=incoming.size, digests=with_algorithm(incoming.digests, algorithm)
    )
    part = await receive_into(incoming, intake, small=-1)
    headers: Headers = [(b"etag", b'"%b"' % part.etag.encode("ascii"))]
    if part.checksum:
        used = algorithm or said
        assert used is not None
        headers.append((f"x-amz-checksum-{used.lower()}".encode("ascii"), part.checksum.encode("ascii")))
    return empty(200, headers)


async def complete(call: Call) -> Response:
    """Make the object of its parts. It may be repeated."""
    refuse_dates(call)
    check = write_check(call.headers, call.key)
    expected = checksums.read_checksum(call.headers, of_body=False).checksum
    document = read_complete(await read_document(call, describes_body=False))
    upload = _upload(call, completed=True)
    size = call.header(b"x-amz-mp-object-size")
    chosen = [ChosenPart(part.number, part.etag, part.checksum) for part in document]
    service = call.site.service
    done = await call.site.bridge.run(
        multipart.home(service, upload),
        lambda: multipart.complete(
            service,
            call.found,
            upload,
            chosen,
            expected=expected,
            size=None if size is None else int_of("x-amz-mp-object-size", size, 0, 1 << 50),
            check=check,
            quota=call.quota(),
        ),
    )
    return xml(complete_result(call.url, call.found.name, call.key, done.etag, done.checksum))


async def abort(call: Call) -> Response:
    """Forget the upload and its parts."""
    service = call.site.service
    upload = _upload(call)
    grace_ms = service.limits.grace_ms
    await call.site.bridge.settle(
        service.database.submit(lambda tx: uploads.abort(tx, upload, grace_ms=grace_ms))
    )
    return empty()


async def list_parts(call: Call) -> Response:
    """The parts so far."""
    upload = _upload(call)
    limit = limit_of(call, "max-parts")
    marker = int_of("part-number-marker", call.query.get("part-number-marker", "0") or "0", 0, 999_999_999)
    found = uploads.list_parts(call.site.service.database, upload.id, after=marker, limit=limit + 1)
    algorithm = ChecksumAlgorithm(upload.algorithm) if upload.algorithm else None
    page = PartsPage(
        bucket=call.found.name,
        key=call.key,
        upload_id=upload.upload_id,
        owner=call.site.directory.owner(call.tenancy_id, upload.owner_id),
        storage_class=_storage_class(upload),
        marker=marker,
        limit=limit,
        truncated=len(found) > limit,
        parts=[
            ListedPart(
                part.number,
                part.size,
                part.etag,
                part.modified_ms,
                Checksum(algorithm, part.checksum) if algorithm and part.checksum else None,
            )
            for part in found[:limit]
        ],
        algorithm=algorithm,
        checksum_type=ChecksumType(upload.type) if upload.type else None,
        encoding=encoding_of(call),
    )
    return xml(list_parts_result(page))


def _storage_class(upload: Upload) -> str:
    kept = dict(kept_headers(upload.headers))
    return kept.get(b"x-amz-storage-class", b"STANDARD").decode("ascii")


async def list_uploads(call: Call) -> Response:
    """The open uploads of a bucket."""
    query = call.query
    limit = limit_of(call, "max-uploads")
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    marker = (
        query.get("key-marker", ""),
        query.get("upload-id-marker", "") if query.get("key-marker") else "",
    )
    with call.site.service.database.reading() as read:
        found = uploads.list_uploads(
            read, call.found.id, prefix=prefix, delimiter=delimiter, after=marker, limit=limit
        )
    owner = call.site.directory.owner
    page = UploadsPage(
        bucket=call.found.name,
        prefix=prefix,
        delimiter=delimiter,
        key_marker=marker[0],
        upload_id_marker=marker[1],
        next_key_marker=found.next_after[0] if found.next_after else "",
        next_upload_id_marker=found.next_after[1] if found.next_after else "",
        limit=limit,
        truncated=found.next_after is not None,
        uploads=[
            ListedUpload(
                upload.key,
                upload.upload_id,
                owner(call.tenancy_id, upload.owner_id),
                _storage_class(upload),
                upload.created_ms,
                ChecksumAlgorithm(upload.algorithm) if upload.algorithm else None,
                ChecksumType(upload.type) if upload.type else None,
            )
            for upload in found.uploads
        ],
        prefixes=found.prefixes,
        encoding=encoding_of(call),
    )
    return xml(list_uploads_result(page))
