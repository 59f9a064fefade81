"""A power cut leaves what was synced, and of a torn disk what may be there besides; nothing else."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from dolium.testing.powercut import NotNotedError, Powercut

PREPARED = """
import fcntl, mmap, os, sys
os.chdir(sys.argv[1])

def sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)

def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
"""


@pytest.fixture
def disk(tmp_path: Path, library: Path) -> Powercut:
    """With a file `old` and a folder `sub` on it."""
    disk = Powercut(tmp_path / "data", tmp_path / "shadow", library)
    (disk.data / "sub").mkdir(parents=True)
    (disk.data / "old").write_bytes(b"old")
    disk.settle()
    return disk


def run(disk: Powercut, code: str) -> None:
    command = [sys.executable, "-c", PREPARED + code, str(disk.data)]
    subprocess.run(command, check=True, env={**os.environ, **disk.environment})


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below: its bytes, or None for a folder."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("write('old', b'new')", {"old": b"old"}),
        ("write('old', b'new'); sync('old')", {"old": b"new"}),
        ("write('old', b'new'); os.fdatasync(os.open('old', os.O_WRONLY))", {"old": b"new"}),
        ("write('old', b'new'); sync('old'); write('old', b'newest')", {"old": b"new"}),
        ("write('old', b'longer'); sync('old'); os.truncate('old', 2); sync('old')", {"old": b"lo"}),
        ("write('new', b'new')", {}),
        ("write('new', b'new'); sync('new')", {}),
        ("write('new', b'new'); sync('.')", {"new": b""}),
        ("write('new', b'new'); sync('new'); sync('.')", {"new": b"new"}),
        ("write('new', b'new'); sync('.'); sync('new')", {"new": b"new"}),
        ("os.unlink('old')", {}),
        ("os.unlink('old'); sync('.'); write('new', b'new'); sync('.')", {"old": False, "new": b""}),
        ("os.rename('old', 'sub/old')", {}),
        ("os.rename('old', 'sub/old'); sync('sub')", {"sub/old": b"old"}),
        ("os.rename('old', 'sub/old'); sync('sub'); sync('.')", {"old": False, "sub/old": b"old"}),
        ("write('new', b'new'); sync('new'); os.rename('new', 'old')", {}),
        ("write('new', b'new'); sync('new'); os.rename('new', 'old'); sync('.')", {"old": b"new"}),
        ("os.mkdir('more'); write('more/new', b'new'); sync('more/new'); sync('more')", {}),
        ("os.mkdir('more'); write('more/new', b'new'); sync('.')", {"more": None}),
        ("os.mkdir('more'); write('more/new', b'new'); sync('more'); sync('.')", {"more": None, "more/new": b""}),
        ("m = mmap.mmap(os.open('old', os.O_RDWR), 3); m[:] = b'new'", {}),
        ("m = mmap.mmap(os.open('old', os.O_RDWR), 3); m[:] = b'new'; m.flush(); m[:] = b'mmm'", {"old": b"new"}),
        # A file that was never synced has no bytes, though it has the inode of one that was.
        ("os.unlink('old'); write('old', b'new'); sync('.')", {"old": b""}),
        ("\nfor n in range(50): write('n', b'n'); sync('n'); os.unlink('n'); write('m', b'm'); sync('.')", {"m": b""}),
    ],
)  # fmt: skip
def test_the_strictest_disk(disk: Powercut, code: str, left: dict[str, bytes | bool | None]) -> None:
    run(disk, code)
    disk.cut()
    expected = {"old": b"old", "sub": None, **left}
    assert tree(disk.data) == {name: data for name, data in expected.items() if data is not False}


def test_attributes_and_times_are_those_of_the_sync(disk: Powercut) -> None:
    run(
        disk,
        "os.setxattr('old', 'user.about', b'first'); os.utime('old', ns=(1, 123456789)); os.chmod('old', 0o600)\n"
        "sync('old'); os.setxattr('old', 'user.about', b'second'); os.utime('old', ns=(1, 987654321))",
    )
    disk.cut()
    old = disk.data / "old"
    assert os.getxattr(old, "user.about") == b"first"
    assert (old.stat().st_mtime_ns, old.stat().st_mode & 0o777) == (123456789, 0o600)


def test_locks_of_the_process_are_kept(disk: Powercut) -> None:
    """SQLite's are of this kind: a close of any other descriptor of the file would drop them."""
    run(
        disk,
        "fd = os.open('old', os.O_RDWR); fcntl.lockf(fd, fcntl.LOCK_EX)\n"
        "os.fsync(fd); os.fdatasync(fd); sync('.')\n"
        "if not os.fork():\n"
        "    try: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "    except OSError: os._exit(0)\n"
        "    os._exit(1)\n"
        "assert os.wait()[1] == 0",
    )


