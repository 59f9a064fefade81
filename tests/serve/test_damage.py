"""Rot under a real server, seen by real clients: an error or a broken connection, never a clean end."""

import http.client
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.exceptions import RetriesExceededError

from dolium.testing.server import LiveServer, Site
from tests.clients.raw import connection, signed, target
from tests.unit.stores.test_disk_sums import flip

BLOCK = 128 << 10
DATA = random.Random(5).randbytes(80 * BLOCK)  # 10 MiB
PART = 5 << 20


@pytest.fixture(scope="module", params=["http", "https"])
def live(request: pytest.FixtureRequest, server: LiveServer) -> Site:
    site: Site = getattr(server, request.param)
    return site


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("damaged"), config="scrub: {every: off}\n") as server:
        yield server


def s3(site: Site, **more: Any) -> Any:
    return boto3.client(
        "s3", endpoint_url=site.url, aws_access_key_id=site.access_key, aws_secret_access_key=site.secret_key,
        region_name="us-east-1", verify=str(site.ca_file) if site.ca_file else None,
        config=Config(retries={"total_max_attempts": 2}, response_checksum_validation="when_required", **more),
    )  # fmt: skip


def blob(server: LiveServer, key: str, part: int = 0) -> Path:
    book = apsw.Connection(str(server.data / "catalog.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    sql = "SELECT blob_key FROM objects WHERE key = ?"
    if part:
        sql = f"SELECT p.blob_key FROM parts p JOIN objects o ON o.upload = p.upload WHERE o.key = ? AND number = {part}"
    [(found,)] = book.execute(sql, (key,)).fetchall()
    book.close()
    return server.data / "store" / str(found)


def take(site: Site, path: str) -> tuple[int, bytes, bool]:
    """(status, body, whether it ended before its length)."""
    opened = connection(site)
    try:
        opened.request("GET", path, headers=signed(site, "GET", path))
        answer = opened.getresponse()
        taken = io.BytesIO()
        try:
            while piece := answer.read(65536):
                taken.write(piece)
        except (http.client.HTTPException, OSError):
            return answer.status, taken.getvalue(), True
        return answer.status, taken.getvalue(), len(taken.getvalue()) < int(answer.headers["content-length"])
    finally:
        opened.close()


@pytest.mark.parametrize("start", [1, 40])
def test_a_file_of_which_a_part_is_no_longer_in_memory_is_sent_whole(
    live: Site, server: LiveServer, bucket_name: str, start: int
) -> None:
    s3(live).create_bucket(Bucket=bucket_name)
    s3(live).put_object(Bucket=bucket_name, Key=bucket_name, Body=DATA)
    with blob(server, bucket_name).open("rb") as file:
        os.posix_fadvise(file.fileno(), start * BLOCK, 0, os.POSIX_FADV_DONTNEED)
        with pytest.raises(BlockingIOError):
            os.preadv(file.fileno(), [bytearray(BLOCK)], 79 * BLOCK, os.RWF_NOWAIT)
        os.preadv(file.fileno(), [bytearray(BLOCK)], 0)  # the first block is
    assert take(live, target(bucket_name, bucket_name)) == (200, DATA, False)


@pytest.mark.parametrize("at", [0, 40 * BLOCK + 9, len(DATA) - 1])
def test_a_flipped_bit_breaks_the_download(server: LiveServer, live: Site, bucket_name: str, at: int) -> None:
    client = s3(live)
    client.create_bucket(Bucket=bucket_name)
    key = f"{bucket_name}-{at}"
    client.put_object(Bucket=bucket_name, Key=key, Body=DATA)
    assert take(live, target(bucket_name, key)) == (200, DATA, False)
    flip(blob(server, key), at)
    status, body, broken = take(live, target(bucket_name, key))
    if at < BLOCK:
        assert (status, broken) == (500, False)
        with pytest.raises(ClientError, match="InternalError"):
            client.get_object(Bucket=bucket_name, Key=key)
    else:
        assert (status, broken) == (200, True)
        assert DATA.startswith(body)
        assert len(body) <= at - at % BLOCK
        with pytest.raises(BotoCoreError):
            client.get_object(Bucket=bucket_name, Key=key)["Body"].read()
    with pytest.raises((BotoCoreError, ClientError, RetriesExceededError)):
        client.download_fileobj(bucket_name, key, io.BytesIO())
    # What does not touch it can be had, and the server serves on.
    far = 20 * BLOCK + 3
    part = client.get_object(Bucket=bucket_name, Key=key, Range=f"bytes={far}-{far + 99}")
    assert part["Body"].read() == DATA[far : far + 100]
    assert client.head_object(Bucket=bucket_name, Key=key)["ContentLength"] == len(DATA)
    log = server.log()
    assert f"object {key!r} of bucket" in log
    assert live.secret_key not in log


def test_a_part_that_is_cut_off(server: LiveServer, live: Site, bucket_name: str) -> None:
    client = s3(live)
    client.create_bucket(Bucket=bucket_name)
    upload = client.create_multipart_upload(Bucket=bucket_name, Key=bucket_name)["UploadId"]
    named = {"Bucket": bucket_name, "Key": bucket_name, "UploadId": upload}
    parts = [
        {"PartNumber": n, "ETag": client.upload_part(PartNumber=n, Body=DATA[(n - 1) * PART : n * PART], **named)["ETag"]}
        for n in (1, 2)
    ]  # fmt: skip
    client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **named)
    assert take(live, target(bucket_name, bucket_name)) == (200, DATA, False)
    blob(server, bucket_name, part=2).unlink()
    # Parts are opened ahead of those who read: it is known before the answer begins.
    status, _, broken = take(live, target(bucket_name, bucket_name))
    assert (status, broken) == (500, False)
    for which in ({}, {"PartNumber": 2}):
        with pytest.raises(ClientError, match="InternalError"):
            client.get_object(Bucket=bucket_name, Key=bucket_name, **which)
    first = client.get_object(Bucket=bucket_name, Key=bucket_name, PartNumber=1)
    assert first["Body"].read() == DATA[:PART]
