"""The services of these tests, each started once, and how to open stores on them."""

from __future__ import annotations

import itertools
import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from swiftclient.client import Connection

from dolium.stores.leaves import azure_blob, gcs, openstack_swift, s3, webdav
from dolium.stores.leaves.remote import Remote
from dolium.testing.server import LiveServer, free_ports
from dolium.values import Secret
from tests.remote import swift as swift_service
from tests.remote.services import program, running

KINDS = ("s3", "azure_blob", "gcs", "openstack_swift", "webdav")
SMALL = 1 << 19
"""Above so many bytes a blob is sent as it comes, so that tests need no large ones."""
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Published by Microsoft for its emulator."""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Service:
    """A service that runs. `options` of a store on a container that is made by `make`; what to change in them for a
    stranger (None: the service asks for no credentials), and for a container that is not there.
    """

    store: type[Remote]
    options: Any
    container: str
    make: Callable[[str], object]
    stranger: dict[str, Any] | None

    def options_of(self, name: str, **changes: Any) -> Any:
        """Options for the container of that name."""
        url = {"url": f"{self.options.url}/{name}"} if self.container == "url" else {self.container: name}
        return replace(self.options, **url, **changes)

    def open(self, *, made: bool = True, **changes: Any) -> Remote:
        """A store on a container of its own."""
        name = f"dolium-{next(_numbers)}"
        if made:
            self.make(name)
        store = self.store(self.options_of(name, **changes))  # type: ignore[call-arg]
        store.threshold = SMALL
        return store


@pytest.fixture(scope="session")
def s3_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Our own."""
    with LiveServer(tmp_path_factory.mktemp("s3"), workers=1) as server:
        site = server.http
        client = boto3.client(
            "s3", endpoint_url=site.url, aws_access_key_id=site.access_key,
            aws_secret_access_key=site.secret_key, region_name=site.region,
        )  # fmt: skip
        options = s3.Options(
            "", endpoint=site.url, access_key=site.access_key, secret_key=Secret(site.secret_key),
            multipart_threshold=SMALL, timeout_seconds=10,
        )  # fmt: skip
        yield Service(
            s3.S3, options, "bucket", lambda name: str(client.create_bucket(Bucket=name)),
            {"secret_key": Secret("another/secret")},
        )  # fmt: skip


@pytest.fixture(scope="session")
def azure_blob_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
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

    with running(command, port, folder):
        options = azure_blob.Options(
            "", "devstoreaccount1", Secret(AZURITE_KEY), url, block_bytes=SMALL, timeout_seconds=10
        )
        yield Service(
            azure_blob.AzureBlob, options, "container", make, {"account_key": Secret("YW5vdGhlciBrZXk=")}
        )


@pytest.fixture(scope="session")
def gcs_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """fake-gcs-server, which asks nobody for credentials."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [
        program("fake-gcs-server"), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
        "-external-url", url,
    ]  # fmt: skip

    def make(name: str) -> None:
        request = urllib.request.Request(
            f"{url}/storage/v1/b?project=dolium",
            data=json.dumps({"name": name}).encode(),
            headers={"content-type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()

    with running(command, port, tmp_path_factory.mktemp("gcs")):
        yield Service(
            gcs.Gcs, gcs.Options("", endpoint=url, anonymous=True, timeout_seconds=10), "bucket", make, None
        )


@pytest.fixture(scope="session")
def openstack_swift_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Debian's Swift with TempAuth."""
    with swift_service.swift(tmp_path_factory.mktemp("swift")) as url:
        user, key = swift_service.USER, swift_service.KEY

        def make(name: str) -> None:
            connection = Connection(authurl=url, user=user, key=key, auth_version="1")
            connection.put_container(name, {"x-container-meta-quota-bytes": str(1 << 40)})
            connection.close()

        options = openstack_swift.Options(
            "", url, user, Secret(key), auth_version=1, timeout_seconds=20,
            temp_url_key=Secret(swift_service.TEMP_URL_KEY),
        )  # fmt: skip
        yield Service(
            openstack_swift.OpenstackSwift, options, "container", make, {"password": Secret("another")}
        )


@pytest.fixture(scope="session")
def webdav_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """wsgidav."""
    [port] = free_ports(1)
    folder = tmp_path_factory.mktemp("webdav")
    settings = folder / "wsgidav.json"
    files = folder / "files"
    files.mkdir()
    people = {"*": {"galaxy": {"password": "for-tests"}}}
    settings.write_text(
        json.dumps(
            {"provider_mapping": {"/": str(files)}, "simple_dc": {"user_mapping": people}, "verbose": 1}
        )
    )
    command = [program("wsgidav"), "--host", "127.0.0.1", "--port", str(port), "--config", str(settings)]
    with running(command, port, folder):
        options = webdav.Options(
            f"http://127.0.0.1:{port}", "galaxy", Secret("for-tests"), timeout_seconds=10
        )
        yield Service(
            webdav.WebDav,
            options,
            "url",
            lambda name: Path(files, name).mkdir(),
            {"password": Secret("another")},
        )


@pytest.fixture(params=KINDS)
def service(request: pytest.FixtureRequest) -> Service:
    """Each of them."""
    found: Service = request.getfixturevalue(f"{request.param}_service")
    return found
