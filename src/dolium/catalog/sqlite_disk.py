"""What lies beside the embedded catalog on its disk: the log, looked at without SQLite, and space for a bad hour."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Final

__all__ = ["Reserve", "may_come_back"]

_WAL_HEADER, _FRAME_HEADER = 32, 24
_PLENTY: Final = 4  # times the reserve must be free before it is taken


def may_come_back(path: Path, name: bytes) -> bool:
    """Whether a recovery of the database at `path` might find the batch of that name: it is in the log up to its last
    frame, the one that commits (sqlite.org/fileformat2.html#walformat). Raises OSError.
    """
    with Path(f"{path}-wal").open("rb") as log:
        if os.fstat(log.fileno()).st_size < _WAL_HEADER:
            return False
        with mmap.mmap(log.fileno(), 0, access=mmap.ACCESS_READ) as text:
            at = text.rfind(name)
            if at < 0:
                return False
            frame = _FRAME_HEADER + int.from_bytes(text[8:12], "big")
            first = at - (at - _WAL_HEADER) % frame
            for start in range(first, len(text) - frame + 1, frame):
                if text[start + 8 : start + 16] != text[16:24]:
                    return False  # of an earlier round of the log
                if any(text[start + 4 : start + 8]):
                    return True
            return False


class Reserve:
    """A file that takes space which deletes may need when there is no other. Size 0: none."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def keep(self) -> None:
        """Take it, if there is plenty. Never raises: where there is little, there is no reserve."""
        if not self._size or self._path.exists():
            return
        try:
            space = os.statvfs(self._path.parent)
            if space.f_bavail * space.f_frsize < _PLENTY * self._size:
                return
            found = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(found, 0, self._size)
        except OSError:
            self._path.unlink(missing_ok=True)
        finally:
            os.close(found)

    def spend_if_full(self) -> bool:
        """`spend`, if the disk has less than that left."""
        try:
            space = os.statvfs(self._path.parent)
        except OSError:
            return False
        return space.f_bavail * space.f_frsize < self._size and self.spend()

    def spend(self) -> bool:
        """Give it back to the disk; False if there was none. It comes back with the space, at a start or a checkpoint."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
