"""`dolium scrub`: what it prints, and by what it ends."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dolium.catalog import buckets, tenancies
from dolium.catalog.sqlite import SqliteDatabase
from dolium.cli import scrub as module
from dolium.config.settings import Settings
from dolium.movers import look
from dolium.movers.look import Verdict
from dolium.movers.scrub import claim
from dolium.objects.put import Intake, PutRequest
from dolium.server.wiring import open_service
from tests.unit.cli.conftest import Run
from tests.unit.stores.test_disk_sums import flip

FILE = b"f" * 200_000


@pytest.fixture
def files(data: Path) -> dict[str, Path]:
    """Two objects in the store, and one in the catalog."""
    settings = replace(Settings(data=data), min_free=0)
    service, _ = open_service(SqliteDatabase(data), settings)
    tenancy = tenancies.get(service.database, "main")
    bucket = service.database.write(lambda tx: buckets.create(tx, tenancy.id, "cmip", None))
    found = {}
    for key, body in (("run/1", FILE), ("run/2", FILE), ("small", b"small")):
        intake = Intake(service, bucket, PutRequest(key, None, "[]", len(body)))
        intake.write(body)
        row = intake.finish().result()
        if row.blob_key:
            found[key] = settings.store_root / row.blob_key
    service.close()
    return found


def test_a_clean_one(run: Run, files: dict[str, Path]) -> None:
    assert run("scrub", "--status").out == "nothing has been scrubbed yet\n"
    ran = run("scrub")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].startswith("scrub 1, begun 2")
    assert "ended" in lines[0]
    assert lines[1:] == [
        "1 inline objects and 2 blobs, 390.6 KiB; 0 got checksums, 0 could be held against nothing",
        "nothing is damaged",
    ]
    record = run("scrub", "--json", "--rate", "none").record
    assert (record["scrub"], record["inline"], record["blobs"], record["damaged"]) == (2, 1, 2, 0)
    assert record["bytes"] == 2 * len(FILE) + 5
    assert record["ended"]
    assert run("scrub", "--status").out.startswith("scrub 2, ")
    assert files


def test_damage_is_told_until_it_is_mended(run: Run, files: dict[str, Path]) -> None:
    flip(files["run/1"], 150_000)
    assert run("scrub", "--status").code == 0, "nobody has looked"
    ran = run("scrub")
    assert ran.code == 1
    assert ran.out.splitlines()[2].split() == [
        "STATE",
        "TENANCY",
        "BUCKET",
        "KEY",
        "PART",
        "WHAT",
        "STORE",
        "BLOB",
    ]
    assert "corrupt  main     cmip    run/1  -     the bytes from 131072 on are not those that" in ran.out
    for arguments in (["scrub", "--status", "--json"], ["scrub", "--json"], ["scrub", "--recheck", "--json"]):
        ran = run(*arguments)
        assert ran.code == 1
        summary, finding = ran.records
        assert summary["damaged"] == 1
        assert (finding["bucket"], finding["key"], finding["state"]) == ("cmip", "run/1", "corrupt")
        assert str(files["run/1"]).endswith(finding["blob"])
    flip(files["run/1"], 150_000)
    assert run("scrub", "--status").code == 1, "nobody has looked again"
    ran = run("scrub", "--recheck")
    assert ran.code == 0
    assert "nothing is damaged" in ran.out


def test_what_cannot_be_looked_at(
    run: Run, files: dict[str, Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = claim(data)
    assert held is not None
    monkeypatch.setattr(module, "claim", lambda folder: claim(folder, patience=0.1))
    ran = run("scrub")
    assert (ran.code, ran.out) == (2, "")
    assert "another dolium scrub is at work" in ran.err
    assert run("scrub", "--status").code == 0
    os.close(held)
    store = data / "store"
    store.rename(tmp_path / "aside")
    ran = run("scrub")
    assert ran.code == 2
    assert "is its disk mounted?" in ran.err
    (tmp_path / "aside").rename(store)
    ran = run("scrub", "--status", "--json")
    assert ran.code == 0
    assert ran.record["ended"] is None
    assert ran.record["place"] == {"stage": "left", "left": {"1": ["", 0]}}
    assert "not ended, now at the stores that were down" in run("scrub", "--status").out
    assert run("scrub").code == 0
    assert run("scrub", "--data", str(tmp_path / "none")).code == 2
    assert run("scrub", "--rate", "fast").code == 2
    assert run("scrub", "--status", "--recheck").code == 2
    assert files


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_ends_and_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    real = look.at_blob

    def interrupted(*given: Any) -> Verdict:
        os.kill(os.getpid(), number)
        return real(*given)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(look, "at_blob", interrupted)
        ran = run("scrub", "--json")
    assert ran.code == 2, "not all of it was looked at"
    assert (ran.record["ended"], ran.record["inline"], ran.record["blobs"]) == (None, 1, 0)
    assert signal.getsignal(number) == before
    record = run("scrub", "--json").record
    assert (record["scrub"], record["inline"], record["blobs"]) == (1, 1, 2)
