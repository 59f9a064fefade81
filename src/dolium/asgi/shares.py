"""Places that many want, of which nobody may have more than a share.

    places = Shares(1024, 512)
    if not places.take("ada"):
        ...                     # all are taken, or ada has hers
    places.give("ada")

So one client, however busy or hostile, leaves room for the others.
"""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["Shares"]


class Shares:
    """`most` in all, `each` of them at most for one holder. For one thread."""

    __slots__ = ("_each", "_held", "_most", "_taken")

    def __init__(self, most: int, each: int) -> None:
        self._most = most
        self._each = each
        self._taken = 0
        self._held: dict[Hashable, int] = {}

    @property
    def taken(self) -> int:
        return self._taken

    def held(self, holder: Hashable) -> int:
        return self._held.get(holder, 0)

    def take(self, holder: Hashable, amount: int = 1) -> bool:
        """False, and nothing is taken, if that is more than there is or than a share."""
        held = self._held.get(holder, 0) + amount
        if held > self._each or self._taken + amount > self._most:
            return False
        self._held[holder] = held
        self._taken += amount
        return True

    def give(self, holder: Hashable, amount: int = 1) -> None:
        """Give back what was taken. Whoever holds nothing is forgotten."""
        self._taken -= amount
        held = self._held[holder] - amount
        if held:
            self._held[holder] = held
        else:
            del self._held[holder]
