"""Paths are Galaxy's, bit for bit; what would leave the store is refused."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolium.datasets.layout import Address, disk_path, folders, remote_key
from dolium.errors import DatasetInvalid

UUID = uuid.UUID("135ee48a-4f51-470c-ae2f-ce8bd78799e6")
EXTRA = "dataset_24_files"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "000"), (24, "000"), (999, "000"), (1000, "001"), (90000, "090"), (999999, "000/999"),
        (1000000, "001/000"), (777777777, "000/777/777"), (123456789012, "000/123/456/789"),
        ("90000", "090"), (UUID, "1/3/5"), (str(UUID), "1/3/5"), (UUID.hex, "1/3/5"),
    ],
)  # fmt: skip
def test_folders_of_an_id(number: Any, expected: str) -> None:
    assert "/".join(folders(number)) == expected


@pytest.mark.parametrize(
    ("dataset", "said", "disk", "key"),
    [
        (24, {}, "000/dataset_24.dat", "000/dataset_24.dat"),
        (UUID, {}, f"1/3/5/dataset_{UUID}.dat", f"1/3/5/dataset_{UUID}.dat"),
        (24, {"dir_only": True}, "000", "000/"),
        (24, {"extra_dir": EXTRA}, f"000/{EXTRA}/dataset_24.dat", f"000/{EXTRA}/dataset_24.dat"),
        (24, {"extra_dir": EXTRA, "dir_only": True}, f"000/{EXTRA}", f"000/{EXTRA}/"),
        (24, {"extra_dir": EXTRA, "alt_name": "a/b.txt"}, f"000/{EXTRA}/a/b.txt", f"000/{EXTRA}/a/b.txt"),
        (24, {"alt_name": "a/../b.txt"}, "000/b.txt", "000/b.txt"),
        (24, {"alt_name": "..foo"}, "000/..foo", "000/..foo"),
        (
            24,
            {"extra_dir": "_metadata_files", "extra_dir_at_root": True, "alt_name": "metadata_1.dat"},
            "_metadata_files/000/metadata_1.dat",
            "_metadata_files/000/metadata_1.dat",
        ),
        (24, {"obj_dir": True}, "000/24/dataset_24.dat", "000/24/dataset_24.dat"),
        # The two layouts differ here, and both are out there.
        (24, {"obj_dir": True, "extra_dir": "e", "dir_only": True}, "000/24/e", "000/e/24/"),
        (24, {"base_dir": "job_work", "obj_dir": True}, "000/24/dataset_24.dat", "000/24"),
    ],
)
def test_paths(dataset: Any, said: dict[str, Any], disk: str, key: str) -> None:
    assert disk_path(dataset, Address(**said)) == disk
    assert remote_key(dataset, Address(**said)) == key


@pytest.mark.parametrize(
    "name", ["..", "../x", "../../x", "/etc", "a/../b", "a//b", "a/", ".", "./a", "a\0b"]
)
@pytest.mark.parametrize("at_root", [False, True])
def test_a_folder_outside_is_refused(name: str, at_root: bool) -> None:
    for way in (disk_path, remote_key):
        with pytest.raises(DatasetInvalid):
            way(24, Address(extra_dir=name, extra_dir_at_root=at_root))


@pytest.mark.parametrize(
    "name", ["..", "../../../foo", "/etc/passwd", ".", "a/..", "a/../../b", "a\0b", "a/../."]
)
def test_a_name_outside_is_refused(name: str) -> None:
    for way in (disk_path, remote_key):
        with pytest.raises(DatasetInvalid):
            way(24, Address(extra_dir=EXTRA, alt_name=name))


@pytest.mark.parametrize("name", ["", "../../x", "a/b", "1 2", "a\0", "x" * 201, "."])
def test_an_id_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(DatasetInvalid):
        disk_path(name, Address())


PARTS = st.text(st.sampled_from("ab./\\ é\n"), max_size=8)


@given(st.integers(0, 10**13), PARTS, PARTS, st.booleans(), st.booleans(), st.booleans())
def test_nothing_leaves_its_base(
    number: int, extra: str, name: str, at_root: bool, obj_dir: bool, dir_only: bool
) -> None:
    at = Address(
        dir_only=dir_only, extra_dir=extra, extra_dir_at_root=at_root, alt_name=name, obj_dir=obj_dir
    )
    try:
        path = disk_path(number, at)
    except DatasetInvalid:
        return
    base = Path("/base")
    assert base in Path(f"/base/{path}").parents
    assert ".." not in path.split("/")
