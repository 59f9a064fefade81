"""Dates, against the standard library."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolium.wire.dates import amz_stamp, http_date, iso_millis, parse_amz_stamp, parse_http_date, parse_iso

seconds = st.integers(0, 253_402_300_799)


@given(seconds, st.integers(0, 999))
def test_formats(when: int, millis: int) -> None:
    moment = datetime.fromtimestamp(when, UTC)
    assert http_date(when) == formatdate(when, usegmt=True)
    assert (
        iso_millis(when * 1000 + millis) == moment.strftime("%Y-%m-%dT%H:%M:%S").zfill(19) + f".{millis:03d}Z"
    )
    assert parse_http_date(http_date(when)) == when
    assert parse_http_date(http_date(when).encode()) == when
    assert parse_amz_stamp(amz_stamp(when)) == when
    assert parse_iso(iso_millis(when * 1000 + millis)) == when


def test_the_cache_of_iso_dates_is_bounded() -> None:
    for millis in range(40_000):
        assert iso_millis(millis).endswith(f".{millis % 1000:03d}Z")
    assert iso_millis(0) == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 -0000",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 09:49:37 +0100",
        "Sun, 06 Nov 1994 03:19:37 -0530",
        " sun, 06 nov 1994 08:49:37 UTC ",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_http_dates(text: str) -> None:
    assert parse_http_date(text) == 784_111_777


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "yesterday",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "1994-11-06T08:49:37Z",
        ],
        *[
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Nov 6 1994",
        ],
    ],
)
def test_no_http_dates(text: str) -> None:
    assert parse_http_date(text) is None


@pytest.mark.parametrize(
    "text", [b"", b"20260102", b"20261302T030405Z", b"20260102T030405", b"20260102T250405Z"]
)
def test_no_stamps(text: bytes) -> None:
    assert parse_amz_stamp(text) is None


@pytest.mark.parametrize("text", ["", "2026-01-02", "2026-13-02T03:04:05Z", "2026-01-02 03:04:05Z"])
def test_no_iso_dates(text: str) -> None:
    assert parse_iso(text) is None


def test_the_ends_of_time() -> None:
    for text in ("Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +0001", "x" * 100_000):
        assert parse_http_date(text) is None
    last = parse_http_date("Fri, 31 Dec 9999 23:59:60 GMT")
    assert last is not None
    assert amz_stamp(last) == b"99991231T235959Z"
    first = parse_http_date("Mon, 01 Jan 0001 00:00:00 GMT")
    assert first is not None
    assert amz_stamp(first) == b"00010101T000000Z"


def test_years_of_two_digits() -> None:
    assert parse_http_date("Thursday, 01-Jan-70 00:00:00 GMT") == 0
    assert parse_http_date("Tuesday, 01-Jan-69 00:00:00 GMT") == 3_124_224_000
