"""The system calls by which the disk leaf changes or opens anything: one door for all of them.

The leaf calls `syscalls.fsync(fd)` and never `os.fsync`, so that a drill can put a failing call here and reach
every place that makes it. What Python does not offer (openat2, fallocate, sync_file_range) goes to the C library.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from typing import Final

__all__ = [
    "clone",
    "close",
    "create",
    "exchange",
    "fsync",
    "getxattr",
    "link",
    "mkdir",
    "open_beneath",
    "pread",
    "preallocate",
    "rename",
    "rmdir",
    "setxattr",
    "start_writeback",
    "unlink",
    "write",
]

close = os.close
fsync = os.fsync
getxattr = os.getxattr
link = os.link
mkdir = os.mkdir
pread = os.pread
rename = os.rename
rmdir = os.rmdir
setxattr = os.setxattr
unlink = os.unlink
write = os.write

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_FICLONE: Final = 0x40049409  # linux/fs.h
_OPENAT2: Final = 437  # the same number on every architecture
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RENAME_EXCHANGE: Final = 0x02
_FALLOC_KEEP_SIZE: Final = 0x01
_SYNC_FILE_RANGE_WRITE: Final = 0x02
_UNAVAILABLE: Final = frozenset({errno.ENOSYS, errno.EPERM})
_NOT_HERE: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ESPIPE})

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


# Made once: a blob is opened for each small GET. The kernel only reads them.
_AT_FDCWD: Final = ctypes.c_int(-100)
_SIZE_OF_HOW: Final = ctypes.c_size_t(ctypes.sizeof(_OpenHow))
_hows: dict[int, object] = {}  # flags -> reference to an _OpenHow; there are a handful of flags


def create(path: str) -> int:
    """A new file for writing; one that exists already is an error."""
    return os.open(path, _CREATE, 0o666)


def open_beneath(root: str, relative: str, flags: int) -> int:
    """Open what lies at `relative` under `root`, through no symbolic link (ELOOP where one stands).

    `root` is resolved beforehand. Where the kernel has no openat2 (before 5.6), or a sandbox forbids it, each
    folder is looked at before the open: then someone who swaps a folder for a link in between is not noticed.
    """
    path = f"{root}/{relative}" if relative else root
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW
    if not _has_openat2:
        _refuse_links(root, relative)
        return os.open(path, flags)
    return _openat2(path, flags)


def _openat2(path: str, flags: int) -> int:
    how = _hows.get(flags)
    if how is None:
        how = _hows[flags] = ctypes.byref(_OpenHow(flags, 0, _RESOLVE_NO_SYMLINKS))
    name = os.fsencode(path)
    while True:
        descriptor: int = _syscall(_OPENAT2, _AT_FDCWD, name, how, _SIZE_OF_HOW)
        if descriptor >= 0:
            return descriptor
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code), path)


def _refuse_links(root: str, relative: str) -> None:
    folder = root
    for name in relative.split("/")[:-1]:
        folder = f"{folder}/{name}"
        if stat.S_ISLNK(os.lstat(folder).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), folder)


def _probe_openat2() -> bool:
    try:
        os.close(_openat2("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno in _UNAVAILABLE:
            return False
        raise
    return True


_has_openat2 = _probe_openat2()


def clone(target: int, source: int) -> None:
    """Let `target` share the bytes of `source` (reflink); an OSError where the file system cannot."""
    fcntl.ioctl(target, _FICLONE, source)


def exchange(one: str, other: str) -> bool:
    """Let two files swap their names, all at once; False where the file system cannot. Raises OSError.

    Unlike `rename` over a file, ext4 does not begin to write out the bytes for it, which takes half a millisecond.
    """
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    if _libc.renameat2(*names, ctypes.c_uint(_RENAME_EXCHANGE)) == 0:
        return True
    _raise_unless_absent(ctypes.get_errno())
    return False


def preallocate(descriptor: int, start: int, length: int) -> None:
    """Take the space before the bytes come, so that they lie together and a full disk is known early.

    Does nothing where the file system has no such call; it is never imitated by writing zeros.
    """
    arguments = (ctypes.c_int(descriptor), ctypes.c_int(_FALLOC_KEEP_SIZE))
    if _libc.fallocate(*arguments, ctypes.c_int64(start), ctypes.c_int64(length)) != 0:
        _raise_unless_absent(ctypes.get_errno())


def start_writeback(descriptor: int, start: int, length: int) -> None:
    """Begin to write these bytes to the disk, without waiting, so that little is left for the fsync.

    Only the flag that begins is used: one that waits could take the error away from the fsync to come.
    """
    arguments = (ctypes.c_int(descriptor), ctypes.c_int64(start), ctypes.c_int64(length))
    if _libc.sync_file_range(*arguments, ctypes.c_uint(_SYNC_FILE_RANGE_WRITE)) != 0:
        _raise_unless_absent(ctypes.get_errno())


def _raise_unless_absent(code: int) -> None:
    if code not in _NOT_HERE and code != errno.EINTR:
        raise OSError(code, os.strerror(code))
