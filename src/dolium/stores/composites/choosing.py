"""Placement in a tree of composites: the plan of one level, and below each member that is one, the plan of that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dolium.errors import StoreError, StoreFull, StoreReadOnly, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dolium.stores.composites.members import Members
    from dolium.stores.composites.placement import Plan, Request

__all__ = ["choose", "explain", "refusal"]


def choose(members: Members, plan: Plan, request: Request) -> tuple[str, ...]:
    """The leaves in order. Raises `refusal` if there is none."""
    chosen: list[str] = []
    refused: StoreError | None = None
    for verdict in plan.taken:
        places = members.places(verdict.id)
        if places is None:
            chosen.append(verdict.id)
            continue
        try:
            chosen += places.choose(_below(request, plan, verdict.id, verdict.named))
        except StoreError as error:
            refused = error  # another may take it
    if not chosen:
        raise refused or refusal(plan, request)
    return tuple(chosen)


def explain(members: Members, plan: Plan, request: Request) -> Sequence[str]:
    """The plan in words, what lies below a member indented."""
    lines = list(plan.notes)
    for verdict in plan.verdicts:
        lines.append(str(verdict))
        places = members.places(verdict.id)
        if places is not None and verdict.taken:
            below = places.explain(_below(request, plan, verdict.id, verdict.named))
            lines += [f"  {line}" for line in below]
    return lines


def refusal(plan: Plan, request: Request) -> StoreError:
    """Why nobody takes a blob: down, if anyone is down who might take it later; else full, else read-only."""
    message = f"no store takes the blob ({'; '.join(map(str, plan.verdicts))})"
    if plan.full:
        return StoreFull(message)
    if plan.verdicts and not plan.taken and not any(verdict.down for verdict in plan.verdicts):
        return StoreReadOnly(message)
    return StoreUnavailable(request.wanted or plan.verdicts[0].id, message)


def _below(request: Request, plan: Plan, member: str, named: str) -> Request:
    """What a composite below is asked: for the one that was named, if it is further down."""
    wanted = named if named != member else ""
    return replace(request, wanted=wanted, only=bool(wanted) and plan.only)
