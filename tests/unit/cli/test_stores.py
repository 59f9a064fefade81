import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dolium.cli import store_repair
from dolium.config.native import read_settings
from dolium.movers.scrub import claim as claim_work
from dolium.movers.scrub import hold
from dolium.objects.blob_keys import blob_key
from dolium.server.claim import claim
from dolium.server.first_run import arrive
from dolium.stores.leaves.disk import Disk
from tests.unit.cli.conftest import Run


def leave(data: Path, *, ago_ns: int = 0) -> Path:
    """A blob that nothing names."""
    path = data / "store" / blob_key(time.time_ns() - ago_ns, os.urandom(6).hex())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"orphan")
    return path


def test_stores_are_listed_with_their_fill(run: Run, data: Path) -> None:
    record = run("store", "list", "--json").record
    assert (record["name"], record["kind"], record["state"], record["up"]) == (
        "default",
        "disk",
        "online",
        True,
    )
    assert record["uuid"] == Disk.initialise(data / "store")
    assert 0 < record["free"] <= record["total"]
    assert record["used"] == pytest.approx(1 - record["free"] / record["total"], abs=0.01)
    table = run("store", "list").out
    assert "default" in table
    assert "iB" in table


def test_a_store_that_is_down_is_listed_too(run: Run, data: Path) -> None:
    (data / "store" / ".dolium-store.json").unlink()
    record = run("store", "list", "--json").record
    assert (record["up"], record["total"], record["used"]) == (False, None, None)
    assert "is its disk mounted" in record["problem"]
    assert run("store", "list").code == 0
    assert run("store", "sweep").code == 6


def test_orphans_are_listed_and_swept(run: Run, data: Path) -> None:
    path = leave(data)
    record = run("store", "orphans", "--json").record
    assert record["blob"] == str(path.relative_to(data / "store"))
    assert (record["size"], record["lost"], record["key"]) == (6, False, None)
    assert path.name in run("store", "orphans").out
    swept = run("store", "sweep", "--json").record
    assert swept == {"store": "default", "temporaries": 0, "orphans": 1, "bytes": 6, "lost": 0}
    assert not path.exists()
    assert "0 blobs of garbage deleted" in run("store", "sweep").out


def test_while_the_folder_is_served_the_last_week_is_left_alone(run: Run, data: Path) -> None:
    young, old = leave(data), leave(data, ago_ns=8 * 86400 * 10**9)
    held = claim(data)
    try:
        assert run("store", "sweep", "--json").record["orphans"] == 1
    finally:
        os.close(held)
    assert young.exists()
    assert not old.exists()
    assert run("store", "sweep", "--json").record["orphans"] == 1
    assert not young.exists()


@pytest.fixture
def pair(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store of the folder beside another one."""
    config = tmp_path / "dolium.yml"
    members = f"{{id: default, type: disk, files_dir: {data / 'store'}}}, {{id: b, type: disk, files_dir: {tmp_path / 'b'}}}"
    config.write_text(f"stores: {{type: replicated, id: pair, backends: [{members}]}}\n")
    monkeypatch.setenv("DOLIUM_CONFIG", str(config))
    arrive(replace(read_settings(config, {}), data=data), None)
    return tmp_path / "b"


def test_a_replicated_store_and_its_members(run: Run, pair: Path) -> None:
    records = {record["name"]: record for record in run("store", "list", "--json").records}
    assert {name: (record["group"], record["members"], record["repairs"]) for name, record in records.items()} == {
        "pair": (None, ["default", "b"], 0), "default": ("pair", None, 0), "b": ("pair", None, 0),
    }  # fmt: skip
    assert "GROUP  REPAIRS" in run("store", "list").out
    assert run("store", "repair", "--json").records == [
        {"group": "pair", "member": name, "repairs": 0, "filled": True} for name in ("default", "b")
    ]
    (pair / ".dolium-store.json").unlink()
    records = {record["name"]: record for record in run("store", "list", "--json").records}
    assert [records[name]["up"] for name in ("pair", "default", "b")] == [False, True, False]
    assert run("store", "probe", "pair").code == 6


def test_copies_are_made_by_one_at_a_time(
    run: Run, data: Path, pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = hold(data, "repair")
    assert held is not None
    monkeypatch.setattr(store_repair, "claim", lambda folder, work: claim_work(folder, work, patience=0.1))
    ran = run("store", "repair")
    assert (ran.code, ran.out) == (4, "")
    assert "another dolium store repair is at work" in ran.err
    os.close(held)
    assert run("store", "repair", "--rate", "10MiB/s").out.startswith("0 copies made\n")
    assert run("store", "repair", "--rate", "fast").code == 2
