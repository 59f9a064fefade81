"""Readers over files of a cache, and bodies that leave a copy in it on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dolium.stores.composites.cache_database import CacheBroken
from dolium.stores.contract import BlobReader, BlobWriter
from dolium.stores.transfer import PIECE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dolium.stores.composites.cache_shelf import Filling, Lease
    from dolium.stores.contract import Reader
    from dolium.values import BlobInfo

__all__ = ["CachedWriter", "CopyingBody", "CopyingReader", "LeaseReader"]


class LeaseReader(BlobReader):
    """Reads from files that lie one after the other: `leases`, each of `block` bytes, the first from `base` on."""

    def __init__(
        self, leases: Sequence[Lease], *, size: int, start: int, stop: int, base: int = 0, block: int = 0
    ) -> None:
        self.size, self.start, self.stop = size, start, stop
        self._leases = leases
        self._base = base
        self._block = block or max(size, 1)
        self._at = start

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(self.stop - self._at), b""))
        number, offset = divmod(self._at - self._base, self._block)
        wanted = min(size, self.stop - self._at, self._block - offset)
        if wanted <= 0:
            return b""
        data = self._leases[number].read(offset, wanted)
        if len(data) < wanted:
            raise CacheBroken("cache", "the copy in the cache has become shorter")  # the blob itself is well
        self._at += len(data)
        return data

    def close(self) -> None:
        for lease in self._leases:
            lease.close()


class CopyingReader(BlobReader):
    """A whole blob from afar, of which a copy stays here if it is read to its end."""

    def __init__(self, reader: BlobReader, filling: Filling, info: BlobInfo) -> None:
        self.size, self.start, self.stop = reader.size, reader.start, reader.stop
        self._reader = reader
        self._filling = filling
        self._info = info

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(PIECE), b""))
        data = self._reader.read(size)
        self._filling.write(data)
        if self._filling.written == self.size and (lease := self._filling.finish(self._info)) is not None:
            lease.close()
        return data

    def close(self) -> None:
        self._filling.abort()
        self._reader.close()


class CopyingBody:
    """A body on its way to the far store."""

    def __init__(self, body: Reader, filling: Filling | None) -> None:
        self._body = body
        self._filling = filling

    def read(self, size: int, /) -> bytes:
        data = self._body.read(size)
        if self._filling is not None:
            self._filling.write(data)
        return data


class CachedWriter(BlobWriter):
    """As above, in pushes. `publish` makes the commit, and what belongs to it; `ended`: nothing came of it."""

    def __init__(
        self,
        writer: BlobWriter,
        filling: Filling | None,
        publish: Callable[[Callable[[], BlobInfo]], BlobInfo],
    ) -> None:
        self._writer = writer
        self._filling = filling
        self._publish = publish

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        try:
            self._writer.write(data)
        except BaseException:
            self.abort()
            raise
        if self._filling is not None:
            self._filling.write(data)

    def commit(self, description: Mapping[str, str] | None = None) -> BlobInfo:
        try:
            return self._publish(lambda: self._writer.commit(description))
        finally:
            self.abort()

    def abort(self) -> None:
        self._writer.abort()
        if self._filling is not None:
            self._filling.abort()
