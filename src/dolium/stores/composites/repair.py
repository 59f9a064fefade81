"""Copies of a blob compared with each other, and those that are absent or wrong made anew."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dolium.errors import BlobCorrupt, BlobNotFound, DoliumError, StoreUnavailable
from dolium.stores.contract import KeepsDescriptions, unwrap
from dolium.stores.transfer import copy, digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dolium.stores.composites.guarded import Guarded

__all__ = ["Repair", "repair"]


@dataclass(frozen=True, slots=True)
class Repair:
    """What `repair` found and did, by the ids of members.

    `right`: had the right bytes; `repaired`: have them now; `failed`: have not, and why. If `right` is empty, nobody
    could tell which copy is right, and none was touched.
    """

    key: str
    right: tuple[str, ...]
    repaired: tuple[str, ...]
    failed: Mapping[str, DoliumError]

    @property
    def whole(self) -> bool:
        """Whether every member has the right bytes."""
        return bool(self.right) and not self.failed


def repair(members: Sequence[Guarded], key: str, sha256: bytes | None) -> Repair:
    """See `Replicated.repair`."""
    found: dict[str, bytes] = {}
    wrong: dict[str, DoliumError] = {}
    for member in members:
        try:
            found[member.store_id] = digest(member, key)
        except (BlobNotFound, BlobCorrupt, StoreUnavailable) as error:
            wrong[member.store_id] = error
    if not found:
        raise next((e for e in wrong.values() if not isinstance(e, BlobNotFound)), BlobNotFound(key))
    right = _right(found, sha256)
    wrong |= {
        name: BlobCorrupt("its bytes are not those of the others") for name in found if name not in right
    }
    failed: dict[str, DoliumError] = {}
    repaired: list[str] = []
    source = next((member for member in members if member.store_id in right), None)
    for member in members:
        fault = wrong.get(member.store_id)
        if fault is None:
            continue
        if source is None or isinstance(fault, StoreUnavailable):
            failed[member.store_id] = fault
            continue
        try:
            _copy(source, key, member)
        except DoliumError as refused:
            failed[member.store_id] = refused
        else:
            repaired.append(member.store_id)
    return Repair(key, right, tuple(repaired), failed)


def _right(found: Mapping[str, bytes], sha256: bytes | None) -> tuple[str, ...]:
    if sha256 is None:
        best, count = Counter(found.values()).most_common(1)[0]
        if 2 * count <= len(found):
            return ()
        sha256 = best
    return tuple(name for name, one in found.items() if one == sha256)


def _copy(source: Guarded, key: str, target: Guarded) -> None:
    descriptions = unwrap(source, KeepsDescriptions)
    described = descriptions.description(key) if descriptions is not None else None
    copy(source, key, target, key, description=described)
