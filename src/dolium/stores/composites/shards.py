"""A cache in several folders: which of them keeps what, and a store over all.

    shards = Shards(["/fast", "/slow"], [3, 1])
    shards.of("24")                                 # 0 or 1, three times as often 0, always the same

Every name has a place among the folders by its hash (rendezvous: the folder with the best draw for this name has it).
So another list costs a fetch of what has another place then, and no more: of a folder that is added its own share.
"""

from __future__ import annotations

import math
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar

from dolium.stores.composites.powers import offer
from dolium.stores.contract import BlobStore, KeepsDescriptions, PutOptions, ReportsSpace, TakesChunks, unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dolium.stores.composites.cached import Cached
    from dolium.stores.contract import BlobReader, BlobWriter, Reader
    from dolium.values import BlobInfo, ByteRange, Space

__all__ = ["ShardedCache", "Shards"]

T = TypeVar("T")

_DRAWS: Final = 1 << 64


class Shards:
    """`names` are those of the folders; one of weight 0 has nothing. At least one has a weight."""

    def __init__(self, names: Sequence[str], weights: Sequence[float]) -> None:
        self._folders = [
            (number, name.encode() + b"\0", weight)
            for number, (name, weight) in enumerate(zip(names, weights, strict=True))
            if weight > 0
        ]

    def of(self, name: str) -> int:
        """The number of the folder that has it."""
        if len(self._folders) == 1:
            return self._folders[0][0]
        said = name.encode("utf-8", "surrogatepass")  # a name that can be none is for the cache to refuse
        return min((_draw(folder + said) / weight, number) for number, folder, weight in self._folders)[1]


def _draw(text: bytes) -> float:
    """As long as one waits for an event that comes once a second: of several, each divided by its weight, every one is
    the least as often as its weight says.
    """
    return -math.log((int.from_bytes(sha256(text).digest()[:8], "big") + 1) / (_DRAWS + 1))


class ShardedCache(BlobStore):
    """`caches`: all before the same far store. Has the powers of a cache."""

    def __init__(self, caches: Sequence[Cached], shards: Shards) -> None:
        self._caches = caches
        self._shards = shards
        offer(self, caches)

    def _of(self, key: str) -> Cached:
        return self._caches[self._shards.of(key)]

    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:  # noqa: B008 - frozen
        return self._of(key).put(key, body, options=options)

    def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002 - as the contract
        return self._of(key).get(key, range=range)

    def stat(self, key: str) -> BlobInfo:
        return self._of(key).stat(key)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[BlobInfo]:
        return self._caches[0].list(prefix, after=after)

    def delete(self, key: str) -> None:
        self._of(key).delete(key)

    def close(self) -> None:
        for cache in self._caches:
            cache.close()

    def get_copy(self, key: str, *, range: ByteRange | None = None) -> BlobReader | None:  # noqa: A002 - as `get`
        return self._of(key).get_copy(key, range=range)

    def get_origin(self, key: str) -> BlobReader:
        return self._of(key).get_origin(key)

    def local_path(self, key: str) -> Path:
        """Raises StoreFull if there is no room for the blob in its folder."""
        return self._of(key).local_path(key)

    def _open_writer(self, key: str, *, options: PutOptions = PutOptions()) -> BlobWriter:  # noqa: B008 - frozen
        return _power(self._of(key), TakesChunks).open_writer(key, options=options)

    def _description(self, key: str) -> dict[str, str]:
        return _power(self._of(key), KeepsDescriptions).description(key)

    def _space(self) -> Space | None:
        return _power(self._caches[0], ReportsSpace).space()


def _power(cache: Cached, power: type[T]) -> T:
    found = unwrap(cache, power)
    assert found is not None, "the cache has lost a power"
    return found
