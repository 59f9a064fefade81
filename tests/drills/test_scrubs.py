"""A scrub that is killed at each of its steps, as a command and in the service: the next one ends it, and tells all."""

import os
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest

from dolium.testing.checker import check
from dolium.testing.crashes import Crashes
from dolium.testing.server import LiveServer
from tests.drills.conftest import CONFIG, swept
from tests.drills.points import IN_A_SCRUB
from tests.s3.client import Client, target
from tests.unit.stores.test_disk_sums import flip

FILE = b"larger than what lies in the catalog " * 1000


def blobs(data: Path) -> dict[str, Path]:
    connection = apsw.Connection(str(data / "catalog.sqlite"))
    rows = connection.execute("SELECT key, blob_key FROM objects WHERE blob_key IS NOT NULL").fetchall()
    connection.close()
    return {str(key): data / "store" / str(blob) for key, blob in rows}


def prepare(server: LiveServer) -> dict[str, Path]:
    """Two sound objects, one that has rotted, and one without checksums, behind the server's back."""
    client = Client(server.http)
    client.make_bucket("rot")
    for key in ("a", "older", "rotten", "z"):
        client.put("rot", key, FILE)
    client.put("rot", "small", b"small")
    found = blobs(server.data)
    flip(found["rotten"], 30_000)
    os.removexattr(found["older"], "user.dolium.sums")
    return found


def dolium(server: LiveServer, crashes: Crashes, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dolium", "scrub", *arguments, "--data", str(server.data)],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **crashes.environment},
    )  # fmt: skip


def only_the_rotten(server: LiveServer) -> None:
    problems = check(server.data).problems
    assert len(problems) == 2, problems
    assert any("not those of its ETag" in one for one in problems)


@pytest.mark.parametrize("point", IN_A_SCRUB)
def test_a_command_that_is_killed(tmp_path: Path, crashes: Crashes, point: str) -> None:
    server = LiveServer(tmp_path, config=f"{CONFIG}scrub: {{every: off}}\n", environment=crashes.environment)
    with server:
        found = prepare(server)
        crashes.arm(point)
        assert dolium(server, crashes).returncode == -9
        crashes.disarm()
        after = dolium(server, crashes)
        assert after.returncode == 1, after
        assert after.stdout.startswith("scrub 1, ")
        assert after.stdout.count("corrupt ") == 1
        assert "1 inline objects and 4 blobs" in after.stdout
        answer = Client(server.http).ask("GET", target("rot", "rotten"), {"range": "bytes=0-9"})
        assert (answer.status, answer.code) == (500, "InternalError")
    only_the_rotten(server)
    flip(found["rotten"], 30_000)
    assert dolium(server, crashes, "--recheck").returncode == 0
    report = swept(server.data)
    assert (report.problems, report.leftovers) == ([], [])


def test_a_worker_that_is_killed_while_it_scrubs(tmp_path: Path, crashes: Crashes) -> None:
    server = LiveServer(
        tmp_path,
        config=f"{CONFIG}scrub: {{every: 1s, rate: 1 GiB/s}}\n",
        environment=crashes.environment,
    )
    with server:
        crashes.arm("scrub.marked")
        prepare(server)
        crashes.wait()
        deadline = time.monotonic() + 20
        told = ""
        while "corrupt " not in told or "not ended" in told:
            assert time.monotonic() < deadline, told
            time.sleep(0.1)
            told = dolium(server, crashes, "--status").stdout
        answer = Client(server.http).ask("GET", target("rot", "rotten"), {"range": "bytes=0-9"})
        assert (answer.status, answer.code) == (500, "InternalError")
        assert Client(server.http).get("rot", "older") == FILE
    only_the_rotten(server)
