"""Members with weights: each new blob goes to one of them, drawn by weight; if that refuses, to another one.

    Distributed([Member("a", disk_a, weight=2, max_percent=90), Member("b", disk_b, weight=1)])

Of many new blobs `a` gets two thirds until it is 90 % full, then `b` gets all. Weights, limits, states and members can
be changed while it runs (`reconfigure`). All else is in `routed.py`.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from dolium.stores.composites.routed import Routed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dolium.stores.composites.members import Member
    from dolium.stores.composites.placement import Rule

__all__ = ["Distributed"]


class Distributed(Routed):
    """`search_for_missing`: whether `find` asks the others when the hint is absent or wrong, as in Galaxy."""

    def __init__(
        self,
        members: Iterable[Member],
        *,
        rules: Sequence[Rule] = (),
        search_for_missing: bool = True,
        usage: Callable[[str], int | None] | None = None,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            members, rules=rules, draw=draw, usage=usage, search_for_missing=search_for_missing, clock=clock
        )
