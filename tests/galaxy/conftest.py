"""A service to keep datasets in, and what Galaxy's older types of stores speak with."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from dolium.testing.server import LiveServer, Site

AWS = "s3.us-east-1.amazonaws.com"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """It answers to the names of AWS as well, for who is led to it."""
    config = f'hosts: ["{{bucket}}.{AWS}"]\n'
    folder = tmp_path_factory.mktemp("server")
    with LiveServer(folder, workers=1, config=config, names=(AWS, f"*.{AWS}")) as server:
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
    folder = tmp_path_factory.mktemp("boto")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*install, "boto==2.49.0"], check=True, timeout=120)
    return folder
