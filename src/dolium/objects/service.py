"""What every use case of the service needs: the catalog, the leaves, the limits.

The use cases are in the files beside this one, each a function or a small class that takes the service:
`buckets`, `put`, `get`, `delete`, `copy`, `multipart`, `sweep`.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dolium.catalog import buckets
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Database
from dolium.errors import BucketNotFound, StoreUnavailable
from dolium.stores.contract import BlobStore

__all__ = ["Limits", "ObjectService", "blob_key"]


@dataclass(frozen=True, slots=True)
class Limits:
    """`inline_bytes`: an object up to this size lies in the catalog (docs/decisions/0004). `grace_ms`: how
    long a replaced blob stays for those who are still reading it. `part_bytes`: least size of a part that is
    not the last. `object_bytes`: most in one PUT or part.
    """

    inline_bytes: int = 16 << 10
    grace_ms: int = 3_600_000
    part_bytes: int = 5 << 20
    object_bytes: int = 5 << 30
    parts: int = 10_000


def blob_key(now_ns: int, suffix: str) -> str:
    """A key for a new blob: opaque, unique, time-ordered.

    `ttttt/ttt/tttttttttttttttt-rrrrrrrrrrrr`: a directory covers 69 s and its parent 20 h, so blobs written
    together share a directory (and its fsync), and those newer than a backup are found without a walk.
    """
    return f"{now_ns >> 46:05x}/{now_ns >> 36 & 0x3FF:03x}/{now_ns:016x}-{suffix}"


class ObjectService:
    """Safe for use from many threads. One per process."""

    def __init__(
        self, database: Database, stores: Mapping[int, BlobStore], default_store: int, limits: Limits
    ) -> None:
        """`stores` by their id in the catalog; new blobs go to `default_store`."""
        self.database = database
        self.stores = stores
        self.default_store = default_store
        self.limits = limits
        # MD5 is the slowest step of a large upload: it runs beside the write of the same bytes.
        self.hashing = ThreadPoolExecutor(2, thread_name_prefix="hash")
        self._buckets: dict[tuple[int, str], Bucket] = {}
        self._generation = -1
        # So that `hashlib.md5` also works where a FIPS policy forbids it for security.
        self.md5 = lambda data=b"": hashlib.md5(data, usedforsecurity=False)

    def bucket(self, tenancy_id: int, name: str) -> Bucket:
        """The bucket, remembered until something about buckets changes anywhere. Raises BucketNotFound."""
        generation = self.database.generation()
        if generation != self._generation:
            self._buckets = {}
            self._generation = generation
        bucket = self._buckets.get((tenancy_id, name))
        if bucket is None:
            bucket = buckets.find(self.database, tenancy_id, name)
            if bucket is None:
                raise BucketNotFound(name)
            if self._generation == generation:
                self._buckets[tenancy_id, name] = bucket
        return bucket

    def store(self, store_id: int) -> BlobStore:
        """The store with that id. Raises StoreUnavailable if it is not configured here."""
        store = self.stores.get(store_id)
        if store is None:
            raise StoreUnavailable(str(store_id))
        return store

    def new_blob_key(self) -> str:
        return blob_key(time.time_ns(), secrets.token_hex(6))

    def close(self) -> None:
        """Close the stores, then the catalog."""
        self.hashing.shutdown()
        for store in self.stores.values():
            store.close()
        self.database.close()


def description(bucket: Bucket, key: str, sequence: int, **more: str | int) -> dict[str, str]:
    """What lies beside the bytes of a blob, so that the catalog can be rebuilt from them (DESIGN §2.6)."""
    facts = {"tenancy": bucket.tenancy_id, "bucket": bucket.name, "key": key, "sequence": sequence, **more}
    return {"dolium": json.dumps(facts, ensure_ascii=False, separators=(",", ":"))}
