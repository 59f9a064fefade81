"""Holes through which other servers lost their secrets: each test is named after the advisory that it mirrors."""

import base64
import dataclasses
import os
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dolium.errors import ConfigError
from dolium.testing.server import LiveServer
from tests.s3.client import Client, target
from tests.s3.conftest import Stage
from tests.s3.inside import Inside
from tests.s3.signing import presign_v2, presign_v4, sign_v4


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server of our own, whose log can be read."""
    with LiveServer(tmp_path_factory.mktemp("secrets"), workers=1) as server:
        yield server


@pytest.mark.parametrize(
    "path",
    ["/_health/live", "/_health/ready", "/_metrics", "/_debug", "/_config", "/_api/v1/", "/_portal/",
     "/minio/bootstrap/v1/verify", "/minio/health/live", "/debug/pprof/", "/.env", "/server-status"],
)  # fmt: skip
def test_advisory_cve_2023_28432_no_page_tells_the_environment(served: LiveServer, path: str) -> None:
    """MinIO's bootstrap endpoint returned all of it, the root password too."""
    client = Client(served.http)
    for method in ("GET", "POST"):
        answer = client.send(method, path)
        told = answer.body.decode() + str(dict(answer.headers))
        for secret in (
            served.http.secret_key,
            "DOLIUM_SECRET",
            "PATH=",
            os.environ.get("HOME", "/root"),
            str(served.data),
        ):
            assert secret not in told
        if not path.startswith(("/_health", "/_metrics")):
            assert answer.status in {403, 405, 501}


def test_advisory_rustfs_ghsa_r54g_logs_hold_no_secret(served: LiveServer) -> None:
    """RustFS logged secrets, session tokens and HMACs (CVE-2026-22782, CVE-2026-45040, GHSA-3495)."""
    site = served.http
    client = Client(site)
    client.make_bucket("logged")
    client.put("logged", "k", b"body-that-is-secret")
    liar = dataclasses.replace(site, secret_key="wrong-secret-guess")
    token = "a-session-token-that-is-secret"
    signatures = []
    for owner in (site, liar):
        for url in (
            presign_v4(owner, "GET", "/logged/k", parameters={"X-Amz-Security-Token": token}),
            presign_v2(owner, "GET", "/logged/k"),
            presign_v4(owner, "GET", "/logged/never"),
        ):
            client.send("GET", url)
            signatures += [part.partition("=")[2] for part in url.split("&") if "ignature=" in part]
        headers, seed = sign_v4(owner, "PUT", "/logged/k", {"x-amz-security-token": token})
        client.send("PUT", "/logged/k", headers, b"body-that-is-secret")
        signatures.append(seed.signature)
    client.ask(
        "PUT", "/logged/k?nonsense", {"x-amz-meta-a": "metadata-that-is-secret"}, b"body-that-is-secret"
    )
    served.stop()
    log = served.log()
    served.start()
    assert '"path":"/logged/k"' in log
    assert len(signatures) == 8
    for secret in (
        site.secret_key,
        "wrong-secret-guess",
        token,
        "body-that-is-secret",
        "metadata-that-is-secret",
        *signatures,
    ):
        assert secret not in log


def test_advisory_cve_2025_68926_nothing_secret_is_the_same_twice(tmp_path: Path) -> None:
    """RustFS had a token in its source, SeaweedFS a host key (CVE-2026-100413), MinIO a session key of its id."""
    made = []
    for name in ("one", "two"):
        inside = Inside(tmp_path / name)
        made.append(
            (
                (inside.settings.data / "master.key").read_bytes(),
                inside.key(None).secret.reveal(),
                inside.key(None).key_id,
                inside.service.database.one("SELECT uuid FROM stores"),
                inside.service.database.one("SELECT canonical_id FROM tenancies"),
            )
        )
        inside.close()
    assert not set(made[0]) & set(made[1])
    assert all(len(base64.b64decode(master)) == 32 for master, *_ in made)
    source = Path(__file__).parents[2] / "src" / "dolium"
    code = "".join(path.read_text() for path in source.rglob("*.py") if "testing" not in path.parts)
    assert "minioadmin" not in code


