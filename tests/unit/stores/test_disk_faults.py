"""Every system call of the disk leaf fails, at each place where it is made: nothing half-visible, nothing left.

`dolium.testing.disk_faults` puts the failure in; the sweep goes on to the next call until none fails.
"""

import errno
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dolium.errors import BlobCorrupt, BlobNotFound, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from dolium.stores.contract import PutOptions
from dolium.stores.leaves import syscalls
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.leaves.disk_identity import NAME, TEMPORARY
from dolium.stores.transfer import read_bytes
from dolium.testing.disk_faults import failing_calls
from dolium.testing.powers import LARGE, keys, put

CODES = {
    errno.EIO: StoreUnavailable,
    errno.ESTALE: StoreUnavailable,
    errno.EMFILE: StoreUnavailable,
    errno.ENOSPC: StoreFull,
    errno.EDQUOT: StoreFull,
    errno.EROFS: StoreReadOnly,
}
CALLS = [
    ("create", "open_beneath"),
    ("write",),
    ("fsync",),
    ("rename",),
    ("unlink",),
    ("mkdir",),
    ("link",),
    ("setxattr",),
    ("preallocate", "start_writeback"),
]
EVERY = tuple(name for names in CALLS for name in names)
BIG = 5 << 20


@dataclass(frozen=True)
class Put:
    """What is put, over what; `calls`: those that it makes at least once when all is well."""

    key: str
    old: tuple[bytes, dict[str, str]] | None
    new: tuple[bytes, dict[str, str]]

    def prepare(self, disk: Disk) -> None:
        put(disk, "near/by", b"stays")
        if self.old is not None:
            put(disk, self.key, *self.old)

    def run(self, disk: Disk) -> None:
        data, description = self.new
        disk.put(self.key, io.BytesIO(data), options=PutOptions(size=len(data), description=description))


PUTS = {
    "fresh": Put("ab/cd/1", None, (b"new", {"n": "2"})),
    "plain": Put("near/1", None, (b"new", {})),
    "overwrite": Put("ab/cd/1", (b"old", {"n": "1"}), (b"new", {"n": "2"})),
    "sidecar": Put("ab/cd/1", None, (b"new", LARGE)),
    "sidecar over sidecar": Put("ab/cd/1", (b"old", LARGE), (b"new", LARGE | {"n": "2"})),
    "large": Put("ab/cd/1", None, (b"x" * BIG, {})),
}


def _found(disk: Disk, key: str) -> tuple[bytes, dict[str, str]] | None:
    try:
        return read_bytes(disk, key), disk.description(key)
    except BlobNotFound:
        return None


def _strays(root: Path, disk: Disk) -> list[str]:
    """Files that are neither blobs, nor the identity, nor the one sidecar of a blob."""
    known = {info.key for info in disk.list()} | {NAME}
    strays = []
    for path in root.rglob("*"):
        if path.is_dir() or str(path.relative_to(root)) in known:
            continue
        blob = path.name.split("-", 3)[-1]
        if path.name.startswith(".dolium-about-") and path.parent.joinpath(blob).exists():
            stamp = int(path.name.split("-")[2], 16)
            if path.parent.joinpath(blob).stat().st_mtime_ns == stamp:
                continue
        strays.append(str(path.relative_to(root)))
    return strays


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


SWEEPS = [
    *((EVERY, code, False) for code in CODES),
    *((EVERY, code, True) for code in (errno.EIO, errno.ENOSPC)),
    *((names, code, True) for names in CALLS for code in (errno.EIO, errno.EDQUOT, errno.EROFS)),
]


def _sweep_name(part: object) -> str:
    if isinstance(part, bool):
        return "for-good" if part else "once"
    if isinstance(part, int):
        return errno.errorcode[part]
    return "every" if part == EVERY else "+".join(map(str, part)) if isinstance(part, tuple) else str(part)


