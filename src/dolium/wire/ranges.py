"""The Range header of a read, and the stricter one of UploadPartCopy."""

from __future__ import annotations

import re

from dolium.errors import Malformed
from dolium.values import ByteRange

__all__ = ["parse_copy_range", "parse_range", "resolve_copy_range"]

_single = re.compile(rb"bytes=(\d{0,19})-(\d{0,19})", re.IGNORECASE).fullmatch
_closed = re.compile(rb"bytes=(\d{1,19})-(\d{1,19})").fullmatch


def parse_range(value: bytes) -> ByteRange | None:
    """None, which means the whole object, for bad syntax, other units and several ranges (RFC 9110 §14.2)."""
    match = _single(value.strip())
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return ByteRange(None, int(last)) if last else None
    if not last:
        return ByteRange(int(first), None)
    return ByteRange(int(first), int(last)) if int(first) <= int(last) else None


def parse_copy_range(value: bytes) -> ByteRange:
    """`x-amz-copy-source-range`: exactly `bytes=first-last`. Raises Malformed (InvalidArgument)."""
    match = _closed(value)
    if match is None or int(match[1]) > int(match[2]):
        raise Malformed(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=value.decode("latin-1"),
        )
    return ByteRange(int(match[1]), int(match[2]))


def resolve_copy_range(span: ByteRange, size: int) -> tuple[int, int]:
    """(start, stop) in a source of `size` bytes; unlike a read, it must lie within.

    Raises Malformed (InvalidRange).
    """
    assert span.first is not None
    assert span.last is not None
    if span.last >= size:
        raise Malformed(
            "InvalidRange",
            f"Range specified is not valid for source object of size: {size}",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=f"bytes={span.first}-{span.last}",
        )
    return span.first, span.last + 1
