"""A full tenancy: nothing more comes in, everything can go out."""

from collections.abc import Iterator

import pytest

from tests.s3.client import Client, target
from tests.s3.inside import Inside
from tests.s3.test_objects import delete_document, delete_many

FULL = (403, "QuotaExceeded")
QUOTA = 100_000


@pytest.fixture
def ada(inside: Inside, bucket_name: str) -> Iterator[Client]:
    """In a tenancy of her own, with 100 KB, of which 99,000 bytes are taken."""
    inside.tenancy(bucket_name, quota_bytes=QUOTA)
    ada = inside.member("ada", tenancy=bucket_name)
    ada.make_bucket("mine")
    ada.put("mine", "large", b"l" * 90_000)
    ada.put("mine", "small", b"s" * 9_000)
    yield ada
    inside.sweep()


def test_writes_above_the_quota(inside: Inside, ada: Client) -> None:
    before = inside.dump()
    for size in (1_001, 50_000):
        ada.refused(FULL, "PUT", target("mine", "new"), {}, b"x" * size)
        ada.refused(FULL, "PUT", target("mine", "new"), {"transfer-encoding": "chunked"}, b"x" * size)
    ada.refused(FULL, "PUT", target("mine", "copy"), {"x-amz-copy-source": "/mine/small"})
    ada.refused(FULL, "PUT", target("mine", "copy"), {"x-amz-copy-source": "/mine/large"})
    inside.sweep()
    assert inside.dump() == before
    ada.put("mine", "fits", b"x" * 1_000)
    ada.refused(FULL, "PUT", target("mine", "one more byte"), {}, b"x")
    ada.put("mine", "nothing at all", b"")


def test_complete_above_the_quota(inside: Inside, ada: Client) -> None:
    upload = ada.begin("mine", "new")
    part = ada.put_part("mine", "new", upload, 1, b"x" * 2_000)
    answer = ada.complete("mine", "new", upload, {1: part})
    assert (answer.status, answer.code) == FULL
    assert not ada.has("mine", "new")
    # The upload is still there: with room for it, it can be completed.
    ada.done("DELETE", target("mine", "small"))
    assert ada.complete("mine", "new", upload, {1: part}).status == 200
    assert ada.get("mine", "new") == b"x" * 2_000


def test_deletes_at_a_full_quota(ada: Client) -> None:
    ada.put("mine", "fits", b"x" * 1_000)
    ada.done("DELETE", target("mine", "large"))
    delete_many(ada, "mine", delete_document("small", "fits"))
    assert ada.keys("mine") == []
    upload = ada.begin("mine", "new")
    ada.done("DELETE", target("mine", "new", f"uploadId={upload}"))
    ada.done("DELETE", "/mine")


def test_what_shrinks_is_always_fine(ada: Client) -> None:
    ada.put("mine", "large", b"l" * 80_000)
    ada.refused(FULL, "PUT", target("mine", "large"), {}, b"l" * 91_001)
    ada.put("mine", "large", b"l" * 91_000)
    ada.put("mine", "large", b"l")


def test_a_quota_that_was_lowered(inside: Inside, ada: Client, bucket_name: str) -> None:
    """Nothing is taken away; nothing comes in until there is room."""
    inside.change_tenancy(bucket_name, quota_bytes=10_000)
    assert ada.get("mine", "large") == b"l" * 90_000
    ada.refused(FULL, "PUT", target("mine", "new"), {}, b"x")
    ada.put("mine", "large", b"l" * 500)
    ada.put("mine", "new", b"x" * 500)
    inside.change_tenancy(bucket_name)
    ada.put("mine", "new", b"x" * 50_000)


def test_usage_is_exact(inside: Inside, ada: Client, bucket_name: str) -> None:
    ada.put("mine", "small", b"s" * 100)
    ada.put("mine", "empty", b"")
    ada.done("DELETE", target("mine", "never"))
    upload = ada.begin("mine", "parts")
    part = ada.put_part("mine", "parts", upload, 1, b"p" * 777)
    ada.complete("mine", "parts", upload, {1: part})
    ada.done("PUT", target("mine", "copy"), {"x-amz-copy-source": "/mine/parts"})
    usage = inside.service.database.one(
        "SELECT objects, bytes FROM tenancy_usage WHERE tenancy_id = $1", inside.tenancy_id(bucket_name)
    )
    assert usage == (5, 90_000 + 100 + 777 + 777)


def test_quotas_of_others_do_not_count(inside: Inside, ada: Client, own: str) -> None:
    inside.admin.put(own, "k", b"x" * 200_000)
    assert inside.admin.get(own, "k") == b"x" * 200_000
