"""An older catalog is brought back: what it does not know is kept, and told of."""

import json
import shutil
from pathlib import Path

import apsw
import pytest

from dolium.cli.main import main
from dolium.testing.checker import check
from dolium.testing.crashes import Crashes
from dolium.testing.server import LiveServer, NotReadyError
from tests.drills.points import AFTER_A_RESTORE
from tests.s3.client import Client

FILE = b"larger than what lies in the catalog " * 1000


def _orphans(data: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main(["store", "orphans", "--json", "--data", str(data)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in its folder", "on another machine"])
def test_what_an_older_catalog_does_not_know_is_kept(
    server: LiveServer, crashes: Crashes, capsys: pytest.CaptureFixture[str], elsewhere: bool
) -> None:
    client = Client(server.http)
    with server:
        client.make_bucket("climate")
        client.put("climate", "old", FILE)
    backup = server.folder / "backup.sqlite"
    connection = apsw.Connection(str(server.data / "catalog.sqlite"))
    connection.execute("VACUUM INTO ?", (str(backup),)).fetchall()
    connection.close()
    server.start()
    client.put("climate", "new", FILE + b"new")
    upload = client.begin("climate", "parts")
    client.complete(
        "climate", "parts", upload, {1: client.put_part("climate", "parts", upload, 1, FILE + b"part")}
    )
    crashes.arm("put.reserved", "put.stored", group=server.pid)
    with pytest.raises(OSError):
        client.put("climate", "never acknowledged", FILE)
    server.kill()
    crashes.disarm()
    for left in server.data.glob("catalog.sqlite*"):
        left.unlink()
    shutil.copy2(backup, server.data / "catalog.sqlite")
    if elsewhere:
        (server.data / "catalog.shared").unlink()
    # Killed before it was written down, it is found again.
    crashes.arm(*AFTER_A_RESTORE)
    with pytest.raises(NotReadyError):
        server.start()
    crashes.disarm()
    with server:
        assert client.get("climate", "old") == FILE
        assert not client.has("climate", "new")
        client.put("climate", "newest", FILE)
    lost = _orphans(server.data, capsys)
    assert all(orphan["lost"] for orphan in lost)
    assert {(orphan["bucket"], orphan["key"]) for orphan in lost} >= {
        ("climate", "new"),
        ("climate", "parts"),
    }
    assert main(["store", "sweep", "--data", str(server.data)]) == 0
    assert _orphans(server.data, capsys) == lost
    report = check(server.data)
    assert report.problems == []
    assert report.orphans == [orphan["blob"] for orphan in lost]
    assert main(["store", "sweep", "--even-lost", "--data", str(server.data)]) == 0
    assert check(server.data).leftovers == []
    with server:
        assert (client.get("climate", "old"), client.get("climate", "newest")) == (FILE, FILE)
