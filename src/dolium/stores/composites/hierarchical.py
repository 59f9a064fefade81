"""Members in an order: new blobs go to the first that takes them, reads search from the first to the last.

    Hierarchical([Member("new", new_disk), Member("old", old_disk, state=State.READ_ONLY)])

"Expanding storage" is to put a member in front. Limits and states count for each member, as in a distributed store. All
else is in `routed.py`: what is overwritten, what a delete removes, and what is said while a member is down.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dolium.stores.composites.routed import Routed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dolium.stores.composites.members import Member
    from dolium.stores.composites.placement import Rule

__all__ = ["Hierarchical"]


class Hierarchical(Routed):
    """See above."""

    def __init__(
        self,
        members: Iterable[Member],
        *,
        rules: Sequence[Rule] = (),
        usage: Callable[[str], int | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(members, rules=rules, usage=usage, clock=clock)
