"""A command that is killed beside the service: what it has committed holds in every worker at once."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from dolium.testing.crashes import Crashes
from dolium.testing.server import LiveServer, Site
from tests.drills.conftest import CONFIG
from tests.s3.client import Client


def _ask_until(ends: threading.Event, client: Client) -> None:
    while not ends.is_set():
        assert client.ask("GET", "/").status in {200, 403}


def test_a_revoked_key_is_refused_though_nobody_was_told(tmp_path: Path) -> None:
    crashes = Crashes(tmp_path / "crashes")

    def dolium(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dolium", *arguments, "--data", str(server.data)],
            capture_output=True, text=True, check=False, env={**os.environ, **crashes.environment},
        )  # fmt: skip

    server = LiveServer(tmp_path, config=CONFIG)
    with server:
        key = json.loads(dolium("key", "issue", "--person", "admin", "--json").stdout)
        client = Client(Site(server.http.url, key["access_key"], key["secret_key"]))
        # Meanwhile every worker is asked all the time, and so remembers the key as it was before the commit.
        ends = threading.Event()
        askers = [threading.Thread(target=_ask_until, args=(ends, client)) for _ in range(6)]
        for asker in askers:
            asker.start()
        crashes.arm("catalog.committed")
        revoked = dolium("key", "revoke", key["access_key"])
        ends.set()
        for asker in askers:
            asker.join()
        assert revoked.returncode == -9
        # Every connection may be another worker's.
        for _ in range(16):
            client.refused((403, "InvalidAccessKeyId"), "GET", "/")
