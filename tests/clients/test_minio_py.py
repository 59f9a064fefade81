"""MinIO's Python client: signed chunks over http, plain hashes, its own way to sign links."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from dolium.testing.server import Site
from tests.clients.raw import fetch

pytest.importorskip("minio")


@pytest.fixture
def client(site: Site) -> Iterator[Any]:
    import urllib3
    from minio import Minio

    pool = urllib3.PoolManager(ca_certs=str(site.ca_file)) if site.secure else urllib3.PoolManager()
    yield Minio(
        site.host,
        access_key=site.access_key,
        secret_key=site.secret_key,
        region=site.region,
        secure=site.secure,
        http_client=pool,
    )
    pool.clear()


def test_objects_and_listings(client: Any, bucket_name: str) -> None:
    assert not client.bucket_exists(bucket_name)
    client.make_bucket(bucket_name)
    assert client.bucket_exists(bucket_name)
    for name in ("a b/c+d", "a b/ü", "a", "z/1"):
        client.put_object(
            bucket_name, name, io.BytesIO(name.encode()), len(name.encode()), metadata={"n": "1"}
        )
    assert [one.object_name for one in client.list_objects(bucket_name, recursive=True)] == [
        "a",
        "a b/c+d",
        "a b/ü",
        "z/1",
    ]
    assert [one.object_name for one in client.list_objects(bucket_name)] == ["a", "a b/", "z/"]
    answer = client.get_object(bucket_name, "a b/ü")
    assert answer.read() == "a b/ü".encode()
    answer.close()
    answer.release_conn()
    about = client.stat_object(bucket_name, "a b/c+d")
    assert about.size == 7
    assert about.metadata["x-amz-meta-n"] == "1"


def test_stream_of_unknown_length_and_compose(client: Any, bucket: str) -> None:
    from minio.commonconfig import ComposeSource, CopySource

    part = bytes(range(256)) * 4096 * 6
    client.put_object(bucket, "stream", io.BytesIO(part * 2), -1, part_size=5 * 2**20)
    client.copy_object(bucket, "copy", CopySource(bucket, "stream"))
    client.compose_object(bucket, "both", [ComposeSource(bucket, "stream"), ComposeSource(bucket, "copy")])
    answer = client.get_object(bucket, "both")
    assert answer.read() == part * 4
    answer.close()
    answer.release_conn()


def test_links_and_batch_delete(client: Any, site: Site, bucket: str) -> None:
    from minio.deleteobjects import DeleteObject

    client.put_object(bucket, "k", io.BytesIO(b"linked"), 6)
    assert fetch(site, client.presigned_get_object(bucket, "k")).body == b"linked"
    link = client.presigned_put_object(bucket, "put")
    assert fetch(site, link, "PUT", b"uploaded").status == 200
    answer = client.get_object(bucket, "put")
    assert answer.read() == b"uploaded"
    answer.close()
    answer.release_conn()
    assert list(client.remove_objects(bucket, [DeleteObject("k"), DeleteObject("put")])) == []
    assert list(client.list_objects(bucket)) == []
    client.remove_bucket(bucket)
