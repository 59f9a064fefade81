"""Copies share bytes, stand on their own, and read nothing that the caller may not read."""

import hashlib
from base64 import b64encode

import pytest

from dolium.catalog.access_keys import Scope
from tests.s3.client import Answer, Client, target
from tests.s3.inside import Inside
from tests.s3.test_multipart import MIB5, upload_of

LARGE = bytes(range(256)) * 4000
DENIED = (403, "AccessDenied")


def copy(client: Client, bucket: str, key: str, source: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.done("PUT", target(bucket, key), {"x-amz-copy-source": source, **named})


def stored(inside: Inside) -> int:
    """Bytes of disk that the store takes, where blobs share extents or are shared."""
    return sum(path.stat().st_size for path in inside.files())


def test_a_copy_moves_no_bytes(inside: Inside, admin: Client, own: str) -> None:
    admin.put(own, "source", LARGE)
    before = {path: path.stat().st_ino for path in inside.files()}
    answer = copy(admin, own, "k", f"/{own}/source")
    assert answer.field("ETag") == f'"{hashlib.md5(LARGE).hexdigest()}"'
    (added,) = set(inside.files()) - before.keys()
    # A description of the copy; or, where the file system shares extents, a clone.
    assert added.stat().st_size < 2000 or added.stat().st_size == len(LARGE)
    assert {path: path.stat().st_ino for path in before} == before
    assert admin.get(own, "k") == LARGE


@pytest.mark.parametrize("body", [b"inline", LARGE], ids=["inline", "file"])
def test_a_copy_outlives_its_source(inside: Inside, admin: Client, own: str, body: bytes) -> None:
    admin.put(own, "source", body, content_type="text/plain", x_amz_meta_old="1")
    copy(
        admin, own, "k", f"{own}/source",
        x_amz_metadata_directive="REPLACE", content_type="image/png", x_amz_meta_new="2",
    )  # fmt: skip
    admin.done("DELETE", target(own, "source"))
    inside.sweep()
    assert admin.get(own, "k") == body
    headers = admin.done("HEAD", target(own, "k")).headers
    assert headers["content-type"] == "image/png"
    assert headers["x-amz-meta-new"] == "2"
    assert "x-amz-meta-old" not in headers


@pytest.mark.parametrize(
    "order", [("source", "one", "two"), ("two", "one", "source"), ("one", "source", "two")]
)
def test_the_last_copy_takes_the_bytes_with_it(
    inside: Inside, admin: Client, own: str, order: tuple[str, ...]
) -> None:
    files, shared = inside.files(), inside.service.database.all("SELECT * FROM shared_blobs")
    admin.put(own, "source", LARGE)
    copy(admin, own, "one", f"/{own}/source")
    copy(admin, own, "two", f"/{own}/one")
    left = {"source", "one", "two"}
    for key in order:
        for still in left:
            assert admin.get(own, still) == LARGE
        admin.done("DELETE", target(own, key))
        left.discard(key)
        inside.sweep()
    assert inside.files() == files
    assert inside.service.database.all("SELECT * FROM shared_blobs") == shared


def test_a_copy_of_an_object_in_parts(inside: Inside, admin: Client, own: str) -> None:
    files = inside.files()
    upload, parts = upload_of(admin, own, "source", MIB5, b"end")
    etag = admin.complete(own, "source", upload, parts).field("ETag")
    taken = stored(inside)
    assert copy(admin, own, "k", f"/{own}/source").field("ETag") == etag
    assert stored(inside) < taken + 4000
    admin.put(own, "source", b"replaced")
    inside.sweep()
    assert admin.get(own, "k") == MIB5 + b"end"
    assert admin.done("GET", target(own, "k", "partNumber=2")).body == b"end"
    admin.done("DELETE", target(own, "k"))
    inside.sweep()
    assert inside.files() == files


@pytest.mark.parametrize("body", [b"inline", LARGE], ids=["inline", "file"])
def test_a_copy_onto_itself(inside: Inside, admin: Client, own: str, body: bytes) -> None:
    """The way to change metadata."""
    admin.put(own, "k", body, x_amz_meta_old="1")
    for number in ("2", "3"):
        copy(admin, own, "k", f"/{own}/k", x_amz_metadata_directive="REPLACE", x_amz_meta_new=number)
        inside.sweep()
        assert admin.get(own, "k") == body
    headers = admin.done("HEAD", target(own, "k")).headers
    assert headers["x-amz-meta-new"] == "3"
    assert "x-amz-meta-old" not in headers


def test_a_multipart_object_copied_onto_itself(inside: Inside, admin: Client, own: str) -> None:
    upload, parts = upload_of(admin, own, "k", MIB5, b"end")
    admin.complete(own, "k", upload, parts)
    copy(admin, own, "k", f"/{own}/k", x_amz_metadata_directive="REPLACE", x_amz_meta_new="1")
    inside.sweep()
    assert admin.get(own, "k") == MIB5 + b"end"
    admin.done("DELETE", target(own, "k"))
    inside.sweep()
    assert MIB5 not in [path.read_bytes() for path in inside.files()]


def test_a_copy_over_another_object(inside: Inside, admin: Client, own: str) -> None:
    admin.put(own, "source", LARGE)
    admin.put(own, "k", LARGE[::-1])
    copy(admin, own, "k", f"/{own}/source")
    inside.sweep()
    assert admin.get(own, "k") == admin.get(own, "source") == LARGE
    assert LARGE[::-1] not in [path.read_bytes() for path in inside.files()]


def test_a_copy_between_buckets(admin: Client, own: str) -> None:
    admin.make_bucket(f"{own}-2")
    for body in (b"inline", LARGE):
        admin.put(own, "ü &+/k", body)
        for source in (
            f"/{own}/%C3%BC%20%26%2B/k",
            f"{own}/%C3%BC%20%26%2B%2Fk",
            f"{own}%2F%C3%BC%20%26%2B%2Fk",
        ):
            copy(admin, f"{own}-2", "k", source)
            assert admin.get(f"{own}-2", "k") == body


def test_headers_come_along_but_not_the_storage_class(admin: Client, own: str) -> None:
    admin.put(own, "source", b"x", content_type="text/plain", x_amz_meta_a="1", x_amz_storage_class="GLACIER")
    copy(admin, own, "k", f"/{own}/source", content_type="ignored/type", x_amz_meta_b="ignored")
    headers = admin.done("HEAD", target(own, "k")).headers
    assert (headers["content-type"], headers["x-amz-meta-a"]) == ("text/plain", "1")
    assert not {"x-amz-storage-class", "x-amz-meta-b"} & set(headers)
    copy(admin, own, "k", f"/{own}/k", x_amz_storage_class="STANDARD_IA")
    headers = admin.done("HEAD", target(own, "k")).headers
    assert (headers["x-amz-storage-class"], headers["x-amz-meta-a"]) == ("STANDARD_IA", "1")
    copy(admin, own, "k", f"/{own}/k", x_amz_storage_class="STANDARD")
    assert "x-amz-storage-class" not in admin.done("HEAD", target(own, "k")).headers


def test_a_checksum_that_the_source_has_not(inside: Inside, admin: Client, own: str) -> None:
    """Then the bytes must be read, and are written anew."""
    for body in (b"inline", LARGE):
        admin.put(own, "source", body)
        answer = copy(admin, own, "k", f"/{own}/source", x_amz_checksum_algorithm="SHA256")
        expected = b64encode(hashlib.sha256(body).digest()).decode()
        assert answer.field("ChecksumSHA256") == expected
        head = admin.done("HEAD", target(own, "k"), {"x-amz-checksum-mode": "ENABLED"})
        assert head.headers["x-amz-checksum-sha256"] == expected
        admin.done("DELETE", target(own, "source"))
        inside.sweep()
        assert admin.get(own, "k") == body


@pytest.mark.parametrize(
    ("name", "value", "holds"),
    [
        ("if-match", "right", True),
        ("if-match", "*", True),
        ("if-match", "wrong", False),
        ("if-none-match", "wrong", True),
        ("if-none-match", "right", False),
        ("if-none-match", "*", False),
        ("if-unmodified-since", "Fri, 01 Jan 2100 00:00:00 GMT", True),
        ("if-unmodified-since", "Fri, 01 Jan 2010 00:00:00 GMT", False),
        ("if-modified-since", "Fri, 01 Jan 2010 00:00:00 GMT", True),
        ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT", False),
    ],
)
@pytest.mark.parametrize("route", ["copy", "part"])
def test_conditions_on_the_source(
    admin: Client, own: str, name: str, value: str, *, holds: bool, route: str
) -> None:
    etag = admin.put(own, "source", b"x").headers["etag"]
    said = {"right": etag, "wrong": '"0123"'}.get(value, value)
    headers = {"x-amz-copy-source": f"/{own}/source", f"x-amz-copy-source-{name}": said}
    path = target(own, "k")
    if route == "part":
        path += f"?partNumber=1&uploadId={admin.begin(own, 'k')}"
    if holds:
        admin.done("PUT", path, headers)
    else:
        admin.refused((412, "PreconditionFailed"), "PUT", path, headers)
        assert not admin.has(own, "k")


@pytest.mark.parametrize("route", ["copy", "part"])
def test_a_source_that_the_caller_may_not_read(
    inside: Inside, own: str, bucket_name: str, route: str
) -> None:
    """One's own bucket is no back door into those of others, nor out of the scope of a key."""
    inside.admin.put(own, "secret", b"not yours")
    mine = f"{bucket_name}-mine"
    ada = inside.member("ada")
    ada.make_bucket(mine)
    ada.put(mine, "inside/k", b"mine")
    ada.put(mine, "outside/k", b"mine too")
    number = inside.person("ada")
    narrow = inside.client(inside.key(number, scope=Scope(bucket=mine, prefix="inside/")))
    for client, source in (
        (ada, f"/{own}/secret"),
        (ada, f"/{own}/absent"),
        (narrow, f"/{mine}/outside/k"),
        (narrow, f"/{mine}/inside/../outside/k"),
        (narrow, f"/{mine}/inside%2F..%2Foutside%2Fk"),
        (narrow, f"/{own}/secret"),
    ):
        path = target(mine, "inside/new")
        if route == "part":
            path += f"?partNumber=1&uploadId={client.begin(mine, 'inside/new')}"
        before = inside.dump()
        answer = client.ask("PUT", path, {"x-amz-copy-source": source})
        # A key that is just a name with dots in it is inside the prefix, and not there.
        expected = (404, "NoSuchKey") if "/inside" in source else DENIED
        assert (answer.status, answer.code) == expected, source
        assert inside.dump() == before
    copy(narrow, mine, "inside/new", f"/{mine}/inside/k")
    narrow.refused(DENIED, "PUT", target(mine, "outside/new"), {"x-amz-copy-source": f"/{mine}/inside/k"})


def test_a_source_in_another_tenancy(inside: Inside, bucket_name: str) -> None:
    """Names mean buckets of one's own tenancy; those of others cannot be said at all."""
    inside.tenancy("far", sharing="everyone")
    far = inside.member("farah", tenancy="far")
    far.make_bucket(f"{bucket_name}-far")
    far.put(f"{bucket_name}-far", "k", b"far away")
    near = inside.member("nils")
    near.make_bucket(bucket_name)
    refused = {"x-amz-copy-source": f"/{bucket_name}-far/k"}
    near.refused((404, "NoSuchBucket"), "PUT", target(bucket_name, "k"), refused)
    far.refused((404, "NoSuchBucket"), "PUT", target(bucket_name, "k"), refused)
