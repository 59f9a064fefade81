"""A bucket, a boto3 client and a shell for each test of a client."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from dolium.testing.server import Site
from tests.clients.shell import Shell
from tests.conftest import Sites

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

type_of_maker = Callable[..., "S3Client"]


@pytest.fixture(autouse=True, scope="session")
def trust(sites: Sites) -> Iterator[None]:
    """The environment that makes Rust, Go and Python clients in this process trust the server's authority.

    For the whole session: some of them read it once and keep it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(sites.https.ca_file))
        patch.setenv("AWS_CA_BUNDLE", str(sites.https.ca_file))
        yield


@contextmanager
def _clients(site: Site) -> Iterator[type_of_maker]:
    made: list[S3Client] = []
    session = boto3.session.Session()

    def make(region: str = site.region, **config: object) -> "S3Client":
        settings = {"retries": {"total_max_attempts": 1}, "max_pool_connections": 32, **config}
        client = session.client(
            "s3",
            endpoint_url=site.url,
            aws_access_key_id=site.access_key,
            aws_secret_access_key=site.secret_key,
            region_name=region,
            verify=str(site.ca_file) if site.ca_file else None,
            config=Config(**settings),  # type: ignore[arg-type]
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def make_s3(site: Site) -> Iterator[type_of_maker]:
    """Make a boto3 client; keywords are botocore's own `Config`. It does not retry: an error is the server's."""
    with _clients(site) as make:
        yield make


@pytest.fixture(scope="session")
def s3_http(sites: Sites) -> Iterator["S3Client"]:
    """A boto3 client over http, for what need not be repeated over https."""
    with _clients(sites.http) as make:
        yield make()


@pytest.fixture
def s3(make_s3: type_of_maker) -> "S3Client":
    """A boto3 client as it comes."""
    return make_s3()


@pytest.fixture
def bucket(s3: "S3Client", bucket_name: str) -> str:
    """A bucket of this test's own."""
    s3.create_bucket(Bucket=bucket_name)
    return bucket_name


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """An empty home directory to run a client in."""
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Clients that leave their sockets to the garbage collector are not ours to mend."""
    item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
    item.add_marker(
        pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
    )
