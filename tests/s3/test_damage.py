"""Objects whose bytes have rotted: never sent, never copied, held back once a scrub has looked, free when right again."""

import errno
import hashlib
import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dolium.catalog import damage
from dolium.movers.pace import Pace
from dolium.movers.scrub import Scrub, recheck
from dolium.stores.leaves import syscalls
from tests.s3.client import Answer, Client, target
from tests.s3.inside import Inside
from tests.unit.stores.test_disk_sums import WRONG, cut, flip, folder, grow, link, remove, swap

BLOCK = 128 << 10
SIZE = 5 * BLOCK + 777
DATA = random.Random(7).randbytes(SIZE)
PART = random.Random(8).randbytes(5 << 20)
DAMAGED = (500, "InternalError")

__all__ = ["WRONG"]


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    inside = Inside(tmp_path)
    inside.admin.make_bucket("rot")
    yield inside
    inside.close()


@pytest.fixture
def client(inside: Inside) -> Client:
    return inside.admin


def blob(inside: Inside, key: str, part: int = 0) -> Path:
    """The file of an object, or of a part of it."""
    read = inside.service.database
    row = read.one("SELECT blob_key, upload FROM objects WHERE key = $1", key)
    assert row is not None
    if part:
        row = read.one("SELECT blob_key FROM parts WHERE upload = $1 AND number = $2", row[1], part)
        assert row is not None
    return inside.settings.store_root / str(row[0])


def scrub(inside: Inside) -> list[tuple[str, str]]:
    """(state, what) of all that is wrong after a walk."""
    assert Scrub(inside.service, 0, lambda _: False).work()
    return [(one.state, one.what) for one in damage.every(inside.service.database)]


def again(inside: Inside) -> int:
    return recheck(inside.service, Pace(0, lambda _: False))


def damaged(answer: Answer) -> None:
    assert (answer.status, answer.code) == DAMAGED, answer
    assert "damaged or lost" in answer.field("Message")
    for word in ("Traceback", "store/", "blob"):
        assert word not in answer.body.decode()


def multipart(client: Client, key: str) -> bytes:
    upload = client.begin("rot", key)
    etags = {1: client.put_part("rot", key, upload, 1, PART), 2: client.put_part("rot", key, upload, 2, DATA)}
    assert client.complete("rot", key, upload, etags).status == 200
    return PART + DATA


@pytest.mark.parametrize("at", [0, BLOCK - 1])
def test_what_is_wrong_in_the_first_block_is_an_error(inside: Inside, client: Client, at: int) -> None:
    client.put("rot", "key", DATA)
    flip(blob(inside, "key"), at)
    damaged(client.ask("GET", target("rot", "key")))
    damaged(client.ask("GET", target("rot", "key"), {"range": f"bytes={at}-{at}"}))
    damaged(client.ask("GET", target("rot", "key", "partNumber=1")))
    rest = client.done("GET", target("rot", "key"), {"range": f"bytes={BLOCK}-"})
    assert rest.body == DATA[BLOCK:]


@pytest.mark.parametrize("at", [BLOCK, 3 * BLOCK + 5, SIZE - 1])
def test_what_is_wrong_later_ends_the_answer_and_is_not_sent(inside: Inside, client: Client, at: int) -> None:
    client.put("rot", "key", DATA)
    flip(blob(inside, "key"), at)
    with pytest.raises(Exception, match="not those that were written"):
        client.ask("GET", target("rot", "key"))
    before = at - at % BLOCK
    assert client.done("GET", target("rot", "key"), {"range": f"bytes=0-{before - 1}"}).body == DATA[:before]
    damaged(client.ask("GET", target("rot", "key"), {"range": f"bytes={before}-{at}"}))


