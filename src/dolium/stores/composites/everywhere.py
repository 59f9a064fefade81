"""What is done at each of several members, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from dolium.errors import BlobNotFound, PartlyDone, StoreError, StoreUnavailable
from dolium.stores.contract import unwrap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dolium.stores.composites.guarded import Guarded

__all__ = ["delete", "holders", "power_of"]

T = TypeVar("T")


def power_of(guard: Guarded, power: type[T]) -> T:
    """The power that all members had when it was looked at."""
    found = unwrap(guard, power)
    if found is None:
        raise StoreUnavailable(
            guard.store_id, "the store has just been exchanged for one that cannot do this"
        )
    return found


def holders(guards: Iterable[Guarded], key: str, *, strict: bool = False) -> tuple[Guarded, ...]:
    """Those that have the blob; of those that are down nothing is known, which is an error only if `strict`."""
    found = []
    for guard in guards:
        try:
            guard.stat(key)
        except BlobNotFound:
            continue
        except StoreUnavailable:
            if strict:
                raise
            continue
        found.append(guard)
    return tuple(found)


def delete(guards: Iterable[Guarded], key: str) -> None:
    """Raises PartlyDone if one cannot, after all others have."""
    done: list[str] = []
    left: dict[str, StoreError] = {}
    for guard in guards:
        try:
            guard.delete(key)
        except StoreError as error:
            left[guard.store_id] = error
        else:
            done.append(guard.store_id)
    if left:
        cause = next(iter(left.values()))
        raise PartlyDone("the blob may still lie where it was", done=tuple(done), left=tuple(left)) from cause
