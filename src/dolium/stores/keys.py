"""What a key may be, in every store; checked at each verb, since a key of the disk leaf is a path.

Why just these: `docs/decisions/0006-keys-of-blobs.md`.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["RESERVED", "check_key", "is_segment"]

RESERVED: Final = ".dolium"
"""No segment of a key begins so: these names are the stores' own (identity, temporary files, sidecars)."""

_LONGEST = 1024
_LONGEST_SEGMENT = 255
# No control characters (C0, DEL, C1), no slash, and no half of a surrogate pair, which is no UTF-8.
_SEGMENT = r"(?!\.\.?(?:/|\Z)|\.dolium)[^/\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,255}"
_is_segment = re.compile(_SEGMENT).fullmatch
_is_key = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*").fullmatch


def check_key(key: str) -> None:
    """Raises ValueError if `key` is none of the contract's keys: an error of the caller, not of the store."""
    if len(key) > _LONGEST or _is_key(key) is None or not (key.isascii() or _fits(key)):
        raise ValueError("not a key of a blob")


def is_segment(name: str) -> bool:
    """Whether `name` can be one segment of a key."""
    return _is_segment(name) is not None and (name.isascii() or len(name.encode()) <= _LONGEST_SEGMENT)


def _fits(key: str) -> bool:
    """Whether a key of any script is short enough in bytes: what the pattern counts are characters."""
    encoded = key.encode()
    return len(encoded) <= _LONGEST and (
        len(encoded) <= _LONGEST_SEGMENT or max(map(len, encoded.split(b"/"))) <= _LONGEST_SEGMENT
    )
