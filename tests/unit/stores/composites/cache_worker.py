"""A process of its own that uses a cache hard, and looks at every byte: python -m … FAR CACHE NUMBER SECONDS LIMIT.

Every worker writes keys of its own, with growing versions, and reads those of all. A body is its version repeated.
Printed at the end: how often it read, and of how much.
"""

import io
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dolium.errors import BlobNotFound, RangeNotSatisfiable, StoreFull, StoreUnavailable
from dolium.stores.composites.cached import Cached, CacheOptions
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.transfer import read_bytes
from dolium.values import ByteRange, Durability

WORKERS = 4
KEYS = 6
PIECE = 16


def open_cache(far: str, cache: str, limit: int) -> Cached:
    options = CacheOptions(
        Path(cache),
        size_bytes=limit,
        fresh_seconds=float("inf"),
        pin_seconds=0.01,
        block_bytes=4096,
        eager_bytes=32768,
    )
    return Cached(Disk(Options(Path(far), durability=Durability.RELAXED)), options)


def body(version: int, size: int) -> bytes:
    return (b"%016d" % version) * size


def version_of(data: bytes, start: int = 0) -> int:
    """The one version that all of it is of."""
    whole = data[-start % PIECE :]
    pieces = {whole[at : at + PIECE] for at in range(0, len(whole) // PIECE * PIECE, PIECE)}
    assert len(pieces) == 1, "bytes of two blobs, or none"
    (piece,) = pieces
    return int(piece)


def work(store: Cached, number: int, seconds: float) -> tuple[int, int]:
    rng = random.Random(number)
    own = {f"{number}/{one}": (0, False) for one in range(KEYS)}  # version, and whether it is there
    seen: dict[str, int] = {}
    reads = size = 0
    version = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if rng.random() < 0.25:
            key = rng.choice(list(own))
            version += 1
            if rng.random() < 0.2:
                insist(lambda key=key: store.delete(key))  # type: ignore[misc]
                own[key] = (version, False)
            else:
                data = body(version, rng.randrange(1, 1500))
                insist(lambda key=key, data=data: store.put(key, io.BytesIO(data)))  # type: ignore[misc]
                own[key] = (version, True)
            continue
        key = f"{rng.randrange(WORKERS)}/{rng.randrange(KEYS)}"
        try:
            found, count = read(store, key, rng)
        except RangeNotSatisfiable:
            continue  # another has put less meanwhile
        except BlobNotFound:
            assert not own.get(key, (0, False))[1], "a blob of mine is gone"
            continue
        reads += 1
        size += count
        assert found >= seen.get(key, 0), "older than what was read before"
        seen[key] = found
        if key in own:
            assert own[key] == (found, True), "not what I wrote last"
    return reads, size


def insist(write: Callable[[], object]) -> None:
    """A write in the moment in which the cache is removed is StoreUnavailable; soon after it is not."""
    for left in reversed(range(20)):
        try:
            write()
        except StoreUnavailable:
            if not left:
                raise
            time.sleep(0.01)
        else:
            return


def read(store: Cached, key: str, rng: random.Random) -> tuple[int, int]:
    """(version, bytes read)."""
    way = rng.randrange(4)
    if way == 0:
        start = rng.randrange(200) * PIECE
        size = store.stat(key).size
        if start < size:
            data = read_bytes(store, key, range=ByteRange(start, start + rng.randrange(PIECE, 9000)))
            return version_of(data, start), len(data)
    if way == 1:
        try:
            path = store.local_path(key)
            data = path.read_bytes()
        except (
            StoreFull,
            StoreUnavailable,
            FileNotFoundError,
        ):  # no room; or gone again, for the pin is short
            pass
        else:
            return version_of(data), len(data)
    with store.get(key) as reader:
        pieces = []
        while piece := reader.read(rng.randrange(1, 10_000)):
            pieces.append(piece)
    data = b"".join(pieces)
    return version_of(data), len(data)


def main() -> None:
    far, cache, number, seconds, limit = sys.argv[1:6]
    store = open_cache(far, cache, int(limit))
    if number == "fork":  # the parent has used it already; each child uses what it inherited
        store.put("x", io.BytesIO(body(1, 100)))
        children = []
        for child in range(WORKERS):
            process = os.fork()
            if process == 0:
                work(store, child, float(seconds))
                os._exit(0)
            children.append(process)
        work(store, WORKERS, float(seconds))
        assert [os.waitpid(process, 0)[1] for process in children] == [0] * WORKERS
    else:
        reads, size = work(store, int(number), float(seconds))
        sys.stdout.write(f"{reads} {size}\n")
    store.close()


if __name__ == "__main__":
    main()
