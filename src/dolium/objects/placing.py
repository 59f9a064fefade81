"""For whom and for what a new blob is, as far as a placement may ask.

All of it is known before the first byte: the bucket, the key, the owner and the headers that are kept with the object.
Names are read once and remembered for as long as the catalog's generation stays. A service with one store asks none
of this.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from dolium.catalog.database import Read
from dolium.stores.composites.placement import Request

__all__ = ["Names", "Placing", "Wanted", "request_of"]


Names = dict[tuple[str | int, ...], tuple[str, ...]]


class Wanted(Protocol):
    """What is to be written: a PUT, a copy, an upload. `headers` as the catalog keeps them."""

    @property
    def key(self) -> str: ...

    @property
    def owner_id(self) -> int | None: ...

    @property
    def headers(self) -> str: ...


class Placing(Protocol):
    """The tree of stores as the service sees it. `storage_classes`: those that name a placement; `asks_groups`:
    whether any rule does.
    """

    storage_classes: frozenset[str]
    asks_groups: bool

    def choose(self, request: Request, /) -> Sequence[int]:
        """Numbers of stores, at least one. Raises StoreFull, StoreReadOnly, StoreUnavailable."""


def request_of(
    names: Names,
    read: Read,
    placing: Placing,
    bucket_id: int,
    wanted: Wanted,
    size: int | None,
) -> Request:
    """`names`: what is remembered."""
    tenancy, bucket = _named(names, read, "bucket", bucket_id) or ("", "")  # it may be gone by now
    person: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    if wanted.owner_id is not None:
        person = _named(names, read, "person", wanted.owner_id)
        groups = _named(names, read, "groups", wanted.owner_id, tenancy) if placing.asks_groups else ()
    content_type, storage_class = _said(wanted.headers)
    return Request(
        name=wanted.key,
        size=size,
        tenancy=tenancy,
        person=person[0] if person else "",
        groups=frozenset(groups),
        bucket=bucket,
        content_type=content_type,
        storage_class=storage_class,
    )


_QUERIES = {
    "bucket": "SELECT t.name, b.name FROM buckets b JOIN tenancies t ON t.id = b.tenancy_id WHERE b.id = $1",
    "person": "SELECT name FROM people WHERE id = $1",
    "groups": "SELECT g.name FROM group_members m JOIN groups g ON g.id = m.group_id "
    "JOIN tenancies t ON t.id = g.tenancy_id WHERE m.person_id = $1 AND t.name = $2",
}


def _named(names: Names, read: Read, noun: str, *of: str | int) -> tuple[str, ...]:
    found = names.get((noun, *of))
    if found is None:
        rows = read.all(_QUERIES[noun], *of)
        found = names[noun, *of] = tuple(str(name) for row in rows for name in row)
    return found


@lru_cache(maxsize=1024)
def _said(headers: str) -> tuple[str, str]:
    """(content type, storage class) of headers as they are kept."""
    kept = dict(json.loads(headers)) if headers else {}
    return kept.get("content-type", ""), kept.get("x-amz-storage-class", "STANDARD")
