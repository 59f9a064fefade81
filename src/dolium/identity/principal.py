"""On whose behalf a request runs."""

from __future__ import annotations

from dataclasses import dataclass

from dolium.identity.permissions import Role

__all__ = ["ANONYMOUS", "Principal"]


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller, narrowed to the scope of the access key that was used.

    `person_id` None with role SERVICE is the tenancy itself. `canonical_id` and `display_name` are the
    owner that S3 answers show for what this principal makes. `tenancy_id` 0 is no tenancy at all.
    """

    tenancy_id: int
    tenancy: str
    sharing: str  # "owner" | "everyone"
    person_id: int | None
    person: str
    canonical_id: str
    display_name: str
    role: Role
    site_admin: bool
    key_id: str
    read_only: bool = False
    scope_bucket: str | None = None
    scope_prefix: str = ""


ANONYMOUS = Principal(
    tenancy_id=0,
    tenancy="",
    sharing="owner",
    person_id=None,
    person="",
    canonical_id="",
    display_name="",
    role=Role.NONE,
    site_admin=False,
    key_id="",
)