@pytest.mark.parametrize("wrong", [*WRONG, remove, folder])
@pytest.mark.parametrize("verify", [True, False])
def test_a_file_that_is_not_the_one(tmp_path: Path, wrong: object, *, verify: bool) -> None:
    inside = Inside(tmp_path, verify_reads=verify)
    try:
        inside.admin.make_bucket("rot")
        inside.admin.put("rot", "key", DATA)
        inside.admin.put("rot", "other", DATA[::-1])
        path = blob(inside, "key")
        if wrong is swap:
            blob(inside, "other").rename(path.with_name("2"))
        assert callable(wrong)
        wrong(path)
        if verify or wrong in (cut, grow, remove, folder, link):
            damaged(inside.admin.ask("GET", target("rot", "key")))
        found = scrub(inside)
        assert ("corrupt", "the blob is lost") in found if wrong is swap else found
        damaged(inside.admin.ask("GET", target("rot", "key")))
    finally:
        inside.close()


def test_a_part_that_is_damaged(inside: Inside, client: Client) -> None:
    whole = multipart(client, "big")
    flip(blob(inside, "big", part=2), 0)
    assert client.done("GET", target("rot", "big", "partNumber=1")).body == PART
    damaged(client.ask("GET", target("rot", "big", "partNumber=2")))
    damaged(client.ask("GET", target("rot", "big"), {"range": f"bytes={len(PART)}-{len(PART)}"}))
    with pytest.raises(Exception, match="not those that were written"):
        client.ask("GET", target("rot", "big"))
    client.done("PUT", target("rot", "shared"), {"x-amz-copy-source": "/rot/big"})
    [(state, _)] = scrub(inside)
    assert state == "corrupt"
    # Both stand on that part, and are held back as a whole.
    for key in ("big", "shared"):
        damaged(client.ask("GET", target("rot", key), {"range": "bytes=0-0"}))
        assert client.done("HEAD", target("rot", key)).headers["x-dolium-state"] == "corrupt"
    flip(blob(inside, "big", part=2), 0)
    assert again(inside) == 1
    assert client.get("rot", "big") == client.get("rot", "shared") == whole
    assert "x-dolium-state" not in client.done("HEAD", target("rot", "big")).headers


def test_a_damaged_part_of_an_open_upload_is_asked_for_again(inside: Inside, client: Client) -> None:
    upload = client.begin("rot", "new")
    etag = client.put_part("rot", "new", upload, 1, DATA)
    row = inside.service.database.one("SELECT blob_key FROM parts")
    assert row is not None
    flip(inside.settings.store_root / row[0], 9)
    [(state, _)] = scrub(inside)
    assert state == "corrupt"
    answer = client.complete("rot", "new", upload, {1: etag})
    assert (answer.status, answer.code) == (400, "InvalidPart")
    assert "upload it again" in answer.field("Message")
    assert client.put_part("rot", "new", upload, 1, DATA) == etag
    assert client.complete("rot", "new", upload, {1: etag}).status == 200
    assert client.get("rot", "new") == DATA


def test_damage_is_not_copied(inside: Inside, client: Client) -> None:
    client.put("rot", "key", DATA)
    client.put("rot", "small", b"small")
    path = blob(inside, "key")
    flip(path, SIZE - 1)
    upload = client.begin("rot", "new")
    copied = {"x-amz-copy-source": "/rot/key"}
    damaged(client.ask("PUT", target("rot", "new", f"partNumber=1&uploadId={upload}"), copied))
    damaged(client.ask("PUT", target("rot", "copy"), {**copied, "x-amz-checksum-algorithm": "SHA256"}))
    # What touches only blocks that are right may be had.
    ranged = {**copied, "x-amz-copy-source-range": f"bytes=0-{BLOCK - 1}"}
    client.done("PUT", target("rot", "new", f"partNumber=2&uploadId={upload}"), ranged)
    inside.write(lambda tx: tx.run("UPDATE bodies SET data = x'6161616161'"))
    damaged(client.ask("PUT", target("rot", "copy"), {"x-amz-copy-source": "/rot/small"}))
    assert {state for state, _ in scrub(inside)} == {"corrupt"}
    damaged(client.ask("PUT", target("rot", "copy"), copied))
    damaged(client.ask("PUT", target("rot", "new", f"partNumber=3&uploadId={upload}"), ranged))
    assert client.keys("rot") == ["key", "small"]


