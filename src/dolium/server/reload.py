"""SIGHUP: the stores as the configuration has them now; all else in it waits for the next start.

New stores are made and entered by one process that ends again, before any worker hears of them. A configuration that
cannot be used is told in the log, and what was there stays, also for workers that are started later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.settings import Settings
from dolium.server.store_entry import enter_stores

__all__ = ["Configuration"]


class Configuration:
    """`settings`: for the next worker."""

    def __init__(self, settings: Settings, read: Callable[[], Settings]) -> None:
        self.settings = settings
        self._read = read

    def read(self) -> Settings:
        """Raises ConfigError."""
        fresh = self._read()
        return replace(self.settings, stores=fresh.stores, notices=fresh.notices)

    def prepare(self) -> None:
        """As `server.run.Reloads`."""
        settings = self.read()
        database = SqliteDatabase(settings.data)
        try:
            enter_stores(database, settings)
        finally:
            database.close()

    def adopt(self) -> None:
        """As `server.run.Reloads`."""
        self.settings = self.read()
