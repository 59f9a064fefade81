"""One service per data folder: whoever serves it holds a lock beside the catalog for as long as it lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from dolium.errors import Conflict
from dolium.stores.leaves.disk_identity import make_folder

__all__ = ["claim"]


def claim(folder: Path, *, patience: float = 0.0) -> int:
    """Hold the folder until the descriptor is closed, in this process and all that it forks.

    Where the process that claimed it is gone and only its workers still end, wait for them `patience` seconds.
    Raises Conflict.
    """
    make_folder(folder, 0o700)
    fd = os.open(folder / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    while not _try_lock(fd):
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        if _is_alive(holder) or time.monotonic() >= deadline:
            os.close(fd)
            raise Conflict(f"{folder} is being served already, by process {holder or 'unknown'}")
        time.sleep(0.1)
    os.ftruncate(fd, 0)
    with contextlib.suppress(OSError):  # on a full disk nobody is told who holds it
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(holder: str) -> bool:
    return holder.isdecimal() and Path("/proc", holder).exists()
