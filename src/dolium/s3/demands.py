"""What the headers of a write demand: conditions, stored headers, and features that are not built."""

from __future__ import annotations

import json
from functools import lru_cache

from dolium.asgi.messages import Headers
from dolium.catalog.objects import Check, ObjectRow
from dolium.errors import Malformed, ObjectNotFound, PreconditionFailed
from dolium.s3.call import Call
from dolium.wire import conditions
from dolium.wire.conditions import Outcome
from dolium.wire.headers import STORAGE_CLASSES, decode_value, object_header_lines, read_object_headers

__all__ = [
    "copied_headers",
    "delete_check",
    "refuse_dates",
    "refuse_unbuilt",
    "stored_headers",
    "write_check",
]

# Headers that ask for more than is built: ignoring them would be a lie. `x-amz-acl` has harmless values.
_UNBUILT = (
    b"x-amz-tagging",
    b"x-amz-server-side-encryption",
    b"x-amz-object-lock-",
    b"x-amz-grant-",
    b"x-amz-write-offset-bytes",
)
_CANNED = frozenset({b"private", b"bucket-owner-full-control", b"bucket-owner-read"})
_CANNED_UNBUILT = frozenset(
    {b"public-read", b"public-read-write", b"authenticated-read", b"aws-exec-read", b"log-delivery-write"}
)


def refuse_dates(call: Call) -> None:
    """Conditions of a write that are not checked, and a write of a part: as if they were not there, they would
    overwrite what the caller meant to keep. Raises Malformed NotImplemented.
    """
    for name in (b"if-unmodified-since", b"if-modified-since", b"content-range"):
        if name in call.fields:
            raise Malformed("NotImplemented", Header=name.decode("ascii"))


def refuse_unbuilt(call: Call) -> None:
    """Raises Malformed: NotImplemented, InvalidArgument for an ACL that S3 does not know."""
    refuse_dates(call)
    for name, value in call.headers:
        if name[:6] != b"x-amz-":
            continue
        if name.startswith(_UNBUILT):
            raise Malformed("NotImplemented", Header=name.decode("latin-1"))
        if name == b"x-amz-acl" and value not in _CANNED:
            if value in _CANNED_UNBUILT:
                raise Malformed("NotImplemented", Header="x-amz-acl")
            raise Malformed(
                "InvalidArgument", ArgumentName="x-amz-acl", ArgumentValue=value.decode("latin-1")
            )


def stored_headers(call: Call) -> str:
    """The headers and metadata to keep with the object, as the catalog keeps them."""
    placing = call.site.service.placing
    known = STORAGE_CLASSES if placing is None else placing.storage_classes
    return _as_json(tuple(object_header_lines(read_object_headers(call.headers, storage_classes=known))))


@lru_cache(maxsize=1024)
def _as_json(lines: tuple[tuple[bytes, bytes], ...]) -> str:
    """Most uploads of a client say the same."""
    return json.dumps(
        [[name.decode("latin-1"), decode_value(value)] for name, value in lines], ensure_ascii=False
    )


def copied_headers(source: str, storage_class: str | None) -> str:
    """The headers of an object for its copy. The storage class is not one that is copied."""
    if storage_class is None and "x-amz-storage-class" not in source:
        return source
    lines = [line for line in json.loads(source) if line[0] != "x-amz-storage-class"]
    if storage_class not in (None, "STANDARD"):
        lines.append(["x-amz-storage-class", storage_class])
    return json.dumps(lines, ensure_ascii=False)


def write_check(headers: Headers, key: str) -> Check | None:
    """If-Match and If-None-Match as a check to make inside the transaction; None if there are none."""
    demanded = conditions.read_write_conditions(headers)
    if demanded is None:
        return None

    def check(current: ObjectRow | None) -> None:
        if conditions.check_write(demanded, None if current is None else current.etag) is Outcome.MISSING:
            raise ObjectNotFound(key)

    return check


def delete_check(
    headers: Headers, key: str, *, modified: int | None = None, size: int | None = None
) -> Check | None:
    """As `write_check`, for what is to be deleted only if it is of that time (in seconds) and size."""
    check = write_check(headers, key)
    if modified is None and size is None:
        return check

    def check_all(current: ObjectRow | None) -> None:
        if check is not None:
            check(current)
        if current is None:
            return
        if modified is not None and current.modified_ms // 1000 != modified:
            raise PreconditionFailed("x-amz-if-match-last-modified-time")
        if size is not None and current.size != size:
            raise PreconditionFailed("x-amz-if-match-size")

    return check_all
