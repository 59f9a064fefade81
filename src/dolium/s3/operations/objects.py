"""GetObject, HeadObject, PutObject, DeleteObject, DeleteObjects."""

from __future__ import annotations

from dolium.asgi.messages import Headers, Response
from dolium.catalog.objects import Check, ObjectRow
from dolium.errors import Denied, DoliumError, Malformed, Overtaken
from dolium.identity.permissions import Action
from dolium.objects import delete, get
from dolium.objects.damage import require_undamaged
from dolium.objects.put import Intake, PutRequest
from dolium.s3.body import Incoming, read_document, receive_into
from dolium.s3.call import Call
from dolium.s3.codes import fault_of
from dolium.s3.demands import delete_check, refuse_dates, refuse_unbuilt, stored_headers, write_check
from dolium.s3.download import download, until_it_stays
from dolium.s3.respond import checksum_headers, checksum_of, empty, object_headers, xml
from dolium.wire import checksums, conditions
from dolium.wire.conditions import Outcome
from dolium.wire.dates import parse_http_date, parse_iso
from dolium.wire.documents import DeleteKey, read_delete
from dolium.wire.headers import encode_value, response_overrides
from dolium.wire.ranges import parse_range
from dolium.wire.render import DeletedKey, DeleteFailure, delete_result

__all__ = ["delete_object", "delete_objects", "get_object", "head_object", "put_object"]


def find_version(call: Call, key: str, version_id: str | None, *, with_body: bool) -> ObjectRow:
    """The object, by version if one is named. Raises ObjectNotFound, Malformed NoSuchVersion."""
    row = get.find(call.site.service, call.found, key, with_body=with_body)
    if version_id is not None and version_id != row.version:
        raise Malformed("NoSuchVersion", Key=key, VersionId=version_id)
    return row


async def get_object(call: Call) -> Response:
    """The object, a range or a part of it."""
    return await until_it_stays(lambda: _get(call))


async def _get(call: Call) -> Response:
    response, row, start, stop = _prepare(call, with_body=True)
    if response.status == 304 or start == stop:
        return response
    if row.damaged:
        require_undamaged(row)
    data = get.inline_bytes(call.site.service, row)
    if data is not None:
        response.body = data if stop - start == row.size else data[start:stop]
        return response
    segments = get.segments(call.site.service, row, start, stop)
    response.body = await download(call.site, segments)
    return response


async def head_object(call: Call) -> Response:
    """What GetObject would say, without the bytes; and whether it is held back."""

    async def look() -> Response:
        response, row, *_ = _prepare(call, with_body=False)
        if row.damaged:
            response.headers.append((b"x-dolium-state", b"corrupt"))
        return response

    return await until_it_stays(look)


def _prepare(call: Call, *, with_body: bool) -> tuple[Response, ObjectRow, int, int]:
    """The answer but for its body, and which bytes it has.

    Raises PreconditionFailed, RangeNotSatisfiable, VersionGone.
    """
    row = find_version(call, call.key, call.query.get("versionId"), with_body=with_body)
    headers = object_headers(row)
    demanded = conditions.read_conditions(call.headers)
    if (
        demanded is not None
        and conditions.check_read(demanded, row.etag, row.modified_ms // 1000) is Outcome.NOT_MODIFIED
    ):
        return Response(304, headers), row, 0, 0
    if call.query:
        headers = _overridden(call, headers)
    status, start, stop = 200, 0, row.size
    part_number = call.query.get("partNumber")
    byte_range = call.fields.get(b"range")
    whole = checksum_of(row.checksum) if b"x-amz-checksum-mode" in call.fields else None
    if part_number is not None:
        if byte_range is not None:
            raise Malformed(
                "InvalidRequest", "Cannot specify both Range header and partNumber query parameter"
            )
        status, start, stop = 206, *_part(call, row, int_of("partNumber", part_number, 1, 10_000), headers)
        whole = None if row.upload is not None else whole
    elif (
        byte_range is not None
        and (wanted := parse_range(byte_range)) is not None
        and _still_the_same(call.fields.get(b"if-range"), row)
    ):
        start, stop = wanted.resolve(row.size)
        status = 206
    if status == 206 and row.size:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, row.size)))
    # The checksum of a whole object is never sent with a part of it: clients would hold it against that part.
    if whole is not None and stop - start == row.size:
        headers += checksum_headers(whole)
    headers.append((b"content-length", b"%d" % (stop - start)))
    return Response(status, headers), row, start, stop


def _still_the_same(if_range: bytes | None, row: ObjectRow) -> bool:
    """Whether a caller who holds a part of this object may have another part of it (RFC 9110 §13.1.5)."""
    if if_range is None:
        return True
    if if_range[:1] == b'"':
        return if_range == b'"%b"' % row.etag.encode("ascii")
    return parse_http_date(if_range) == row.modified_ms // 1000