def test_with_verify_reads_off_the_service_still_copies_no_damage(tmp_path: Path) -> None:
    inside = Inside(tmp_path, verify_reads=False)
    try:
        inside.admin.make_bucket("rot")
        inside.admin.put("rot", "key", DATA)
        flip(blob(inside, "key"), 0)
        assert inside.admin.get("rot", "key") != DATA, "that is what off means"
        upload = inside.admin.begin("rot", "new")
        path = target("rot", "new", f"partNumber=1&uploadId={upload}")
        damaged(inside.admin.ask("PUT", path, {"x-amz-copy-source": "/rot/key"}))
    finally:
        inside.close()


def test_inline_bytes_that_are_damaged(inside: Inside, client: Client) -> None:
    for change in ("data = x'00'", "data = x'0000000000'", "crc = crc + 1"):
        client.put("rot", "key", b"small")
        inside.write(lambda tx, change=change: tx.run(f"UPDATE bodies SET {change}"))  # type: ignore[misc]
        damaged(client.ask("GET", target("rot", "key")))
        found = scrub(inside)
        if "crc" in change:
            # They are what the ETag says: it was the checksum that had rotted.
            assert found == []
            assert client.get("rot", "key") == b"small"
        else:
            assert [state for state, _ in found] == ["corrupt"]
            damaged(client.ask("GET", target("rot", "key")))
            assert client.done("HEAD", target("rot", "key")).headers["x-dolium-state"] == "corrupt"
    inside.write(lambda tx: tx.run("DELETE FROM bodies"))
    damaged(client.ask("GET", target("rot", "key")))
    assert scrub(inside) == [("corrupt", "the inline bytes are lost")]


def test_inline_bytes_of_an_older_dolium_are_read_and_get_a_checksum(inside: Inside, client: Client) -> None:
    client.put("rot", "key", b"small")
    inside.write(lambda tx: tx.run("UPDATE bodies SET crc = NULL"))
    assert client.get("rot", "key") == b"small"
    assert scrub(inside) == []
    row = inside.service.database.one("SELECT crc FROM bodies")
    assert row is not None
    assert row[0] is not None


def test_what_is_held_back_can_be_listed_deleted_and_replaced(inside: Inside, client: Client) -> None:
    for key in ("key", "gone", "kept"):
        client.put("rot", key, DATA)
    for key in ("key", "gone", "kept"):
        flip(blob(inside, key), 0)
    assert [state for state, _ in scrub(inside)] == ["corrupt"] * 3
    assert client.keys("rot") == ["gone", "kept", "key"]
    assert client.done("HEAD", target("rot", "key")).headers["content-length"] == str(SIZE)
    etag = hashlib.md5(DATA).hexdigest()
    client.put("rot", "key", DATA)
    assert client.get("rot", "key") == DATA
    client.done("DELETE", target("rot", "gone"))
    assert client.ask("GET", target("rot", "gone")).status == 404
    assert client.ask("GET", target("rot", "kept"), {"if-none-match": f'"{etag}"'}).status == 304
    assert blob(inside, "kept").stat().st_size == SIZE, "the file is where it was"
    assert [state for state, _ in scrub(inside)] == ["corrupt"]


