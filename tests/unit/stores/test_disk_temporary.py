"""The sweep removes what the dead left, and nothing else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dolium.errors import StoreUnavailable
from dolium.stores.leaves import disk_temporary
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.leaves.disk_identity import TEMPORARY
from dolium.testing.powers import keys

WRITER = """
import os, sys
from pathlib import Path
from dolium.stores.leaves.disk import Disk, Options
writer = Disk(Options(Path(sys.argv[1]))).open_writer("a/b")
writer.write(b"half a blob")
print("ready", flush=True)
sys.stdin.read()
"""


def _names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / TEMPORARY).iterdir())


def test_the_file_of_a_living_process_stays_and_that_of_a_dead_one_goes(disk: Disk, root: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert disk.sweep_temporaries() == 0
        assert len(_names(root)) == 1
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped
        assert disk.sweep_temporaries() == 1
    assert _names(root) == []
    assert keys(disk) == []
    assert disk.sweep_temporaries() == 0


def test_own_files_stay_while_they_are_written_however_old(disk: Disk, root: Path) -> None:
    with disk.open_writer("a") as writer:
        assert Disk(Options(root)).sweep_temporaries(old_seconds=-1) == 0
        writer.commit()
    assert keys(disk) == ["a"]


def test_own_files_that_nobody_writes_go(disk: Disk, root: Path) -> None:
    name = disk_temporary.begin()
    (root / TEMPORARY / name).touch()
    assert disk.sweep_temporaries() == 0
    disk_temporary.end(name)
    assert disk.sweep_temporaries() == 1


def test_files_of_an_earlier_boot_and_of_a_process_number_used_again_go(disk: Disk, root: Path) -> None:
    name = disk_temporary.begin()
    disk_temporary.end(name)
    place, boot, process, start, number = name.split(".")
    for dead in (
        f"{place}.00000000.{process}.{start}.{number}",
        f"{place}.{boot}.{process}.1.{number}",
        f"{place}.{boot}.{2**22 + 1}.{start}.{number}",
        f"{place}.{boot}.x.{start}.{number}",
    ):
        (root / TEMPORARY / dead).touch()
        assert disk.sweep_temporaries() == 1


def test_files_of_other_machines_and_of_strangers_go_when_they_are_old(disk: Disk, root: Path) -> None:
    place, boot, process, start, number = disk_temporary.begin().split(".")
    disk_temporary.end(f"{place}.{boot}.{process}.{start}.{number}")
    foreign = root / TEMPORARY / f"ffffffff.{boot}.{process}.1.{number}"
    stranger = root / TEMPORARY / "identity-1"
    for path in (foreign, stranger):
        path.touch()
    assert disk.sweep_temporaries() == 0
    week_ago = time.time() - 8 * 86400
    for path in (foreign, stranger):
        os.utime(path, (week_ago, week_ago))
    assert disk.sweep_temporaries() == 2
    assert _names(root) == []


def test_a_child_has_names_of_its_own(disk: Disk) -> None:
    names = subprocess.run(
        [sys.executable, "-c", "from dolium.stores.leaves import disk_temporary as t; print(t.begin())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    mine = disk_temporary.begin()
    disk_temporary.end(mine)
    assert names.split(".")[:2] == mine.split(".")[:2]
    assert names.split(".")[2:4] != mine.split(".")[2:4]
    assert all(mine.split("."))


def test_a_store_that_is_not_there_cannot_be_swept(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        Disk(Options(tmp_path / "absent")).sweep_temporaries()
