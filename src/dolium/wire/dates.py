"""Points of time as text: HTTP dates, ISO 8601 in documents, the stamps of signatures.

Seconds and milliseconds are integers since 1970, UTC. Formatting is on the path of every answer, so whole
texts are kept in small caches.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

__all__ = ["amz_stamp", "http_date", "iso_millis", "parse_amz_stamp", "parse_http_date", "parse_iso"]

_EPOCH = date(1970, 1, 1).toordinal()
_FIRST = (date.min.toordinal() - _EPOCH) * 86_400
_LAST = (date.max.toordinal() - _EPOCH + 1) * 86_400 - 1
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NUMBER = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}
_TWO = tuple(f"{number:02d}" for number in range(60))
_MINUTES = tuple(f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(24 * 60))
_MILLIS = tuple(f".{milli:03d}Z" for milli in range(1000))

_KEPT = 16_384

_imf = re.compile(
    r"[A-Za-z]{3}, ?(\d{1,2}) ([A-Za-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) (?:GMT|UTC|([+-])(\d\d)(\d\d))",
    re.ASCII,
).fullmatch
_rfc850 = re.compile(
    r"[A-Za-z]{6,9}, (\d\d)-([A-Za-z]{3})-(\d\d) (\d\d):(\d\d):(\d\d) GMT", re.ASCII
).fullmatch
_asctime = re.compile(r"[A-Za-z]{3} ([A-Za-z]{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})", re.ASCII).fullmatch
_iso = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:Z|\+00:00)", re.ASCII
).fullmatch
_stamp = re.compile(rb"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z").fullmatch


@lru_cache(maxsize=4096)
def _iso_minute(minutes: int) -> str:
    days, minute = divmod(minutes, 1440)
    return f"{date.fromordinal(_EPOCH + days).isoformat()}T{_MINUTES[minute]}"


class _IsoMillis(dict[int, str]):
    """A full one is emptied: what is read often comes back at once."""

    def __missing__(self, millis: int) -> str:
        if len(self) >= _KEPT:
            self.clear()
        minutes, rest = divmod(millis, 60_000)
        text = self[millis] = _iso_minute(minutes) + _TWO[rest // 1000] + _MILLIS[rest % 1000]
        return text


iso_millis = _IsoMillis().__getitem__
"""`iso_millis(1_767_323_045_000)` is `2026-01-02T03:04:05.000Z`."""


@lru_cache(maxsize=4096)
def http_date(seconds: int) -> str:
    """`Fri, 02 Jan 2026 03:04:05 GMT`: RFC 9110's preferred form."""
    minutes, second = divmod(seconds, 60)
    days, minute = divmod(minutes, 1440)
    day = date.fromordinal(_EPOCH + days)
    return (
        f"{_DAYS[day.weekday()]}, {day.day:02d} {_MONTHS[day.month - 1]} {day.year:04d} "
        f"{_MINUTES[minute]}{_TWO[second]} GMT"
    )


def _seconds(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    """None for a day or time that no calendar has. A leap second is the second after."""
    if hour > 23 or minute > 59 or second > 60:
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    return min(days * 86_400 + hour * 3600 + minute * 60 + second, _LAST)


def parse_http_date(text: str | bytes) -> int | None:
    """Seconds, from any of the three forms of RFC 9110 §5.6.7 or with a numeric zone. None if it is none.

    The two-digit year of the second form is taken from 1970 to 2069: there is no clock here to ask.
    """
    # What is far too long to be a date is not worth a place in the cache.
    return _parse_http_date(text) if len(text) <= 48 else None


@lru_cache(maxsize=1024)
def _parse_http_date(text: str | bytes) -> int | None:
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    text = text.strip()
    if match := _imf(text):
        day, name, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
        offset = int(f"{sign}1") * (int(zone_hours) * 3600 + int(zone_minutes) * 60) if sign else 0
    elif match := _rfc850(text):
        day, name, year, hour, minute, second = match.groups()
        year = ("19" if year >= "70" else "20") + year
        offset = 0
    elif match := _asctime(text):
        name, day, hour, minute, second, year = match.groups()
        offset = 0
    else:
        return None
    month = _MONTH_NUMBER.get(name.lower())
    if month is None:
        return None
    seconds = _seconds(int(year), month, int(day), int(hour), int(minute), int(second))
    if seconds is None or not _FIRST <= seconds - offset <= _LAST:
        return None
    return seconds - offset


def parse_amz_stamp(stamp: bytes) -> int | None:
    """Seconds of `20260102T030405Z`; None for anything else."""
    return _parse_amz_stamp(stamp) if len(stamp) == 16 else None


@lru_cache(maxsize=1024)
def _parse_amz_stamp(stamp: bytes) -> int | None:
    match = _stamp(stamp)
    return None if match is None else _seconds(*map(int, match.groups()))


def parse_iso(text: str) -> int | None:
    """Seconds of `2026-01-02T03:04:05.000Z` (fraction dropped); None for anything else."""
    match = _iso(text)
    return None if match is None else _seconds(*map(int, match.groups()))


def amz_stamp(seconds: int) -> bytes:
    """`20260102T030405Z`."""
    minutes, second = divmod(seconds, 60)
    days, minute = divmod(minutes, 1440)
    return b"%bT%02d%02d%02dZ" % (
        date.fromordinal(_EPOCH + days).isoformat().replace("-", "").encode(),
        minute // 60,
        minute % 60,
        second,
    )
