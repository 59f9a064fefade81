"""How to open stores on the services of `emulators.py`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from dolium.stores.leaves import azure_blob, gcs, openstack_swift, s3, webdav
from dolium.stores.leaves.remote import Remote
from dolium.values import Secret
from tests.remote.emulators import Emulator
from tests.remote.swift import TEMP_URL_KEY

KINDS = ("s3", "azure_blob", "gcs", "openstack_swift", "webdav")
SMALL = 1 << 19
"""Above so many bytes a blob is sent as it comes, so that tests need no large ones."""

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
        name = f"store-{next(_numbers)}"
        if made:
            self.make(name)
        store = self.store(self.options_of(name, **changes))  # type: ignore[call-arg]
        store.threshold = SMALL
        return store


@pytest.fixture(scope="session")
def s3_service(s3_emulator: Emulator) -> Service:
    one = s3_emulator
    options = s3.Options(
        "", endpoint=one.url, access_key=one.user, secret_key=Secret(one.secret), multipart_threshold=SMALL,
        timeout_seconds=10,
    )  # fmt: skip
    return Service(s3.S3, options, "bucket", one.make, {"secret_key": Secret("another/secret")})


@pytest.fixture(scope="session")
def azure_blob_service(azure_blob_emulator: Emulator) -> Service:
    one = azure_blob_emulator
    options = azure_blob.Options(
        "", one.user, Secret(one.secret), one.url, block_bytes=SMALL, timeout_seconds=10
    )
    return Service(
        azure_blob.AzureBlob, options, "container", one.make, {"account_key": Secret("YW5vdGhlciBrZXk=")}
    )


@pytest.fixture(scope="session")
def gcs_service(gcs_emulator: Emulator) -> Service:
    options = gcs.Options("", endpoint=gcs_emulator.url, anonymous=True, timeout_seconds=10)
    return Service(gcs.Gcs, options, "bucket", gcs_emulator.make, None)


@pytest.fixture(scope="session")
def openstack_swift_service(openstack_swift_emulator: Emulator) -> Service:
    one = openstack_swift_emulator
    options = openstack_swift.Options(
        "", one.url, one.user, Secret(one.secret), auth_version=1, timeout_seconds=20,
        temp_url_key=Secret(TEMP_URL_KEY),
    )  # fmt: skip
    return Service(
        openstack_swift.OpenstackSwift, options, "container", one.make, {"password": Secret("another")}
    )


@pytest.fixture(scope="session")
def webdav_service(webdav_emulator: Emulator) -> Service:
    one = webdav_emulator
    options = webdav.Options(one.url, one.user, Secret(one.secret), timeout_seconds=10)
    return Service(webdav.WebDav, options, "url", one.make, {"password": Secret("another")})


@pytest.fixture(params=KINDS)
def service(request: pytest.FixtureRequest) -> Service:
    """Each of them."""
    found: Service = request.getfixturevalue(f"{request.param}_service")
    return found
