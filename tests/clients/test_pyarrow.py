"""pyarrow: AWS's C++ client, which sends CRC64NVME trailers over http too."""

import base64
from typing import Any

import pytest
from awscrt import checksums  # type: ignore[import-untyped]

from dolium.testing.server import Site

pytest.importorskip("pyarrow")


@pytest.fixture
def filesystem(site: Site) -> Any:
    from pyarrow import fs

    options = {"tls_ca_file_path": str(site.ca_file)} if site.secure else {}
    return fs.S3FileSystem(
        endpoint_override=site.host,
        scheme="https" if site.secure else "http",
        access_key=site.access_key,
        secret_key=site.secret_key,
        region=site.region,
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
        allow_delayed_open=True,  # a small file is one PUT, a large one parts
        **options,
    )


@pytest.fixture
def table() -> Any:
    import pyarrow as pa

    return pa.table({"station": ["a", "b", "c"] * 1000, "value": list(range(3000))})


def test_a_file_carries_its_checksum(filesystem: Any, s3: Any, bucket: str) -> None:
    body = b"streamed" * 1000
    with filesystem.open_output_stream(f"{bucket}/file", metadata={"Content-Type": "text/plain"}) as out:
        out.write(body)
    with filesystem.open_input_file(f"{bucket}/file") as back:
        assert back.read() == body
        assert back.read_at(8, 80) == b"streamed"
    head = s3.head_object(Bucket=bucket, Key="file", ChecksumMode="ENABLED")
    assert head["ContentType"] == "text/plain"
    assert base64.b64decode(head["ChecksumCRC64NVME"]) == checksums.crc64nvme(body).to_bytes(8)


def test_a_large_file_in_parts(filesystem: Any, bucket: str) -> None:
    body = bytes(range(256)) * 4096 * 24
    with filesystem.open_output_stream(f"{bucket}/big") as out:
        for start in range(0, len(body), 2**20):
            out.write(body[start : start + 2**20])
    with filesystem.open_input_stream(f"{bucket}/big") as back:
        assert back.read() == body


def test_partitioned_dataset(filesystem: Any, bucket: str, table: Any) -> None:
    from pyarrow import dataset

    dataset.write_dataset(
        table, f"{bucket}/ds", filesystem=filesystem, format="parquet", partitioning=["station"]
    )
    back = dataset.dataset(f"{bucket}/ds", filesystem=filesystem, format="parquet", partitioning=["station"])
    rows = back.to_table().sort_by("value")
    assert rows["value"].to_pylist() == list(range(3000))
    assert rows["station"].to_pylist() == ["a", "b", "c"] * 1000


def test_directories(filesystem: Any, bucket: str) -> None:
    from pyarrow import fs

    filesystem.create_dir(f"{bucket}/d/e", recursive=True)
    with filesystem.open_output_stream(f"{bucket}/d/e/f") as out:
        out.write(b"x")
    kinds = {
        info.path: info.type for info in filesystem.get_file_info(fs.FileSelector(bucket, recursive=True))
    }
    assert kinds == {
        f"{bucket}/d": fs.FileType.Directory,
        f"{bucket}/d/e": fs.FileType.Directory,
        f"{bucket}/d/e/f": fs.FileType.File,
    }
    filesystem.copy_file(f"{bucket}/d/e/f", f"{bucket}/g")
    filesystem.move(f"{bucket}/g", f"{bucket}/h")
    filesystem.delete_dir(f"{bucket}/d")
    left = filesystem.get_file_info(fs.FileSelector(bucket, recursive=True))
    assert [info.path for info in left] == [f"{bucket}/h"]
    assert filesystem.get_file_info(f"{bucket}/none").type == fs.FileType.NotFound