def test_two_cuts(disk: Powercut) -> None:
    """What the first has left is on the disk for the second."""
    run(disk, "write('new', b'new'); sync('new'); sync('.'); write('lost', b'lost')")
    disk.cut()
    disk.settle()
    run(disk, "os.unlink('old'); write('new', b'newer')")
    disk.cut()
    assert tree(disk.data) == {"new": b"new", "old": b"old", "sub": None}


def test_a_folder_that_the_one_above_does_not_know_is_gone(tmp_path: Path, library: Path) -> None:
    disk = Powercut(tmp_path / "data", tmp_path / "shadow", library)
    disk.settle()
    disk.data.mkdir()
    run(disk, "write('new', b'new'); sync('new'); sync('.')")
    disk.build(tmp_path / "built")
    assert not (tmp_path / "built").exists()
    run(disk, "sync('..')")
    disk.cut()
    assert tree(disk.data) == {"new": b"new"}


def test_a_torn_disk_may_keep_any_page_and_any_name(disk: Powercut, tmp_path: Path) -> None:
    """And it keeps what was synced, which is the last of it."""
    pages = [b"%d" % n * 4096 for n in range(8)]
    (disk.data / "pages").write_bytes(b"".join(pages[:4]))
    (disk.data / "kept").write_bytes(b"k" * 9000)
    disk.settle()
    run(
        disk,
        "write('pages', b'4' * 4096 + b'5' * 4096 + b'6' * 4096 + b'7' * 1000); os.rename('old', 'sub/new')",
    )
    seen: set[bytes] = set()
    names: set[tuple[str, ...]] = set()
    for seed in range(60):
        built = tmp_path / f"built{seed}"
        disk.build(built, Random(seed))
        found = (built / "pages").read_bytes()
        assert len(found) in {3 * 4096 + 1000, 4 * 4096}
        seen |= {found[at : at + 4096] for at in range(0, len(found), 4096)}
        names.add(tuple(name for name in tree(built) if name in {"old", "sub/new"}))
        assert (built / "kept").read_bytes() == b"k" * 9000
    assert names == {(), ("old",), ("sub/new",), ("old", "sub/new")}
    assert {page[:1] for page in seen} == {b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7"}
    assert all(len(set(page)) == 1 or page[:1000] == b"7" * 1000 for page in seen)


def test_what_could_not_be_noted_is_told(disk: Powercut) -> None:
    (disk._shadow / f"{(disk.data / 'old').stat().st_ino}.bytes").unlink()
    (disk._shadow / f"{(disk.data / 'old').stat().st_ino}.bytes").mkdir()
    run(disk, "sync('old')")
    with pytest.raises(NotNotedError, match="open: Is a directory"):
        disk.cut()


def test_the_next_boot_is_another(disk: Powercut) -> None:
    shared = disk.data / "catalog.shared"
    shared.write_bytes(b"b" * 16 + b"kept")
    disk.settle()
    disk.cut()
    assert shared.read_bytes()[:16] != b"b" * 16
    assert shared.read_bytes()[16:] == b"kept"
