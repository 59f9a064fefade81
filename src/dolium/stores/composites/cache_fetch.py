"""How a blob comes into a cache: what is here and still true, and else the way to fetch it that suits its size."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dolium.errors import BlobNotFound, RangeNotSatisfiable
from dolium.stores.composites.cache_flight import Flights
from dolium.stores.composites.cache_index import WHOLE
from dolium.stores.composites.cache_streams import CopyingReader, LeaseReader
from dolium.stores.stream import BoundedReader
from dolium.stores.transfer import PIECE
from dolium.values import BlobInfo, ByteRange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dolium.stores.composites.cache_shelf import Lease, Shelf
    from dolium.stores.contract import BlobReader, BlobStore

__all__ = ["CacheOptions", "Fetcher", "Replaced"]


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """`path`: a folder on a local disk, for this alone. `size_bytes`: None is no limit. `fresh_seconds`: see above;
    infinite if blobs are never replaced. `pin_seconds`: how long a path that was given out stays. `keep_writes`:
    whether what is put stays here too. `block_bytes`, `eager_bytes`: see above.
    """

    path: Path
    size_bytes: int | None = None
    fresh_seconds: float = 10.0
    pin_seconds: float = 86400.0
    keep_writes: bool = True
    block_bytes: int = 8 << 20
    eager_bytes: int = 64 << 20


class Replaced(Exception):
    """The far store has another blob under the key than it had a moment ago: look again."""


class Fetcher:
    """Its methods raise CacheBroken when the cache cannot be used, and what the far store raises."""

    def __init__(
        self, far: BlobStore, shelf: Shelf, options: CacheOptions, *, scope: str, clock: Callable[[], float]
    ) -> None:
        self._far = far
        self._shelf = shelf
        self._index = shelf.index
        self._options = options
        self._scope = scope
        self._clock = clock
        self._flights = Flights(options.path)

    def close(self) -> None:
        self._flights.close()

    def name(self, key: str) -> str:
        """What the blob is called in the index."""
        return f"{self._scope}\0{key}"

    def look(self, key: str) -> tuple[BlobInfo, Lease | None]:
        """The blob as it is, as far as is known freshly enough, and all its bytes, if they are here."""
        name = self.name(key)
        now = self._clock()
        with self._index.lock():
            known = self._index.known(name)
            if known is not None and 0 <= now - known.checked <= self._options.fresh_seconds:
                info = replace(known.info, key=key)
                return info, self._shelf.lease(known.whole) if known.whole is not None else None
            epoch = self._index.epoch(name)
        try:
            info = self._far.stat(key)
        except BlobNotFound:
            with self._index.lock():
                self._index.drop(name)
            raise
        with self._index.lock():
            if known is not None and self._index.epoch(name) == epoch:
                self._index.note(name, info, now)
            return info, self._leased(info, WHOLE)

    def here(self, key: str) -> tuple[BlobInfo, Lease] | None:
        """As above, without asking the far store."""
        with self._index.lock():
            known = self._index.known(self.name(key))
            if known is None or not 0 <= self._clock() - known.checked <= self._options.fresh_seconds:
                return None
            lease = self._shelf.lease(known.whole) if known.whole is not None else None
            return None if lease is None else (replace(known.info, key=key), lease)

    def _leased(self, info: BlobInfo, block: int) -> Lease | None:
        """The file of the whole, or of one block, of just this blob, if it is here. Inside `index.lock`."""
        name = self.name(info.key)
        known = self._index.known(name)
        if known is None or (known.info.size, known.info.modified_ns) != (info.size, info.modified_ns):
            return None
        entry = known.whole if block == WHOLE else self._index.ready(name, block)
        return self._shelf.lease(entry) if entry is not None else None

    def fetch(self, info: BlobInfo, start: int, stop: int) -> BlobReader | None:
        """A reader of what is not here as a whole, by the way that is best for it; None: it streams through."""
        options, limit, size = self._options, self._shelf.limit, info.size
        fits = limit is None or size <= limit
        if size <= options.block_bytes or (start, stop) == (0, size):
            if fits and size <= options.eager_bytes:
                lease = self.whole(info)
                return None if lease is None else LeaseReader([lease], size=size, start=start, stop=stop)
            return self._copying(info) if fits and (start, stop) == (0, size) else None
        first, last = start // options.block_bytes, (stop - 1) // options.block_bytes
        most = options.eager_bytes if limit is None else min(options.eager_bytes, limit)
        if (last - first + 1) * options.block_bytes > most:
            return None
        leases = self._blocks(info, first, last)
        if leases is None:
            return None
        base = first * options.block_bytes
        return LeaseReader(leases, size=size, start=start, stop=stop, base=base, block=options.block_bytes)

    def whole(self, info: BlobInfo) -> Lease | None:
        """The whole blob, fetched if need be; None if there is no room. Raises Replaced."""
        name = self.name(info.key)
        if self._shelf.limit is not None and info.size > self._shelf.limit:
            return None
        with self._flights.alone(name):
            with self._index.lock():
                lease = self._leased(info, WHOLE)
            if lease is not None:
                return lease
            filling = self._shelf.fill(name, WHOLE, info.size)
            if filling is None:
                return None
            try:
                with self._open_far(info) as reader:
                    while piece := reader.read(PIECE):
                        if not filling.write(piece):
                            return None
                return filling.finish(info)
            finally:
                filling.abort()

    def _blocks(self, info: BlobInfo, first: int, last: int) -> list[Lease] | None:
        """As above, for the blocks from `first` to `last`, of which those that are here are not fetched."""
        with self._flights.alone(self.name(info.key)), ExitStack() as undo:
            with self._index.lock():
                found = {n: self._leased(info, n) for n in range(first, last + 1)}
            leases = {n: undo.enter_context(lease) for n, lease in found.items() if lease is not None}
            missing = [n for n in found if n not in leases]
            if missing and not self._fetch_blocks(info, missing, leases, undo):
                return None
            undo.pop_all()
            return [leases[n] for n in range(first, last + 1)]

    def _fetch_blocks(
        self, info: BlobInfo, missing: Sequence[int], leases: dict[int, Lease], undo: ExitStack
    ) -> bool:
        length = self._options.block_bytes
        asked = ByteRange(missing[0] * length, min((missing[-1] + 1) * length, info.size) - 1)
        with self._open_far(info, asked) as reader:
            if self._options.fresh_seconds != math.inf and self._far.stat(info.key) != info:
                raise self._replaced(info)  # what is here and what is fetched now would be of two blobs
            for number in range(missing[0], missing[-1] + 1):
                body = BoundedReader(reader, length)
                if number in leases:
                    while body.read(PIECE):
                        pass
                    continue
                size = min(length, info.size - number * length)
                filling = self._shelf.fill(self.name(info.key), number, size)
                if filling is None:
                    return False
                try:
                    while piece := body.read(PIECE):
                        if not filling.write(piece):
                            return False
                    lease = filling.finish(info)
                finally:
                    filling.abort()
                if lease is None:
                    return False
                leases[number] = undo.enter_context(lease)
        return True

    def _copying(self, info: BlobInfo) -> BlobReader | None:
        """A large blob streams, and is kept as it passes, by the first of those who read it."""
        name = self.name(info.key)
        with self._index.lock():
            if self._index.is_filling(name, WHOLE):
                return None
        filling = self._shelf.fill(name, WHOLE, info.size)
        if filling is None:
            return None
        try:
            return CopyingReader(self._open_far(info), filling, info)
        except BaseException:
            filling.abort()
            raise

    def _open_far(self, info: BlobInfo, asked: ByteRange | None = None) -> BlobReader:
        try:
            reader = self._far.get(info.key, range=asked)
        except (BlobNotFound, RangeNotSatisfiable):
            raise self._replaced(info) from None
        if reader.size != info.size:
            reader.close()
            raise self._replaced(info)
        return reader

    def _replaced(self, info: BlobInfo) -> Replaced:
        with self._index.lock():
            self._index.drop(self.name(info.key))
        return Replaced()
