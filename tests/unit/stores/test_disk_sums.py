"""Bytes that have rotted are seen wherever they lie, before they are given; and so is rot in the checksums."""

import errno
import hashlib
import io
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from dolium.errors import BlobCorrupt, BlobNotFound, StoreUnavailable, SumsDamaged
from dolium.stores.contract import Audit, PutOptions
from dolium.stores.leaves import syscalls
from dolium.stores.leaves.disk import Disk
from dolium.stores.leaves.disk_sums import BLOCK, Summer, Sums
from dolium.stores.transfer import read_bytes
from dolium.testing.disk_faults import failing_calls
from dolium.testing.powers import LARGE, put
from dolium.values import ByteRange
from dolium.wire.checksums import crc32c

SUMS = "user.dolium.sums"
SIZE = 10 * BLOCK + 1000
DATA = random.Random(4).randbytes(SIZE)


def flip(path: Path, at: int) -> None:
    """One bit, the times of the file as they were: as a disk does it."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.fixture
def blob(disk: Disk, root: Path) -> Path:
    put(disk, "ab/1", DATA, {"n": "1"})
    return root / "ab/1"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checksums of more than one block do not fit into the attribute."""
    real = syscalls.setxattr

    def limited(file: int, name: str, value: bytes) -> None:
        if name == SUMS and len(value) > 24:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, name, value)

    monkeypatch.setattr(syscalls, "setxattr", limited)


def sidecar(folder: Path) -> Path:
    [found] = folder.glob(".dolium-about-*")
    return found


@pytest.mark.parametrize("at", [0, BLOCK - 1, BLOCK, 5 * BLOCK + 7, 10 * BLOCK, SIZE - 1])
def test_a_flipped_bit_is_seen_in_its_block_and_nowhere_else(disk: Disk, blob: Path, at: int) -> None:
    flip(blob, at)
    with disk.get("ab/1") as reader, pytest.raises(BlobCorrupt, match=f"from {at // BLOCK * BLOCK} on"):
        reader.read()
    begin = at - at % BLOCK
    end = min(begin + BLOCK, SIZE)
    for first, last in ((begin, begin), (end - 1, end - 1), (max(0, begin - 1), begin), (at, at)):
        with pytest.raises(BlobCorrupt):
            read_bytes(disk, "ab/1", range=ByteRange(first, last))
    if begin:
        assert read_bytes(disk, "ab/1", range=ByteRange(0, begin - 1)) == DATA[:begin]
    if end < SIZE:
        assert read_bytes(disk, "ab/1", range=ByteRange(end, None)) == DATA[end:]
    with pytest.raises(BlobCorrupt):
        disk.audit("ab/1", md5=hashlib.md5(DATA).hexdigest())


