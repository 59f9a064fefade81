"""Icechunk: transactions on a bucket, which conditional writes alone make safe."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dolium.testing.server import Site

icechunk = pytest.importorskip("icechunk")
zarr = pytest.importorskip("zarr")

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")


@pytest.fixture
def repository(site: Site, bucket: str) -> Any:
    storage = icechunk.s3_storage(
        bucket=bucket,
        prefix="repository",
        endpoint_url=site.url,
        access_key_id=site.access_key,
        secret_access_key=site.secret_key,
        region=site.region,
        allow_http=not site.secure,
        force_path_style=True,
    )
    made = icechunk.Repository.create(storage)
    session = made.writable_session("main")
    root = zarr.group(store=session.store)
    root.create_array("temperature", shape=(8, 1024), chunks=(1, 1024), dtype="f8", compressors=None)[:] = 0.0
    session.commit("start")
    return made


def test_two_racing_commits_one_wins_none_is_lost(repository: Any) -> None:
    """Both begin at one snapshot and commit at one moment; the loser rebases, and both rows are there."""
    sessions = [repository.writable_session("main") for _ in range(2)]
    for row, session in enumerate(sessions):
        zarr.open_group(session.store)["temperature"][row] = row + 1.0
    start = threading.Barrier(2)

    def commit(number: int) -> bool:
        start.wait()
        try:
            sessions[number].commit(f"row {number}")
        except icechunk.ConflictError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        outcome = list(pool.map(commit, range(2)))
    assert sorted(outcome) == [False, True]

    loser = sessions[outcome.index(False)]
    loser.rebase(icechunk.ConflictDetector())
    loser.commit("after a rebase")
    read = zarr.open_group(repository.readonly_session("main").store, mode="r")["temperature"]
    assert (read[0] == 1.0).all()
    assert (read[1] == 2.0).all()
    assert next(one.message for one in repository.ancestry(branch="main")) == "after a rebase"


def test_eight_writers_of_one_branch(repository: Any) -> None:
    """Each commits its row, rebasing as often as it must: every row and every commit is there."""

    def write(row: int) -> None:
        session = repository.writable_session("main")
        zarr.open_group(session.store)["temperature"][row] = row + 1.0
        session.commit(f"row {row}", rebase_with=icechunk.ConflictDetector(), rebase_tries=50)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    read = zarr.open_group(repository.readonly_session("main").store, mode="r")["temperature"]
    assert [read[row, 0] for row in range(8)] == [row + 1.0 for row in range(8)]
    messages = {one.message for one in repository.ancestry(branch="main")}
    assert messages >= {f"row {row}" for row in range(8)}


def test_tags_and_garbage_collection(repository: Any) -> None:
    first = next(iter(repository.ancestry(branch="main"))).id
    repository.create_tag("v1", snapshot_id=first)
    session = repository.writable_session("main")
    zarr.open_group(session.store)["temperature"][:] = 5.0
    session.commit("all fives")
    old = zarr.open_group(repository.readonly_session(tag="v1").store, mode="r")["temperature"]
    assert (old[:] == 0.0).all()
    repository.create_branch("doomed", snapshot_id=first)
    doomed = repository.writable_session("doomed")
    zarr.open_group(doomed.store)["temperature"][:] = 7.0
    doomed.commit("nobody will miss it")
    repository.delete_branch("doomed")
    collected = repository.garbage_collect(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1))
    assert collected.snapshots_deleted == 1
    assert collected.chunks_deleted == 8
    new = zarr.open_group(repository.readonly_session("main").store, mode="r")["temperature"]
    assert (new[:] == 5.0).all()
