"""What a key may be, in every store; checked at each verb, since a key of the disk leaf is a path."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["RESERVED", "check_key", "is_segment"]

RESERVED: Final = ".dolium"
"""No segment of a key begins so: these names are the stores' own (identity, temporary files, sidecars)."""

_LONGEST = 1024
_SEGMENT = r"(?!\.\.?(?:/|\Z)|\.dolium)[A-Za-z0-9._=+@-]{1,255}"
_is_segment = re.compile(_SEGMENT).fullmatch
_is_key = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*").fullmatch


def check_key(key: str) -> None:
    """Raises ValueError if `key` is none of the contract's keys: an error of the caller, not of the store."""
    if len(key) > _LONGEST or _is_key(key) is None:
        raise ValueError("not a key of a blob")


def is_segment(name: str) -> bool:
    """Whether `name` can be one segment of a key."""
    return _is_segment(name) is not None
