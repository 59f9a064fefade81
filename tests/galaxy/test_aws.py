"""Type `aws_s3`, which has no address but AWS's own: the real Galaxy and our library, led to our service by a proxy.

The clients are as they are: they resolve no name, but ask the proxy for `s3.us-east-1.amazonaws.com:443`, and get a
connection to our service, with a certificate for that name.
"""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from dolium.datasets.layout import Address, remote_key
from dolium.testing.server import LiveServer
from tests.galaxy.conftest import AWS, Proxy

KEY = remote_key(24, Address())

CONFIG = """
import json, os, ssl, sys, urllib.request
from types import SimpleNamespace

folder, ca = sys.argv[1:]
stores = {
    "type": "aws_s3", "id": "aws", "bucket": {"name": "galaxy"},
    "auth": {"access_key": os.environ["KEY"], "secret_key": os.environ["SECRET"]},
    "connection": {"region": "us-east-1"}, "cache": {"path": folder + "/cache", "size": 1},
}
dataset = SimpleNamespace(id=24, uuid=None, object_store_id=None)
context = ssl.create_default_context(cafile=ca)

def play(store):
    store.create(dataset)
    store.update_from_file(dataset, file_name=folder + "/source")
    wipe()
    text = open(store.get_filename(dataset)).read()
    with urllib.request.urlopen(store.get_object_url(dataset), context=context) as answer:
        assert answer.read().decode() == text
    print(json.dumps([text, store.get_object_url(dataset).partition("?")[0]]))
"""
GALAXY = """
import socket
from galaxy import objectstore

plain = socket.create_connection

def led(address, *args, **more):
    # boto 2 cannot speak with a proxy any more: this does it for it.
    host, port = address
    if not host.endswith(".amazonaws.com"):
        return plain(address, *args, **more)
    made = plain(("127.0.0.1", int(os.environ["https_proxy"].rpartition(":")[2])), *args, **more)
    made.sendall(f"CONNECT {host}:{port} HTTP/1.1\\r\\n\\r\\n".encode())
    answer = b""
    while not answer.endswith(b"\\r\\n\\r\\n"):
        answer += made.recv(1)
    return made

socket.create_connection = led

stores["bucket"] |= {"use_reduced_redundancy": False, "max_chunk_size": 250}
config = SimpleNamespace(
    file_path=folder, new_file_path=folder, jobs_directory=folder, umask=0o22, gid=-1, enable_quotas=False,
    object_store_check_old_style=False, object_store_cache_path=folder + "/cache", object_store_cache_size=-1,
    object_store_store_by="id",
)
store = objectstore.build_object_store_from_config(config, config_dict=stores)
assert type(store).__module__ == "galaxy.objectstore.s3"
wipe = lambda: objectstore.caching.reset_cache(store.cache_target)
play(store)
"""
OURS = """
import shutil
from dolium.datasets.entry import build_object_store

stores["connection"] |= {"ca_file": ca}
stores["cache"] |= {"cache_updated_data": False}
store = build_object_store(stores)
wipe = lambda: None
play(store)
store.shutdown()
"""


def run(code: str, folder: Path, server: LiveServer, proxy: Proxy, **more: str) -> list[str]:
    """What it prints, in a process that knows the way to AWS by the proxy only."""
    site = server.https
    environ = {**proxy.environment(), "KEY": site.access_key, "SECRET": site.secret_key, **more}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CONFIG + code), str(folder), str(site.ca_file)],
        env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def test_the_real_galaxy(tmp_path: Path, server: LiveServer, bucket: Any, boto_2: Path, proxy: Proxy) -> None:
    (tmp_path / "source").write_text("by Galaxy's aws_s3")
    more = {"PYTHONPATH": str(boto_2), "SSL_CERT_FILE": str(server.https.ca_file)}
    text, url = run(GALAXY, tmp_path, server, proxy, **more)
    assert text == "by Galaxy's aws_s3"
    assert url.startswith(f"https://galaxy.{AWS}")
    assert bucket.Object(KEY).get()["Body"].read() == b"by Galaxy's aws_s3"
    assert f"galaxy.{AWS}:443" in proxy.asked


def test_our_library(tmp_path: Path, server: LiveServer, bucket: Any, proxy: Proxy) -> None:
    (tmp_path / "source").write_text("by our aws_s3")
    text, url = run(OURS, tmp_path, server, proxy)
    assert text == "by our aws_s3"
    assert url == f"https://galaxy.{AWS}/{KEY}"
    assert bucket.Object(KEY).get()["Body"].read() == b"by our aws_s3"
    assert f"galaxy.{AWS}:443" in proxy.asked


def test_our_library_makes_the_bucket(tmp_path: Path, server: LiveServer, bucket: Any, proxy: Proxy) -> None:
    bucket.delete()
    (tmp_path / "source").write_text("in a bucket that was not there")
    assert run(OURS, tmp_path, server, proxy)[0] == "in a bucket that was not there"
