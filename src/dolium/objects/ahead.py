"""Opens the blobs of a version before a reader comes to them, so that none is swept under a slow one.

    opened = OpenAhead(service, segments)
    opened.fill()
    while (segment := opened.next()) is not None:
        ...
    opened.close()

A file that is open stays what it was, whoever deletes its name: so a download of up to 64 parts is never cut off by an
overwrite or a delete, however slow it is. Of more, the next 64 are open at any time, and only one that has not come
within 64 parts of a part when the grace of that (`garbage_grace`) is over breaks off. Stores that give no files are
opened one blob at a time: there the grace is all.
"""

from __future__ import annotations

import os
import resource
from collections import deque
from collections.abc import Sequence
from threading import BoundedSemaphore, Lock

from dolium.errors import StoreUnavailable
from dolium.objects.get import OpenFile, Segment, open_segment
from dolium.objects.service import ObjectService
from dolium.stores.contract import BlobReader

__all__ = ["OpenAhead", "most_ahead"]

_AHEAD = 64


def most_ahead() -> int:
    """How many files all downloads of a process may hold ahead: an eighth of its descriptors, at most 4,096."""
    return min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 8)


_allowance = BoundedSemaphore(most_ahead())


class OpenAhead:
    """Used by one reader at a time; `close` may come from another thread, in the midst of a call."""

    def __init__(self, service: ObjectService, segments: Sequence[Segment]) -> None:
        self._service = service
        self._waiting = deque(segments)
        # Guards the three below.
        self._lock = Lock()
        self._opened: deque[OpenFile | BlobReader] = deque()
        self._allowed = 0
        self._closed = False

    def fill(self) -> None:
        """Open what comes next. Raises VersionGone, StoreError; what is only opened ahead may wait while the store or
        this process has no descriptor left.
        """
        while self._waiting and self._may_open():
            try:
                opened = open_segment(self._service, self._waiting[0])
            except StoreUnavailable:
                self._settle(None)
                if self._opened:
                    return
                raise
            except BaseException:
                self._settle(None)
                raise
            self._waiting.popleft()
            self._settle(opened)

    def next(self) -> OpenFile | BlobReader | None:
        """The next segment, which is the caller's now; None behind the last. Raises as `fill`."""
        with self._lock:
            empty = not self._opened
        if empty:
            self.fill()
        with self._lock:
            if not self._opened:
                return None
            given = self._opened.popleft()
            self._return_what_is_over()
        try:
            self.fill()
        except BaseException:
            _close(given)
            raise
        return given

    def close(self) -> None:
        """Twice is fine."""
        with self._lock:
            self._closed = True
            opened = list(self._opened)
            self._opened.clear()
            self._return_what_is_over()
        for one in opened:
            _close(one)

    def _may_open(self) -> bool:
        """The first always; more of them only as files, and while there are descriptors for all downloads."""
        with self._lock:
            if self._closed:
                return False
            if not self._opened:
                return True
            if len(self._opened) >= _AHEAD or not isinstance(self._opened[-1], OpenFile):
                return False
            if not _allowance.acquire(blocking=False):
                return False
            self._allowed += 1
            return True

    def _settle(self, opened: OpenFile | BlobReader | None) -> None:
        with self._lock:
            if opened is not None and not self._closed:
                self._opened.append(opened)
                opened = None
            self._return_what_is_over()
        if opened is not None:
            _close(opened)

    def _return_what_is_over(self) -> None:
        """Of those that are open, the first is not ahead."""
        while self._allowed > max(0, len(self._opened) - 1):
            self._allowed -= 1
            _allowance.release()


def _close(opened: OpenFile | BlobReader) -> None:
    if isinstance(opened, OpenFile):
        os.close(opened.descriptor)
    else:
        opened.close()
