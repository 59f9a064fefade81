"""Locks of single keys, which exist only while they are held, or waited for; and who else is writing a key."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KeyLocks"]


class KeyLocks:
    """Among the threads of this process."""

    def __init__(self) -> None:
        self._guard = Lock()  # guards the two below
        self._locks: dict[str, tuple[Lock, int]] = {}  # with how many hold or want it
        self._writers: dict[str, list[set[str]]] = {}

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """One thread at a time for each key."""
        with self._guard:
            lock, count = self._locks.get(key, (None, 0))
            lock = lock or Lock()
            self._locks[key] = (lock, count + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, count = self._locks[key]
                if count == 1:
                    del self._locks[key]
                else:
                    self._locks[key] = (lock, count - 1)

    def begin(self, key: str) -> set[str]:
        """A writer of this key begins: a mark of its own, which fills when another one comes to its end."""
        mark: set[str] = set()
        with self._guard:
            self._writers.setdefault(key, []).append(mark)
        return mark

    def end(self, key: str, mark: set[str]) -> None:
        """The writer has come to its end; a second time is fine."""
        with self._guard:
            marks = self._writers.get(key, [])
            left = [other for other in marks if other is not mark]
            if len(left) == len(marks):
                return
            for other in left:
                other.add("disturbed")
            if left:
                self._writers[key] = left
            else:
                del self._writers[key]
