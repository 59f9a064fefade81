"""A blob on its way to several members at once, and on its way back from the first that gives its first bytes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from dolium.errors import (
    BlobCorrupt,
    DoliumError,
    PartlyDone,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from dolium.stores.contract import BlobReader, BlobWriter
from dolium.stores.transfer import PIECE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dolium.stores.contract import BlockSums, Buffer
    from dolium.values import BlobInfo

__all__ = ["REFUSALS", "CopySums", "FirstBytesReader", "ReplicaWriter"]

REFUSALS: Final = (StoreUnavailable, StoreFull, StoreReadOnly)
"""What a member may say without ending the put at the others."""


class CopySums:
    """The checksums of one copy (`OfOneCopy`). `distrust`: told when it is not what they say."""

    __slots__ = ("_sums", "block", "distrust", "size")

    def __init__(self, sums: BlockSums, distrust: Callable[[BlobCorrupt], None]) -> None:
        self.block, self.size = sums.block, sums.size
        self._sums = sums
        self.distrust = distrust

    def check(self, offset: int, data: Buffer, /) -> None:
        try:
            self._sums.check(offset, data)
        except BlobCorrupt as error:
            self.distrust(error)
            raise


class FirstBytesReader(BlobReader):
    """A reader whose first piece has been read: what is wrong with the copy mostly shows then. `distrust`: told when it
    shows later.
    """

    def __init__(self, reader: BlobReader, distrust: Callable[[BlobCorrupt], None]) -> None:
        self.size, self.start, self.stop = reader.size, reader.start, reader.stop
        self._reader = reader
        self._distrust = distrust
        try:
            self._first = memoryview(reader.read(PIECE))
        except BaseException:
            reader.close()
            raise

    def read(self, size: int = -1, /) -> bytes:
        first = self._first
        if not first:
            return self._rest(size)
        if size < 0:
            self._first = memoryview(b"")
            return bytes(first) + self._rest(size)
        self._first = first[size:]
        return bytes(first[:size])

    def _rest(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except BlobCorrupt as error:
            self._distrust(error)
            raise

    def close(self) -> None:
        self._reader.close()


class ReplicaWriter(BlobWriter):
    """Goes on as long as `need` members do. `publish` is handed the commit, which is told how many it takes then.

    `written`: the members that have the blob; `failed`: those that have not, and why.
    """

    def __init__(
        self,
        writers: Mapping[str, BlobWriter],
        failed: dict[str, StoreError],
        need: int,
        publish: Callable[[Callable[[int], None]], None],
        lacking: Callable[[], None],
    ) -> None:
        self._writers = dict(writers)
        self.failed = failed
        self.written: dict[str, BlobInfo] = {}
        self._need = need
        self._publish = publish
        self._lacking = lacking
        self._closed = False
        self._require(need)

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        self._require_open()
        try:
            for name, writer in list(self._writers.items()):
                try:
                    writer.write(data)
                except REFUSALS as error:
                    self._drop(name, error)
            self._require(self._need)
        except BaseException:
            self.abort()
            raise

    def commit(self, description: Mapping[str, str] | None = None) -> BlobInfo:
        self._require_open()
        try:
            self._publish(lambda need: self._commit(need, description))
        finally:
            self.abort()
        self._lacking()
        return next(iter(self.written.values()))

    def abort(self) -> None:
        self._closed = True
        for writer in self._writers.values():
            writer.abort()

    def _commit(self, need: int, description: Mapping[str, str] | None) -> None:
        """Raises PartlyDone, from what happened, if some members have it and too few; as it came if none has it."""
        self._require(need)
        try:
            broken: list[BaseException] = []
            for name, outcome in self._commit_all(description).items():
                if not isinstance(outcome, BaseException):
                    self.written[name] = outcome
                elif isinstance(outcome, REFUSALS):
                    self._drop(name, outcome)
                else:
                    broken.append(outcome)
            if broken:
                raise broken[0]
            self._require(need)
        except DoliumError as error:
            if not self.written:
                raise
            left = tuple(name for name in (*self._writers, *self.failed) if name not in self.written)
            raise PartlyDone(
                "some copies are written, too few", done=tuple(self.written), left=left
            ) from error

    def _commit_all(self, description: Mapping[str, str] | None) -> Mapping[str, BlobInfo | BaseException]:
        """At all members at once, in the order of the members: each waits for a disk or a network of its own."""
        outcomes: dict[str, BlobInfo | BaseException] = {}

        def commit(name: str, writer: BlobWriter) -> None:
            try:
                outcomes[name] = writer.commit(description)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                outcomes[name] = error

        (first, its_writer), *others = self._writers.items()
        threads = [
            threading.Thread(target=commit, args=other, name=f"commit-{other[0]}", daemon=True)
            for other in others
        ]
        for thread in threads:
            thread.start()
        commit(first, its_writer)
        for thread in threads:
            thread.join()
        return {name: outcomes[name] for name in self._writers}

    def _drop(self, name: str, error: StoreError) -> None:
        self.failed[name] = error
        self._writers.pop(name).abort()

    def _require(self, need: int) -> None:
        if len(self._writers) < need:
            raise next(iter(self.failed.values()))

    def _require_open(self) -> None:
        if self._closed:
            raise ValueError("the writer is closed")