def test_advisory_seaweedfs_plain_credentials_secrets_are_sealed(tmp_path: Path) -> None:
    """MinIO, SeaweedFS, Garage and versitygw keep secrets as they are. A copy of the catalog is worth nothing."""
    inside = Inside(tmp_path)
    credentials = inside.key(None)
    secrets = [credentials.secret.reveal(), inside.admin.site.secret_key]
    inside.close()
    files = [path for path in inside.settings.data.rglob("*") if path.is_file()]
    assert any(credentials.key_id.encode() in path.read_bytes() for path in files)
    for path in files:
        data = path.read_bytes()
        for secret in secrets:
            assert secret.encode() not in data, path
            assert base64.b64encode(secret.encode()) not in data, path
    master = inside.settings.data / "master.key"
    assert stat.S_IMODE(master.stat().st_mode) == 0o600
    assert stat.S_IMODE(inside.settings.data.stat().st_mode) == 0o700


def test_advisory_rustfs_ghsa_3ppv_without_the_master_key_nothing_opens(tmp_path: Path) -> None:
    """What cannot be read is no permission: a service that cannot unseal its keys does not start, and says why."""
    inside = Inside(tmp_path)
    inside.close()
    master = inside.settings.data / "master.key"
    kept = master.read_bytes()
    master.unlink()
    with pytest.raises(ConfigError, match="master key"):
        Inside(tmp_path)
    master.write_bytes(base64.b64encode(bytes(32)) + b"\n")
    master.chmod(0o600)
    with pytest.raises(ConfigError, match="master key"):
        Inside(tmp_path)
    master.write_bytes(kept)
    again = Inside(tmp_path)
    assert again.admin.ask("GET", "/").status == 200
    again.close()


def test_advisory_cve_2019_10222_a_dropped_connection_hurts_nobody(stage: Stage) -> None:
    """Ceph crashed when a client went away. Here the next request is answered, and nothing was stored."""
    site = stage.client.site
    host, port = site.host.split(":")
    headers, _ = sign_v4(site, "PUT", stage.at("kept"), {"content-length": "1000000"})
    head = "\r\n".join(
        ["PUT " + stage.at("kept") + " HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items()), "", ""]
    )
    for sent in (
        b"",
        b"PUT",
        head.encode()[:200],
        head.encode(),
        head.encode() + b"x" * 1000,
        head.encode() + b"x" * 300_000,
    ):
        with socket.create_connection((host, int(port)), timeout=10) as opened:
            opened.sendall(sent)
            # A reset, not a farewell.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert stage.client.ask("HEAD", stage.at("kept")).status == 200


def test_advisory_cve_2026_45040_errors_hold_no_secret(stage: Stage) -> None:
    """A signature that is wrong is answered with what was signed: with nothing that could sign."""
    site = stage.client.site
    liar = dataclasses.replace(site, secret_key="wrong-secret-guess")
    headers, seed = sign_v4(liar, "GET", target(stage.bucket, "kept"))
    answer = stage.checked(
        stage.client.send("GET", target(stage.bucket, "kept"), headers), (403, "SignatureDoesNotMatch"), "GET"
    )
    right, _ = sign_v4(site, "GET", target(stage.bucket, "kept"))
    told = answer.body.decode()
    assert seed.signature in told
    assert "wrong-secret-guess" not in told
    assert site.secret_key not in told
    # Nor the signature that would have been right, which anybody could then use.
    same = dataclasses.replace(site)
    for offset in (-1, 0, 1):
        near, _ = sign_v4(
            same, "GET", target(stage.bucket, "kept"), at=_moment(headers["x-amz-date"]) + offset
        )
        assert near["authorization"].rpartition("=")[2] not in told
    assert right["authorization"] not in told


def _moment(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
