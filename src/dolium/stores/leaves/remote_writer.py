"""A blob pushed to a service that pulls: gathered while it is small, else handed to a thread that sends it as it comes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from dolium.errors import BodyTruncated, StoreUnavailable
from dolium.stores.contract import BlobWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dolium.stores.contract import PutOptions
    from dolium.stores.leaves.remote import Remote
    from dolium.values import BlobInfo

__all__ = ["RemoteWriter"]

_MOST_WAITING: Final = 4 << 20
"""Bytes that wait to be sent before `write` does."""


class _AbortedError(Exception):
    """The writer was aborted: what was sent is to be forgotten."""


class _Sending:
    """A thread that sends what it is given. One thread gives, one takes."""

    def __init__(self, store: Remote, key: str, options: PutOptions) -> None:
        self._store = store
        self._key = key
        self._size = options.size
        self.about = store.begin_about()
        # Guards all below.
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._end: BaseException | None = None  # why no more comes; StopIteration: it is complete
        self._mark = ""
        self._failure: BaseException | None = None
        self._done = False
        self._thread = threading.Thread(target=self._send, name="remote-put", daemon=True)
        self._thread.start()

    def give(self, data: bytes) -> None:
        """Raises what made the sending fail."""
        with self._changed:
            while self._bytes >= _MOST_WAITING and not self._done:
                self._changed.wait()
            if self._done:
                raise self._failure or StoreUnavailable(
                    self._store.store_id, "the store ended the upload early"
                )
            self._waiting.append(data)
            self._bytes += len(data)
            self._changed.notify_all()

    def complete(self) -> str:
        """All was given: the mark of the blob. Raises what made the sending fail."""
        self._stop(StopIteration())
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._mark

    def abort(self) -> None:
        self._stop(_AbortedError())
        self._thread.join()

    def _stop(self, why: BaseException) -> None:
        with self._changed:
            if self._end is None:
                self._end = why
            self._changed.notify_all()

    def _pieces(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                while not self._waiting and self._end is None:
                    self._changed.wait()
                if isinstance(self._end, _AbortedError):
                    raise self._end
                given, self._waiting, self._bytes = self._waiting, [], 0
                ended = self._end is not None
                self._changed.notify_all()
            yield from given
            if ended:
                return

    def _send(self) -> None:
        try:
            self._mark = self._store.send(self._key, self._pieces(), self.about, self._size)
        except BaseException as error:  # noqa: BLE001 - handed to whoever writes
            self._failure = error
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()


class RemoteWriter(BlobWriter):
    """Gathers up to the threshold of its store, then sends."""

    def __init__(self, store: Remote, key: str, options: PutOptions) -> None:
        self._store = store
        self._key = key
        self._options = options
        self._gathered: bytearray | None = bytearray()
        self._sending: _Sending | None = None
        self._written = 0
        self._open = True

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.abort()

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        self._require_open()
        self._written += len(data)
        try:
            if self._gathered is not None:
                self._gathered += data
                if len(self._gathered) <= self._store.threshold:
                    return
                data, self._gathered = self._gathered, None
                self._sending = _Sending(self._store, self._key, self._options)
            if self._sending is not None:
                self._sending.give(bytes(data))
        except BaseException:
            self.abort()
            raise

    def commit(self, description: Mapping[str, str] | None = None) -> BlobInfo:
        self._require_open()
        said = self._options.description if description is None else description
        try:
            if self._options.size is not None and self._options.size != self._written:
                raise BodyTruncated(f"{self._options.size} bytes were announced, {self._written} came")
            if self._sending is None:
                return self._store.publish(self._key, bytes(self._gathered or b""), self._written, said)
            return self._complete(self._sending, said)
        finally:
            self.abort()

    def _complete(self, sending: _Sending, description: Mapping[str, str]) -> BlobInfo:
        about = sending.about
        if description:
            self._store.write_about(self._key, about, self._written, description)
        try:
            mark = sending.complete()
        except BaseException:
            self._store.drop_about(self._key, about)
            raise
        return self._store.finish(self._key, about, self._written, mark, described=bool(description))

    def abort(self) -> None:
        self._open = False
        self._gathered = None
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.abort()

    def _require_open(self) -> None:
        if not self._open:
            raise ValueError("the writer is closed")
