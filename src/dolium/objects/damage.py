"""A read has met bytes that are not those that were written: say so, once, where somebody will look."""

from __future__ import annotations

import logging
from errno import EIO

from dolium.catalog import damage
from dolium.catalog.damage import INLINE, Subject
from dolium.catalog.database import Pending
from dolium.catalog.objects import ObjectRow
from dolium.errors import BlobCorrupt, DoliumError
from dolium.objects.service import ObjectService
from dolium.stores.contract import BlockSums, Buffer, OfOneCopy

__all__ = ["Guard", "inline", "report", "require_undamaged"]

_log = logging.getLogger("dolium.damage")


def report(service: ObjectService, subject: Subject, row: ObjectRow, error: BlobCorrupt) -> None:
    """`row`: of the object that is read. Count it and enter it as suspect: a scrub looks at it soon. Does not wait, and never raises.

    The first to meet it writes a line to the log; a client that tries again and again does not fill it.
    """
    service.noted("corrupt")
    what = error.message

    def tell(pending: object) -> None:
        assert isinstance(pending, Pending)
        try:
            news = pending.result(0)
        except DoliumError as failure:
            news = True
            _log.warning("damage could not be entered in the catalog: %s", failure.message)
        if news:
            _log.error(
                "object %r of bucket %d is damaged (store %d, blob %s): %s",
                row.key, row.bucket_id, subject.store_id, subject.blob_key, what,
            )  # fmt: skip

    try:
        service.database.submit(lambda tx: damage.suspect(tx, subject, what)).when_settled(tell)
    except DoliumError as failure:
        _log.error(
            "object %r of bucket %d is damaged: %s (%s)", row.key, row.bucket_id, what, failure.message
        )


def inline(row: ObjectRow) -> Subject:
    """The inline bytes of a row."""
    return Subject(INLINE, str(row.sequence), row.bucket_id, row.key)


def require_undamaged(row: ObjectRow) -> None:
    """Raises BlobCorrupt for an object that is held back, since a scrub has found its bytes to be wrong."""
    if row.damaged:
        raise BlobCorrupt("the object is held back: a scrub has found its bytes to be damaged")


class Guard:
    """Checks what is read of a blob, and reports what is wrong (`stores.contract.BlockSums`)."""

    __slots__ = ("_blob_key", "_row", "_service", "_store_id", "_sums", "block", "size")

    def __init__(
        self, service: ObjectService, store_id: int, blob_key: str, row: ObjectRow, sums: BlockSums
    ) -> None:
        self._service = service
        self._store_id = store_id
        self._blob_key = blob_key
        self._row = row
        self._sums = sums
        self.block = sums.block
        self.size = sums.size

    def check(self, offset: int, data: Buffer, /) -> None:
        try:
            self._sums.check(offset, data)
        except BlobCorrupt as error:
            self._report(error)
            raise

    def failed(self, error: OSError, /) -> None:
        """The disk could not read it. Raises BlobCorrupt for EIO, else what was given."""
        if error.errno != EIO:
            raise error
        unreadable = BlobCorrupt("the disk cannot read the blob")
        self.distrust(unreadable)
        self._report(unreadable)
        raise unreadable from error

    def distrust(self, error: BlobCorrupt, /) -> None:
        """Of several copies, let another be read."""
        if isinstance(self._sums, OfOneCopy):
            self._sums.distrust(error)

    def _report(self, error: BlobCorrupt) -> None:
        report(self._service, Subject(self._store_id, self._blob_key), self._row, error)
