"""What is the disk's own: its tree, what does not belong there, links, folders that vanish, limits."""

import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from dolium.errors import BlobCorrupt, BlobNotFound, ConfigError, Conflict, StoreFull, StoreReadOnly
from dolium.stores.contract import PutOptions
from dolium.stores.leaves import syscalls
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.leaves.disk_identity import NAME, TEMPORARY
from dolium.stores.transfer import read_bytes
from dolium.testing.disk_faults import failing_calls
from dolium.testing.powers import LARGE, keys, put
from dolium.values import Durability, Space


def test_a_blob_is_a_plain_file_under_its_key(disk: Disk, root: Path) -> None:
    put(disk, "ab/cd/1", b"bytes")
    assert (root / "ab/cd/1").read_bytes() == b"bytes"
    assert disk.local_path("ab/cd/1") == root / "ab/cd/1"
    assert sorted(entry.name for entry in root.iterdir()) == [NAME, TEMPORARY, "ab"]


def test_files_laid_there_by_hand_are_blobs_if_their_names_are_keys(disk: Disk, root: Path) -> None:
    (root / "run 1").mkdir()
    (root / "run 1/é").touch()
    (root / "data").mkdir()
    (root / "data/a").write_bytes(b"by hand")
    (root / "data/a\nb").touch()
    (root / "data" / os.fsdecode(b"latin \xe9")).touch()
    (root / os.fsdecode(b"latin \xe9")).mkdir()
    (root / os.fsdecode(b"latin \xe9/a")).touch()
    (root / "lost+found").mkdir()
    (root / "lost+found/x").touch()
    assert keys(disk) == ["data/a", "run 1/é"]
    assert read_bytes(disk, "data/a") == b"by hand"
    assert disk.description("data/a") == {}


