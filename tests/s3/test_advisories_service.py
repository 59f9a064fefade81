"""Holes in how other servers run beside their requests: each test is named after the advisory that it mirrors."""

import ast
import base64
import gzip
import hashlib
import time
from pathlib import Path

import pytest

from dolium.errors import ConfigError
from dolium.testing.server import LiveServer
from tests.s3.client import Client, target
from tests.s3.conftest import Stage
from tests.s3.inside import Inside

_SOURCE = Path(__file__).parents[2] / "src" / "dolium"
_CALLS_OUT = {"urllib.request", "http.client", "requests", "httpx", "aiohttp", "smtplib", "ftplib", "xmlrpc"}


def test_advisory_cve_2021_21287_nothing_here_calls_out() -> None:
    """MinIO (and SeaweedFS, CVE-2026-73080) fetched what a request named. No part of the service connects anywhere but
    remote stores, to where the configuration says.
    """
    for path in _SOURCE.rglob("*.py"):
        if {"testing", "leaves"} & set(path.relative_to(_SOURCE).parts):
            continue
        tree = ast.parse(path.read_text())
        named = {
            name
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names] if isinstance(node, ast.Import)
                else [f"{node.module}.{alias.name}" for alias in node.names] + [node.module or ""]
                if isinstance(node, ast.ImportFrom) else []
            )
        }  # fmt: skip
        assert not named & _CALLS_OUT, path
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not called & {"connect_ex", "create_connection", "open_connection", "sock_connect"}, path


def test_advisory_cve_2026_72920_there_is_no_second_door(tmp_path: Path) -> None:
    """SeaweedFS had a port of its own for administration, which asked nobody for a key."""
    with LiveServer(tmp_path) as server:
        mine = set()
        for pid in (server.pid, *server.workers):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                name = entry.readlink().name if entry.is_symlink() else ""
                if name.startswith("socket:"):
                    mine.add(name[8:-1])
        ports = set()
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                words = line.split()
                if words[9] in mine and (words[3] == "0A" or table.startswith("udp")):
                    ports.add(int(words[1].rpartition(":")[2], 16))
        assert ports == {int(site.host.rpartition(":")[2]) for site in (server.http, server.https)}
        unix = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
        assert not [words for words in unix if words[6] in mine and len(words) > 7], "a socket with a name"


@pytest.mark.parametrize(
    "path",
    ["/rc/noop", "/core/command", "/operations/list", "/config/create", "/minio/admin/v3/add-user", "/v1/key",
     "/-/reload", "/cluster/status", "/dir/assign", "/rustfs/rpc/read", "/xmlrpc", "/api/v1/users"],
)  # fmt: skip
def test_advisory_cve_2026_41176_no_address_is_a_command(inside: Inside, path: str) -> None:
    """rclone's remote control (CVE-2026-41179, CVE-2026-49980) ran what it was sent. Here a path names a bucket."""
    before = inside.dump()
    for method in ("GET", "POST", "PUT"):
        body = b'{"command": "id", "fs": ":local,inline:/"}'
        answer = inside.admin.send(method, path, {"content-type": "application/json"}, body)
        assert answer.status in {403, 405, 501}, answer
        assert inside.admin.ask("POST", path, {"content-type": "application/json"}, body).status in {
            404,
            405,
            501,
        }
    assert inside.dump() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-auth-token", "gAAAA"), ("x-user-id", "1"), ("x-roles", "admin"), ("x-is-admin-project", "true"),
     ("x-identity-status", "Confirmed"), ("remote-user", "admin"), ("x-forwarded-user", "admin"), ("x-remote-user", "admin"),
     ("x-service-token", "x"), ("cookie", "token=admin"), ("x-amz-security-token", "admin"), ("proxy-authorization", "Basic x")],
)  # fmt: skip
def test_advisory_cve_2026_22797_no_header_says_who_asks(
    inside: Inside, admin: Client, own: str, name: str, value: str
) -> None:
    """keystonemiddleware believed identity headers of the client. Only a signature says who asks."""
    admin.put(own, "k", b"x")
    viewer = inside.member("vera", "viewer")
    for header in (name, name.replace("-", "_"), name.title()):
        assert admin.send("GET", target(own, "k"), {header: value}).status == 403
        assert admin.send("GET", "/", {header: value}).status == 403
        assert viewer.ask("DELETE", target(own, "k"), {header: value}).status == 403
    assert admin.get(own, "k") == b"x"


