"""Which file systems are trusted to answer at once."""

from pathlib import Path

import pytest

from dolium.stores.leaves.disk_mount import is_local

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:40 / /srv/nfs rw - nfs4 filer:/export rw
24 22 0:41 / /srv/nfs/scratch rw - xfs /dev/sdb rw
25 22 0:42 / /srv/with\\040space rw - fuse.sshfs host: rw
26 22 0:43 / /srv/twice rw - ext4 /dev/sdc rw
27 26 0:44 / /srv/twice rw - lustre mds:/fs rw
broken
"""


@pytest.mark.parametrize(
    ("folder", "local"),
    [
        ("/srv", True),
        ("/srv/nfs", False),
        ("/srv/nfs/deep/er", False),
        ("/srv/nfs2", True),
        ("/srv/nfs/scratch/store", True),
        ("/srv/with space/store", False),
        ("/srv/twice/store", False),
    ],
)
def test_the_mount_that_holds_a_folder_decides(folder: str, local: bool) -> None:
    assert is_local(Path(folder), MOUNTS) is local


def test_what_cannot_be_told_is_no_local_disk() -> None:
    assert not is_local(Path("/srv"), "")


def test_the_disk_under_the_tests_is_local(tmp_path: Path) -> None:
    assert is_local(tmp_path)
