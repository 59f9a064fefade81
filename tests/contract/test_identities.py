from collections.abc import Iterator
from pathlib import Path

import pytest

from dolium.catalog.database import Database
from dolium.catalog.sqlite import SqliteDatabase
from dolium.testing.catalogs import CatalogSuite


class TestSqlite(CatalogSuite):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[Database]:
        database = SqliteDatabase(tmp_path)
        yield database
        database.close()
