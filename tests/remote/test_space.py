"""How full a remote store is, where its service can tell."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from swiftclient.client import Connection

from dolium.errors import StoreFull, StoreUnavailable
from dolium.stores.leaves.openstack_swift import OpenstackSwift
from dolium.stores.leaves.webdav import Options, WebDav
from dolium.testing.powers import put
from dolium.testing.server import free_ports
from tests.remote.conftest import Service
from tests.remote.services import program, running
from tests.remote.swift import OPERATOR


def test_webdav_tells_what_its_server_tells(webdav_service: Service, tmp_path: Path) -> None:
    store = webdav_service.open()
    assert isinstance(store, WebDav)
    space = store.space()
    assert space is not None
    disk = shutil.disk_usage(tmp_path)
    assert abs(space.free - disk.free) < 1 << 30
    assert abs(space.total - disk.used - disk.free) < 1 << 30
    absent = webdav_service.open(made=False)
    assert isinstance(absent, WebDav)
    with pytest.raises(StoreUnavailable):
        absent.space()


def test_a_server_that_tells_nothing_is_not_full(tmp_path: Path) -> None:
    [port] = free_ports(1)
    command = [program("rclone"), "serve", "webdav", ":memory:", "--addr", f"127.0.0.1:{port}"]
    with running(command, port, tmp_path):
        assert WebDav(Options(f"http://127.0.0.1:{port}")).space() is None


def test_swift_tells_what_is_left_of_a_quota(openstack_swift_service: Service) -> None:
    options = openstack_swift_service.options_of("with-quota")
    connection = Connection(
        authurl=options.auth_url, user=OPERATOR, key=options.password.reveal(), auth_version="1"
    )
    connection.put_container("with-quota")
    store = OpenstackSwift(options)
    assert store.space() is None
    connection.post_container("with-quota", {"x-container-meta-quota-bytes": "1000"})
    put(store, "a", b"x" * 300)
    space = store.space()
    assert space is not None
    assert space.total == 1000
    assert space.free in {1000, 700}, "Swift counts some seconds later"
    with pytest.raises(StoreFull):
        put(store, "b", b"x" * 2000)
    connection.post_account({"x-account-meta-quota-bytes": "500"})
    try:
        space = store.space()
        assert space is not None
        assert space.total == 500
    finally:
        connection.post_account({"x-remove-account-meta-quota-bytes": "now"})
        connection.close()
    absent = openstack_swift_service.open(made=False)
    assert isinstance(absent, OpenstackSwift)
    with pytest.raises(StoreUnavailable):
        absent.space()
