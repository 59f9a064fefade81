"""A near folder in front of a far store: what was read or written lately is here, the truth is there.

    Cached(far, CacheOptions(Path("/var/cache/dolium"), size_bytes=50 << 30))

* Reads: a blob up to `eager_bytes` is fetched whole by the first who wants it, whoever else wants it waits for that
  (threads and processes), and all read from the file. Of a larger one, a part is fetched in blocks; all of it streams
  past, and a copy stays if it fits. What is larger than the cache, or finds no room, streams through.
* A file that is read is never removed (a lease, `cache_shelf.py`), nor is one whose path was given out, for
  `pin_seconds`: nobody gives a path back. All else goes when room is needed, what was used least first. The limit holds
  at every moment, and the bytes are counted, not walked.
* Writes go to the far store; when that has them, the copy is published here. One that fails raises, and nothing of it
  is served.
* Freshness: what was asked of the far store is believed for `fresh_seconds`; then it is asked again for size and time.
  What processes with this folder put or delete is never served stale, not even for that time.
* A path that was given out is for reading. Whoever writes to it all the same has a file of his own from then on: it is
  served to nobody, and stays for `pin_seconds`; `put_edited` sends it, unless the blob was put or deleted here since.
* Files that vanish, all of them or the whole folder, processes that are killed, an index that is damaged: what is lost
  is fetched again. A cache that cannot be used at all is passed by for reads; for writes it is StoreUnavailable, for
  its other users could not be told.

`scope` keeps the blobs of several far stores in one folder apart; they share its limit.
"""

from __future__ import annotations

import contextlib
import time
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from dolium.errors import StoreFull, StoreUnavailable
from dolium.stores.composites.cache_database import CacheBroken
from dolium.stores.composites.cache_fetch import CacheOptions, Fetcher, Replaced
from dolium.stores.composites.cache_index import WHOLE
from dolium.stores.composites.cache_shelf import Shelf
from dolium.stores.composites.cache_streams import CachedWriter, CopyingBody, LeaseReader
from dolium.stores.composites.powers import offer
from dolium.stores.contract import BlobStore, KeepsDescriptions, PutOptions, ReportsSpace, TakesChunks, unwrap
from dolium.stores.keys import check_key
from dolium.values import BlobInfo, ByteRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dolium.stores.composites.cache_shelf import Filling
    from dolium.stores.contract import BlobReader, BlobWriter, Reader
    from dolium.values import Space

__all__ = ["CacheOptions", "Cached"]

T = TypeVar("T")

_ROUNDS: Final = 8
"""So often a read begins again because the blob was replaced in between; then it streams through."""


