"""DuckDB with its httpfs extension: Parquet and CSV written and queried in place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dolium.testing.server import Site
from tests.clients.documented import filled

duckdb = pytest.importorskip("duckdb")


@pytest.fixture
def sql(site: Site, tmp_path: Any) -> Iterator[Any]:
    extension = pytest.importorskip("duckdb_extension_httpfs")
    (file,) = Path(extension.__file__).parent.rglob("httpfs.duckdb_extension")
    with duckdb.connect(config={"extension_directory": str(tmp_path)}) as connection:
        connection.execute(f"LOAD '{file}'")
        connection.execute(filled("duckdb", site))
        yield connection


def test_parquet_is_written_and_queried(sql: Any, bucket: str) -> None:
    sql.execute(f"COPY (SELECT range AS n, range % 7 AS k FROM range(100000)) TO 's3://{bucket}/n.parquet'")
    got = sql.execute(
        f"SELECT k, count(*), sum(n) FROM 's3://{bucket}/n.parquet' GROUP BY k ORDER BY k"
    ).fetchall()
    assert got == [(k, len(range(k, 100000, 7)), sum(range(k, 100000, 7))) for k in range(7)]


def test_partitions_and_globs(sql: Any, bucket: str) -> None:
    sql.execute(
        f"COPY (SELECT range AS n, range % 3 AS k FROM range(300)) "
        f"TO 's3://{bucket}/ds' (FORMAT parquet, PARTITION_BY (k))"
    )
    total = sql.execute(f"SELECT sum(n) FROM read_parquet('s3://{bucket}/ds/k=*/*.parquet') WHERE k = 1")
    assert total.fetchone() == (sum(range(1, 300, 3)),)
    sql.execute(f"COPY (SELECT 1 AS a, 'x y' AS b) TO 's3://{bucket}/a b+c.csv'")
    assert sql.execute(f"FROM read_csv('s3://{bucket}/a b+c.csv')").fetchall() == [(1, "x y")]
