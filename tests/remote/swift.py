"""A whole OpenStack Swift of one node: proxy with TempAuth, account, container and object server, memcached."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from swiftclient.client import Connection

from dolium.testing.server import free_ports
from tests.remote.services import program, running

USER, OPERATOR, KEY = "research:galaxy", "research:operator", "a-key-for-tests"
TEMP_URL_KEY = "another-key-for-tests"
_KINDS = ("account", "container", "object")

_SERVER = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = root
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
workers = 0
log_level = ERROR
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

_PROXY = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = root
swift_dir = {folder}
workers = 0
log_level = ERROR
[pipeline:main]
pipeline = catch_errors cache tempurl tempauth container_quotas account_quotas proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:container_quotas]
use = egg:swift#container_quotas
[filter:account_quotas]
use = egg:swift#account_quotas
[filter:tempurl]
use = egg:swift#tempurl
[filter:tempauth]
use = egg:swift#tempauth
user_research_galaxy = {key} .admin
user_research_operator = {key} .admin .reseller_admin
"""


@contextlib.contextmanager
def swift(folder: Path) -> Iterator[tuple[str, int]]:
    """The URL to authenticate at, and the process that answers."""
    folder.mkdir(parents=True, exist_ok=True)
    proxy, memcached, *ports = free_ports(2 + len(_KINDS))
    with contextlib.ExitStack() as stack:

        def serve(kind: str, port: int, **said: object) -> subprocess.Popen[bytes]:
            settings = folder / f"{kind}.conf"
            text = _PROXY if kind == "proxy" else _SERVER
            settings.write_text(text.format(kind=kind, port=port, folder=folder, **said))
            command = [program(f"swift-{kind}-server"), str(settings)]
            return stack.enter_context(running(command, port, folder / kind))

        def ring(kind: str, port: int) -> None:
            builder = [program("swift-ring-builder"), str(folder / f"{kind}.builder")]
            for step in (
                ["create", "4", "1", "1"],
                ["add", f"r1z1-127.0.0.1:{port}/one", "1"],
                ["rebalance"],
            ):
                subprocess.run([*builder, *step], check=True, capture_output=True)

        (folder / "devices" / "one").mkdir(parents=True)
        command = [program("memcached"), "-u", "nobody", "-l", "127.0.0.1", "-p", str(memcached)]
        stack.enter_context(running(command, memcached, folder / "memcached"))
        with ThreadPoolExecutor() as pool:  # each step is a program that takes its second to start
            list(pool.map(ring, _KINDS, ports))
            starting = [pool.submit(serve, kind, port) for kind, port in zip(_KINDS, ports, strict=True)]
            answering = pool.submit(serve, "proxy", proxy, memcached=memcached, key=KEY).result()
            for one in starting:
                one.result()
        url = f"http://127.0.0.1:{proxy}/auth/v1.0"
        with _connected(url) as connection:
            connection.post_account({"X-Account-Meta-Temp-URL-Key": TEMP_URL_KEY})
        yield url, answering.pid


def make(url: str, container: str) -> None:
    """Make a container, with a quota that it does not come to."""
    with _connected(url) as connection:
        connection.put_container(container, {"x-container-meta-quota-bytes": str(1 << 40)})


def _connected(url: str) -> contextlib.closing[Connection]:
    return contextlib.closing(Connection(authurl=url, user=USER, key=KEY, auth_version="1"))
