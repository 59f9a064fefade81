"""Names of temporary files, and who may sweep them.

A name tells where its writer lives and whether it is alive: `place.boot.process.start.number`, where the place is
the machine (and the container), `boot` changes when it starts anew, and a process is known by its number and the
moment it began. A file of this place is dead when its boot or its process is. Whether a writer in another place
lives cannot be seen from here, so its files are left until they are old.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from dolium.stores.leaves import syscalls

__all__ = ["OLD_SECONDS", "begin", "dead", "end", "sweep"]

OLD_SECONDS: Final = 7 * 86400.0
"""No upload goes a week without a byte; the time of the file is that of its last write."""

_numbers = itertools.count()
_open: set[str] = set()  # names that this process is writing now; set operations are atomic


def begin() -> str:
    """A name that nobody else has, alive until `end`."""
    process = os.getpid()
    name = f"{_here()}.{process}.{_own_start(process)}.{next(_numbers)}"
    _open.add(name)
    return name


def end(name: str) -> None:
    """The file is renamed or removed, or may be swept."""
    _open.discard(name)


def sweep(folder: str, *, old_seconds: float = OLD_SECONDS) -> int:
    """Remove the files of dead writers; how many. Raises OSError."""
    swept = 0
    for path in dead(folder, old_seconds=old_seconds):
        try:
            syscalls.unlink(path)
        except FileNotFoundError:
            continue  # another sweeper was faster
        swept += 1
    return swept


def dead(folder: str, *, old_seconds: float = OLD_SECONDS) -> Iterator[str]:
    """The paths of files whose writers are gone. Raises OSError."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not _may_live(entry.name) or _is_old(entry, old_seconds):
                yield entry.path


def _may_live(name: str) -> bool:
    match name.split("."):
        case [place, boot, process, start, _]:
            pass
        case _:
            return True  # not ours to judge; age decides
    here_place, here_boot = _here().split(".")
    if place != here_place:
        return True
    if boot != here_boot or not process.isdecimal():
        return False
    if int(process) == os.getpid() and start == _own_start(os.getpid()):
        return name in _open
    return _lives(int(process), start)


def _is_old(entry: os.DirEntry[str], seconds: float) -> bool:
    if entry.name in _open:
        return False
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > seconds
    except FileNotFoundError:
        return False


@cache
def _here() -> str:
    """`place.boot`, each a short hash, so that no host name stands in a file name."""
    namespace = _text("/proc/self/ns/pid", link=True)
    place = f"{socket.gethostname()} {_text('/etc/machine-id')} {namespace}"
    return f"{_short(place)}.{_short(_text('/proc/sys/kernel/random/boot_id'))}"


@cache
def _own_start(process: int) -> str:
    return _start_of(process)


def _start_of(process: int) -> str:
    """When the process began, in clock ticks since the boot; empty if it is gone, or cannot be seen."""
    # proc(5): the 3rd field is the state, the 22nd the start. The 2nd is a name in brackets that may hold
    # anything, so count from its end.
    fields = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def _lives(process: int, start: str) -> bool:
    found = _start_of(process)
    if found or not _text("/proc/self/stat"):
        return found == start
    try:
        os.kill(process, 0)
    except PermissionError:
        return True  # another user's, hidden from us
    except ProcessLookupError:
        return False
    return False  # a zombie


def _text(path: str, *, link: bool = False) -> str:
    try:
        return str(Path(path).readlink()) if link else Path(path).read_text().strip()
    except OSError:
        return ""  # not Linux, or not to be seen from here: the name then tells less, and age decides


def _short(text: str) -> str:
    return hashlib.blake2s(text.encode(), digest_size=4).hexdigest()
