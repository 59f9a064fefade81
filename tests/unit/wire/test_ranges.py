"""Range headers."""

from __future__ import annotations

import pytest

from dolium.errors import Malformed, RangeNotSatisfiable
from dolium.values import ByteRange
from dolium.wire.ranges import parse_copy_range, parse_range, resolve_copy_range


@pytest.mark.parametrize(
    ("value", "span"),
    [
        (b"bytes=0-0", (0, 0)),
        (b"bytes=5-9", (5, 9)),
        (b"bytes=5-", (5, None)),
        (b"bytes=-8", (None, 8)),
        (b"bytes=-0", (None, 0)),
        (b"Bytes=1-2", (1, 2)),
        (b" bytes=1-2 ", (1, 2)),
        (b"bytes=0-9223372036854775807", (0, 2**63 - 1)),
    ],
)
def test_ranges(value: bytes, span: tuple[int | None, int | None]) -> None:
    assert parse_range(value) == ByteRange(*span)


@pytest.mark.parametrize(
    "value",
    [
        *[
            b"",
            b"bytes",
            b"bytes=",
            b"bytes=-",
            b"bytes=9-5",
            b"bytes=a-b",
            b"bytes=1",
            b"bytes=1-2-3",
            b"items=0-5",
        ],
        *[
            b"bytes=0-1,3-4",
            b"bytes=0-1,",
            b"bytes=--1",
            b"bytes=+1-2",
            b"bytes= 1-2",
            b"bytes=1 -2",
            b"bytes=\xb2-3",
        ],
        *[b"bytes=0-" + b"9" * 20, b"bytes=" + b",".join([b"0-1"] * 1000)],
    ],
)
def test_what_is_not_one_range_is_the_whole(value: bytes) -> None:
    assert parse_range(value) is None


@pytest.mark.parametrize(
    ("value", "size"), [(b"bytes=-0", 5), (b"bytes=5-", 5), (b"bytes=-5", 0), (b"bytes=0-0", 0)]
)
def test_unsatisfiable(value: bytes, size: int) -> None:
    span = parse_range(value)
    assert span is not None
    with pytest.raises(RangeNotSatisfiable):
        span.resolve(size)


def test_copy_range() -> None:
    span = parse_copy_range(b"bytes=0-4")
    assert resolve_copy_range(span, 5) == (0, 5)
    assert resolve_copy_range(parse_copy_range(b"bytes=3-3"), 5) == (3, 4)
    with pytest.raises(Malformed) as refusal:
        resolve_copy_range(span, 4)
    assert refusal.value.code == "InvalidRange"


@pytest.mark.parametrize(
    "value",
    [
        *[
            b"",
            b"0-2",
            b"bytes=0",
            b"bytes=hello-world",
            b"bytes=0-bar",
            b"bytes=hello-",
            b"bytes=0-2,3-5",
            b"bytes=-5",
        ],
        *[b"bytes=5-", b"bytes=5-2", b"Bytes=0-1", b"bytes=0-1 ", b"bytes=0-" + b"9" * 30],
    ],
)
def test_bad_copy_ranges(value: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        parse_copy_range(value)
    assert refusal.value.code == "InvalidArgument"
