"""Whether a cache counts what lies in it: the walk that the cache itself never makes."""

from __future__ import annotations

from pathlib import Path

from dolium.stores.composites.cache_index import FILLING, OLD, READY, CacheIndex

__all__ = ["check_accounts"]


def check_accounts(folder: Path) -> int:
    """The bytes that lie there; fails if another number is counted, or a file has no row, or a row no file."""
    index = CacheIndex(str(folder))
    with index.lock():
        entries = {str(entry.id): entry.size for entry in index.of_state(FILLING, READY, OLD)}
        counted = index.total()
        files = {path.name: path.stat().st_size for path in (folder / "files").rglob("*") if path.is_file()}
    index.close()
    assert files == entries
    assert counted == sum(files.values())
    return counted
