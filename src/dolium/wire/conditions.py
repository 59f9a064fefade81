"""Conditional requests: RFC 9110 §13 for reads, S3's rules for writes and copy sources.

| request | false condition | answer |
| --- | --- | --- |
| read | If-Match, or else If-Unmodified-Since | 412 |
| read | If-None-Match, or else If-Modified-Since | 304 |
| copy source | any of the four | 412 |
| write | If-Match on a missing key | 404 |
| write | If-Match, If-None-Match | 412 |

A date is looked at only where the entity tag of the same side is absent. A date that cannot be read is no
condition. Tags may be quoted or bare; a weak tag matches only on the None-Match side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from dolium.errors import PreconditionFailed
from dolium.wire.canonical import Headers
from dolium.wire.dates import parse_http_date

__all__ = [
    "Conditions",
    "Outcome",
    "Tags",
    "WriteConditions",
    "check_copy",
    "check_read",
    "check_write",
    "read_conditions",
    "read_copy_conditions",
    "read_write_conditions",
]

_tags = re.compile(r'(W/)?"([^"]*)"|([^\s,"]+)').finditer


class Outcome(Enum):
    PROCEED = auto()
    NOT_MODIFIED = auto()
    MISSING = auto()  # the write's If-Match names an object that is not there: the caller says which


@dataclass(frozen=True, slots=True)
class Tags:
    """The value of If-Match or If-None-Match; `any` for `*`."""

    strong: frozenset[str]
    weak: frozenset[str]
    any: bool


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of a read or a copy source; None where the request says nothing. Dates in seconds."""

    match: Tags | None = None
    none_match: Tags | None = None
    modified_since: int | None = None
    unmodified_since: int | None = None


@dataclass(frozen=True, slots=True)
class WriteConditions:
    """Of a put, complete, copy or delete; None where the request says nothing."""

    match: Tags | None = None
    none_match: Tags | None = None


def _parse_tags(value: bytes) -> Tags:
    strong, weak = set(), set()
    every = False
    for match in _tags(value.decode("latin-1")):
        marked, quoted, bare = match.groups()
        if bare == "*":
            every = True
        elif marked:
            weak.add(quoted)
        else:
            strong.add(bare if quoted is None else quoted)
    return Tags(frozenset(strong), frozenset(weak), every)


def read_conditions(headers: Headers) -> Conditions | None:
    """None if the request has none, as most have."""
    return _read(headers, b"if-")


def read_copy_conditions(headers: Headers) -> Conditions | None:
    """The `x-amz-copy-source-if-*` headers."""
    return _read(headers, b"x-amz-copy-source-if-")


def _read(headers: Headers, prefix: bytes) -> Conditions | None:
    values = {name: value for name, value in headers if name.startswith(prefix)}
    if not values:
        return None
    match, none_match = values.get(prefix + b"match"), values.get(prefix + b"none-match")
    modified = values.get(prefix + b"modified-since")
    unmodified = values.get(prefix + b"unmodified-since")
    return Conditions(
        None if match is None else _parse_tags(match),
        None if none_match is None else _parse_tags(none_match),
        None if modified is None else parse_http_date(modified),
        None if unmodified is None else parse_http_date(unmodified),
    )


def read_write_conditions(headers: Headers) -> WriteConditions | None:
    """If-Match and If-None-Match; a write heeds no dates."""
    match = none_match = None
    for name, value in headers:
        if name == b"if-match":
            match = _parse_tags(value)
        elif name == b"if-none-match":
            none_match = _parse_tags(value)
    return None if match is None and none_match is None else WriteConditions(match, none_match)


def check_read(conditions: Conditions, etag: str, modified: int) -> Outcome:
    """PROCEED or NOT_MODIFIED for an object with this tag (bare) and time. Raises PreconditionFailed."""
    _check_positive(conditions, etag, modified, "If-Match", "If-Unmodified-Since")
    return Outcome.NOT_MODIFIED if _seen(conditions, etag, modified) else Outcome.PROCEED


def check_copy(conditions: Conditions, etag: str, modified: int) -> None:
    """Raises PreconditionFailed if any condition on the source is false."""
    prefix = "x-amz-copy-source-"
    _check_positive(conditions, etag, modified, prefix + "If-Match", prefix + "If-Unmodified-Since")
    if _seen(conditions, etag, modified):
        kind = "If-Modified-Since" if conditions.none_match is None else "If-None-Match"
        raise PreconditionFailed(prefix + kind)


def check_write(conditions: WriteConditions, etag: str | None) -> Outcome:
    """PROCEED, or MISSING; `etag` is that of the object to be replaced, None if there is none.

    Raises PreconditionFailed. Hold the answer and the write in one transaction.
    """
    match, none_match = conditions.match, conditions.none_match
    if match is not None:
        if etag is None:
            return Outcome.MISSING
        if not (match.any or etag in match.strong):
            raise PreconditionFailed("If-Match")
    if none_match is not None and etag is not None and _names(none_match, etag):
        raise PreconditionFailed("If-None-Match")
    return Outcome.PROCEED


def _check_positive(conditions: Conditions, etag: str, modified: int, match: str, unmodified: str) -> None:
    if conditions.match is not None:
        if not (conditions.match.any or etag in conditions.match.strong):
            raise PreconditionFailed(match)
    elif conditions.unmodified_since is not None and modified > conditions.unmodified_since:
        raise PreconditionFailed(unmodified)


def _seen(conditions: Conditions, etag: str, modified: int) -> bool:
    """The caller has this object already."""
    if conditions.none_match is not None:
        return _names(conditions.none_match, etag)
    return conditions.modified_since is not None and modified <= conditions.modified_since


def _names(tags: Tags, etag: str) -> bool:
    return tags.any or etag in tags.strong or etag in tags.weak