@pytest.mark.usefixtures("attributes_as_on_ext4")
@pytest.mark.parametrize(("names", "code", "for_good"), SWEEPS, ids=_sweep_name)
@pytest.mark.parametrize("scenario", PUTS)
def test_a_put_whose_nth_call_fails_is_whole_old(
    tmp_path: Path, scenario: str, names: tuple[str, ...], code: int, *, for_good: bool
) -> None:
    case = PUTS[scenario]
    for nth in range(1, 60):
        root = tmp_path / str(nth)
        Disk.initialise(root)
        disk = Disk(Options(root, probe_seconds=3600.0))
        case.prepare(disk)
        before = _descriptors()
        failure: StoreError | None = None
        with failing_calls(*names, code=code, nth=nth, for_good=for_good) as calls:
            try:
                case.run(disk)
            except StoreError as error:
                failure = error
        if not calls.failed:
            assert failure is None
            assert nth > len([name for name in calls.made if name in names])
            return
        assert _descriptors() == before
        _check(disk, root, case, failure, calls.failed, code=code, certain=not (for_good and names == EVERY))
    raise AssertionError("a put makes fewer calls")


def _check(
    disk: Disk,
    root: Path,
    case: Put,
    failure: StoreError | None,
    failed: list[str],
    *,
    code: int,
    certain: bool,
) -> None:
    unsynced = {"fsync", "start_writeback"} & set(failed) and code not in {errno.ENOSPC, errno.EDQUOT}
    assert disk.suspect == bool(unsynced or (failure is not None and code == errno.EIO))
    if failure is not None:
        assert isinstance(failure, CODES[code])
        assert str(root) not in str(failure)
    if disk.suspect:
        assert failure is not None
        for verb in (disk.stat, disk.get, disk.delete):
            with pytest.raises(StoreUnavailable):
                verb("near/by")
        disk.probe()
        assert not disk.suspect
    found = _found(disk, case.key)
    if failure is None:
        assert found == case.new
    elif certain:
        assert found == case.old
    else:  # everything fails from then on, the way back too: then it is one of the two
        assert found in (case.old, case.new)
    assert read_bytes(disk, "near/by") == b"stays"
    if "unlink" in failed:
        disk.sweep_temporaries()
        assert list((root / TEMPORARY).iterdir()) == []
    else:
        assert _strays(root, disk) == []
    case.run(disk)
    assert _found(disk, case.key) == case.new
    disk.delete(case.key)
    assert keys(disk) == ["near/by"]


def test_of_many_deletes_those_that_fail_are_not_said_to_be_gone(tmp_path: Path) -> None:
    """Whatever call fails, once: what is said to be gone is gone, and its folder was synced."""
    keys = ["a/1", "a/2", "b/1", "c"]
    for nth in range(1, 30):
        root = tmp_path / str(nth)
        Disk.initialise(root)
        disk = Disk(Options(root, probe_seconds=3600.0))
        for key in keys:
            put(disk, key, b"bytes")
        with failing_calls("open_beneath", "unlink", "fsync", code=errno.EIO, nth=nth) as calls:
            gone = disk.delete_many(keys)
        there = {info.key for info in disk.list()} if not disk.suspect else set(keys) - gone
        assert not gone & there
        if not calls.failed:
            assert gone == set(keys)
            return
        assert gone < set(keys)
        assert disk.suspect == (calls.failed == ["fsync"])
        if calls.failed == ["unlink"]:
            assert len(gone) == len(keys) - 1
    raise AssertionError("it makes fewer calls")


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("names", [("open_beneath",), ("fsync",), ("unlink",)], ids="+".join)
def test_a_delete_whose_nth_call_fails_is_done_or_not(
    tmp_path: Path, names: tuple[str, ...], code: int
) -> None:
    failures = 0
    for nth in range(1, 20):
        root = tmp_path / str(nth)
        Disk.initialise(root)
        disk = Disk(Options(root, probe_seconds=3600.0))
        put(disk, "a/b", b"old", LARGE)
        with failing_calls(*names, code=code, nth=nth) as calls:
            try:
                disk.delete("a/b")
                failed = False
            except StoreError as error:
                assert isinstance(error, CODES[code])  # noqa: PT017 - a failure is allowed, not demanded
                failed = True
        if not calls.failed:
            assert failures > 0
            return
        failures += failed
        if disk.suspect:
            disk.probe()
        assert _found(disk, "a/b") in (None, (b"old", LARGE))
        disk.delete("a/b")
        assert _found(disk, "a/b") is None
    raise AssertionError("a delete makes fewer calls")


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_read_that_fails_says_unavailable_never_not_found(disk: Disk, code: int) -> None:
    put(disk, "a", b"x")
    verbs: list[Callable[[str], object]] = [disk.get, disk.stat, disk.open_file, disk.local_path]
    for verb in verbs:
        with failing_calls("open_beneath", code=code, nth=1), pytest.raises(StoreUnavailable):
            verb("a")
    with failing_calls("open_beneath", code=code, nth=1), pytest.raises(StoreUnavailable):
        list(disk.list())
    with disk.get("a") as reader:
        # A sector that cannot be read says nothing of other blobs.
        meaning = BlobCorrupt if code == errno.EIO else StoreUnavailable
        with failing_calls("pread", code=code, nth=1), pytest.raises(meaning):
            reader.read()
        assert reader.read() == b"x"
    assert not disk.suspect