def test_where_names_of_files_are_not_utf8_no_store_is_opened(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    with pytest.raises(ConfigError, match="UTF-8"):
        Disk(Options(root))


def test_a_long_name_of_any_script_has_its_description_beside_it(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(syscalls, "setxattr", unsupported)
    name = "é" * 127
    put(disk, name, b"bytes", {"n": "1"})
    assert len(list(root.glob(".dolium-about-*"))) == 1
    assert disk.description(name) == {"n": "1"}
    disk.delete(name)
    assert list(root.glob(".dolium-about-*")) == []


@pytest.mark.parametrize("has_openat2", [True, False])
def test_no_link_is_followed(
    disk: Disk, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_openat2: bool
) -> None:
    monkeypatch.setattr(syscalls, "_has_openat2", has_openat2 and syscalls._has_openat2)
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "secret").write_bytes(b"secret")
    (outside / "sub/secret").write_bytes(b"secret")
    (root / "link").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    (root / "real").mkdir()
    (root / "real/link").symlink_to(outside)
    for key in ("file", "link/secret", "link/sub/secret", "real/link/secret"):
        for verb in (disk.get, disk.stat, disk.open_file, disk.local_path, disk.description):
            with pytest.raises(BlobCorrupt):
                verb(key)
    for key in ("link/new", "link/sub/new", "real/link/new"):
        with pytest.raises((BlobCorrupt, Conflict)):
            put(disk, key, b"x")
    disk.delete("link/secret")  # no blob of ours is there
    assert list(disk.list()) == list(disk.list("link/")) == list(disk.list("real/link/s")) == []
    disk.delete("file")  # the link itself goes
    put(disk, "link2", b"x")
    (root / "file2").symlink_to(outside / "secret")
    put(disk, "file2", b"a file takes the place of the link")
    assert not (root / "file2").is_symlink()
    assert sorted(path.name for path in outside.rglob("*")) == ["secret", "secret", "sub"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_what_is_no_file_is_no_blob_and_holds_nobody_up(disk: Disk, root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(root, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{folder}/socket")
        finally:
            os.close(folder)
    for key in ("fifo", "socket"):
        with pytest.raises(BlobCorrupt):
            disk.get(key)
    assert keys(disk) == []
    disk.delete("fifo")
    assert not (root / "fifo").exists()


def test_a_file_that_shrinks_under_a_reader_is_corrupt_never_short(disk: Disk, root: Path) -> None:
    (root / "a").write_bytes(b"x" * 1000)  # by hand, or it would have checksums, and be read block by block
    with disk.get("a") as reader:
        assert len(reader.read(10)) == 10
        os.truncate(root / "a", 500)
        with pytest.raises(BlobCorrupt):
            reader.read()
        os.truncate(root / "a", 5)
        with pytest.raises(BlobCorrupt):
            reader.read(1)


def test_a_folder_that_someone_removed_is_made_anew_and_its_entry_synced_again(
    disk: Disk, root: Path
) -> None:
    put(disk, "ab/cd/1", b"1")
    (root / "ab/cd/1").unlink()
    (root / "ab/cd").rmdir()
    (root / "ab").rmdir()
    with pytest.raises(BlobNotFound):
        disk.get("ab/cd/1")
    with failing_calls("fsync") as calls:
        put(disk, "ab/cd/2", b"2")
    assert len(calls.made) == 4, "the file, root for ab, ab for cd, cd for the file"
    assert keys(disk) == ["ab/cd/2"]


def test_a_put_syncs_the_file_and_its_folder_and_the_folders_above_only_once(disk: Disk) -> None:
    with failing_calls("fsync") as first:
        put(disk, "ab/cd/1", b"1")
    with failing_calls("fsync") as second:
        put(disk, "ab/cd/2", b"2")
    with failing_calls("fsync") as delete:
        disk.delete("ab/cd/2")
    assert [len(calls.made) for calls in (first, second, delete)] == [4, 2, 1]


def test_a_folder_that_another_process_made_is_synced_once(disk: Disk, root: Path) -> None:
    (root / "ab/cd").mkdir(parents=True)
    with failing_calls("fsync") as calls:
        put(disk, "ab/cd/1", b"1")
    assert len(calls.made) == 4


def test_relaxed_syncs_nothing(root: Path) -> None:
    relaxed = Disk(Options(root, durability=Durability.RELAXED))
    with failing_calls("fsync") as calls:
        put(relaxed, "ab/cd/1", b"1", LARGE)
        put(relaxed, "ab/cd/1", b"2")
        relaxed.delete("ab/cd/1")
    assert calls.made == []


def test_a_small_put_makes_few_calls(disk: Disk) -> None:
    put(disk, "ab/cd/0", b"0")
    with failing_calls(*(name for name in syscalls.__all__)) as calls:
        put(disk, "ab/cd/1", b"1" * 65_536)
    assert calls.made == [
        "create", "write", "open_beneath", "setxattr", "fsync", "close", "rename", "fsync", "close",
    ]  # fmt: skip


def test_an_overwrite_with_leftovers_of_a_folder_conflicts(disk: Disk, root: Path) -> None:
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/not a key").touch()
    with pytest.raises(Conflict):
        put(disk, "a", b"x")
    assert (root / "a/b/not a key").exists()


def test_below_the_limit_of_free_space_writes_find_it_full_and_deletes_work(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Disk(Options(root, min_free_bytes=1000, min_free_percent=5.0))
    put(store, "a", b"x")
    now = [1e9]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(Disk, "space", lambda _self: Space(total=100_000, free=4_999))
    with pytest.raises(StoreFull):
        put(store, "b", b"x")
    assert keys(store) == ["a"]
    store.delete("a")
    assert keys(store) == []
    monkeypatch.setattr(Disk, "space", lambda _self: Space(total=100_000, free=5_000))
    with pytest.raises(StoreFull):
        put(store, "b", b"x")
    now[0] += 2
    put(store, "b", b"x")


def test_an_announced_size_that_would_pass_the_limit_finds_it_full_at_once(root: Path) -> None:
    probe = Disk(Options(root))
    store = Disk(Options(root, min_free_bytes=probe.space().free // 2))
    put(store, "a", b"x")
    with pytest.raises(StoreFull):
        store.open_writer("b", options=PutOptions(size=probe.space().free))


def test_a_read_only_tree_is_read(disk: Disk, root: Path) -> None:
    put(disk, "a", b"x")
    for code in (errno.EROFS, errno.EACCES, errno.EPERM):
        with failing_calls("create", "unlink", code=code, nth=1, for_good=True):
            with pytest.raises(StoreReadOnly):
                put(disk, "b", b"x")
            with pytest.raises(StoreReadOnly):
                disk.delete("a")
            assert read_bytes(disk, "a") == b"x"


def test_a_damaged_description_is_corrupt(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    put(disk, "a", b"x", {"n": "1"})
    monkeypatch.setattr(syscalls, "getxattr", lambda *_arguments, **_options: b"{")
    with pytest.raises(BlobCorrupt):
        disk.description("a")


@pytest.mark.usefixtures("attributes_as_on_ext4")
def test_a_large_description_lies_in_a_sidecar_that_goes_with_its_blob(disk: Disk, root: Path) -> None:
    put(disk, "f/a", b"1", LARGE)
    sidecars = [path for path in (root / "f").iterdir() if path.name != "a"]
    assert [path.name.startswith(".dolium-about-") for path in sidecars] == [True]
    put(disk, "f/a", b"2", LARGE)
    assert len(list((root / "f").iterdir())) == 2
    assert not sidecars[0].exists()
    put(disk, "f/a", b"3")
    assert [path.name for path in (root / "f").iterdir()] == ["a"]
    put(disk, "f/a", b"4", LARGE)
    disk.delete("f/a")
    assert list((root / "f").iterdir()) == []


@pytest.mark.usefixtures("attributes_as_on_ext4")
def test_a_sidecar_is_on_the_disk_before_its_blob_has_a_name(disk: Disk) -> None:
    put(disk, "f/a", b"1")
    with failing_calls("rename", "fsync") as calls:
        put(disk, "f/b", b"1", LARGE)
    assert calls.made == ["fsync", "rename", "fsync", "fsync", "rename", "fsync"]


@pytest.mark.usefixtures("attributes_as_on_ext4")
def test_sidecars_without_their_blob_are_swept_when_they_are_old(disk: Disk, root: Path) -> None:
    long = "n" * 255
    for key in ("f/a", f"f/{long}", "f/b"):
        put(disk, key, b"x", LARGE)
    (root / "f/b").unlink()
    os.utime(root / "f" / long)  # touched: its sidecar is of another version now
    assert disk.sweep_sidecars() == 0
    assert disk.sweep_sidecars(old_seconds=-1) == 2
    assert disk.sweep_sidecars(old_seconds=-1) == 0
    assert disk.description("f/a") == LARGE
    assert disk.description(f"f/{long}") == {}
    assert disk.identify()
    assert keys(disk) == ["f/a", f"f/{long}"]


@pytest.mark.usefixtures("attributes_as_on_ext4")
def test_sidecars_of_blobs_that_will_not_come_are_swept(disk: Disk, root: Path) -> None:
    for key in ("e/a", "f/a", "f/b", "f/c", "g/a"):
        put(disk, key, b"x", LARGE)
    for key in ("e/a", "f/a", "f/b", "g/a"):
        (root / key).unlink()
    asked: list[str] = []

    def is_dead(key: str) -> bool:
        asked.append(key)
        return key != "f/b"

    assert disk.sweep_unborn("f", "g", is_dead) == 1
    assert sorted(asked) == ["f/a", "f/b"]
    left = sorted(path.name.rpartition("-")[2] for path in root.rglob(".dolium-about-*"))
    assert left == ["a", "a", "b", "c"]
    assert disk.sweep_unborn("", "z", lambda _: True) == 3
    assert disk.description("f/c") == LARGE


@pytest.mark.usefixtures("attributes_as_on_ext4")
def test_a_delete_that_was_cut_off_is_ended_by_the_next(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk, "f/a", b"x", LARGE)
    (root / "f/a").unlink()
    disk.delete("f/a")
    assert len(list(root.rglob(".dolium-about-*"))) == 1, "it may be of a blob that is about to come"
    monkeypatch.setattr("dolium.stores.leaves.disk_description._YOUNG_NS", -(10**9))
    put(disk, "f/b", b"x", LARGE)
    disk.delete("f/a")
    assert [path.name.rpartition("-")[2] for path in root.rglob(".dolium-about-*")] == ["b"]
    disk.delete("absent/folder")
