"""The catalog is destroyed under load, and made again from a backup and the store: what lay in blobs is there."""

import json
import time
from pathlib import Path

import apsw

from dolium.cli.main import main
from dolium.testing.checker import check
from dolium.testing.crashes import Crashes
from dolium.testing.server import LiveServer
from tests.clients.raw import target
from tests.drills.command import dolium
from tests.drills.conftest import swept, until
from tests.drills.load import Load
from tests.drills.points import WHILE_HOLDING
from tests.drills.versions import Version
from tests.drills.worker import BUCKET, Worker, listed_keys
from tests.s3.client import Client
from tests.unit.server.world import FILE

_INLINE = 16 << 10
CONFIG = "garbage_grace: 0s\nrequest_log: failures\nstore: {min_free: 0}\nbackup: {every: 0, hold: 1h}\n"


def test_what_lay_in_blobs_is_there(tmp_path: Path) -> None:
    server = LiveServer(tmp_path, config=CONFIG)
    server.start()
    load = Load(server.http, clients=6, seed=time.time_ns() % 1_000_000)
    try:
        client = Client(server.http)
        kept = {f"kept/{number}": b"small, from before the backup %d" % number for number in range(50)}
        for key, body in kept.items():
            client.put(BUCKET, key, body)
        load.resume()
        load.work(150)
        made = dolium(server.data, "backup", "--json")  # while all of them write
        assert made.returncode == 0, made
        load.work(400)
        load.pause()
        server.kill()
        for path in server.data.glob("catalog.*"):
            path.unlink()
        done = dolium(server.data, "rebuild", "--apply", "--json")
        assert done.returncode == 0, done
        *_, summary = map(json.loads, done.stdout.splitlines())
        assert summary["brought_back"] + summary["in_place_of_older"] > 0, summary
        assert check(server.data).problems == []
        assert swept(server.data).problems == []
        server.start()
        assert {key: client.get(BUCKET, key) for key in kept} == kept
        for worker in load.workers:
            worker.wire.close()
            _compare(worker)
        _listing_equals_reading(client)
        client.put(BUCKET, "w0/0", FILE)
        assert client.get(BUCKET, "w0/0") == FILE
    finally:
        load.end()
        server.kill()
    assert check(server.data).problems == []


def _compare(worker: Worker) -> None:
    """What was acknowledged last is there if it lay in blobs. Where a small object or a delete came last, which was in
    the catalog alone, an earlier version may stand, as a whole.
    """
    for key in worker.known:
        last = worker.known.present(key)
        answer = worker.wire.ask("GET", target(BUCKET, key))
        if last is not None and _lies_in_blobs(last):
            assert last.is_in(answer), (key, last, answer.status, len(answer.body))
        elif answer.status != 404:
            assert any(version.is_in(answer) for version in worker.known.past(key)), (key, answer)


def _lies_in_blobs(version: Version) -> bool:
    return len(version.body) > _INLINE or "-" in version.etag


def _listing_equals_reading(client: Client) -> None:
    answer = client.done("GET", f"/{BUCKET}?list-type=2&encoding-type=url")
    for key in listed_keys(answer):
        assert client.ask("HEAD", target(BUCKET, key)).status == 200


def _held(data: Path) -> int:
    """How much the catalog holds for a backup: blobs, and word of them."""
    connection = apsw.Connection(str(data / "catalog.sqlite"))
    try:
        [[count]] = connection.execute("SELECT count(*) FROM garbage WHERE held = 1").fetchall()
        return int(str(count))
    finally:
        connection.close()


def test_what_is_held_stays_and_is_known_as_deleted_though_the_sweep_was_killed(tmp_path: Path) -> None:
    crashes = Crashes(tmp_path / "crashes")
    server = LiveServer(tmp_path, config=CONFIG, environment=crashes.environment)
    client = Client(server.http)
    with server:
        client.make_bucket("climate")
        for key in ("deleted", "stays"):
            client.put("climate", key, FILE)
        assert main(["backup", "--data", str(server.data)]) == 0
        crashes.arm(*WHILE_HOLDING)
        client.done("DELETE", "/climate/deleted")
        crashes.wait()  # a worker; another takes over
        crashes.disarm()
        assert until(lambda: _held(server.data) >= 2)
    assert check(server.data).problems == []
    for path in server.data.glob("catalog.sqlite*"):
        path.unlink()
    *entries, _ = map(json.loads, dolium(server.data, "rebuild", "--apply", "--json").stdout.splitlines())
    assert [(entry["what"], entry["key"]) for entry in entries] == [("was deleted", "deleted")]
    with server:
        assert client.get("climate", "stays") == FILE
        assert not client.has("climate", "deleted")
    assert check(server.data).problems == []
