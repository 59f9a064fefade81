"""Where the blobs of a service with several stores go, and what becomes of them when a store refuses."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from dolium.catalog import buckets, people, stores, tenancies
from dolium.catalog.buckets import Bucket
from dolium.catalog.sqlite import SqliteDatabase
from dolium.errors import StoreFull, StoreUnavailable
from dolium.objects import copy, get, multipart
from dolium.objects.copy import CopyRequest
from dolium.objects.multipart import ChosenPart, PartIntake
from dolium.objects.put import Intake, PutRequest
from dolium.objects.receive import Digests
from dolium.objects.service import Limits, ObjectService
from dolium.stores.composites.placement import Request
from dolium.stores.leaves.memory import Memory, Options
from dolium.testing.faults import FailingChunks
from dolium.wire.headers import STORAGE_CLASSES
from tests.unit.objects.test_service import put, read

LARGE = b"x" * 300_000


class Order:
    """A placement that is told where, and remembers what it was asked."""

    def __init__(self, *order: int) -> None:
        self.order: Sequence[int] = order
        self.asked: list[Request] = []
        self.storage_classes = STORAGE_CLASSES
        self.asks_groups = False

    def choose(self, request: Request, /) -> Sequence[int]:
        self.asked.append(request)
        return self.order


@pytest.fixture
def failing() -> Mapping[int, FailingChunks]:
    return {number: FailingChunks(Memory(Options(), store_id=str(number))) for number in (1, 2)}


@pytest.fixture
def order() -> Order:
    return Order(1, 2)


@pytest.fixture
def service(tmp_path: Path, failing: Mapping[int, FailingChunks], order: Order) -> Iterator[ObjectService]:
    database = SqliteDatabase(tmp_path)
    for number in failing:
        database.write(lambda tx, number=number: stores.add(tx, f"s{number}", "memory", str(number)))  # type: ignore[misc]
    service = ObjectService(database, failing, 1, Limits(grace_ms=0, part_bytes=1000))
    service.placing = order
    yield service
    service.close()


@pytest.fixture
def bucket(service: ObjectService) -> Bucket:
    tenancy = service.database.write(lambda tx: tenancies.add(tx, "climate"))
    return service.database.write(lambda tx: buckets.create(tx, tenancy.id, "cmip", None))


def blobs(store: FailingChunks) -> int:
    return len(list(store.list()))


def test_small_objects_ask_nobody(service: ObjectService, bucket: Bucket, order: Order) -> None:
    put(service, bucket, "small", b"s")
    assert order.asked == []


def test_a_placement_is_told_all_that_is_known(service: ObjectService, bucket: Bucket, order: Order) -> None:
    person = service.database.write(lambda tx: people.add(tx, "ada", display_name="Ada"))
    headers = '[["content-type", "image/png"], ["x-amz-storage-class", "GLACIER"]]'
    intake = Intake(service, bucket, PutRequest("a/key", person.id, headers, len(LARGE)))
    intake.write(LARGE)
    intake.finish().result()
    assert order.asked == [
        Request(
            name="a/key", size=len(LARGE), tenancy="climate", person="ada", bucket="cmip",
            content_type="image/png", storage_class="GLACIER",
        )
    ]  # fmt: skip


@pytest.mark.parametrize("verb", ["open_writer", "write", "commit"])
@pytest.mark.parametrize("error", [StoreUnavailable("1"), StoreFull("full")])
def test_another_store_takes_what_the_first_refuses(
    service: ObjectService,
    bucket: Bucket,
    failing: Mapping[int, FailingChunks],
    verb: str,
    error: Exception,
) -> None:
    failing[1].fail(verb, error)
    row = put(service, bucket, "key", LARGE)
    assert row.store_id == 2
    assert read(service, bucket, "key") == LARGE
    assert (blobs(failing[1]), blobs(failing[2])) == (0, 1)


def test_a_body_that_flows_stays_where_it_is(
    service: ObjectService, bucket: Bucket, failing: Mapping[int, FailingChunks]
) -> None:
    body = b"y" * (3 << 20)
    intake = Intake(service, bucket, PutRequest("key", None, "[]", len(body)))
    intake.write_all([body[: 2 << 20]])
    failing[1].fail("write", StoreUnavailable("1"), for_good=True)
    with pytest.raises(StoreUnavailable):
        intake.write_all([body[2 << 20 :]])
    intake.abort()
    assert (blobs(failing[1]), blobs(failing[2])) == (0, 0)


def test_when_all_refuse_it_is_told_and_nothing_stays(
    service: ObjectService, bucket: Bucket, failing: Mapping[int, FailingChunks]
) -> None:
    for number, store in failing.items():
        store.fail("commit", StoreUnavailable(str(number)), for_good=True)
    with pytest.raises(StoreUnavailable):
        put(service, bucket, "key", LARGE)
    for store in failing.values():
        store.heal()
    assert (blobs(failing[1]), blobs(failing[2])) == (0, 0)


def _upload(service: ObjectService, bucket: Bucket, before: Callable[[int], None]) -> int | None:
    """Two parts and a manifest; where that lies."""
    upload = multipart.begin(
        service, bucket, "key", owner_id=None, initiator="", headers="[]", algorithm=None, kind=None
    ).result()
    chosen = []
    for number in (1, 2):
        before(number)
        intake = PartIntake(service, upload, number, size=2000, digests=Digests())
        intake.write(b"z" * 2000)
        chosen.append(ChosenPart(number, intake.finish().result().etag))
    before(3)
    multipart.complete(service, bucket, upload, chosen)
    return get.find(service, bucket, "key", with_body=False).store_id


def test_parts_may_lie_in_different_stores(
    service: ObjectService, bucket: Bucket, order: Order, failing: Mapping[int, FailingChunks]
) -> None:
    def before(number: int) -> None:
        order.order = (2, 1) if number == 2 else (1, 2)

    assert _upload(service, bucket, before) == 1
    assert (blobs(failing[1]), blobs(failing[2])) == (2, 1)
    assert read(service, bucket, "key") == b"z" * 4000


def test_the_list_of_parts_goes_where_it_is_taken(
    service: ObjectService, bucket: Bucket, failing: Mapping[int, FailingChunks]
) -> None:
    def before(number: int) -> None:
        if number == 3:
            failing[1].fail("put", StoreUnavailable("1"), for_good=True)

    assert _upload(service, bucket, before) == 2
    failing[1].heal()
    assert read(service, bucket, "key") == b"z" * 4000


@pytest.mark.parametrize(("candidates", "lies_in", "count"), [((2,), 2, 1), ((2, 1), 1, 0)])
def test_a_copy_shares_its_bytes_only_where_it_may_lie(
    service: ObjectService,
    bucket: Bucket,
    order: Order,
    failing: Mapping[int, FailingChunks],
    candidates: tuple[int, ...],
    lies_in: int,
    count: int,
) -> None:
    source = put(service, bucket, "source", LARGE)
    order.order = candidates
    row = copy.copy(service, bucket, source, bucket, CopyRequest("target", None, "[]"))
    assert (row.store_id, blobs(failing[2])) == (lies_in, count)
    assert read(service, bucket, "target") == LARGE