def test_advisory_cve_2023_43040_a_form_writes_to_no_bucket(inside: Inside, admin: Client, own: str) -> None:
    """Ceph took the bucket of a form from its fields. A form is not taken at all, wherever it is sent."""
    before = inside.dump()
    fields = {"bucket": own, "key": "${filename}", "policy": "e30=", "x-amz-algorithm": "AWS4-HMAC-SHA256"}
    body = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    body += '--b\r\nContent-Disposition: form-data; name="file"; filename="k"\r\n\r\nhostile\r\n--b--\r\n'
    for path in (f"/{own}", f"/{own}/", f"/{own}/k", "/", "/absent"):
        for ask in (admin.send, admin.ask):
            answer = ask("POST", path, {"content-type": "multipart/form-data; boundary=b"}, body.encode())
            assert answer.status in {403, 404, 405, 501}, (path, answer)
    assert inside.dump() == before


def test_advisory_cve_2025_30156_what_is_sealed_cannot_be_changed(inside: Inside) -> None:
    """Ceph sealed with AES-CBC, where bits can be turned. A row of the catalog that was changed opens nothing."""
    one, two = inside.key(None), inside.key(None)
    rows: dict[str, bytes] = dict(
        inside.service.database.all("SELECT key_id, secret_sealed FROM access_keys")
    )
    number = inside.tenancy_id()
    for at in range(len(rows[one.key_id])):
        changed = bytearray(rows[one.key_id])
        changed[at] ^= 1
        with pytest.raises(ConfigError):
            inside.sealer.open(bytes(changed), tenancy_id=number, key_id=one.key_id)
    with pytest.raises(ConfigError):  # the secret of one key under the name of another
        inside.sealer.open(rows[one.key_id], tenancy_id=number, key_id=two.key_id)
    with pytest.raises(ConfigError):
        inside.sealer.open(rows[one.key_id], tenancy_id=number + 1, key_id=one.key_id)
    assert (
        inside.sealer.open(rows[one.key_id], tenancy_id=number, key_id=one.key_id).reveal()
        == one.secret.reveal()
    )


def test_advisory_rustfs_ghsa_f4vq_archives_are_not_opened(inside: Inside, admin: Client, own: str) -> None:
    """RustFS unpacked what an archive named (`../`). Nothing is unpacked here: not by a header, not a gzip bomb."""
    bomb = gzip.compress(bytes(20 << 20))
    assert len(bomb) < 100_000
    for name in ("x-amz-meta-snowball-auto-extract", "x-minio-extract"):
        answer = admin.ask("PUT", target(own, "archive.tar"), {name: "true"}, bomb)
        assert answer.status in {200, 501}
        assert admin.keys(own) in ([], ["archive.tar"])
    admin.put(own, "bomb", bomb, content_encoding="gzip")
    head = admin.done("HEAD", target(own, "bomb"))
    assert (head.headers["content-length"], head.headers["content-encoding"]) == (str(len(bomb)), "gzip")
    assert admin.get(own, "bomb") == bomb
    document = gzip.compress(b"<Delete><Object><Key>bomb</Key></Object></Delete>")
    answer = admin.ask(
        "POST", f"/{own}?delete", {"content-encoding": "gzip", "content-md5": _md5(document)}, document
    )
    assert (answer.status, answer.code) == (400, "MalformedXML")
    assert admin.has(own, "bomb")


def test_advisory_ceph_72502_a_long_name_is_the_clients_fault(stage: Stage) -> None:
    """Ceph answered 500 to a key that was too long for its disk."""
    for key in ("k" * 1025, "k/" * 513, "é" * 513):
        stage.refused((400, "KeyTooLongError"), "PUT", target(stage.bucket, key), body=b"x")
    long = "s" * 1024  # one name of a path that no file system has room for
    stage.client.put(stage.bucket, long, b"x")
    assert stage.client.get(stage.bucket, long) == b"x"
    stage.client.done("DELETE", target(stage.bucket, long))


def test_advisory_garage_543_the_clock_decides_no_order(
    inside: Inside, admin: Client, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garage kept the older of two writes where a clock went back. Here the later write stays, and its date too."""
    for size in (10, 50_000):
        admin.put(own, "k", b"a" * size)
        first = admin.done("HEAD", target(own, "k")).headers["last-modified"]
        with monkeypatch.context() as patch:
            back = time.time_ns() - 3600 * 10**9
            patch.setattr("dolium.catalog.sqlite.time.time_ns", lambda back=back: back)
            admin.put(own, "k", b"b" * size)
            assert admin.get(own, "k") == b"b" * size
            assert admin.done("HEAD", target(own, "k")).headers["last-modified"] == first
        admin.put(own, "k", b"c" * size)
        assert admin.get(own, "k") == b"c" * size


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()
