"""Applies `migrations/NNNN_<what>.sqlite.sql` in order, each once and in its own transaction."""

from __future__ import annotations

from importlib import resources

import apsw

from dolium.crashpoints import reach
from dolium.errors import CatalogUnavailable

__all__ = ["APPLICATION_ID", "migrate", "migrations"]

APPLICATION_ID = 0x646F6C69  # "doli", so that `file` and we know one of ours


def migrations(engine: str) -> list[tuple[int, str]]:
    """(number, SQL) in order."""
    folder = resources.files("dolium.catalog") / "migrations"
    found = [entry for entry in folder.iterdir() if entry.name.endswith(f".{engine}.sql")]
    return sorted((int(entry.name[:4]), entry.read_text("utf-8")) for entry in found)


def migrate(connection: apsw.Connection) -> None:
    """Bring the database up to this version's schema.

    Raises CatalogUnavailable for a file that is no catalog, or one that a newer dolium has written.
    """
    version = connection.pragma("user_version")
    application = connection.pragma("application_id")
    known = migrations("sqlite")
    if application not in (0, APPLICATION_ID) or (version and application != APPLICATION_ID):
        raise CatalogUnavailable("catalog.sqlite is a database of another program")
    if version > known[-1][0]:
        raise CatalogUnavailable(
            f"the catalog has schema {version}, this dolium knows {known[-1][0]}: it was written by a newer version"
        )
    for number, sql in known:
        if number > version:
            with connection:
                for _ in connection.execute(sql):
                    pass
                connection.pragma("application_id", APPLICATION_ID)
                connection.pragma("user_version", number)
                reach("migrate.changed")
            reach("migrate.committed")
