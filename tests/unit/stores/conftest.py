"""A strict disk store in a folder of its own."""

import errno
import os
from pathlib import Path

import pytest

from dolium.stores.leaves import syscalls
from dolium.stores.leaves.disk import Disk, Options


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    Disk.initialise(folder)
    return folder


@pytest.fixture
def disk(root: Path) -> Disk:
    return Disk(Options(root, probe_seconds=3600.0))


@pytest.fixture
def attributes_as_on_ext4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attributes hold no more than 4,000 bytes, whatever the file system of the tests can."""
    real = syscalls.setxattr

    def limited(file: int, name: str, value: bytes) -> None:
        if len(value) > 4000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, name, value)

    monkeypatch.setattr(syscalls, "setxattr", limited)
