"""The ground under a disk store: is it there, is it sound, which of its folders are on the disk, what its errors mean.

*Suspect*: after an fsync has failed the kernel may call the lost pages clean, and a second fsync would succeed
without them (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020). So an fsync is never tried
again. The write fails, and every verb is refused until a probe, which writes, syncs, reads and deletes a file of its
own, has succeeded. An EIO of any other call that writes is as bad: a close on a network file system may be the first
to hear of lost bytes. A full disk is no reason for suspicion.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from threading import Lock
from typing import TYPE_CHECKING, Final

from dolium.errors import (
    BlobCorrupt,
    BlobNotFound,
    Conflict,
    DoliumError,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from dolium.stores.leaves import disk_temporary, syscalls
from dolium.stores.leaves.disk_identity import TEMPORARY, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Volume"]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM})
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_IN_THE_WAY: Final = frozenset({errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST})
_NO_FILE: Final = frozenset({errno.ELOOP, errno.ENXIO})
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY
_MOST_SETTLED: Final = 1 << 17
_PROBE: Final = b"dolium" * 683  # a little more than a page


class Volume:
    """One root. Its methods raise OSError, which the verbs pass to `translated`, or StoreError."""

    def __init__(
        self, root: str, *, store_id: str, expected_uuid: str, strict: bool, probe_seconds: float
    ) -> None:
        self.root = root
        self.store_id = store_id
        self.strict = strict
        self.identity = Identity(root, expected=expected_uuid, store_id=store_id)
        self._temporary = f"{root}/{TEMPORARY}"
        self._probe_seconds = probe_seconds
        self._settled: dict[
            str, int
        ] = {}  # folder -> inode, once its entry is on the disk; set and get are atomic
        self._lock = Lock()  # guards the two below
        self._suspect = False
        self._next_probe = 0.0

    def enter(self) -> None:
        """Every verb begins here. Raises StoreUnavailable while the store is suspect."""
        if self._suspect:
            self._try_probe()

    def enter_to_write(self) -> None:
        """As `enter`; and raises StoreUnavailable unless the store's own identity is in place."""
        if self._suspect:
            self._try_probe()
        self.identity.require()

    @property
    def suspect(self) -> bool:
        return self._suspect

    def sync(self, descriptor: int) -> None:
        """fsync, if the store is strict. A failure makes the store suspect."""
        if self.strict:
            with self._distrusting():
                syscalls.fsync(descriptor)

    def start_writeback(self, descriptor: int, start: int, length: int) -> None:
        """Begin what `sync` will end, if the store is strict. A failure is as bad as one of the fsync."""
        if self.strict:
            with self._distrusting():
                syscalls.start_writeback(descriptor, start, length)

    @contextlib.contextmanager
    def _distrusting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                self.distrust()
            raise

    def distrust(self) -> None:
        with self._lock:
            self._suspect = True
            self._next_probe = time.monotonic() + self._probe_seconds

    def probe(self) -> None:
        """Ask the disk itself, and end the suspicion if it answers.

        Raises StoreUnavailable if it does not. A disk that is full or read-only answers: its blobs can be read,
        and writes will say what is the matter.
        """
        self.identity.require()
        try:
            self._write_and_read_back()
        except OSError as error:
            cause = self.translated(error, writing=True)
            if not isinstance(cause, StoreFull | StoreReadOnly):
                self.distrust()
                raise StoreUnavailable(self.store_id, "the store does not pass its probe") from error
        with self._lock:
            self._suspect = False

    def create_temporary(self) -> tuple[int, str]:
        """(descriptor, path) of a new file in the temporary folder; `forget_temporary` when done with the path."""
        path = self.name_temporary()
        try:
            try:
                return syscalls.create(path), path
            except FileNotFoundError:
                self.identity.require()  # else an unmounted disk would be filled anew
                syscalls.mkdir(self._temporary)
                return syscalls.create(path), path
        except BaseException:
            self.forget_temporary(path)
            raise

    def name_temporary(self) -> str:
        """The path of a temporary file to be; `forget_temporary` when done with it."""
        return f"{self._temporary}/{disk_temporary.begin()}"

    def forget_temporary(self, path: str) -> None:
        disk_temporary.end(path.rpartition("/")[2])

    def write_whole(self, path: str, text: bytes) -> None:
        """A small file, by way of a temporary one, with its bytes on the disk; its entry is the caller's to sync."""
        descriptor, fresh = self.create_temporary()
        try:
            try:
                written = syscalls.write(descriptor, text)
                while written < len(text):
                    written += syscalls.write(descriptor, text[written:])
                self.sync(descriptor)
            finally:
                syscalls.close(descriptor)
            syscalls.rename(fresh, path)
        except BaseException:
            with contextlib.suppress(OSError):
                syscalls.unlink(fresh)
            raise
        finally:
            self.forget_temporary(fresh)

    def dead_temporaries(self) -> list[str]:
        return [path.rpartition("/")[2] for path in disk_temporary.dead(self._temporary)]

    def sweep_temporaries(self, old_seconds: float) -> int:
        return disk_temporary.sweep(self._temporary, old_seconds=old_seconds)

    def open_folder(self, relative: str) -> int:
        """The folder, open and with its entry on the disk; made if it is absent."""
        try:
            descriptor = syscalls.open_beneath(self.root, relative, _FOLDER)
        except FileNotFoundError:
            self.identity.require()
            self._make(relative)
            descriptor = syscalls.open_beneath(self.root, relative, _FOLDER)
        try:
            if self.strict:
                self._settle(relative, os.fstat(descriptor).st_ino)
        except BaseException:
            syscalls.close(descriptor)
            self._remove_empty(relative)  # so that the next put makes its entry anew, and syncs that
            raise
        return descriptor

    def _remove_empty(self, relative: str) -> None:
        with contextlib.suppress(OSError):
            while relative:
                syscalls.rmdir(f"{self.root}/{relative}")
                relative = relative.rpartition("/")[0]

    def _make(self, relative: str) -> None:
        made = ""
        for name in relative.split("/"):
            made = f"{made}/{name}" if made else name
            with contextlib.suppress(FileExistsError):
                syscalls.mkdir(f"{self.root}/{made}")
                self._settled.pop(made, None)  # someone removed it, and the new one may have its inode

    def _settle(self, relative: str, inode: int) -> None:
        """Sync the entries that lead to a folder, once in the life of this process.

        Also when another made it: that one may not have come to its fsync yet. The inode tells, mostly, when
        others have removed a folder and made it anew.
        """
        if not relative or self._settled.get(relative) == inode:
            return
        parent = relative.rpartition("/")[0]
        descriptor = syscalls.open_beneath(self.root, parent, _FOLDER)
        try:
            self._settle(parent, os.fstat(descriptor).st_ino)
            self.sync(descriptor)
        finally:
            syscalls.close(descriptor)
        if len(self._settled) >= _MOST_SETTLED:
            self._settled.clear()
        self._settled[relative] = inode

    def _try_probe(self) -> None:
        with self._lock:
            if time.monotonic() < self._next_probe:
                raise StoreUnavailable(self.store_id, "the store is suspect: a write to its disk failed")
            self._next_probe = time.monotonic() + self._probe_seconds
        self.probe()

    def _write_and_read_back(self) -> None:
        descriptor, path = self.create_temporary()
        try:
            try:
                syscalls.write(descriptor, _PROBE)
                syscalls.fsync(descriptor)
                # Out of the page cache, so that the read comes from the disk.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                syscalls.close(descriptor)
            back = syscalls.open_beneath(self.root, path[len(self.root) + 1 :], os.O_RDONLY)
            try:
                if syscalls.pread(back, len(_PROBE), 0) != _PROBE:
                    raise OSError(errno.EIO, "the probe does not read back")
            finally:
                syscalls.close(back)
        finally:
            syscalls.unlink(path)
            self.forget_temporary(path)

    def unreadable(self, error: OSError, key: str = "") -> DoliumError:
        """What an error means that came while bytes of an open blob were read: EIO is of this blob, as of a bad
        sector; of others nothing is known.
        """
        if error.errno == errno.EIO:
            return BlobCorrupt("the disk cannot read the blob")
        return self.translated(error, key)

    def translated(self, error: OSError, key: str = "", *, writing: bool = False) -> DoliumError:
        """What an error of the file system means. No message tells a path. An EIO of a write makes the store suspect."""
        code = error.errno or 0
        if writing and code == errno.EIO:
            self.distrust()
        if code in _FULL:
            return StoreFull("the store is full")
        if code == errno.EROFS or (writing and code in _FORBIDDEN):
            return StoreReadOnly("the store takes no writes")
        if code in _NO_FILE:
            return BlobCorrupt("something that is no file lies where the blob should be")
        if writing and code in _IN_THE_WAY:
            return Conflict("one key would be a folder of another")
        if not writing and code in _ABSENT:
            try:
                self.identity.require()
            except StoreError as down:
                return down
            return BlobNotFound(key)
        if code in _EXHAUSTED:
            return StoreBusy(self.store_id, "this machine has run out of open files or memory")
        name = errno.errorcode.get(code, "an unknown error")
        return StoreUnavailable(self.store_id, f"the store's disk answers {name}")