def test_nothing_of_a_wrong_block_is_given_and_all_before_it(disk: Disk, blob: Path) -> None:
    flip(blob, 9 * BLOCK)
    with disk.get("ab/1") as reader:
        assert b"".join(reader.read(BLOCK // 8) for _ in range(72)) == DATA[: 9 * BLOCK]
        for _ in range(2):
            with pytest.raises(BlobCorrupt):
                reader.read(1)


def cut(path: Path) -> None:
    os.truncate(path, SIZE - 1)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def zero(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(SIZE))


def remove(path: Path) -> None:
    path.unlink()


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def swap(path: Path) -> None:
    """With another blob of the same size, attributes and all."""
    other = path.with_name("2")
    aside = path.with_name("aside")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


WRONG = [cut, empty, grow, zero, link, fifo, swap]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_file_that_is_not_the_one_is_corrupt(disk: Disk, blob: Path, wrong: Callable[[Path], None]) -> None:
    put(disk, "ab/2", DATA[::-1])
    wrong(blob)
    with pytest.raises(BlobCorrupt):
        read_bytes(disk, "ab/1", range=ByteRange(0, 9))
    with pytest.raises(BlobCorrupt):
        disk.audit("ab/1", md5=hashlib.md5(DATA).hexdigest())


@pytest.mark.parametrize("wrong", [remove, folder])
def test_a_file_that_is_gone_is_not_found(disk: Disk, blob: Path, wrong: Callable[[Path], None]) -> None:
    wrong(blob)
    for verb in (disk.get, disk.open_checked, disk.audit):
        with pytest.raises(BlobNotFound):
            verb("ab/1")


@pytest.mark.parametrize("at", [0, 1, 2, 5, 8, 16, 30, -1])
def test_damaged_sums_are_no_proof_and_are_written_anew_when_the_bytes_are_right(
    disk: Disk, blob: Path, at: int
) -> None:
    sound = os.getxattr(blob, SUMS)
    text = bytearray(sound)
    text[at] ^= 1
    os.setxattr(blob, SUMS, bytes(text))
    with pytest.raises(SumsDamaged):
        disk.get("ab/1")
    with pytest.raises(SumsDamaged):
        disk.audit("ab/1")
    with pytest.raises(BlobCorrupt, match="MD5"):
        disk.audit("ab/1", md5=hashlib.md5(b"other").hexdigest())
    assert disk.audit("ab/1", md5=hashlib.md5(DATA).hexdigest()) == Audit(SIZE, summed=False, mended=True)
    assert os.getxattr(blob, SUMS) == sound
    assert read_bytes(disk, "ab/1") == DATA


@pytest.mark.parametrize("text", [b"x", b"", b"\1", b"\1" * 40])
def test_sums_that_are_none(disk: Disk, blob: Path, text: bytes) -> None:
    os.setxattr(blob, SUMS, text)
    if text:
        with pytest.raises(SumsDamaged):
            disk.get("ab/1")
    assert disk.audit("ab/1", md5=hashlib.md5(DATA).hexdigest()).mended


@pytest.mark.usefixtures("narrow")
def test_sums_that_do_not_fit_lie_beside_the_blob_and_come_and_go_with_it(disk: Disk, root: Path) -> None:
    put(disk, "ab/1", DATA, {"n": "1"})
    assert os.getxattr(root / "ab/1", SUMS) == b"\0"
    assert disk.description("ab/1") == {"n": "1"}
    assert read_bytes(disk, "ab/1") == DATA
    put(disk, "ab/1", DATA[::-1], LARGE)
    text = sidecar(root / "ab").read_bytes()
    assert disk.description("ab/1") == LARGE
    assert read_bytes(disk, "ab/1") == DATA[::-1]
    flip(root / "ab/1", SIZE - 1)
    with pytest.raises(BlobCorrupt, match=f"from {10 * BLOCK} on"):
        read_bytes(disk, "ab/1")
    flip(root / "ab/1", SIZE - 1)
    for at in (len(text) - 1, len(text) - 5, text.index(b"\n") + 1):
        flip(sidecar(root / "ab"), at)
        with pytest.raises(SumsDamaged):
            disk.get("ab/1")
        flip(sidecar(root / "ab"), at)
    disk.delete("ab/1")
    assert list((root / "ab").iterdir()) == []


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("loses", ["all", "sums", "attribute too"])
def test_sums_beside_a_blob_that_are_lost_are_missed(disk: Disk, root: Path, loses: str) -> None:
    put(disk, "ab/1", DATA, LARGE)
    beside = sidecar(root / "ab")
    if loses == "sums":
        beside.write_bytes(beside.read_bytes().partition(b"\n")[0])
    else:
        beside.unlink()
    if loses == "attribute too":
        os.removexattr(root / "ab/1", SUMS)
        assert read_bytes(disk, "ab/1") == DATA, "as a blob that never had any"
    else:
        with pytest.raises(SumsDamaged):
            disk.get("ab/1")
    assert disk.audit("ab/1", md5=hashlib.md5(DATA).hexdigest()).mended
    assert disk.audit("ab/1") == Audit(SIZE, summed=True, mended=False)
    assert disk.description("ab/1") == (LARGE if loses == "sums" else {})
    disk.delete("ab/1")
    assert list((root / "ab").iterdir()) == []


def test_what_was_laid_there_by_hand_has_no_sums_until_it_is_held_against_its_md5(
    disk: Disk, root: Path
) -> None:
    (root / "by-hand").write_bytes(DATA)
    descriptor, size, sums = disk.open_checked("by-hand")
    os.close(descriptor)
    assert (size, sums) == (SIZE, None)
    assert disk.audit("by-hand") == Audit(SIZE, summed=False, mended=False)
    assert disk.open_checked("by-hand")[2] is None
    with failing_calls("fsync") as calls:
        assert disk.audit("by-hand", md5=hashlib.md5(DATA).hexdigest()).mended
    assert len(calls.made) == 1
    assert disk.audit("by-hand").summed
    flip(root / "by-hand", 3)
    with pytest.raises(BlobCorrupt):
        read_bytes(disk, "by-hand")


def test_a_copy_within_carries_the_sums_and_with_them_the_damage(
    disk: Disk, blob: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syscalls, "clone", lambda target, source: os.write(target, os.pread(source, SIZE, 0)))
    flip(blob, 2 * BLOCK)
    assert disk.copy_within("ab/1", "cd/2", options=PutOptions()) is not None
    with pytest.raises(BlobCorrupt, match=f"from {2 * BLOCK} on"):
        read_bytes(disk, "cd/2")
    flip(root / "cd/2", 2 * BLOCK)
    assert read_bytes(disk, "cd/2") == DATA
    os.setxattr(blob, SUMS, b"damaged")
    with pytest.raises(SumsDamaged):
        disk.copy_within("ab/1", "cd/3")
    os.removexattr(blob, SUMS)
    assert disk.copy_within("ab/1", "cd/4") is not None
    assert disk.open_checked("cd/4")[2] is None, "nobody has looked at these bytes"


def test_an_audit_goes_on_where_it_was_and_stops_when_told(disk: Disk, blob: Path) -> None:
    flip(blob, 0)
    assert disk.audit("ab/1", start=BLOCK).summed
    assert disk.audit("ab/1", start=BLOCK + 5).summed
    with pytest.raises(BlobCorrupt):
        disk.audit("ab/1", start=BLOCK - 1)
    flip(blob, 0)
    seen = []

    def pace(at: int) -> None:
        seen.append(at)
        if at:
            raise InterruptedError

    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises((InterruptedError, StoreUnavailable)):
        disk.audit("ab/1", pace=pace)
    assert seen == [0, 1 << 20]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_audit_reads_the_disk_and_not_the_memory(
    disk: Disk, blob: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, at, size, how: forgotten.append((at, size)))
    disk.audit("ab/1")
    assert forgotten[0] == (0, 1 << 20)
    assert sum(size for _, size in forgotten) == 2 * SIZE, "before it is read, and after"


def test_a_sector_that_cannot_be_read_is_the_blobs_and_a_dead_disk_is_not(disk: Disk, blob: Path) -> None:
    with failing_calls("pread", code=errno.EIO, nth=1), pytest.raises(BlobCorrupt):
        disk.audit("ab/1")
    with failing_calls("pread", code=errno.EIO, nth=1, for_good=True), pytest.raises(StoreUnavailable):
        disk.audit("ab/1")
    assert disk.suspect
    disk.probe()
    with failing_calls("getxattr", code=errno.EIO, nth=1), pytest.raises(BlobCorrupt):
        disk.open_checked("ab/1")
    assert blob.exists()


def test_the_sums_are_the_same_however_the_bytes_come() -> None:
    blocks = [DATA[at : at + BLOCK] for at in range(0, SIZE, BLOCK)]
    expected = b"".join(crc32c(block).to_bytes(4, "little") for block in blocks)
    for seed in range(20):
        source = random.Random(seed)
        summer, at = Summer(), 0
        while at < SIZE:
            size = source.choice((1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK))
            summer.update((bytes, bytearray, memoryview)[seed % 3](DATA[at : at + size]))
            at += size
        encoded = summer.encode("k")
        assert encoded[16:-4] == expected
        assert Sums(encoded, "k", SIZE).encode("other") == summer.encode("other")
        with pytest.raises(BlobCorrupt):
            Sums(encoded, "other", SIZE)


def test_writes_of_odd_sizes_have_their_sums(disk: Disk) -> None:
    with disk.open_writer("a") as writer:
        for begin in range(0, SIZE, 99_991):
            writer.write(memoryview(DATA)[begin : begin + 99_991])
        writer.commit()
    assert disk.audit("a").summed
    disk.put("b", io.BytesIO(DATA))
    assert read_bytes(disk, "b") == DATA