def _part(call: Call, row: ObjectRow, number: int, headers: Headers) -> tuple[int, int]:
    """Where part `number` begins and ends. Raises Malformed InvalidPartNumber."""
    parts = get.parts(call.site.service, row)
    if not parts:
        if number != 1:
            raise Malformed("InvalidPartNumber", "The requested partnumber is not satisfiable")
        return 0, row.size
    start = 0
    for position, part in enumerate(parts, 1):
        if position == number:
            headers.append((b"x-amz-mp-parts-count", b"%d" % len(parts)))
            checksum = checksum_of(row.checksum)
            if checksum is not None and part.checksum and b"x-amz-checksum-mode" in call.fields:
                name = f"x-amz-checksum-{checksum.algorithm.lower()}".encode("ascii")
                headers += [
                    (name, part.checksum.encode("ascii")),
                    (b"x-amz-checksum-type", checksum.type.encode()),
                ]
            return start, start + part.size
        start += part.size
    raise Malformed("InvalidPartNumber", "The requested partnumber is not satisfiable")


def int_of(name: str, value: str, least: int, most: int) -> int:
    """A parameter as a number. Raises Malformed InvalidArgument."""
    if not value.isascii() or not value.isdigit() or len(value) > 18 or not least <= int(value) <= most:
        raise Malformed(
            "InvalidArgument", f"{name} must be an integer between {least} and {most}",
            ArgumentName=name, ArgumentValue=value,
        )  # fmt: skip
    return int(value)


def _overridden(call: Call, headers: Headers) -> Headers:
    overrides = {
        name.encode("ascii"): encode_value(value) for name, value in response_overrides(call.query).items()
    }
    if not overrides:
        return headers
    if not call.principal.key_id:
        raise Malformed(
            "InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests."
        )
    return [header for header in headers if header[0] not in overrides] + list(overrides.items())


async def put_object(call: Call) -> Response:
    """Store the body."""
    refuse_unbuilt(call)
    incoming = Incoming(call)
    site = call.site
    request = PutRequest(
        call.key,
        call.principal.person_id,
        stored_headers(call),
        incoming.size,
        incoming.digests,
        write_check(call.headers, call.key),
        call.quota(),
    )
    intake = Intake(site.service, call.found, request)
    try:
        row = await receive_into(incoming, intake, small=site.service.limits.inline_bytes)
    except Overtaken:
        row = await site.bridge.run(intake.store_id, intake.finish_behind)
    headers: Headers = [
        (b"etag", b'"%b"' % row.etag.encode("ascii")),
        *checksum_headers(checksum_of(row.checksum)),
    ]
    return empty(200, headers)


async def delete_object(call: Call) -> Response:
    """Delete it; an absent one is deleted already."""
    version_id = call.query.get("versionId")
    if version_id not in (None, "null"):
        raise Malformed("NoSuchVersion", Key=call.key, VersionId=str(version_id))
    await call.site.bridge.settle(delete.delete(call.site.service, call.found, call.key, _delete_check(call)))
    return empty()


def _delete_check(call: Call) -> Check | None:
    """Raises Malformed: InvalidArgument for a time or size that is none, NotImplemented."""
    refuse_dates(call)
    time, size = call.header(b"x-amz-if-match-last-modified-time"), call.header(b"x-amz-if-match-size")
    modified = None
    if time is not None:
        modified = parse_http_date(time) or parse_iso(time)
        if modified is None:
            raise Malformed(
                "InvalidArgument", "The time cannot be read",
                ArgumentName="x-amz-if-match-last-modified-time", ArgumentValue=time,
            )  # fmt: skip
    return delete_check(
        call.headers,
        call.key,
        modified=modified,
        size=None if size is None else int_of("x-amz-if-match-size", size, 0, 1 << 50),
    )


async def delete_objects(call: Call) -> Response:
    """Up to a thousand, each authorized and deleted on its own."""
    if b"content-md5" not in call.fields and checksums.read_checksum(call.headers).algorithm is None:
        raise Malformed("InvalidRequest", "Missing required header for this request: Content-MD5")
    batch = read_delete(await read_document(call))
    failures: list[DeleteFailure] = []
    wanted = []
    for item in batch.keys:
        fault = _refusal(call, item)
        if fault is None:
            tag = [(b"if-match", item.etag.encode())] if item.etag else []
            wanted.append((item.key, delete_check(tag, item.key, modified=item.modified, size=item.size)))
        else:
            failures.append(fault)
    done = await call.site.bridge.settle(delete.delete_many(call.site.service, call.found, wanted))
    deleted = []
    for deletion in done:
        if deletion.error is None:
            deleted.append(DeletedKey(deletion.key))
        else:
            failures.append(_failure(deletion.key, None, deletion.error))
    return xml(delete_result([] if batch.quiet else deleted, failures))


def _refusal(call: Call, item: DeleteKey) -> DeleteFailure | None:
    if item.version_id not in (None, "null"):
        return _failure(item.key, item.version_id, Malformed("NoSuchVersion"))
    try:
        call.authorize(Action.DELETE_OBJECT, call.found, item.key)
    except Denied as error:
        return _failure(item.key, item.version_id, error)
    return None


def _failure(key: str, version_id: str | None, error: DoliumError) -> DeleteFailure:
    fault = fault_of(error)
    return DeleteFailure(key, fault.code, fault.message, version_id)
