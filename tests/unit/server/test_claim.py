import os
import threading
from pathlib import Path

import pytest

from dolium.errors import Conflict
from dolium.server.claim import claim


def test_a_folder_is_served_once(tmp_path: Path) -> None:
    fd = claim(tmp_path / "data")
    with pytest.raises(Conflict, match=f"by process {os.getpid()}"):
        claim(tmp_path / "data")
    os.close(fd)
    os.close(claim(tmp_path / "data"))


def test_a_worker_keeps_the_claim_of_a_parent_that_died(tmp_path: Path) -> None:
    fd = claim(tmp_path)
    inherited = os.dup(fd)
    os.close(fd)
    with pytest.raises(Conflict):
        claim(tmp_path)
    os.close(inherited)
    os.close(claim(tmp_path))


def test_the_workers_of_a_process_that_died_are_waited_for(tmp_path: Path) -> None:
    held = claim(tmp_path)
    os.ftruncate(held, 0)
    os.pwrite(held, b"999999999\n", 0)  # no process has this number
    release = threading.Timer(0.3, os.close, [held])
    release.start()
    os.close(claim(tmp_path, patience=20))
    release.join()
