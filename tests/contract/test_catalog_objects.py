"""Both suites of the catalog on SQLite; the listing against a model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolium.catalog import buckets, listing, tenancies
from dolium.catalog.database import Database
from dolium.catalog.sqlite import SqliteDatabase
from dolium.testing.catalog_objects import ObjectSuite, put


class TestSqliteObjects(ObjectSuite):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[Database]:
        database = SqliteDatabase(tmp_path)
        yield database
        database.close()


letters = st.text(alphabet="ab/é", min_size=0, max_size=5)


def model(keys: set[str], prefix: str, delimiter: str, after: str) -> list[str]:
    """What S3's documentation says a listing has, computed the slow way."""
    found = set()
    for key in keys:
        if not key.startswith(prefix):
            continue
        rest = key[len(prefix) :]
        name = key
        if delimiter and delimiter in rest:
            name = prefix + rest[: rest.index(delimiter) + len(delimiter)]
            # A page that ended with this prefix, or with a key in it, has told of it.
            if after.startswith(name):
                continue
        if name > after or (name != key and key > after and name >= after):
            found.add(name)
    return sorted(found, key=str.encode)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.sets(letters.filter(bool), max_size=40),
    prefix=letters,
    delimiter=st.sampled_from(["", "/", "a", "/a", "é"]),
    after=letters,
    limit=st.integers(1, 7),
)
def test_a_listing_is_what_the_model_says(
    tmp_path_factory: pytest.TempPathFactory,
    keys: set[str],
    prefix: str,
    delimiter: str,
    after: str,
    limit: int,
) -> None:
    database = SqliteDatabase(tmp_path_factory.mktemp("listing"))
    try:
        tenancy = database.write(lambda tx: tenancies.add(tx, "t"))
        bucket = database.write(lambda tx: buckets.create(tx, tenancy.id, "bucket", None))
        for key in keys:
            put(database, bucket, key)
        found: list[str] = []
        position: str | None = after
        while position is not None:
            with database.reading() as read:
                page = listing.list_objects(
                    read, bucket.id, prefix=prefix, delimiter=delimiter, after=position, limit=limit
                )
            assert len(page.entries) + len(page.prefixes) <= limit
            found += sorted([entry.key for entry in page.entries] + page.prefixes, key=str.encode)
            position = page.next_after
        assert found == model(keys, prefix, delimiter, after)
    finally:
        database.close()
