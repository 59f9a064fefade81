"""The services that remote stores are tested against, each started once in a run, and how to name them in a
configuration. All tests may use them (`tests/conftest.py`), so what their clients are is imported when one is started.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dolium.testing.server import LiveServer, free_ports
from tests.remote.services import program, running

AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Published by Microsoft for its emulator."""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Emulator:
    """A service that runs. `url`, `user`, `secret`: how to reach it; `make` makes a container of that name. `group`: the
    processes that answer.
    """

    kind: str
    url: str
    user: str
    secret: str
    make: Callable[[str], object]
    group: Callable[[], int]

    def container(self) -> str:
        """A new one that nobody has used."""
        name = f"dolium-{next(_numbers)}"
        self.make(name)
        return name

    @contextmanager
    def hung(self) -> Iterator[None]:
        """It takes connections, and answers nothing, until the block ends."""
        os.killpg(self.group(), signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.group(), signal.SIGCONT)


@pytest.fixture(scope="session")
def s3_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Our own service."""
    with LiveServer(tmp_path_factory.mktemp("s3"), workers=1) as server:
        site = server.http

        def make(name: str) -> None:
            import boto3

            client = boto3.client(
                "s3", endpoint_url=site.url, aws_access_key_id=site.access_key,
                aws_secret_access_key=site.secret_key, region_name=site.region,
            )  # fmt: skip
            client.create_bucket(Bucket=name)
            client.close()

        yield Emulator("s3", site.url, site.access_key, site.secret_key, make, lambda: server.pid)


@pytest.fixture(scope="session")
def rclone_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An S3 service by others, over a folder."""
    [port] = free_ports(1)
    folder = tmp_path_factory.mktemp("rclone")
    files = folder / "files"
    files.mkdir()
    user, secret = "RCLONEKEY00000000001", "rclonesecret0000000001"
    command = [
        program("rclone"),
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        f"{user},{secret}",
    ]
    with running([*command, str(files)], port, folder) as process:
        yield Emulator(
            "s3", f"http://127.0.0.1:{port}", user, secret, lambda name: Path(files, name).mkdir(),
            lambda: process.pid,
        )  # fmt: skip


@pytest.fixture(scope="session")
def azure_blob_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Microsoft's emulator."""
    [port] = free_ports(1)
    folder = tmp_path_factory.mktemp("azurite")
    url = f"http://127.0.0.1:{port}/devstoreaccount1"
    command = [
        program("azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location",
        str(folder / "data"), "--silent", "--skipApiVersionCheck", "--disableTelemetry",
    ]  # fmt: skip

    def make(name: str) -> None:
        remote = f":azureblob,account=devstoreaccount1,key='{AZURITE_KEY}',endpoint='{url}':{name}"
        subprocess.run([program("rclone"), "mkdir", remote], check=True)

    with running(command, port, folder) as process:
        yield Emulator("azure_blob", url, "devstoreaccount1", AZURITE_KEY, make, lambda: process.pid)


@pytest.fixture(scope="session")
def gcs_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """fake-gcs-server, which asks nobody for credentials."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [
        program("fake-gcs-server"), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
        "-external-url", url, "-public-host", f"127.0.0.1:{port}",
    ]  # fmt: skip

    def make(name: str) -> None:
        request = urllib.request.Request(
            f"{url}/storage/v1/b?project=dolium",
            data=json.dumps({"name": name}).encode(),
            headers={"content-type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()

    with running(command, port, tmp_path_factory.mktemp("gcs")) as process:
        yield Emulator("gcs", url, "", "", make, lambda: process.pid)


@pytest.fixture(scope="session")
def openstack_swift_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Debian's Swift with TempAuth."""
    from tests.remote import swift

    with swift.swift(tmp_path_factory.mktemp("swift")) as (url, proxy):
        yield Emulator(
            "openstack_swift", url, swift.USER, swift.KEY, lambda name: swift.make(url, name), lambda: proxy
        )


@pytest.fixture(scope="session")
def webdav_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """wsgidav."""
    [port] = free_ports(1)
    folder = tmp_path_factory.mktemp("webdav")
    settings = folder / "wsgidav.json"
    files = folder / "files"
    files.mkdir()
    user, secret = "galaxy", "for-tests"
    people = {"*": {user: {"password": secret}}}
    settings.write_text(
        json.dumps(
            {"provider_mapping": {"/": str(files)}, "simple_dc": {"user_mapping": people}, "verbose": 1}
        )
    )
    command = [program("wsgidav"), "--host", "127.0.0.1", "--port", str(port), "--config", str(settings)]
    with running(command, port, folder) as process:
        yield Emulator(
            "webdav", f"http://127.0.0.1:{port}", user, secret, lambda name: Path(files, name).mkdir(),
            lambda: process.pid,
        )  # fmt: skip
