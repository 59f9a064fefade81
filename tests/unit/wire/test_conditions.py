"""Conditional requests, as decision tables."""

from __future__ import annotations

import pytest

from dolium.errors import PreconditionFailed
from dolium.wire.conditions import (
    Outcome,
    check_copy,
    check_read,
    check_write,
    read_conditions,
    read_copy_conditions,
    read_write_conditions,
)
from dolium.wire.dates import http_date

ETAG, AT = "e1", 1_767_323_045
BEFORE, SAME, AFTER = (http_date(AT + step).encode() for step in (-1, 0, 1))
PROCEED, NOT_MODIFIED, FAILED = Outcome.PROCEED, Outcome.NOT_MODIFIED, None

TABLE = [
    ({b"match": b'"e1"'}, PROCEED),
    ({b"match": b"e1"}, PROCEED),
    ({b"match": b"*"}, PROCEED),
    ({b"match": b'"e0", "e1"'}, PROCEED),
    ({b"match": b'"e0"'}, FAILED),
    ({b"match": b'W/"e1"'}, FAILED),
    ({b"match": b""}, FAILED),
    ({b"none-match": b'"e1"'}, NOT_MODIFIED),
    ({b"none-match": b"e1"}, NOT_MODIFIED),
    ({b"none-match": b'W/"e1"'}, NOT_MODIFIED),
    ({b"none-match": b"*"}, NOT_MODIFIED),
    ({b"none-match": b'"e0"'}, PROCEED),
    ({b"modified-since": BEFORE}, PROCEED),
    ({b"modified-since": SAME}, NOT_MODIFIED),
    ({b"modified-since": AFTER}, NOT_MODIFIED),
    ({b"modified-since": b"no date"}, PROCEED),
    ({b"unmodified-since": BEFORE}, FAILED),
    ({b"unmodified-since": SAME}, PROCEED),
    ({b"unmodified-since": AFTER}, PROCEED),
    ({b"unmodified-since": b"no date"}, PROCEED),
    # the tag of a side wins over its date
    ({b"match": b'"e1"', b"unmodified-since": BEFORE}, PROCEED),
    ({b"match": b'"e0"', b"unmodified-since": AFTER}, FAILED),
    ({b"none-match": b'"e0"', b"modified-since": AFTER}, PROCEED),
    ({b"none-match": b'"e1"', b"modified-since": BEFORE}, NOT_MODIFIED),
    # the positive side comes first
    ({b"match": b'"e0"', b"none-match": b'"e1"'}, FAILED),
    ({b"match": b'"e1"', b"none-match": b'"e1"'}, NOT_MODIFIED),
    ({b"unmodified-since": BEFORE, b"modified-since": AFTER}, FAILED),
]


@pytest.mark.parametrize(("headers", "outcome"), TABLE)
def test_reads(headers: dict[bytes, bytes], outcome: Outcome | None) -> None:
    conditions = read_conditions(
        [(b"host", b"x"), *[(b"if-" + name, value) for name, value in headers.items()]]
    )
    assert conditions is not None
    if outcome is None:
        with pytest.raises(PreconditionFailed):
            check_read(conditions, ETAG, AT)
    else:
        assert check_read(conditions, ETAG, AT) is outcome


@pytest.mark.parametrize(("headers", "outcome"), TABLE)
def test_copy_sources_never_answer_304(headers: dict[bytes, bytes], outcome: Outcome | None) -> None:
    conditions = read_copy_conditions(
        [(b"x-amz-copy-source-if-" + name, value) for name, value in headers.items()]
    )
    assert conditions is not None
    if outcome is PROCEED:
        check_copy(conditions, ETAG, AT)
    else:
        with pytest.raises(PreconditionFailed) as refusal:
            check_copy(conditions, ETAG, AT)
        assert refusal.value.condition.lower().removeprefix("x-amz-copy-source-if-").encode() in headers


@pytest.mark.parametrize(
    ("match", "none_match", "etag", "outcome"),
    [
        (b'"e1"', None, "e1", Outcome.PROCEED),
        (b"e1", None, "e1", Outcome.PROCEED),
        (b"*", None, "e1", Outcome.PROCEED),
        (b'"e0"', None, "e1", "If-Match"),
        (b'"e1"', None, None, Outcome.MISSING),
        (b"*", None, None, Outcome.MISSING),
        (None, b"*", None, Outcome.PROCEED),
        (None, b"*", "e1", "If-None-Match"),
        (None, b'"e1"', "e1", "If-None-Match"),
        (None, b"e1", "e1", "If-None-Match"),
        (None, b'"e0"', "e1", Outcome.PROCEED),
        (None, b'"e0"', None, Outcome.PROCEED),
        (b'"e1"', b"*", "e1", "If-None-Match"),
        (b'"e1"', b"*", None, Outcome.MISSING),
    ],
)
def test_writes(
    match: bytes | None, none_match: bytes | None, etag: str | None, outcome: Outcome | str
) -> None:
    headers = [(b"if-match", match), (b"if-none-match", none_match), (b"if-modified-since", AFTER)]
    conditions = read_write_conditions([(name, value) for name, value in headers if value is not None])
    assert conditions is not None
    if isinstance(outcome, str):
        with pytest.raises(PreconditionFailed) as refusal:
            check_write(conditions, etag)
        assert refusal.value.condition == outcome
    else:
        assert check_write(conditions, etag) is outcome


def test_no_conditions() -> None:
    headers = [(b"host", b"x"), (b"range", b"bytes=0-1")]
    assert read_conditions(headers) is None
    assert read_copy_conditions(headers) is None
    assert read_write_conditions([(b"if-modified-since", AFTER)]) is None
