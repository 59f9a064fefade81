"""The description of a blob beside its bytes: an extended attribute, else a small file.

The attribute `user.dolium.description` holds it as JSON. Where the file system has no attributes, or it does not
fit (ext4: about 4 KiB), a *sidecar* holds the same JSON: `.dolium-about-<time>-<name>` in the folder of the blob, where
`<time>` is the blob's modification time in nanoseconds, hexadecimal. So the sidecar is of one version of the blob:
it can be written before the blob gets its name, and a crash in between leaves the old blob with its own.

The checksums of a large blob lie in the same file (`disk_sums`): a line of JSON, then they.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import time
from typing import TYPE_CHECKING, Final

from dolium.stores.keys import RESERVED
from dolium.stores.leaves import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "attach",
    "beside",
    "encode",
    "read",
    "read_beside",
    "read_sums",
    "remove_left_sidecars",
    "remove_sidecar",
    "sidecar_path",
    "stamp",
    "sweep",
    "sweep_unborn",
]

_SIDECAR: Final = f"{RESERVED}-about-"
_STAMPED: Final = re.compile(rf"{re.escape(_SIDECAR)}([0-9a-f]{{1,16}})-")
_ATTRIBUTE: Final = "user.dolium.description"
_DOES_NOT_FIT: Final = frozenset({errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EOPNOTSUPP, errno.ENOSYS})
_NONE: Final = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS})
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_LONGEST_NAME: Final = 255
_YOUNG_NS: Final = 60 * 10**9


def encode(description: Mapping[str, str]) -> bytes:
    return json.dumps(dict(description), ensure_ascii=False, sort_keys=True).encode()


def attach(descriptor: int, encoded: bytes, *, attribute: str = _ATTRIBUTE) -> bool:
    """Set the attribute; False if it has to be a sidecar. Raises OSError.

    A full disk looks like an attribute that is too large: the sidecar will find out.
    """
    try:
        syscalls.setxattr(descriptor, attribute, encoded)
    except OSError as error:
        if error.errno in _DOES_NOT_FIT:
            return False
        raise
    return True


def stamp(descriptor: int) -> int:
    """Give a finished file a modification time of its own, for its sidecar's name, as the file system keeps it."""
    now = time.time_ns()
    os.utime(descriptor, ns=(now, now))
    return os.fstat(descriptor).st_mtime_ns


def sidecar_path(path: str, modified_ns: int) -> str:
    """Where the sidecar of the blob at `path` lies, if it has one."""
    folder, _, name = path.rpartition("/")
    sidecar = f"{_SIDECAR}{modified_ns:x}-{name}"
    if len(os.fsencode(sidecar)) > _LONGEST_NAME:
        digest = hashlib.blake2s(os.fsencode(name), digest_size=16).hexdigest()
        sidecar = f"{_SIDECAR}{modified_ns:x}-{digest}"
    return f"{folder}/{sidecar}"


def read(path: str) -> dict[str, str]:
    """The description of the blob at `path`; empty if it has none. Raises OSError, ValueError if damaged."""
    try:
        encoded = syscalls.getxattr(path, _ATTRIBUTE, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        encoded = read_beside(path, os.lstat(path).st_mtime_ns)[0]
    found = json.loads(encoded)
    return {str(name): str(value) for name, value in found.items()}


def beside(encoded: bytes, sums: bytes) -> bytes:
    """The text of a sidecar with what did not fit into attributes; either may be empty."""
    said = encoded or b"{}"
    return said + b"\n" + sums if sums else said


def read_beside(path: str, modified_ns: int) -> tuple[bytes, bytes]:
    """(description, sums) in the sidecar of the blob at `path`, as they are encoded. Raises OSError."""
    try:
        file = os.open(sidecar_path(path, modified_ns), _READ)
    except FileNotFoundError:
        return b"{}", b""
    with os.fdopen(file, "rb") as sidecar:
        said, _, sums = sidecar.read().partition(b"\n")
    return said, sums


def read_sums(path: str, modified_ns: int) -> bytes:
    """Empty if the sidecar has none, or there is no sidecar. Raises OSError."""
    return read_beside(path, modified_ns)[1]


def sweep(root: str, old_seconds: float) -> int:
    """Remove the sidecars in the tree that are of no blob and not of today's making; how many. Raises OSError.

    A crash leaves one when it comes between the sidecar and its blob. They are told by their age from those whose
    blob is about to come.
    """
    swept = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(RESERVED)]
        sidecars = [name for name in names if name.startswith(_SIDECAR)]
        if not sidecars:
            continue
        used = {_sidecar_of(folder, name) for name in names}
        for name in sidecars:
            path = f"{folder}/{name}"
            with contextlib.suppress(FileNotFoundError):
                if path not in used and time.time() - os.lstat(path).st_mtime > old_seconds:
                    syscalls.unlink(path)
                    swept += 1
    return swept


def sweep_unborn(root: str, after: str, before: str, is_dead: Callable[[str], bool]) -> int:
    """Remove the sidecars of blobs that are not there, whose keys lie from `after` up to `before` and will not come,
    as `is_dead` says; how many. Raises OSError.
    """
    swept = 0
    for folder, folders, names in os.walk(root):
        inside = f"{folder[len(root) + 1 :]}/" if folder != root else ""
        # All keys in a folder `f` lie between `f/` and `f0`, which is what comes next.
        folders[:] = [
            name
            for name in folders
            if not name.startswith(RESERVED) and f"{inside}{name}/" < before and f"{inside}{name}0" > after
        ]
        present = set(names)
        for sidecar in names:
            name = sidecar.removeprefix(_SIDECAR).partition("-")[2] if sidecar.startswith(_SIDECAR) else ""
            key = f"{inside}{name}"
            if name and name not in present and after <= key < before and is_dead(key):
                with contextlib.suppress(FileNotFoundError):
                    syscalls.unlink(f"{folder}/{sidecar}")
                    swept += 1
    return swept


def _sidecar_of(folder: str, name: str) -> str:
    path = f"{folder}/{name}"
    try:
        return sidecar_path(path, os.lstat(path).st_mtime_ns)
    except FileNotFoundError:
        return ""


def remove_left_sidecars(path: str) -> None:
    """Remove what a delete has left that was cut off behind the blob; not the sidecar of a blob that is about to
    come, which is younger than a minute. Raises OSError.
    """
    newest = time.time_ns() - _YOUNG_NS
    with contextlib.suppress(FileNotFoundError), os.scandir(path.rpartition("/")[0]) as entries:
        for entry in entries:
            stamped = _STAMPED.match(entry.name)
            modified_ns = int(stamped[1], 16) if stamped is not None else newest
            if modified_ns < newest and entry.path == sidecar_path(path, modified_ns):
                syscalls.unlink(entry.path)


def remove_sidecar(path: str, modified_ns: int) -> None:
    """Raises OSError; an absent one is fine."""
    with contextlib.suppress(FileNotFoundError):
        syscalls.unlink(sidecar_path(path, modified_ns))
