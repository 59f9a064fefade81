"""Find the version, and say where its bytes lie."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass

from dolium.catalog import objects
from dolium.catalog.buckets import Bucket
from dolium.catalog.objects import ObjectRow, Part, required
from dolium.errors import BlobCorrupt
from dolium.objects.service import ObjectService
from dolium.stores.contract import BlobReader, LocalFiles, Reader, unwrap
from dolium.values import ByteRange

__all__ = ["ObjectReader", "OpenFile", "Segment", "find", "open_segment", "parts", "segments"]


@dataclass(frozen=True, slots=True)
class Segment:
    """`count` bytes from `offset` of one blob."""

    store_id: int
    blob_key: str
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A segment as a file of this machine: read `count` bytes from `offset` of `descriptor`, then close it."""

    descriptor: int
    offset: int
    count: int


def find(service: ObjectService, bucket: Bucket, key: str, *, with_body: bool) -> ObjectRow:
    """The current version. Raises ObjectNotFound."""
    return required(objects.find(service.database, bucket.id, key, with_body=with_body), key)


def parts(service: ObjectService, row: ObjectRow) -> list[Part]:
    """The parts of a multipart object; none for any other."""
    return [] if row.upload is None else objects.parts_of(service.database, row.upload)


def segments(service: ObjectService, row: ObjectRow, start: int, stop: int) -> list[Segment]:
    """Where bytes `start` up to `stop` of an object lie that is not inline."""
    if row.store_id is None:
        return []
    if row.upload is None:
        return [Segment(row.store_id, row.blob_key or "", start, stop - start)]
    found = []
    begin = 0
    for part in parts(service, row):
        end = begin + part.size
        first, last = max(begin, start), min(end, stop)
        if first < last:
            found.append(Segment(part.store_id, part.blob_key, first - begin, last - first))
        begin = end
    if begin != row.size:
        raise BlobCorrupt("the parts of the object do not add up to its size")
    return found


def open_segment(service: ObjectService, segment: Segment) -> OpenFile | BlobReader:
    """As a file where the store has one, else as a reader. Raises StoreUnavailable, BlobCorrupt.

    A blob that the catalog knows and a store that is up has not is corruption, not absence.
    """
    store = service.store(segment.store_id)
    files = unwrap(store, LocalFiles)
    if files is None:
        return store.get(
            segment.blob_key, range=ByteRange(segment.offset, segment.offset + segment.count - 1)
        )
    descriptor, size = files.open_file(segment.blob_key)
    if size < segment.offset + segment.count:
        os.close(descriptor)
        raise BlobCorrupt("the blob is shorter than the catalog says")
    return OpenFile(descriptor, segment.offset, segment.count)


class ObjectReader(Reader):
    """The bytes of a version as one stream, for copies. Blocking; close it."""

    def __init__(self, service: ObjectService, row: ObjectRow, start: int, stop: int) -> None:
        self._service = service
        self._left = stop - start
        data = objects.body_of(service.database, row.sequence) if row.inline else None
        self._segments: Iterator[Segment] = iter(() if row.inline else segments(service, row, start, stop))
        self._current: BlobReader | io.BytesIO | None = (
            io.BytesIO((data or b"")[start:stop]) if row.inline else None
        )

    def read(self, size: int, /) -> bytes:
        """1..size bytes, or none at the end. Raises StoreError; BlobCorrupt if bytes are missing."""
        while True:
            if self._current is not None:
                data = self._current.read(size)
                if data:
                    self._left -= len(data)
                    return data
                self._current.close()
                self._current = None
            segment = next(self._segments, None)
            if segment is None:
                if self._left:
                    raise BlobCorrupt("the object is shorter than the catalog says")
                return b""
            last = segment.offset + segment.count - 1
            self._current = self._service.store(segment.store_id).get(
                segment.blob_key, range=ByteRange(segment.offset, last)
            )

    def close(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None
