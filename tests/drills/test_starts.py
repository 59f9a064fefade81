"""Killed while it starts: for the first time, on a catalog of an older schema, and on what a crash has left."""

import socket
from pathlib import Path

import apsw
import pytest

from dolium.testing.checker import check
from dolium.testing.crashes import Crashes
from dolium.testing.server import LiveServer, NotReadyError
from tests.drills.conftest import swept, until
from tests.drills.points import AT_A_START, IN_A_SWEEP
from tests.drills.wire import BrokenError, DownError
from tests.s3.client import Client, head_of
from tests.s3.signing import sign_v4

FILE = b"larger than what lies in the catalog " * 1000


def start_killed_at(server: LiveServer, crashes: Crashes, point: str) -> None:
    crashes.arm(point)
    with pytest.raises(NotReadyError):
        server.start()
    assert crashes.struck
    crashes.disarm()


def end_and_check(server: LiveServer) -> None:
    server.kill()
    assert check(server.data).problems == []
    after = swept(server.data)
    assert (after.problems, after.leftovers) == ([], [])


def stored(server: LiveServer) -> list[str]:
    """Every file in the store but its identity."""
    return [
        path.name
        for path in (server.data / "store").rglob("*")
        if path.is_file() and path.name != ".dolium-store.json"
    ]


@pytest.mark.parametrize("point", AT_A_START)
def test_a_first_start_that_is_killed_is_made_again(server: LiveServer, crashes: Crashes, point: str) -> None:
    start_killed_at(server, crashes, point)
    server.start()
    try:
        client = Client(server.http)
        client.make_bucket("first")
        client.put("first", "file", FILE)
        assert client.get("first", "file") == FILE
    finally:
        end_and_check(server)


def _go_back_to_the_first_schema(data: Path) -> None:
    connection = apsw.Connection(str(data / "catalog.sqlite"))
    for sql in (
        "DROP TABLE origin", "DROP TABLE manifest", "DROP TABLE backups", "DROP INDEX garbage_held",
        "ALTER TABLE garbage DROP COLUMN since_ms", "ALTER TABLE garbage DROP COLUMN held",
        "DROP INDEX objects_of_blob", "DROP INDEX objects_of_manifest", "DROP INDEX parts_of_blob",
        "DROP INDEX garbage_of_blob", "DROP TABLE losses", "ALTER TABLE stores DROP COLUMN fence_ns",
        "ALTER TABLE stores DROP COLUMN walked_ns", "DROP TABLE damage", "DROP TABLE scrubs",
        "DROP INDEX objects_of_upload", "ALTER TABLE objects DROP COLUMN damaged",
        "ALTER TABLE bodies DROP COLUMN crc", "ALTER TABLE stores DROP COLUMN state_set", "DROP TABLE replicas",
        "DROP TABLE repairs", "PRAGMA user_version = 1",
    ):  # fmt: skip
        connection.execute(sql).fetchall()
    connection.close()


@pytest.mark.parametrize("point", ["migrate.changed", "migrate.committed"])
def test_a_migration_that_is_killed_is_made_again(server: LiveServer, crashes: Crashes, point: str) -> None:
    with server:
        client = Client(server.http)
        client.make_bucket("older")
        client.put("older", "small", b"small")
        client.put("older", "file", FILE)
    _go_back_to_the_first_schema(server.data)
    start_killed_at(server, crashes, point)
    server.start()
    try:
        assert (client.get("older", "small"), client.get("older", "file")) == (b"small", FILE)
        client.put("older", "newer", FILE)
    finally:
        end_and_check(server)


@pytest.mark.parametrize("point", IN_A_SWEEP)
def test_what_a_crash_left_is_swept_after_the_next_start(
    server: LiveServer, crashes: Crashes, point: str
) -> None:
    server.start()
    client = Client(server.http)
    client.make_bucket("left")
    client.put("left", "kept", FILE)
    for path in (("disk.written",), ("disk.sidecar",), ("put.reserved", "put.stored")):
        crashes.arm(*path, group=server.pid)
        with pytest.raises((BrokenError, DownError, OSError)):
            client.put("left", "\x01" * 900, FILE)
        crashes.wait()
        server.kill()
        crashes.disarm()
        if path != ("put.reserved", "put.stored"):
            server.start()
    before = check(server.data)
    assert before.problems == []
    assert before.orphans
    crashes.arm(point)
    server.start()
    try:
        crashes.wait()  # it is the worker that sweeps; another goes on
        assert until(lambda: len(stored(server)) == 1), stored(server)
        assert client.get("left", "kept") == FILE
    finally:
        server.kill()
    report = check(server.data)
    assert (report.problems, report.leftovers) == ([], [])


def test_a_sweep_beside_the_service_leaves_uploads_alone(server: LiveServer) -> None:
    with server:
        client = Client(server.http)
        client.make_bucket("busy")
        upload = client.begin("busy", "key")
        etag = client.put_part("busy", "key", upload, 1, FILE)
        body = FILE * 100
        half = len(body) // 2
        signed, _ = sign_v4(server.http, "PUT", "/busy/slow", {"content-length": str(len(body))})
        with socket.create_connection(
            ("127.0.0.1", int(server.http.host.rpartition(":")[2])), timeout=20
        ) as slow:
            slow.sendall(head_of("PUT", "/busy/slow", signed) + body[:half])
            assert until(lambda: len(stored(server)) == 2)
            assert swept(server.data).problems == []
            slow.sendall(body[half:])
            assert slow.recv(100).startswith(b"HTTP/1.1 200 ")
        assert client.get("busy", "slow") == body
        assert client.complete("busy", "key", upload, {1: etag}).status == 200
        assert client.get("busy", "key") == FILE
