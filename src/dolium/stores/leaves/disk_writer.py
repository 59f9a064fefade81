"""How a blob gets onto the disk: temporary file, bytes, checksums, description, fsync, rename, fsync of the folder.

Whatever fails, nothing is visible and the temporary file is gone; also when the last fsync fails and the file has
its name already: then the name is taken back, or given back to the blob that had it. If the way back fails too, the
new blob may stay, of which nobody was told that it is there.

Writers do not share the fsync of a folder: with sixteen threads on 1, 16 and 256 folders of ext4 a shared one was
measured to be no faster, for the journal joins them already.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dolium.crashpoints import reach
from dolium.errors import BodyTruncated
from dolium.stores.contract import BlobWriter
from dolium.stores.leaves import disk_description, disk_sums, syscalls
from dolium.stores.leaves.disk_sums import Summer, Sums
from dolium.values import BlobInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Lock

    from dolium.stores.contract import PutOptions
    from dolium.stores.leaves.disk_volume import Volume

__all__ = ["DiskWriter"]

_STEP: Final = 4 << 20
"""Writeback begins each time so many bytes have come: the last fsync then finds almost nothing to do."""
_RESERVE: Final = 64 << 20
"""Space is taken so far ahead of the bytes, when the size is known: no more, or idle uploads would fill the disk."""
_CANNOT_CLONE: Final = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ETXTBSY}
)
_CANNOT_LINK: Final = frozenset({errno.ENOENT, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV})


@dataclass(frozen=True, slots=True)
class _Replaced:
    """The blob that had the name before, and a second name of it until the new one is safe."""

    status: os.stat_result
    kept: str


class DiskWriter(BlobWriter):
    """Holds one file open in the temporary folder. Raises OSError when made, StoreError afterwards."""

    def __init__(self, volume: Volume, key: str, options: PutOptions, lock: Lock) -> None:
        self._descriptor = -1  # first, for __del__
        self._path = ""
        self._sidecar = ""
        self._volume = volume
        self._key = key
        self._options = options
        self._lock = lock  # guards the name of this key, among the writers of this process
        self._written = 0
        self._begun = 0  # writeback has begun up to here
        self._reserved = 0
        self._sums: Summer | Sums | None = Summer()
        self._descriptor, self._path = volume.create_temporary()
        reach("disk.created")

    def __del__(self) -> None:
        if self._descriptor >= 0:
            self.abort()

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        self._require_open()
        try:
            size = self._options.size
            if size is not None and size > _STEP and self._reserved <= self._written < size:
                self._reserve(size)
            taken = syscalls.write(self._descriptor, data)
            if taken != len(data):
                data = memoryview(data).cast("B")
                taken = self._write_rest(data, taken)
            self._written += taken
            if isinstance(self._sums, Summer):
                self._sums.update(data)
            if self._written - self._begun >= _STEP:
                self._volume.start_writeback(self._descriptor, self._begun, self._written - self._begun)
                self._begun = self._written
            reach("disk.written")
        except BaseException as error:
            self.abort()
            if isinstance(error, OSError):
                raise self._volume.translated(error, self._key, writing=True) from error
            raise

    def clone(self, source: int, size: int, sums: Sums | None) -> bool:
        """Share the bytes of an open file, and the sums that it has, in place of `write`; False if the file system
        cannot. Raises OSError.
        """
        try:
            syscalls.clone(self._descriptor, source)
        except OSError as error:
            if error.errno in _CANNOT_CLONE:
                return False
            raise
        self._written = size
        self._sums = sums
        return True

    def commit(self, description: Mapping[str, str] | None = None) -> BlobInfo:
        self._require_open()
        try:
            if self._options.size is not None and self._options.size != self._written:
                raise BodyTruncated(f"{self._options.size} bytes were announced, {self._written} came")
            return self._publish(self._options.description if description is None else description)
        except OSError as error:
            raise self._volume.translated(error, self._key, writing=True) from error
        finally:
            self.abort()

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._close()
        for path in (self._path, self._sidecar):
            if path:
                with contextlib.suppress(OSError):  # a sweep will find it
                    syscalls.unlink(path)
        self._forget_path()
        self._sidecar = ""

    def _require_open(self) -> None:
        if self._descriptor < 0:
            raise ValueError("the writer is closed")

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            syscalls.close(descriptor)

    def _forget_path(self) -> None:
        if self._path:
            self._volume.forget_temporary(self._path)
            self._path = ""

    def _reserve(self, size: int) -> None:
        length = min(_RESERVE, size - self._reserved)
        syscalls.preallocate(self._descriptor, self._reserved, length)
        self._reserved += length

    def _write_rest(self, data: memoryview, taken: int) -> int:
        while taken < len(data):
            taken += syscalls.write(self._descriptor, data[taken:])
        return taken

    def _publish(self, description: Mapping[str, str]) -> BlobInfo:
        target = f"{self._volume.root}/{self._key}"
        folder = self._volume.open_folder(self._key.rpartition("/")[0])
        try:
            reach("disk.folder")
            self._describe(target, folder, description)
            status = os.fstat(self._descriptor)
            self._volume.sync(self._descriptor)
            reach("disk.synced")
            self._close()
            with self._lock:
                replaced = self._take_name(target)
            reach("disk.named")
            try:
                self._volume.sync(folder)
            except OSError:
                self._give_name_back(target, status.st_ino, replaced)
                raise
        finally:
            syscalls.close(folder)
        reach("disk.settled")
        sidecar, self._sidecar = self._sidecar, ""  # from here on it is the blob's
        if replaced is not None:
            self._drop(target, replaced, sidecar)
        return BlobInfo(key=self._key, size=self._written, modified_ns=status.st_mtime_ns)

    def _describe(self, target: str, folder: int, description: Mapping[str, str]) -> None:
        """Attach the checksums and the description, and put beside it what does not fit."""
        sums = b"" if self._sums is None else self._sums.encode(self._key)
        said = disk_description.encode(description) if description else b""
        if sums and disk_sums.attach(self._descriptor, sums):
            sums = b""
        reach("disk.summed")
        if said and disk_description.attach(self._descriptor, said):
            said = b""
        if sums or said:
            self._write_sidecar(target, folder, disk_description.beside(said, sums))
        if description:
            reach("disk.described")

    def _write_sidecar(self, target: str, folder: int, text: bytes) -> None:
        sidecar = disk_description.sidecar_path(target, disk_description.stamp(self._descriptor))
        self._volume.write_whole(sidecar, text)
        self._sidecar = sidecar
        self._volume.sync(folder)
        reach("disk.sidecar")

    def _take_name(self, target: str) -> _Replaced | None:
        try:
            status = os.lstat(target)
        except FileNotFoundError:
            replaced = None
        else:
            replaced = self._keep(target, status)
        try:
            syscalls.rename(self._path, target)
        except BaseException:
            if replaced is not None:
                self._unlink_kept(replaced)
            raise
        self._forget_path()
        return replaced

    def _keep(self, target: str, status: os.stat_result) -> _Replaced | None:
        if stat.S_ISDIR(status.st_mode):
            _remove_empty(target)  # left over from keys below it
            return None
        if not self._volume.strict:
            return _Replaced(status, "")
        kept = self._volume.name_temporary()
        try:
            syscalls.link(target, kept, follow_symlinks=False)
        except OSError as error:
            self._volume.forget_temporary(kept)
            if error.errno not in _CANNOT_LINK:
                raise
            kept = ""
        return _Replaced(status, kept)

    def _give_name_back(self, target: str, inode: int, replaced: _Replaced | None) -> None:
        """Undo the rename, unless a later writer has the name by now. The store is suspect: do what can be done."""
        with contextlib.suppress(OSError), self._lock:
            if os.lstat(target).st_ino == inode:
                if replaced is not None and replaced.kept:
                    syscalls.rename(replaced.kept, target)
                else:
                    syscalls.unlink(target)
        if replaced is not None:
            self._unlink_kept(replaced)

    def _drop(self, target: str, replaced: _Replaced, sidecar: str) -> None:
        """Remove what was left of the blob that had the name. What cannot be removed is garbage, no error."""
        self._unlink_kept(replaced)
        if disk_description.sidecar_path(target, replaced.status.st_mtime_ns) != sidecar:
            with contextlib.suppress(OSError):
                disk_description.remove_sidecar(target, replaced.status.st_mtime_ns)

    def _unlink_kept(self, replaced: _Replaced) -> None:
        if replaced.kept:
            with contextlib.suppress(OSError):  # absent after it was given back
                syscalls.unlink(replaced.kept)
            self._volume.forget_temporary(replaced.kept)


def _remove_empty(folder: str) -> None:
    """Remove a folder that holds nothing but empty folders. Raises OSError (ENOTEMPTY) if there is more."""
    for path, _, _ in os.walk(folder, topdown=False):
        syscalls.rmdir(path)
