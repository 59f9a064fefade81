"""One service per data folder: whoever serves it holds a lock beside the catalog for as long as it lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from dolium.errors import Conflict

__all__ = ["claim"]


def claim(folder: Path) -> int:
    """Hold the folder until the descriptor is closed, in this process and all that it forks.

    Raises Conflict, with the number of the process that holds it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        os.close(fd)
        raise Conflict(f"{folder} is being served already, by process {holder or 'unknown'}") from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
