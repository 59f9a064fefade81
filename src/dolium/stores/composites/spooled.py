"""A writer for a store that takes no chunks: the bytes wait in a temporary file of this machine until the commit."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Final

from dolium.errors import BodyTruncated, StoreFull
from dolium.stores.contract import BlobWriter, TakesChunks, unwrap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dolium.stores.contract import BlobStore, PutOptions
    from dolium.values import BlobInfo

__all__ = ["SpooledWriter", "open_writer"]

_IN_MEMORY: Final = 1 << 20


def open_writer(store: BlobStore, key: str, options: PutOptions) -> BlobWriter:
    """The store's own, if it takes chunks."""
    chunks = unwrap(store, TakesChunks)
    return SpooledWriter(store, key, options) if chunks is None else chunks.open_writer(key, options=options)


class SpooledWriter(BlobWriter):
    """Nothing goes to the store before the commit, which is a put."""

    def __init__(self, store: BlobStore, key: str, options: PutOptions) -> None:
        self._store = store
        self._key = key
        self._options = options
        self._file: IO[bytes] | None = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by `abort`

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        file = self._require_open()
        try:
            file.write(data)
        except OSError as error:
            self.abort()
            raise StoreFull("there is no room for the body on this machine") from error

    def commit(self, description: Mapping[str, str] | None = None) -> BlobInfo:
        file = self._require_open()
        try:
            size = file.tell()
            if self._options.size not in {None, size}:
                raise BodyTruncated(f"{self._options.size} bytes were announced, {size} came")
            file.seek(0)
            described = self._options.description if description is None else description
            options = replace(self._options, size=size, description=described)
            return self._store.put(self._key, file, options=options)
        finally:
            self.abort()

    def abort(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _require_open(self) -> IO[bytes]:
        if self._file is None:
            raise ValueError("the writer is closed")
        return self._file
