"""Several sorted lists as one."""

from __future__ import annotations

import heapq
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dolium.values import BlobInfo

__all__ = ["merged"]


def merged(lists: Iterable[Iterator[BlobInfo]]) -> Iterator[BlobInfo]:
    """In order of the keys; of several with one key, that of the first list. What one raises passes."""
    last: str | None = None
    for info in heapq.merge(
        *lists, key=attrgetter("key")
    ):  # stable: equal ones come in the order of the lists
        if info.key != last:
            last = info.key
            yield info
