"""A strict disk store in a folder of its own."""

from pathlib import Path

import pytest

from dolium.stores.leaves.disk import Disk, Options


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    Disk.initialise(folder)
    return folder


@pytest.fixture
def disk(root: Path) -> Disk:
    return Disk(Options(root, probe_seconds=3600.0))
