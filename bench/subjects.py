"""The servers under test: how each is started, what it promises, and how it is filled fast.

Peers run as their manuals start them, with their default durability; what each one fsyncs before it
answers 200 stands in `durability` and goes into the table. All listen on loopback only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from bench import fills
from bench.client import ACCESS_KEY, SECRET_KEY
from bench.server import free_ports
from bench.tools import GO_MODULES, REPOSITORY, go_tool, python_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["PRODUCT", "SUBJECTS", "Launch", "Subject", "dolium_launch"]

PRODUCT = "dolium"


@dataclass(frozen=True, slots=True)
class Launch:
    """A command line and how to see that it is up."""

    command: tuple[str, ...]
    port: int
    ready: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """`launch(data)` raises tools.MissingTool where the server cannot be had.

    `fill` writes objects into a stopped server's data folder (see fills.py); None: only S3 PUT can.
    """

    name: str
    durability: str
    launch: Callable[[Path], Launch]
    version: Callable[[], str]
    fill: fills.Fill | None = None
    asked: bool = False  # it is measured only where it is named


def dolium_launch(data: Path, workers: int = 2) -> Launch:
    """The product as its README starts it, with its keys from the environment."""
    (port,) = free_ports(1)
    command = (sys.executable, "-m", "dolium", "serve", "--data", str(data / "dolium"))
    listen = ("--listen", f"127.0.0.1:{port}", "--workers", str(workers))
    keys = {"DOLIUM_ACCESS_KEY_ID": ACCESS_KEY, "DOLIUM_SECRET_ACCESS_KEY": SECRET_KEY}
    return Launch(command + listen, port, "/_health/ready", keys)


def _unverified(data: Path) -> Launch:
    """The product with `verify_reads: off`."""
    config = data / "unverified.yml"
    config.write_text("store: {verify_reads: off}\n")
    launch = dolium_launch(data)
    return replace(launch, environment={**launch.environment, "DOLIUM_CONFIG": str(config)})


def _rclone(data: Path) -> Launch:
    (port,) = free_ports(1)
    root = data / "rclone"
    root.mkdir(exist_ok=True)
    keys = f"{ACCESS_KEY},{SECRET_KEY}"
    options = ("--addr", f"127.0.0.1:{port}", "--auth-key", keys, "--config", "/dev/null")
    return Launch((str(python_tool("rclone")), "serve", "s3", str(root), *options), port, "/")


def _seaweedfs(data: Path) -> Launch:
    s3, master, volume, filer = free_ports(4)
    root = data / "seaweedfs"
    root.mkdir(exist_ok=True)
    key = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    identity = {"name": "bench", "credentials": [key], "actions": ["Admin"]}
    (data / "identities.json").write_text(json.dumps({"identities": [identity]}))
    options = (
        f"-dir={root}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={master}",
        "-master.telemetry=false",
        f"-volume.port={volume}",
        "-volume.max=100",  # of 1 GiB: each bucket takes seven or more
        "-master.volumeSizeLimitMB=1024",
        "-filer",
        f"-filer.port={filer}",
        f"-filer.localSocket={data / 'filer.sock'}",
        "-s3",
        f"-s3.port={s3}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.localSocket={data / 's3.sock'}",
        f"-s3.config={data / 'identities.json'}",
    )
    return Launch((str(python_tool("weed")), "server", *options), s3, "/healthz")


def _minio(data: Path) -> Launch:
    port, console = free_ports(2)
    root = data / "minio"
    root.mkdir(exist_ok=True)
    environment = {
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    addresses = ("--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{console}")
    command = (str(go_tool("minio")), "server", str(root), *addresses)
    return Launch(command, port, "/minio/health/ready", environment)


def _versitygw(data: Path) -> Launch:
    (port,) = free_ports(1)
    root = data / "versitygw"
    root.mkdir(exist_ok=True)
    options = ("--access", ACCESS_KEY, "--secret", SECRET_KEY, "--port", f"127.0.0.1:{port}")
    quick = ("--health", "/healthz", "--keep-alive", "-q")
    return Launch((str(go_tool("versitygw")), *options, *quick, "posix", str(root)), port, "/healthz")


def _first_line(*command: str) -> str:
    """What a program says of its version, without its own name."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def _dolium_version() -> str:
    head = subprocess.run(
        ["git", "-C", str(REPOSITORY), "rev-parse", "--short=8", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{version('dolium')} {head.stdout.strip()}".strip()


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject(
            PRODUCT, "file, folder and catalog fsynced", dolium_launch, _dolium_version, fills.dolium_catalog
        ),
        Subject(
            "dolium-unverified",
            "file, folder and catalog fsynced",
            _unverified,
            _dolium_version,
            fills.dolium_catalog,
            asked=True,
        ),
        Subject(
            "rclone",
            "no fsync",
            _rclone,
            lambda: _first_line(str(python_tool("rclone")), "version").removeprefix("rclone v"),
            fills.plain_files("rclone"),
        ),
        Subject(
            "SeaweedFS",
            "no fsync",
            _seaweedfs,
            lambda: _first_line(str(python_tool("weed")), "version").split()[2],
        ),
        Subject(
            "MinIO",
            "file fsynced, folder not",
            _minio,
            lambda: GO_MODULES["minio"].version,
            fills.minio_entries,
        ),
        Subject(
            "versitygw",
            "no fsync",
            _versitygw,
            lambda: GO_MODULES["versitygw"].version,
            fills.plain_files("versitygw"),
        ),
    )
}
