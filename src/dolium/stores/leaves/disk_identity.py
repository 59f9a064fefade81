"""Which store a folder is: a small file in its root with a UUID.

An unmounted file system leaves an empty folder behind. The identity file is what tells the two apart: where it is
absent or another's, the store is down, and nothing is said of its blobs.

    {"format": 1, "uuid": "0b0f7f0e-5d3c-4c55-9e4a-3b1a52c3c1f7"}
"""

from __future__ import annotations

import errno
import json
import os
import uuid
from pathlib import Path
from typing import Final

from dolium.crashpoints import reach
from dolium.errors import StoreUnavailable
from dolium.stores.leaves import disk_temporary, syscalls

__all__ = ["FORMAT", "NAME", "TEMPORARY", "Identity", "initialise", "make_folder"]

NAME: Final = ".dolium-store.json"
TEMPORARY: Final = ".dolium-tmp"
FORMAT: Final = 1
"""Raised when an older dolium would misread the tree."""

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})


def initialise(root: Path) -> str:
    """Make `root` a store, durably, and give its UUID; one that is a store already keeps its own.

    Two processes that do this at once agree. Raises OSError as the file system does, and StoreUnavailable if an
    identity file is there that cannot be used.
    """
    root = Path(os.path.realpath(root))
    make_folder(root)
    make_folder(root / TEMPORARY)
    path = root / NAME
    if not path.exists():
        name = disk_temporary.begin()
        fresh = root / TEMPORARY / name
        try:
            fresh.write_text(json.dumps({"format": FORMAT, "uuid": str(uuid.uuid4())}) + "\n")
            _sync(fresh)
            reach("identity.written")
            _place(fresh, path)
        finally:
            disk_temporary.end(name)
        reach("identity.placed")
    _sync(root)  # also if it was there: whoever placed it may not have come to that
    return Identity(str(root), expected="", store_id=root.name).require()


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make it and those above it, with their names on the disk: else a power cut takes all that will be in it.

    They are synced also where they are there: whoever made them may not have come to that. Raises OSError.
    """
    if not folder.parent.is_dir():
        make_folder(folder.parent)
    folder.mkdir(mode, exist_ok=True)
    _sync(folder.parent)


class Identity:
    """The identity that a store had at first sight, or must have; `require` is asked before every write."""

    def __init__(self, root: str, *, expected: str, store_id: str) -> None:
        self._path = f"{root}/{NAME}"
        self._store_id = store_id
        self._uuid = expected
        self._seen: tuple[int, int, int, int] | None = None  # the file that was read last

    def require(self) -> str:
        """The UUID. Raises StoreUnavailable if the identity is absent, another's, unreadable or of a newer format.

        One stat when nothing has changed.
        """
        try:
            found = os.stat(self._path)  # noqa: PTH116 - on every write
            mark = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
            if mark != self._seen:
                self._uuid = self._check(Path(self._path).read_bytes())
                self._seen = mark
        except FileNotFoundError as error:
            raise self._down("the store's identity is absent: is its disk mounted?") from error
        except OSError as error:
            raise self._down("the store's identity cannot be read") from error
        return self._uuid

    def _check(self, text: bytes) -> str:
        try:
            found = json.loads(text)
            version, name = int(found["format"]), str(found["uuid"])
        except (ValueError, TypeError, KeyError) as error:
            raise self._down("the store's identity is damaged") from error
        if version > FORMAT:
            raise self._down(f"the store is of format {version}, made by a newer dolium")
        if self._uuid and name != self._uuid:
            raise self._down("another store lies where this one should be")
        return name

    def _down(self, message: str) -> StoreUnavailable:
        self._seen = None
        return StoreUnavailable(self._store_id, message)


def _place(fresh: Path, path: Path) -> None:
    """Give the file its name if nobody was faster; where there are no hard links the last one wins."""
    try:
        syscalls.link(fresh, path)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        syscalls.rename(fresh, path)
        return
    syscalls.unlink(fresh)


def _sync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        os.sync()  # a folder above ours that we may not list: this needs no leave
        return
    try:
        syscalls.fsync(descriptor)
    finally:
        syscalls.close(descriptor)