class Cached(BlobStore):
    """Has local paths; takes chunks, keeps descriptions and reports space if the far store does.

    `clock` is one that all processes share.
    """

    def __init__(
        self,
        far: BlobStore,
        options: CacheOptions,
        *,
        scope: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.far = far
        self._options = options
        self._clock = clock
        self._shelf = Shelf(options.path, options.size_bytes, clock=clock)
        self._index = self._shelf.index
        self._fetcher = Fetcher(far, self._shelf, options, scope=scope, clock=clock)
        offer(self, [far])

    # Reads.

    def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002 - as the contract
        check_key(key)
        try:
            for _ in repeat(None, _ROUNDS):
                info, lease = self._fetcher.look(key)
                try:
                    start, stop = range.resolve(info.size) if range else (0, info.size)
                except BaseException:
                    if lease is not None:
                        lease.close()
                    raise
                if lease is not None:
                    return LeaseReader([lease], size=info.size, start=start, stop=stop)
                try:
                    reader = self._fetcher.fetch(info, start, stop)
                except Replaced:
                    continue
                if reader is not None:
                    return reader
                break
        except CacheBroken:
            pass
        return self.far.get(key, range=range)

    def stat(self, key: str) -> BlobInfo:
        check_key(key)
        try:
            info, lease = self._fetcher.look(key)
        except CacheBroken:
            return self.far.stat(key)
        if lease is not None:
            lease.close()
        return info

    def holds(self, key: str) -> bool:
        """Whether the whole blob is here, as it is in the far store. Raises BlobNotFound."""
        check_key(key)
        try:
            _, lease = self._fetcher.look(key)
        except CacheBroken:
            return False
        if lease is not None:
            lease.close()
        return lease is not None

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[BlobInfo]:
        return self.far.list(prefix, after=after)

    def get_copy(self, key: str, *, range: ByteRange | None = None) -> BlobReader | None:  # noqa: A002 - as `get`
        """Of whole copies only."""
        check_key(key)
        try:
            found = self._fetcher.here(key)
        except CacheBroken:
            return None
        if found is None:
            return None
        info, lease = found
        try:
            start, stop = range.resolve(info.size) if range else (0, info.size)
        except BaseException:
            lease.close()
            raise
        return LeaseReader([lease], size=info.size, start=start, stop=stop)

    def get_origin(self, key: str) -> BlobReader:
        """As `get`, of the far store itself."""
        return self.far.get(key)

    def local_path(self, key: str) -> Path:
        """Raises StoreFull if there is no room for the blob in the cache."""
        check_key(key)
        for _ in repeat(None, _ROUNDS):
            info, lease = self._fetcher.look(key)
            try:
                lease = lease or self._fetcher.whole(info)
            except Replaced:
                continue
            if lease is None:
                raise StoreFull("the cache has no room for the blob: it is too large, or all else is in use")
            with lease, self._index.lock():
                known = self._index.known(self._fetcher.name(key))
                if known is not None and known.whole is not None:
                    self._index.pin(known.whole, self._clock() + self._options.pin_seconds)
                    return Path(self._shelf.path(known.whole))
        raise StoreUnavailable("cache", "the blob is replaced faster than it can be fetched")

    # Writes.

    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:  # noqa: B008 - frozen
        check_key(key)
        filling = self._begin(key, options)
        try:
            return self._publish(
                key, filling, lambda: self.far.put(key, CopyingBody(body, filling), options=options)
            )
        finally:
            if filling is not None:
                filling.abort()

    def put_edited(self, key: str) -> BlobInfo | None:
        """Put what somebody has written to a path that `local_path` gave for this key; None if nobody has."""
        check_key(key)
        with self._index.lock():
            found = self._shelf.edited(self._fetcher.name(key))
        if found is None:
            return None
        entry, status = found
        try:
            with Path(self._shelf.path(entry)).open("rb") as body:
                info = self.put(key, body, options=PutOptions(size=status.st_size))
        except FileNotFoundError:
            raise CacheBroken("cache", "the file that was written to has vanished") from None
        with self._index.lock():
            self._index.resize(entry, status.st_size, status.st_mtime_ns)
        return info

    def delete(self, key: str) -> None:
        check_key(key)
        self._change(key)
        try:
            self.far.delete(key)
        except BaseException:
            self._change(key)
            raise
        self._change(key, done=True)

    def close(self) -> None:
        self._shelf.close()
        self._fetcher.close()
        self.far.close()

    # The powers that depend on the far store.

    def _open_writer(self, key: str, *, options: PutOptions = PutOptions()) -> BlobWriter:  # noqa: B008 - frozen
        check_key(key)
        writer = self._power(TakesChunks).open_writer(key, options=options)
        try:
            filling = self._begin(key, options)
        except BaseException:
            writer.abort()
            raise
        return CachedWriter(writer, filling, lambda commit: self._publish(key, filling, commit))

    def _description(self, key: str) -> dict[str, str]:
        return self._power(KeepsDescriptions).description(key)

    def _space(self) -> Space | None:
        return self._power(ReportsSpace).space()

    def _power(self, power: type[T]) -> T:
        found = unwrap(self.far, power)
        assert found is not None, "the far store has lost a power"
        return found

    # How it goes about writing.

    def _change(self, key: str, *, done: bool = False) -> None:
        with self._index.lock():
            self._index.change(self._fetcher.name(key))
            if done:
                self._shelf.settle(self._fetcher.name(key))

    def _begin(self, key: str, options: PutOptions) -> Filling | None:
        """What is here is old from now on. A file for the copy, if one shall stay and there is room."""
        self._change(key)
        if not self._options.keep_writes:
            return None
        try:
            return self._shelf.fill(self._fetcher.name(key), WHOLE, options.size)
        except CacheBroken:
            return None

    def _publish(self, key: str, filling: Filling | None, commit: Callable[[], BlobInfo]) -> BlobInfo:
        try:
            info = commit()
        except BaseException:
            with contextlib.suppress(CacheBroken):
                self._change(key)  # it may have come to something
            raise
        if filling is not None and filling.written == info.size:
            lease = filling.finish(info, of_put=True)
            if lease is not None:
                lease.close()
                return info
        self._change(key, done=True)
        return info
