"""Find the version, and say where its bytes lie."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from threading import local
from typing import Final, NamedTuple

from dolium.catalog import objects
from dolium.catalog.buckets import Bucket
from dolium.catalog.damage import Subject
from dolium.catalog.objects import ObjectRow, Part, required
from dolium.errors import BlobCorrupt, BlobNotFound, DoliumError, VersionGone
from dolium.objects.damage import Guard, inline, report, require_undamaged
from dolium.objects.service import ObjectService
from dolium.stores.contract import BlobReader, BlockSums, LocalFiles, Reader
from dolium.values import ByteRange

__all__ = [
    "ObjectReader",
    "OpenFile",
    "Segment",
    "find",
    "inline_bytes",
    "inline_copy",
    "missing",
    "open_segment",
    "parts",
    "read_start",
    "segments",
]


_EAGER: Final = 128 << 10
"""Read and checked before the head of an answer is sent, so that it can still be an error."""


class _Scratch(local):
    """Where a thread reads blocks to: a buffer of this size made anew costs more than the read."""

    def __init__(self) -> None:
        self.buffer = bytearray(2 * _EAGER)


_scratch = _Scratch()


class Segment(NamedTuple):
    """`length` bytes from `offset` of one blob, which has `size`, of the object `row`."""

    store_id: int
    blob_key: str
    offset: int
    length: int
    size: int
    row: ObjectRow


class OpenFile(NamedTuple):
    """A segment as a file of this machine: read `length` bytes from `offset` of `descriptor`, then close it.

    `guard`: what whole blocks are to be checked against before any byte of them leaves, if there is something.
    """

    descriptor: int
    offset: int
    length: int
    guard: Guard | None = None

    def rest(self, read: int) -> OpenFile:
        """Without the first `read` bytes."""
        return OpenFile(self.descriptor, self.offset + read, self.length - read, self.guard)


def find(service: ObjectService, bucket: Bucket, key: str, *, with_body: bool) -> ObjectRow:
    """The current version. Raises ObjectNotFound."""
    return required(objects.find(service.database, bucket.id, key, with_body=with_body), key)


def parts(service: ObjectService, row: ObjectRow) -> list[Part]:
    """The parts of a multipart object; none for any other. Raises VersionGone, BlobCorrupt."""
    if row.upload is None:
        return []
    found = objects.parts_of(service.database, row.upload)
    if not found or sum(part.size for part in found) != row.size:
        raise missing(service, row, "the parts of the object do not add up to its size")
    return found


def missing(service: ObjectService, row: ObjectRow, what: str, subject: Subject | None = None) -> DoliumError:
    """What it means that bytes of a version are not where they were: it is gone, or they are lost, which is reported
    of `subject`.
    """
    if not objects.is_there(service.database, row):
        return VersionGone(row.key)
    lost = BlobCorrupt(what)
    if subject is not None:
        report(service, subject, row, lost)
    return lost


def segments(service: ObjectService, row: ObjectRow, start: int, stop: int) -> list[Segment]:
    """Where bytes `start` up to `stop` of an object lie that is not inline. Raises as `parts`."""
    if row.store_id is None:
        raise BlobCorrupt("the inline bytes are lost")
    if row.upload is None:
        return [Segment(row.store_id, row.blob_key or "", start, stop - start, row.size, row)]
    found = []
    begin = 0
    for part in parts(service, row):
        end = begin + part.size
        first, last = max(begin, start), min(end, stop)
        if first < last:
            found.append(Segment(part.store_id, part.blob_key, first - begin, last - first, part.size, row))
        begin = end
    return found


def inline_bytes(service: ObjectService, row: ObjectRow) -> bytes | None:
    """The inline bytes of a row that was found with its body, checked; None if they lie elsewhere.

    Raises BlobCorrupt.
    """
    data = row.data
    if data is None or (not service.limits.verify_inline and len(data) == row.size):
        return data
    try:
        if len(data) != row.size:
            raise BlobCorrupt(f"the inline bytes are {len(data)} and should be {row.size}")
        if service.limits.verify_inline:
            objects.require_sound(data, row.crc, row.sequence)
            service.noted("unverified" if row.crc is None else "verified")
    except BlobCorrupt as error:
        report(service, inline(row), row, error)
        raise
    return data


def open_segment(service: ObjectService, segment: Segment) -> OpenFile | BlobReader:
    """As a file where the store has one, else as a reader. Raises VersionGone, StoreUnavailable, BlobCorrupt.

    A blob that the catalog knows and a store that is up has not is corruption, not absence; unless the version is
    gone meanwhile, and its blob was swept.
    """
    try:
        files = service.files(segment.store_id)
        if files is None:
            some = service.some_files(segment.store_id)
            if some is not None and (opened := some.open_if_file(segment.blob_key)) is not None:
                return _as_file(service, segment, *opened)
            return service.store(segment.store_id).get(
                segment.blob_key, range=ByteRange(segment.offset, segment.offset + segment.length - 1)
            )
        return _open_file(service, files, segment)
    except BlobNotFound as error:
        subject = Subject(segment.store_id, segment.blob_key)
        raise missing(
            service, segment.row, "a blob that the catalog names is not in its store", subject
        ) from error
    except BlobCorrupt as error:
        report(service, Subject(segment.store_id, segment.blob_key), segment.row, error)
        raise


def _open_file(service: ObjectService, files: LocalFiles, segment: Segment) -> OpenFile:
    checking = service.checking(segment.store_id)
    if checking is not None:
        return _as_file(service, segment, *checking.open_checked(segment.blob_key))
    return _as_file(service, segment, *files.open_file(segment.blob_key), None, checks=False)


def _as_file(
    service: ObjectService,
    segment: Segment,
    descriptor: int,
    size: int,
    sums: BlockSums | None,
    *,
    checks: bool = True,
) -> OpenFile:
    guard = None
    if sums is not None:
        guard = Guard(service, segment.store_id, segment.blob_key, segment.row, sums)
    if checks:
        service.noted("unverified" if sums is None else "verified")
    if size != segment.size:
        os.close(descriptor)
        wrong = BlobCorrupt(f"the blob has {size} bytes, and {segment.size} as the catalog says")
        if guard is not None:
            guard.distrust(wrong)
        raise wrong
    return OpenFile(descriptor, segment.offset, segment.length, guard)


def read_start(opened: OpenFile, guard: Guard, *, cached: bool) -> bytes | None:
    """The first bytes of a segment, up to 128 KiB, checked. `cached`: only if that waits for no disk, else None.

    Raises BlobCorrupt, OSError.
    """
    count = min(opened.length, _EAGER)
    begin = opened.offset - opened.offset % guard.block
    end = min(guard.size, -(-(opened.offset + count) // guard.block) * guard.block)
    scratch = _scratch.buffer
    buffer = memoryview(scratch if end - begin <= len(scratch) else bytearray(end - begin))[: end - begin]
    try:
        size = os.preadv(opened.descriptor, [buffer], begin, os.RWF_NOWAIT if cached else 0)
        if cached and size < len(buffer):
            return None
        while size < len(buffer):
            more = os.preadv(opened.descriptor, [buffer[size:]], begin + size)
            if not more:
                raise BlobCorrupt("the blob is shorter than it was")
            size += more
    except OSError as error:
        if cached:
            return None
        guard.failed(error)
    guard.check(begin, buffer)
    return bytes(buffer[opened.offset - begin : opened.offset - begin + count])


def inline_copy(service: ObjectService, row: ObjectRow) -> bytes:
    """The inline bytes of a version, for a copy: always checked. Raises VersionGone, BlobCorrupt."""
    try:
        data = objects.body_of(service.database, row.sequence)
        if data is not None and len(data) != row.size:
            raise BlobCorrupt(f"the inline bytes are {len(data)} and should be {row.size}")
    except BlobCorrupt as error:
        report(service, inline(row), row, error)
        raise
    if data is None:
        raise missing(service, row, "the inline bytes of the object are not there", inline(row))
    return data


class ObjectReader(Reader):
    """The bytes of a version as one stream, for copies. Blocking; close it.

    What has checksums is checked, whatever the settings say: a copy of wrong bytes would get checksums of its own.
    """

    def __init__(self, service: ObjectService, row: ObjectRow, start: int, stop: int) -> None:
        """Raises VersionGone, BlobCorrupt."""
        require_undamaged(row)
        self._service = service
        self._left = stop - start
        data = inline_copy(service, row) if row.inline else None
        self._segments: Iterator[Segment] = iter(() if row.inline else segments(service, row, start, stop))
        self._segment: Segment | None = None
        self._current: BlobReader | io.BytesIO | None = (
            io.BytesIO((data or b"")[start:stop]) if row.inline else None
        )

    def read(self, size: int, /) -> bytes:
        """1..size bytes, or none at the end. Raises StoreError; BlobCorrupt if bytes are missing or wrong, VersionGone
        if they are swept.
        """
        try:
            return self._read(size)
        except BlobCorrupt as error:
            if self._segment is not None:
                subject = Subject(self._segment.store_id, self._segment.blob_key)
                report(self._service, subject, self._segment.row, error)
            raise
        except BlobNotFound as error:
            assert self._segment is not None
            subject = Subject(self._segment.store_id, self._segment.blob_key)
            what = "a blob that the catalog names is not in its store"
            raise missing(self._service, self._segment.row, what, subject) from error

    def _read(self, size: int) -> bytes:
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
            self._segment = segment
            last = segment.offset + segment.length - 1
            self._current = self._service.store(segment.store_id).get(
                segment.blob_key, range=ByteRange(segment.offset, last)
            )

    def close(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None