def test_a_failed_fsync_is_never_tried_again(disk: Disk) -> None:
    with failing_calls("fsync", code=errno.EIO, nth=1) as calls, pytest.raises(StoreUnavailable):
        put(disk, "a", b"x")
    assert calls.made == ["fsync"]


def test_a_suspect_store_refuses_until_a_probe_succeeds(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    put(disk, "a", b"x")
    now = [1e9]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with failing_calls("fsync", code=errno.EIO, nth=1, for_good=True) as calls:
        with pytest.raises(StoreUnavailable):
            put(disk, "b", b"x")
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                disk.get("a")
        assert len(calls.made) == 1, "the disk is left alone in between"
        now[0] += 3600
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                disk.get("a")
        assert len(calls.made) == 2, "one verb asked, and the others did not"
        with pytest.raises(StoreUnavailable):
            disk.probe()
    with pytest.raises(StoreUnavailable):
        disk.get("a")
    now[0] += 3600
    assert read_bytes(disk, "a") == b"x"
    assert not disk.suspect
    assert keys(disk) == ["a"]


def test_a_probe_that_reads_other_bytes_fails(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "pread", lambda *_arguments: b"other bytes")
    with pytest.raises(StoreUnavailable):
        disk.probe()
    assert disk.suspect


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_suspect_store_that_is_full_or_read_only_answers(disk: Disk, code: int) -> None:
    put(disk, "a", b"x")
    with failing_calls("fsync", code=errno.EIO, nth=1), pytest.raises(StoreUnavailable):
        put(disk, "b", b"x")
    with failing_calls("create", "write", code=code, nth=1, for_good=True):
        disk.probe()
        assert read_bytes(disk, "a") == b"x"
        disk.delete("a")
    assert keys(disk) == []


def test_on_a_full_disk_deletes_work_and_space_comes_back(disk: Disk) -> None:
    put(disk, "a", b"x")
    put(disk, "f/b", b"x", LARGE)
    with failing_calls("create", "write", "mkdir", "setxattr", code=errno.ENOSPC, nth=1, for_good=True):
        with pytest.raises(StoreFull):
            put(disk, "c/d", b"x")
        disk.delete("a")
        disk.delete("f/b")
        assert keys(disk) == []
    put(disk, "c/d", b"x")


def test_a_short_write_is_written_on(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = syscalls.write
    monkeypatch.setattr(syscalls, "write", lambda descriptor, data: real(descriptor, memoryview(data)[:7]))
    put(disk, "a", bytes(range(100)), LARGE)
    assert read_bytes(disk, "a") == bytes(range(100))
    assert disk.description("a") == LARGE


def test_a_close_that_fails_fails_the_put(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a relaxed store on a network file system hears of lost bytes."""
    real = syscalls.close

    def closes_and_fails(descriptor: int) -> None:
        real(descriptor)
        raise OSError(errno.EIO, "lost")

    monkeypatch.setattr(syscalls, "close", closes_and_fails)
    with pytest.raises(StoreUnavailable):
        put(disk, "a", b"x")
    assert disk.suspect
    monkeypatch.undo()
    disk.probe()
    assert keys(disk) == []


def test_where_there_are_no_hard_links_an_overwrite_works_all_the_same(disk: Disk) -> None:
    put(disk, "a", b"old")
    for code in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
        with failing_calls("link", code=code, nth=1) as calls:
            put(disk, "a", b"new")
        assert calls.failed == ["link"]
        assert read_bytes(disk, "a") == b"new"


def test_a_folder_whose_entry_could_not_be_synced_is_made_anew(disk: Disk, root: Path) -> None:
    with failing_calls("fsync", code=errno.EIO, nth=1), pytest.raises(StoreUnavailable):
        put(disk, "ab/cd/1", b"x")
    assert not (root / "ab").exists()
    disk.probe()
    with failing_calls("fsync") as calls:
        put(disk, "ab/cd/1", b"x")
    assert len(calls.made) == 4
