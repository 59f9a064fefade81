"""The keys of the service's own blobs: opaque, unique, ordered by time.

`ttttt/ttt/tttttttttttttttt-rrrrrrrrrrrr`: a directory covers 69 s and its parent 20 h, so blobs written together
share a directory (and its fsync), and those newer than a moment are found without a walk.
"""

from __future__ import annotations

import re

__all__ = ["blob_key", "written_ns"]

_OURS = re.compile(r"[0-9a-f]{5}/[0-9a-f]{3}/([0-9a-f]{16})-[0-9a-f]{12}")


def blob_key(now_ns: int, suffix: str) -> str:
    """The key of a blob whose upload begins now. Without a suffix: less than every key of that nanosecond, and
    greater than all before.
    """
    return f"{now_ns >> 46:05x}/{now_ns >> 36 & 0x3FF:03x}/{now_ns:016x}-{suffix}"


def written_ns(key: str) -> int | None:
    """When the upload of a blob began; None for a key that is not of our making."""
    match = _OURS.fullmatch(key)
    return None if match is None else int(match[1], 16)
