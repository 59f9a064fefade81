"""A service to keep datasets in, and what Galaxy's older types of stores speak with."""

import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from dolium.testing.server import LiveServer, Site
from tests.conftest import NOT_ON_THIS_PYTHON

AWS = "s3.us-east-1.amazonaws.com"
GOOGLE = "storage.googleapis.com"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """It answers to the names of AWS and Google as well, for who is led to it."""
    config = f'hosts: ["{{bucket}}.{AWS}"]\n'
    folder = tmp_path_factory.mktemp("server")
    with LiveServer(folder, workers=1, config=config, names=(AWS, f"*.{AWS}", GOOGLE)) as server:
        yield server


@pytest.fixture(scope="session")
def site(server: LiveServer) -> Site:
    return server.http


@pytest.fixture
def bucket(site: Site) -> Iterator[Any]:
    """Empty before each test."""
    s3 = boto3.resource(
        "s3", endpoint_url=site.url, aws_access_key_id=site.access_key, aws_secret_access_key=site.secret_key,
        region_name=site.region,
    )  # fmt: skip
    bucket = s3.Bucket("galaxy")
    bucket.create()
    for one in bucket.objects.all():
        one.delete()
    yield bucket
    s3.meta.client.close()


@pytest.fixture(scope="session")
def boto_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Galaxy's types aws_s3, generic_s3 and swift speak with. Nobody cares for it any more, and to import it
    disturbs the imports of others, so it is in no environment but that of the processes that need it.
    """
    if sys.version_info >= (3, 12):
        pytest.skip(f"{NOT_ON_THIS_PYTHON}: boto 2 imports what 3.11 was the last to have")
    folder = tmp_path_factory.mktemp("boto")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*install, "boto==2.49.0"], check=True, timeout=120)
    return folder


@dataclass
class Proxy:
    """Leads to our service whatever it is asked for; `asked` has that."""

    target: tuple[str, int]
    port: int = 0
    asked: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Of a process that knows the way into the world by this proxy only."""
        found = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        return {**found, "https_proxy": self.url}


@pytest.fixture(scope="module")
def proxy(server: LiveServer) -> Iterator[Proxy]:
    host, _, port = server.https.host.rpartition(":")
    proxy = Proxy((host, int(port)))
    handler = type("Handler", (_Connect,), {"proxy": proxy})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as listening:
        listening.daemon_threads = True
        proxy.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield proxy
        listening.shutdown()
        thread.join(10)


class _Connect(socketserver.BaseRequestHandler):
    proxy: Proxy

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            received = self.request.recv(1)
            if not received:
                return
            head += received
        self.proxy.asked.add(head.split()[1].decode())
        with socket.create_connection(self.proxy.target) as there:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(there, self.request), daemon=True)
            back.start()
            _pump(self.request, there)
            back.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