def test_a_read_tells_once_and_a_look_at_the_disk_decides(
    inside: Inside, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.put("rot", "key", DATA)
    flip(blob(inside, "key"), 0)
    with caplog.at_level(logging.ERROR, logger="dolium.damage"):
        for _ in range(3):
            damaged(client.ask("GET", target("rot", "key")))
        # The commit comes behind the answer.
        inside.write(lambda tx: None)
    lines = [record.getMessage() for record in caplog.records if record.name == "dolium.damage"]
    assert len(lines) == 1
    assert "object 'key' of bucket 1 is damaged" in lines[0]
    [finding] = damage.every(inside.service.database)
    assert finding.state == "suspect"
    metrics = client.send("GET", "/_metrics").body.decode()
    assert 'dolium_reads_total{checked="corrupt"} 3.0' in metrics
    assert 'dolium_damage{state="suspect"} 1.0' in metrics
    # Not held back before a scrub has looked: what is right of it can be had.
    assert client.done("GET", target("rot", "key"), {"range": f"bytes={BLOCK}-"}).body == DATA[BLOCK:]
    assert again(inside) == 0
    assert [one.state for one in damage.every(inside.service.database)] == ["corrupt"]
    damaged(client.ask("GET", target("rot", "key"), {"range": f"bytes={BLOCK}-"}))
    flip(blob(inside, "key"), 0)
    damaged(client.ask("GET", target("rot", "key")))
    assert again(inside) == 1
    assert client.get("rot", "key") == DATA
    assert damage.every(inside.service.database) == []


def test_blobs_without_checksums_are_read_and_counted_and_get_some(inside: Inside, client: Client) -> None:
    client.put("rot", "key", DATA)
    multipart(client, "big")
    for path in (blob(inside, "key"), blob(inside, "big", part=2)):
        os.removexattr(path, "user.dolium.sums")
    assert client.get("rot", "key") == DATA
    metrics = client.send("GET", "/_metrics").body.decode()
    assert 'dolium_reads_total{checked="unverified"} 1.0' in metrics
    walk = Scrub(inside.service, 0, lambda _: False)
    assert walk.work()
    assert (walk.run.mended, walk.run.unknown) == (2, 0)
    flip(blob(inside, "key"), 0)
    damaged(client.ask("GET", target("rot", "key")))


@pytest.mark.parametrize("cached", [True, False])
def test_a_sector_that_cannot_be_read(
    inside: Inside, client: Client, monkeypatch: pytest.MonkeyPatch, *, cached: bool
) -> None:
    client.put("rot", "key", DATA)
    real = os.preadv

    def fails(descriptor: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        if flags and cached:
            return real(descriptor, buffers, offset, flags)
        raise OSError(errno.EAGAIN if flags else errno.EIO, "cannot be read")

    monkeypatch.setattr(os, "preadv", fails)
    if cached:
        assert client.done("GET", target("rot", "key"), {"range": "bytes=0-9"}).body == DATA[:10]
        return
    damaged(client.ask("GET", target("rot", "key")))
    monkeypatch.undo()
    inside.write(lambda tx: None)
    assert [one.what for one in damage.every(inside.service.database)] == ["the disk cannot read the blob"]
    assert again(inside) == 1


def test_descriptions_and_manifests_that_are_wrong_are_told_and_hold_nothing_back(
    inside: Inside, client: Client
) -> None:
    client.put("rot", "plain", DATA)
    whole = multipart(client, "big")
    client.done("PUT", target("rot", "shared"), {"x-amz-copy-source": "/rot/big"})
    os.removexattr(blob(inside, "plain"), "user.dolium.description")
    manifest = blob(inside, "big")
    text = manifest.read_bytes()
    assert {what for _, what in scrub(inside)} == {"the description is lost"}
    os.setxattr(blob(inside, "plain"), "user.dolium.description", b'{"dolium": "{\\"key\\": 1}"}')
    flip(manifest, 5)
    row = inside.service.database.one("SELECT manifest FROM objects WHERE key = 'shared'")
    assert row is not None
    (inside.settings.store_root / row[0]).unlink()
    assert sorted(scrub(inside)) == [
        (
            "noted",
            "the description says otherwise of key, sequence, etag, size, checksum, headers, bucket, tenancy",
        ),
        ("noted", "the manifest is lost"),
        ("noted", "the manifest: the bytes from 0 on are not those that were written"),
    ]
    assert client.get("rot", "big") == client.get("rot", "shared") == whole
    assert client.get("rot", "plain") == DATA
    # Sums and all, but of other parts.
    key = str(manifest.relative_to(inside.settings.store_root))
    store = inside.service.store(1)
    with manifest.open("wb") as file:
        file.write(text.replace(b'"parts": [[1,', b'"parts": [[3,'))
    os.removexattr(manifest, "user.dolium.sums")
    assert ("noted", "the manifest: it does not list the parts of the object") in scrub(inside)
    assert store.stat(key).size == len(text)


def test_syscalls_of_a_checked_read_are_few(
    inside: Inside, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("rot", "key", DATA)
    asked: list[str] = []
    real = syscalls.getxattr

    def watched(file: int, name: str) -> bytes:
        asked.append(name)
        return real(file, name)

    monkeypatch.setattr(syscalls, "getxattr", watched)
    assert client.done("GET", target("rot", "key"), {"range": "bytes=5-9"}).body == DATA[5:10]
    assert asked == ["user.dolium.sums"]
