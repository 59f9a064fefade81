"""Whether a folder lies on a disk of this machine, where opening a file takes microseconds, or on a network."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["is_local"]

_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|ceph|lustre|gpfs|beegfs\w*|glusterfs|afs|9p|orangefs|pvfs2|panfs|fuse(\..*)?"
).fullmatch
_escape = re.compile(r"\\([0-7]{3})")


def is_local(folder: Path, mounts: str | None = None) -> bool:
    """By the type of the file system. What cannot be told is taken for a network, which may hang.

    `mounts`: the text of /proc/self/mountinfo (see proc_pid_mountinfo(5)), read if it is not given.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
        except OSError:
            return False
    path = f"{folder.resolve()}/"
    best, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = _escape.sub(lambda match: chr(int(match[1], 8)), fields[4]).rstrip("/") + "/"
        # Of several mounts on one point the last one counts.
        if path.startswith(point) and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return bool(kind) and not _NETWORK(kind)
