"""Bodies on their way to and from a guarded member: each step is a call of its own, with the member's deadline."""

from __future__ import annotations

import contextlib
import time
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from dolium.errors import StoreUnavailable
from dolium.stores.contract import BlobReader, BlobWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dolium.stores.contract import Reader
    from dolium.values import BlobInfo

__all__ = ["GuardedReader", "GuardedWriter", "LivelyReader"]


class _Run(Protocol):
    def __call__(self, work: Callable[..., Any], *args: object) -> Any: ...


class _Held:
    """What is used by one call at a time, and ended by the last: by a call that was given up, when it comes back."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._lock = Lock()  # guards the two below
        self._running = False
        self._ended = False

    def use(self, work: Callable[..., Any], *args: object) -> Any:
        """Runs in the thread of the member."""
        with self._lock:
            if self._ended:
                raise ValueError("the stream is closed")
            self._running = True
        try:
            return work(*args)
        finally:
            if self._came_late():
                self._end()

    def _came_late(self) -> bool:
        with self._lock:
            self._running = False
            return self._ended

    def done(self) -> None:
        """It has come to its own end."""
        with self._lock:
            self._ended = True

    def end(self, run: _Run) -> None:
        """Never waits for a call that was given up."""
        with self._lock:
            ended, self._ended = self._ended, True
            if ended or self._running:
                return
        with contextlib.suppress(StoreUnavailable):
            run(self._end)


class GuardedReader(BlobReader):
    """`call` counts for the breaker, `run` does not; `ended`: all was read."""

    def __init__(self, reader: BlobReader, call: _Run, run: _Run, ended: Callable[[], None]) -> None:
        self.size, self.start, self.stop = reader.size, reader.start, reader.stop
        self._reader = reader
        self._call = call
        self._run = run
        self._ended = ended
        self._left = reader.stop - reader.start
        self._held = _Held(reader.close)

    def read(self, size: int = -1, /) -> bytes:
        try:
            data: bytes = self._call(self._held.use, self._reader.read, size)
        except StoreUnavailable:
            self.close()  # the call may still be under way
            raise
        self._left -= len(data)
        if self._left <= 0:
            self._ended()
        return data

    def close(self) -> None:
        self._held.end(self._run)


class GuardedWriter(BlobWriter):
    """As above."""

    def __init__(self, writer: BlobWriter, call: _Run, run: _Run) -> None:
        self._writer = writer
        self._call = call
        self._run = run
        self._held = _Held(writer.abort)

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        self._or_abort(self._writer.write, data)

    def commit(self, description: Mapping[str, str] | None = None) -> BlobInfo:
        info: BlobInfo = self._or_abort(self._writer.commit, description)
        self._held.done()
        return info

    def abort(self) -> None:
        self._held.end(self._run)

    def _or_abort(self, work: Callable[..., Any], *args: object) -> Any:
        try:
            return self._call(self._held.use, work, *args)
        except BaseException:
            self.abort()
            raise


class LivelyReader:
    """A body that is read in another thread, and tells how that goes: while it is being read, time does not count."""

    def __init__(self, body: Reader, store_id: str) -> None:
        self._body = body
        self._store_id = store_id
        self._lock = Lock()  # guards the three below
        self._inside = False
        self._ended = False
        self._touched = time.monotonic()
        self.error: BaseException | None = None  # what the body raised

    def read(self, size: int, /) -> bytes:
        with self._lock:
            if self._ended:
                raise StoreUnavailable(self._store_id, "the call was given up")
            self._inside = True
        try:
            return self._body.read(size)
        except BaseException as error:
            self.error = error
            raise
        finally:
            with self._lock:
                self._inside = False
                self._touched = time.monotonic()

    def left(self, deadline_seconds: float) -> float:
        """Seconds that the store has, of so many from the last read on; if none, the body is read no more."""
        with self._lock:
            if self._inside:
                return deadline_seconds
            left = self._touched + deadline_seconds - time.monotonic()
            self._ended = left <= 0
            return left
