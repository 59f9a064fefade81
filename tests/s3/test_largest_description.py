"""Objects whose description is as large as it gets: on a file system whose attributes are too small for it, on one that
has none, and as ever.
"""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dolium.stores.leaves import syscalls
from dolium.stores.leaves.disk import Disk
from dolium.testing.checker import check
from tests.s3.client import Client, target
from tests.s3.inside import Inside

BUCKET = "cmip"
KEY = "\N{SNAKE}" * 256
"""1,024 bytes, which JSON in ASCII would take three times as many for."""
FILE = os.urandom(50_000)
META = {f"x-amz-meta-{letter}": letter * 494 for letter in "abcd"}
"""2 KiB of metadata, names counted."""
KEPT = {
    "cache-control": "max-age=" + "1" * 900,
    "content-disposition": "attachment; filename=" + "d" * 900,
    "content-encoding": "e" * 900,
    "content-language": "l" * 900,
    "content-type": "application/" + "t" * 900,
    "expires": "Thu, 01 Dec 2033 16:00:00 GMT",
}
LARGEST = META | KEPT


def _limited(real: Any) -> Any:
    def setxattr(file: int, name: str, value: bytes) -> None:
        if len(value) > 4000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, name, value)

    return setxattr


def _absent(*_: object, **__: object) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


@pytest.fixture(params=["as on ext4", "without attributes", "as it is here"])
def inside(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Inside]:
    if request.param == "as on ext4":
        monkeypatch.setattr(syscalls, "setxattr", _limited(syscalls.setxattr))
    elif request.param == "without attributes":
        monkeypatch.setattr(syscalls, "setxattr", _absent)
        monkeypatch.setattr(syscalls, "getxattr", _absent)
    inside = Inside(tmp_path, garbage_grace=0)
    inside.admin.make_bucket(BUCKET)
    yield inside
    inside.close()


def is_there(client: Client, body: bytes) -> None:
    answer = client.done("GET", target(BUCKET, KEY))
    assert answer.body == body
    assert {name: answer.headers.get(name) for name in LARGEST} == LARGEST


def sidecars(inside: Inside) -> list[Path]:
    return [path for path in inside.files() if path.name.startswith(".dolium-about-")]


def test_it_is_put_overwritten_copied_and_deleted(inside: Inside) -> None:
    client = inside.admin
    for body in (FILE, FILE[::-1]):
        client.done("PUT", target(BUCKET, KEY), LARGEST, body)
        is_there(client, body)
        assert check(inside.settings.data).problems == []
    source = {"x-amz-copy-source": target(BUCKET, KEY)}
    client.done("PUT", target(BUCKET, "copy"), source)
    assert client.done("HEAD", target(BUCKET, "copy")).headers["x-amz-meta-d"] == META["x-amz-meta-d"]
    assert check(inside.settings.data).problems == []
    client.done("DELETE", target(BUCKET, KEY))
    client.done("DELETE", target(BUCKET, "copy"))
    inside.sweep()
    assert inside.files() == []
    assert check(inside.settings.data).leftovers == []


def test_it_is_uploaded_in_parts(inside: Inside) -> None:
    client = inside.admin
    answer = client.done("POST", target(BUCKET, KEY, "uploads"), LARGEST)
    upload = answer.field("UploadId")
    etag = client.put_part(BUCKET, KEY, upload, 1, FILE)
    client.complete(BUCKET, KEY, upload, {1: etag})
    is_there(client, FILE)
    assert check(inside.settings.data).problems == []
    client.done("DELETE", target(BUCKET, KEY))
    inside.sweep()
    assert inside.files() == []


@pytest.mark.parametrize("inside", ["as on ext4", "without attributes"], indirect=True)
def test_its_description_is_synced_before_the_blob_has_its_name(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, rename = syscalls.fsync, syscalls.rename

    def watched_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        done.append("sync folder" if path.is_dir() else f"sync {path.stat().st_size}")
        fsync(descriptor)

    def watched_rename(old: str, new: str) -> None:
        done.append("name sidecar" if "/.dolium-about-" in new else "name blob")
        rename(old, new)

    monkeypatch.setattr(syscalls, "fsync", watched_fsync)
    monkeypatch.setattr(syscalls, "rename", watched_rename)
    inside.admin.done("PUT", target(BUCKET, "before"), body=FILE)  # its folder is there from then on
    done.clear()
    inside.admin.done("PUT", target(BUCKET, KEY), LARGEST, FILE)
    [sidecar] = [path for path in sidecars(inside) if KEY.encode() in path.read_bytes()]
    size = sidecar.stat().st_size
    [disk] = inside.service.stores.values()
    assert isinstance(disk, Disk)
    blob = sidecar.relative_to(inside.settings.store_root).parent / sidecar.name.split("-", 3)[3]
    assert json.loads(disk.description(str(blob))["dolium"])["key"] == KEY
    assert size > 4000
    assert done[-6:] == [
        f"sync {size}", "name sidecar", "sync folder", f"sync {len(FILE)}", "name blob", "sync folder",
    ]  # fmt: skip
