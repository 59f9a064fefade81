"""Owners as S3 answers show them: canonical id and display name, remembered until identities change."""

from __future__ import annotations

from typing import NamedTuple

from dolium.catalog.database import Database

__all__ = ["Directory", "Owner"]

_MOST = 65_536


class Owner(NamedTuple):
    """S3's `<Owner>` element."""

    canonical_id: str
    display_name: str


class Directory:
    """Safe for use from many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._generation = -1
        self._owners: dict[tuple[int, int | None], Owner] = {}

    def owner(self, tenancy_id: int, person_id: int | None) -> Owner:
        """The person; the tenancy itself for None and for a person who has been removed."""
        owners = self._owners
        generation = self._database.generation()
        if generation != self._generation or len(owners) > _MOST:
            # Owners first: a thread between the two lines sees an empty dict, never an old one as new.
            owners = self._owners = {}
            self._generation = generation
        owner = owners.get((tenancy_id, person_id))
        if owner is None:
            owner = owners[tenancy_id, person_id] = self._look_up(tenancy_id, person_id)
        return owner

    def _look_up(self, tenancy_id: int, person_id: int | None) -> Owner:
        row = self._database.one(
            "SELECT coalesce(p.canonical_id, t.canonical_id), "
            "coalesce(p.display_name, nullif(t.title, ''), t.name) "
            "FROM tenancies t LEFT JOIN people p ON p.id = $1 WHERE t.id = $2",
            person_id, tenancy_id,
        )  # fmt: skip
        return Owner(row[0], row[1]) if row else Owner("", "")
