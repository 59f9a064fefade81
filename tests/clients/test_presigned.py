"""Links: signed with version 4 and version 2, for reading and writing, whole, late and tampered with."""

import time
from typing import TYPE_CHECKING, Any

import pytest

from dolium.testing.server import Site
from tests.clients.conftest import type_of_maker
from tests.clients.raw import fetch

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

VERSIONS = pytest.mark.parametrize("version", ["s3v4", "s3"], ids=["v4", "v2"])
KEY = "a key/ü+%2F&=?#.nc"


@pytest.fixture
def link(make_s3: type_of_maker, bucket: str, version: str) -> Any:
    """Sign a link: link("get_object", Key=..., expires=...)."""
    client = make_s3(signature_version=version)

    def sign(operation: str, expires: int = 600, **parameters: str) -> str:
        return client.generate_presigned_url(
            operation, Params={"Bucket": bucket, "Key": KEY, **parameters}, ExpiresIn=expires
        )

    return sign


@VERSIONS
def test_put_get_head_and_delete(site: Site, link: Any) -> None:
    assert fetch(site, link("put_object"), "PUT", b"by link").status == 200
    got = fetch(site, link("get_object"))
    assert (got.status, got.body) == (200, b"by link")
    head = fetch(site, link("head_object"), "HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, "7", b"")
    assert fetch(site, link("delete_object"), "DELETE").status == 204
    assert fetch(site, link("get_object")).code == "NoSuchKey"


@VERSIONS
def test_range_and_overrides(site: Site, s3: "S3Client", bucket: str, link: Any) -> None:
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"0123456789")
    overrides = {
        "ResponseContentType": "text/csv; charset=utf-8",
        "ResponseContentDisposition": "attachment; filename*=UTF-8''%C3%BC.csv",
        "ResponseCacheControl": "no-store",
    }
    got = fetch(site, link("get_object", **overrides), headers={"Range": "bytes=2-5"})
    assert (got.status, got.body) == (206, b"2345")
    assert got.headers["content-type"] == "text/csv; charset=utf-8"
    assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%BC.csv"
    assert got.headers["cache-control"] == "no-store"


@VERSIONS
def test_a_link_ends(site: Site, link: Any, version: str) -> None:
    """Version 2 names a moment, which may be past already; version 4 a time to live from its signing."""
    late = link("get_object", expires=-1 if version == "s3" else 1)
    if version == "s3v4":
        time.sleep(2.1)
    answer = fetch(site, late)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert "expired" in answer.field("Message").lower()


@VERSIONS
def test_a_link_is_for_what_it_says(site: Site, s3: "S3Client", bucket: str, link: Any) -> None:
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"kept")
    s3.put_object(Bucket=bucket, Key="other", Body=b"not yours")
    url: str = link("get_object")
    path, _, query = url.partition("?")
    elsewhere = path.rsplit(f"{bucket}/", 1)[0] + f"{bucket}/other?{query}"
    assert fetch(site, elsewhere).code == "SignatureDoesNotMatch"
    assert fetch(site, url, "DELETE").code == "SignatureDoesNotMatch"
    assert fetch(site, url, "PUT", b"no").code == "SignatureDoesNotMatch"
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"kept"


@VERSIONS
def test_a_listing_by_link(site: Site, make_s3: type_of_maker, bucket: str, version: str) -> None:
    client = make_s3(signature_version=version)
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = client.generate_presigned_url("list_objects", Params={"Bucket": bucket, "Prefix": "k"})
    assert fetch(site, url).field("Key") == "k"


def test_a_link_longer_than_a_week_is_refused(site: Site, make_s3: type_of_maker, bucket: str) -> None:
    client = make_s3(signature_version="s3v4")
    url = client.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=604_801
    )
    answer = fetch(site, url)
    assert (answer.status, answer.code) == (400, "AuthorizationQueryParametersError")
