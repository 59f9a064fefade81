"""Files that get their bytes whole or not at all, and folders that go with all that is in them.

Everything here raises OSError as the file system does. `moved` is told after each step of what may take long, a piece
that was copied, an entry that was removed, and before the last one; if it raises, nothing comes of the write.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dolium.stores.leaves import disk_identity, disk_temporary, syscalls

__all__ = ["Writing"]

_PIECE: Final = 1 << 20
_SENT: Final = 32 * _PIECE
_SYNCED: Final = 256 * _PIECE
"""So much is synced at a time, where the end must not take long."""


class Writing:
    """`mode` of new files; `strict`: on the disk when a call returns; `in_steps`: also on the way there."""

    def __init__(
        self, *, mode: int, strict: bool, moved: Callable[[], None] = lambda: None, in_steps: bool = False
    ) -> None:
        self._mode = mode
        self._strict = strict
        self._moved = moved
        self._in_steps = in_steps

    def create(self, path: str) -> None:
        """An empty file. Raises FileExistsError, and FileNotFoundError if there is no folder for it."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._mode)
        try:
            os.fchmod(descriptor, self._mode)
            if self._strict:
                syscalls.fsync(descriptor)
            self._moved()
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        finally:
            os.close(descriptor)
        if self._strict:
            self.sync_folder(os.path.dirname(path))

    def make_folder(self, path: str) -> None:
        if self._strict:
            disk_identity.make_folder(Path(path))
        else:
            os.makedirs(path, exist_ok=True)

    def replace(self, path: str, reading: int | None, target: str, temporaries: str) -> None:
        """Put what the descriptor `reading` has, or a link to `target`, under `path`; it grows in `temporaries`."""
        folder = os.path.dirname(path)
        name = disk_temporary.begin()
        temporary = ""
        try:
            for place in (temporaries, folder):
                self.make_folder(place)
                temporary = (
                    f"{place}/{disk_identity.TEMPORARY}-{name}" if place == folder else f"{place}/{name}"
                )
                if reading is None:
                    os.symlink(target, temporary)
                else:
                    self._copy(reading, temporary)
                self._moved()
                try:
                    self._rename(temporary, path)
                    temporary = ""
                    break
                except OSError as error:
                    # A folder below may be a link to another file system: then beside the file.
                    if error.errno != errno.EXDEV or place == folder:
                        raise
                    os.unlink(temporary)
            if self._strict:
                self.sync_folder(folder)
        finally:
            if temporary:
                with contextlib.suppress(OSError):  # it is swept at the next start
                    os.unlink(temporary)
            disk_temporary.end(name)

    def remove(self, path: str) -> None:
        os.unlink(path)
        if self._strict:
            self.sync_folder(os.path.dirname(path))

    def remove_tree(self, path: str) -> None:
        """A job may still write there: what comes meanwhile is removed too, within reason."""
        if os.path.islink(path) or not os.path.isdir(path):
            os.unlink(path)
        else:
            for _ in range(3):
                with contextlib.suppress(OSError):
                    self._remove_below(path)
                    break
            else:
                self._remove_below(path)
        if self._strict:
            self.sync_folder(os.path.dirname(path))

    def sync(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            syscalls.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_folder(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscalls.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _remove_below(self, path: str) -> None:
        for folder, folders, names in os.walk(path, topdown=False):
            for name in names:
                _gone(os.unlink, f"{folder}/{name}")
                self._moved()
            for name in folders:
                place = f"{folder}/{name}"
                if os.path.islink(place):
                    _gone(os.unlink, place)
                else:
                    _gone(os.rmdir, place)
        _gone(os.rmdir, path)

    def _rename(self, temporary: str, path: str) -> None:
        try:
            if not self._strict and self._exchange(temporary, path):
                return
            os.replace(temporary, path)
        except FileNotFoundError:
            self.make_folder(os.path.dirname(path))
            os.replace(temporary, path)

    def _exchange(self, temporary: str, path: str) -> bool:
        """Take the place of a file that is there; False if there is none, or the file system cannot."""
        try:
            if stat.S_ISDIR(os.lstat(path).st_mode) or not syscalls.exchange(temporary, path):
                return False
        except FileNotFoundError:
            return False
        try:
            os.unlink(temporary)
        except IsADirectoryError:  # in that very moment, a folder was made there
            syscalls.exchange(temporary, path)
            raise
        return True

    def _copy(self, reading: int, temporary: str) -> None:
        writing = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, self._mode)
        try:
            os.fchmod(writing, self._mode)
            offset = synced = 0
            try:
                while sent := os.sendfile(writing, reading, offset, _SENT):
                    offset += sent
                    self._moved()
                    if self._in_steps and offset - synced >= _SYNCED:
                        syscalls.fsync(writing)
                        synced = offset
                        self._moved()
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS):
                    raise
                os.lseek(reading, offset, os.SEEK_SET)
                os.lseek(writing, offset, os.SEEK_SET)
                while piece := os.read(reading, _PIECE):
                    _write_all(writing, piece)
                    self._moved()
            if self._strict:
                syscalls.fsync(writing)
        finally:
            os.close(writing)


def _gone(remove: Callable[[str], None], path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        remove(path)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
