"""The files of a tree as keys, in the order of their bytes.

That is not the order of a walk: `a.b` comes before `a/b`, for `.` is less than `/`. Within one folder, names are
sorted as their keys go on: a folder `a` as `a/`.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from dolium.stores.keys import is_segment
from dolium.stores.leaves import syscalls
from dolium.values import BlobInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["walk"]

_NO_FOLDER: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_NOT_OURS: Final = frozenset({"lost+found/"})
"""Lies in the root of an ext4 file system, and is not for us to read."""


def walk(root: str, prefix: str, after: str) -> Iterator[BlobInfo]:
    """Every regular file whose key starts with `prefix` and is greater than `after`; no link is followed.

    What vanishes meanwhile is left out. Raises OSError.
    """
    folder = prefix.rpartition("/")[0]
    if all(is_segment(name) for name in folder.split("/")) or not folder:
        yield from _walk(root, f"{folder}/" if folder else "", prefix, after)


def _walk(root: str, folder: str, prefix: str, after: str) -> Iterator[BlobInfo]:
    for name in _names(root, folder.rstrip("/")):
        key = folder + name
        if not key.startswith(prefix) and not prefix.startswith(key):
            continue
        if key.endswith("/"):
            if key > after or after.startswith(key):  # else all of it is before `after`
                yield from _walk(root, key, prefix, after)
        elif key > after and key.startswith(prefix):
            info = _info(root, key)
            if info is not None:
                yield info


def _names(root: str, folder: str) -> list[str]:
    """The entries of one folder in order, a folder with its slash; at once, so that none stays open."""
    try:
        descriptor = syscalls.open_beneath(root, folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in _NO_FOLDER:
            return []
        raise
    try:
        with os.scandir(descriptor) as entries:
            names = [
                f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
                for entry in entries
                if is_segment(entry.name)
            ]
    finally:
        syscalls.close(descriptor)
    names.sort()
    return names if folder else [name for name in names if name not in _NOT_OURS]


def _info(root: str, key: str) -> BlobInfo | None:
    try:
        status = os.lstat(f"{root}/{key}")
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return BlobInfo(key=key, size=status.st_size, modified_ns=status.st_mtime_ns)
