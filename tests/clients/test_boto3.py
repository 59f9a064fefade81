"""boto3: files up and down in parts, buckets, metadata, batches, and what was written is there at once."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError

from dolium.testing.server import Site
from tests.clients.conftest import type_of_maker
from tests.clients.raw import Answer, send, signed, target
from tests.conftest import Sites

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def test_buckets(s3: "S3Client", bucket: str) -> None:
    assert bucket in {one["Name"] for one in s3.list_buckets()["Buckets"]}
    assert s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.list_objects_v2(Bucket=bucket)


def test_metadata_and_headers_come_back(s3: "S3Client", bucket: str) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"body",
        ContentType="application/x-netcdf",
        CacheControl="max-age=60",
        ContentDisposition='attachment; filename="k.nc"',
        ContentEncoding="gzip",
        ContentLanguage="en",
        Metadata={"Units": "hPa", "long-name": "surface pressure"},
    )
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ContentType"] == "application/x-netcdf"
    assert head["CacheControl"] == "max-age=60"
    assert head["ContentDisposition"] == 'attachment; filename="k.nc"'
    assert head["ContentEncoding"] == "gzip"  # over https it was sent as "gzip,aws-chunked"
    assert head["ContentLanguage"] == "en"
    assert head["Metadata"] == {"units": "hPa", "long-name": "surface pressure"}
    assert head["ETag"] == f'"{hashlib.md5(b"body").hexdigest()}"'


def test_large_file_in_parts_both_ways(s3: "S3Client", bucket: str) -> None:
    """The transfer manager: 8 MiB parts sent and ranges fetched by ten threads."""
    body = bytes(range(256)) * 4096 * 20  # 20 MiB
    s3.upload_fileobj(io.BytesIO(body), bucket, "big")
    head = s3.head_object(Bucket=bucket, Key="big")
    assert head["ContentLength"] == len(body)
    digests = [hashlib.md5(body[start : start + 2**23]).digest() for start in range(0, len(body), 2**23)]
    assert head["ETag"] == f'"{hashlib.md5(b"".join(digests)).hexdigest()}-3"'
    back = io.BytesIO()
    s3.download_fileobj(bucket, "big", back)
    assert back.getvalue() == body


def test_batch_delete(s3: "S3Client", bucket: str) -> None:
    keys = [f"batch/{n}" for n in range(25)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in [*keys, "batch/never-was"]]}
    )
    assert answer.get("Errors", []) == []
    assert len(answer["Deleted"]) == 26
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_every_write_is_seen_at_once_by_every_worker(s3: "S3Client", site: Site, bucket: str) -> None:
    """Each read is on a connection of its own, so that it falls to either worker."""

    def read(path: str) -> Answer:
        return send(site, "GET", path, headers=signed(site, "GET", path))

    one, listing = target(bucket, "k"), target(bucket, query="list-type=2")
    for n in range(30):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x" * n)
        assert read(one).body == b"x" * n
        assert read(listing).field("Size") == str(n)
    s3.delete_object(Bucket=bucket, Key="k")
    for _ in range(4):
        assert read(one).code == "NoSuchKey"
        assert read(listing).field("KeyCount") == "0"


def test_both_addresses_serve_the_same_data(make_s3: type_of_maker, bucket: str, sites: Sites) -> None:
    make_s3().put_object(Bucket=bucket, Key="k", Body=b"same")
    for site in (sites.http, sites.https):
        other = boto3.client(
            "s3",
            endpoint_url=site.url,
            aws_access_key_id=site.access_key,
            aws_secret_access_key=site.secret_key,
            region_name="us-east-1",
            verify=str(site.ca_file),
        )
        assert other.get_object(Bucket=bucket, Key="k")["Body"].read() == b"same"
        other.close()


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-2", "US", "nowhere-at-all"])
def test_any_region_is_accepted(make_s3: type_of_maker, bucket: str, region: str) -> None:
    client = make_s3(region=region)
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_both_signature_versions(make_s3: type_of_maker, bucket: str, version: str) -> None:
    client = make_s3(signature_version=version)
    client.put_object(Bucket=bucket, Key="a key/ü+", Body=b"signed", Metadata={"a": "1"})
    assert client.get_object(Bucket=bucket, Key="a key/ü+")["Body"].read() == b"signed"
    assert [one["Key"] for one in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["a key/ü+"]
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a key/ü+"}]})
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


PROBES = {
    "get_bucket_versioning": None,
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_tagging": "NoSuchTagSet",
    "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_ownership_controls": "OwnershipControlsNotFoundError",
    "get_public_access_block": "NoSuchPublicAccessBlockConfiguration",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_notification_configuration": None,
    "get_bucket_logging": None,
    "get_bucket_request_payment": None,
    "get_bucket_accelerate_configuration": None,
    "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
}


@pytest.mark.parametrize("probe", PROBES)
def test_what_clients_probe_has_its_own_answer(s3: "S3Client", bucket: str, probe: str) -> None:
    code = PROBES[probe]
    if code is None:
        assert getattr(s3, probe)(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    else:
        with pytest.raises(ClientError) as refused:
            getattr(s3, probe)(Bucket=bucket)
        assert refused.value.response["Error"]["Code"] == code
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
