"""Look at every byte of a blob, as its disk has it now.

The pages are given up before they are read, so that they come from the disk, and afterwards, so that a walk through a
whole store does not drive out of memory what others read often.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Final

from dolium.crashpoints import reach
from dolium.errors import BlobCorrupt
from dolium.stores.contract import Audit
from dolium.stores.leaves import disk_description, disk_sums, syscalls
from dolium.stores.leaves.disk_sums import Summer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dolium.stores.leaves.disk_sums import Sums
    from dolium.stores.leaves.disk_volume import Volume

__all__ = ["check_blocks", "check_whole"]

_PIECE: Final = 1 << 20  # a multiple of every block


def check_blocks(descriptor: int, sums: Sums, start: int, pace: Callable[[int], None]) -> Audit:
    """Raises BlobCorrupt, OSError, what `pace` raises."""
    for at, data in _pieces(descriptor, sums.size, start - start % sums.block, pace, max(_PIECE, sums.block)):
        sums.check(at, data)
    return Audit(sums.size, summed=True, mended=False)


def check_whole(
    volume: Volume, key: str, descriptor: int, status: os.stat_result, md5: str, pace: Callable[[int], None]
) -> Audit:
    """Of a blob without sound checksums: hold it against its MD5, and write checksums if it is the one.

    Raises BlobCorrupt, OSError, what `pace` raises.
    """
    hasher, summer = hashlib.md5(usedforsecurity=False), Summer()
    for _, data in _pieces(descriptor, status.st_size, 0, pace, _PIECE):
        hasher.update(data)
        summer.update(data)
    if not md5:
        return Audit(status.st_size, summed=False, mended=False)
    if hasher.hexdigest() != md5:
        raise BlobCorrupt("the bytes are not those that were written: their MD5 is another")
    path = f"{volume.root}/{key}"
    said, _ = disk_description.read_beside(path, status.st_mtime_ns)
    encoded = summer.encode(key)
    if not disk_sums.attach(descriptor, encoded):
        volume.write_whole(
            disk_description.sidecar_path(path, status.st_mtime_ns), disk_description.beside(said, encoded)
        )
    reach("sums.attached")
    volume.sync(descriptor)
    return Audit(status.st_size, summed=False, mended=True)


def _pieces(
    descriptor: int, size: int, start: int, pace: Callable[[int], None], most: int
) -> Iterator[tuple[int, bytes]]:
    at = start
    while at < size:
        pace(at)
        wanted = min(most, size - at)
        _forget(descriptor, at, wanted)
        data = b""
        while len(data) < wanted:
            piece = syscalls.pread(descriptor, wanted - len(data), at + len(data))
            if not piece:
                raise BlobCorrupt("the blob is shorter than it was")
            data = data + piece if data else piece
        _forget(descriptor, at, wanted)
        yield at, data
        at += wanted
    pace(size)


def _forget(descriptor: int, at: int, size: int) -> None:
    with contextlib.suppress(OSError):  # then it comes from memory, if it is there
        os.posix_fadvise(descriptor, at, size, os.POSIX_FADV_DONTNEED)
