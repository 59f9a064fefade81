"""Blobs in a dictionary: the reference implementation of the contract, to be read first.

    kind: memory
    capacity: 1073741824

It keeps nothing when the process ends.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from dolium.errors import BlobNotFound, BodyTruncated, StoreFull
from dolium.stores.contract import BlobReader, BlobStore, BlobWriter, PutOptions
from dolium.stores.keys import check_key
from dolium.stores.transfer import PIECE
from dolium.values import BlobInfo, Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dolium.stores.contract import Reader
    from dolium.values import ByteRange

__all__ = ["Memory", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """`capacity`: bytes that it takes before it is full."""

    capacity: int = 1 << 40


@dataclass(frozen=True, slots=True)
class _Blob:
    info: BlobInfo
    data: bytes
    description: dict[str, str]


class Memory(BlobStore):
    """Takes chunks, reports space, keeps descriptions."""

    local = True

    def __init__(self, options: Options = Options(), *, store_id: str = "memory") -> None:
        self.store_id = store_id
        self._options = options
        self._lock = Lock()  # guards the three below
        self._blobs: dict[str, _Blob] = {}
        self._order: list[str] = []
        self._used = 0

    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:  # noqa: B008 - frozen
        with self.open_writer(key, options=options) as writer:
            taken = 0
            while (piece := body.read(PIECE)) and (options.size is None or taken <= options.size):
                writer.write(piece)
                taken += len(piece)
            return writer.commit()

    def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002 - as the contract
        data = self._blob(key).data
        start, stop = range.resolve(len(data)) if range else (0, len(data))
        return _MemoryReader(data, start, stop)

    def stat(self, key: str) -> BlobInfo:
        return self._blob(key).info

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[BlobInfo]:
        with self._lock:
            at = max(bisect_left(self._order, prefix), bisect_right(self._order, after))
        while True:
            with self._lock:
                if at >= len(self._order) or not self._order[at].startswith(prefix):
                    return
                info = self._blobs[self._order[at]].info
            yield info
            with self._lock:  # others may have put or deleted meanwhile: find the place anew
                at = bisect_right(self._order, info.key)

    def delete(self, key: str) -> None:
        check_key(key)
        with self._lock:
            blob = self._blobs.pop(key, None)
            if blob is not None:
                del self._order[bisect_left(self._order, key)]
                self._used -= blob.info.size

    def close(self) -> None:
        pass

    def open_writer(self, key: str, *, options: PutOptions = PutOptions()) -> BlobWriter:  # noqa: B008 - frozen
        check_key(key)
        return _MemoryWriter(partial(self._publish, key), options)

    def description(self, key: str) -> dict[str, str]:
        return dict(self._blob(key).description)

    def space(self) -> Space:
        with self._lock:
            return Space(total=self._options.capacity, free=self._options.capacity - self._used)

    def _blob(self, key: str) -> _Blob:
        check_key(key)
        with self._lock:
            blob = self._blobs.get(key)
        if blob is None:
            raise BlobNotFound(key)
        return blob

    def _publish(self, key: str, data: bytes, description: dict[str, str]) -> BlobInfo:
        info = BlobInfo(key=key, size=len(data), modified_ns=time.time_ns())
        with self._lock:
            old = self._blobs.get(key)
            used = self._used + len(data) - (old.info.size if old else 0)
            if used > self._options.capacity:
                raise StoreFull("the store is full")
            if old is None:
                insort(self._order, key)
            self._blobs[key] = _Blob(info, data, description)
            self._used = used
        return info


class _MemoryWriter(BlobWriter):
    def __init__(self, publish: Callable[[bytes, dict[str, str]], BlobInfo], options: PutOptions) -> None:
        self._publish = publish
        self._options = options
        self._data: bytearray | None = bytearray()

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        if self._data is None:
            raise ValueError("the writer is closed")
        self._data += data

    def commit(self, description: Mapping[str, str] | None = None) -> BlobInfo:
        data, self._data = self._data, None
        if data is None:
            raise ValueError("the writer is closed")
        if self._options.size is not None and self._options.size != len(data):
            raise BodyTruncated(f"{self._options.size} bytes were announced, {len(data)} came")
        return self._publish(
            bytes(data), dict(self._options.description if description is None else description)
        )

    def abort(self) -> None:
        self._data = None


class _MemoryReader(BlobReader):
    def __init__(self, data: bytes, start: int, stop: int) -> None:
        self.size = len(data)
        self.start = start
        self.stop = stop
        self._data = data
        self._at = start

    def read(self, size: int = -1, /) -> bytes:
        end = self.stop if size < 0 else min(self.stop, self._at + size)
        given = self._data[self._at : end]
        self._at = end
        return given

    def close(self) -> None:
        pass
