"""An object that is replaced between the moments at which a request finds it and opens it."""

from collections.abc import Callable, Iterator

import pytest

from dolium.objects import copy, get, multipart
from dolium.objects.put import Intake, PutRequest
from dolium.objects.sweep import sweep
from tests.s3.client import Client, target
from tests.s3.inside import Inside

OLD, NEW = b"o" * 20_000, b"n" * 30_000


@pytest.fixture
def replaced(inside: Inside, own: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Has `key` overwritten and swept when a function of the service is called, so many times."""

    def replaced(module: object, name: str, times: int = 1) -> None:
        left = [times]
        real = getattr(module, name)

        def meanwhile(*args: object, **more: object) -> object:
            if left[0]:
                left[0] -= 1
                service = inside.service
                [tenancy] = service.database.all("SELECT id FROM tenancies WHERE name = 'main'")
                bucket = service.bucket(tenancy[0], own)
                intake = Intake(service, bucket, PutRequest("key", None, "[]", len(NEW)))
                intake.write(NEW)
                intake.finish().result()
                sweep(service, now_ms=1 << 60)
            return real(*args, **more)

        monkeypatch.setattr(module, name, meanwhile)

    yield replaced
    monkeypatch.undo()


Replaced = Callable[..., None]


def upload(admin: Client, bucket: str) -> None:
    number = admin.begin(bucket, "key")
    etag = admin.put_part(bucket, "key", number, 1, OLD)
    assert admin.complete(bucket, "key", number, {1: etag}).status == 200


@pytest.mark.parametrize("whole", [False, True], ids=["parts", "file"])
def test_a_reader_gets_the_new_object(admin: Client, own: str, replaced: Replaced, whole: bool) -> None:
    if whole:
        admin.put(own, "key", OLD)
    else:
        upload(admin, own)
    replaced(get, "segments")
    answer = admin.done("GET", target(own, "key"))
    assert answer.headers["content-length"] == str(len(NEW))
    assert "x-amz-mp-parts-count" not in answer.headers


def test_a_part_and_attributes_are_those_of_the_new_object(
    admin: Client, own: str, replaced: Replaced
) -> None:
    upload(admin, own)
    replaced(get, "parts")
    part = admin.done("HEAD", target(own, "key", "partNumber=1"))
    assert part.headers["content-length"] == str(len(NEW))
    upload(admin, own)
    replaced(get, "parts")
    asked = {"x-amz-object-attributes": "ObjectSize,ObjectParts"}
    attributes = admin.done("GET", target(own, "key", "attributes"), asked)
    assert attributes.field("ObjectSize") == str(len(NEW))


@pytest.mark.parametrize("inline", [False, True], ids=["file", "inline"])
def test_a_copy_is_of_the_new_object(admin: Client, own: str, replaced: Replaced, inline: bool) -> None:
    """The key was never without an object: a copy of it does not fail."""
    admin.put(own, "key", b"small" if inline else OLD)
    replaced(copy, "copy")
    admin.done("PUT", target(own, "copy"), {"x-amz-copy-source": target(own, "key")})
    assert admin.done("HEAD", target(own, "copy")).headers["content-length"] == str(len(NEW))


def test_a_part_is_copied_from_the_new_object(admin: Client, own: str, replaced: Replaced) -> None:
    admin.put(own, "key", OLD)
    number = admin.begin(own, "copy")
    replaced(multipart, "copy_part")
    path = target(own, "copy", f"partNumber=1&uploadId={number}")
    answer = admin.done("PUT", path, {"x-amz-copy-source": target(own, "key")})
    admin.complete(own, "copy", number, {1: answer.field("ETag").strip('"')})
    assert admin.done("HEAD", target(own, "copy")).headers["content-length"] == str(len(NEW))


def test_one_that_is_replaced_all_the_time_is_told_to_be_slow(
    admin: Client, own: str, replaced: Replaced
) -> None:
    admin.put(own, "key", OLD)
    replaced(get, "segments", times=100)
    answer = admin.ask("GET", target(own, "key"))
    assert (answer.status, answer.code) == (503, "SlowDown")
