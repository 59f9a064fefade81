"""A client of the live server, and a stage: a bucket that refused requests must leave as it was."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conftest import Sites
from tests.s3.client import Answer, Client, Refusal, check_refusal, state_of, target
from tests.s3.inside import Inside
from tests.s3.signing import UNSIGNED


@dataclass(frozen=True, slots=True)
class Stage:
    """A bucket with an object `kept` and an open upload of `kept` with one part."""

    client: Client
    bucket: str
    upload: str
    part: str

    def at(self, key: str = "", query: str = "") -> str:
        return target(self.bucket, key, query)

    def refused(
        self,
        refusal: Refusal,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        payload: str = UNSIGNED,
        unsigned: dict[str, str] | None = None,
    ) -> Answer:
        return self.client.refused(refusal, method, path, headers, body, payload=payload, unsigned=unsigned)

    def checked(self, answer: Answer, refusal: Refusal, method: str = "PUT") -> Answer:
        """An answer to a request that `refused` cannot make."""
        return check_refusal(answer, refusal, method, secret=self.client.site.secret_key)


BODY = b"what was there before"


@pytest.fixture(scope="session")
def client(sites: Sites) -> Client:
    """The site admin over http."""
    return Client(sites.http)


def _set(client: Client) -> Stage:
    bucket = f"t-{uuid.uuid4().hex[:16]}"
    client.make_bucket(bucket)
    client.put(bucket, "kept", BODY, x_amz_meta_colour="blue")
    upload = client.begin(bucket, "kept")
    part = client.put_part(bucket, "kept", upload, 1, b"part")
    return Stage(client, bucket, upload, part)


@pytest.fixture(scope="module")
def _stages() -> list[Stage]:
    """The one that is set, unless a test has left it in pieces."""
    return []


@pytest.fixture
def stage(client: Client, _stages: list[Stage]) -> Iterator[Stage]:
    """Whatever a test sends there must be refused: it is compared afterwards."""
    stage = _stages.pop() if _stages else _set(client)
    before = state_of(client, stage.bucket)
    assert before[stage.upload] == [f'"{stage.part}"']
    yield stage
    assert state_of(client, stage.bucket) == before
    assert client.get(stage.bucket, "kept") == BODY
    _stages.append(stage)


@pytest.fixture
def bucket(client: Client, bucket_name: str) -> str:
    """A bucket of this test's own, on the live server."""
    client.make_bucket(bucket_name)
    return bucket_name


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A service in this process; what is replaced or deleted there is garbage at once."""
    inside = Inside(
        tmp_path_factory.mktemp("inside"),
        garbage_grace=0,
        hosts=("{tenancy}.example.org",),
        region="eu-test-1",
    )
    yield inside
    inside.close()


@pytest.fixture
def admin(inside: Inside) -> Client:
    """The site admin of `inside`."""
    return inside.admin


@pytest.fixture
def own(inside: Inside, bucket_name: str) -> str:
    """A bucket of this test's own, in `inside`, where no garbage is left."""
    inside.sweep()
    inside.admin.make_bucket(bucket_name)
    return bucket_name
