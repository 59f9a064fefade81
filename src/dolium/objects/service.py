"""What every use case of the service needs: the catalog, the leaves, the limits.

The use cases are in the files beside this one, each a function or a small class that takes the service:
`buckets`, `put`, `get`, `delete`, `copy`, `multipart`, `sweep`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dolium.catalog import buckets, fences, replicas
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Database
from dolium.errors import BucketNotFound, StoreUnavailable
from dolium.objects.blob_keys import blob_key
from dolium.objects.placing import Names, Placing, Wanted, request_of
from dolium.objects.room import Room
from dolium.stores.contract import BlobStore, ChecksBlobs, HasSomeFiles, LocalFiles, unwrap

__all__ = ["Limits", "ObjectService", "description"]


@dataclass(frozen=True, slots=True)
class Limits:
    """`inline_bytes`: an object up to this size lies in the catalog (docs/decisions/0004). `grace_ms`: how
    long a replaced blob stays for those who are still reading it. `part_bytes`: least size of a part that is
    not the last. `object_bytes`: most in one PUT or part. `hold_ms`: how long what is discarded stays for a backup
    that may name it. `verify_inline`: whether bytes of the catalog are checked before they are sent, as `verify_reads`
    says for those of a store.
    """

    inline_bytes: int = 16 << 10
    grace_ms: int = 3_600_000
    hold_ms: int = 0
    part_bytes: int = 5 << 20
    object_bytes: int = 5 << 30
    parts: int = 10_000
    verify_inline: bool = True


class _Remembered:
    """What requests need again and again, as of one generation of the catalog."""

    __slots__ = ("buckets", "fence_ns", "generation", "names", "quotas", "tenancies")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.buckets: dict[tuple[int, str], Bucket] = {}
        self.quotas: dict[int, int | None] = {}
        self.tenancies: dict[str, int] = {}
        self.names: Names = {}
        self.fence_ns: int | None = None


class ObjectService:
    """Safe for use from many threads. One per process."""

    def __init__(
        self,
        database: Database,
        stores: Mapping[int, BlobStore],
        default_store: int,
        limits: Limits,
        room: Room | None = None,
    ) -> None:
        """`stores` by their id in the catalog; new blobs go to `default_store`, until there is a `placing`. `room`: of the
        catalog's disk.
        """
        self.database = database
        self.stores = stores  # replaced whole while it runs, as the three below
        self.default_store = default_store
        self.placing: Placing | None = None
        self.members: Mapping[int, Sequence[int]] = {}  # of each replicated store the numbers of its members
        self.on_change: Callable[[], None] | None = None  # called when the catalog's generation has changed
        self.on_unknown: Callable[[], None] | None = (
            None  # called for a store that another process knows already
        )
        self.on_close: Callable[[], None] | None = None  # closes the stores, if they are somebody else's
        self.limits = limits
        self.room = room or Room(Path("/"), 0)
        # MD5 is the slowest step of a large upload: it runs beside the write of the same bytes.
        self.hashing = ThreadPoolExecutor(2, thread_name_prefix="hash")
        # Told of each body that is opened to be sent: `verified`, `unverified`; and of each found `corrupt`.
        self.noted: Callable[[str], None] = lambda _: None
        self._files: dict[int, LocalFiles | None] = {}
        self._checking: dict[int, ChecksBlobs | None] = {}
        self._some: dict[int, HasSomeFiles | None] = {}
        self._remembered = _Remembered(-1)

    def _now(self) -> _Remembered:
        """What is known at this generation of the catalog; a slow reader fills the one it began with."""
        remembered = self._remembered
        generation = self.database.generation()
        if remembered.generation != generation:
            remembered = self._remembered = _Remembered(generation)
            if self.on_change is not None:
                self.on_change()
        return remembered

    def bucket(self, tenancy_id: int, name: str) -> Bucket:
        """The bucket, remembered until something about buckets changes anywhere. Raises BucketNotFound."""
        remembered = self._now()
        bucket = remembered.buckets.get((tenancy_id, name))
        if bucket is None:
            bucket = buckets.find(self.database, tenancy_id, name)
            if bucket is None:
                raise BucketNotFound(name)
            remembered.buckets[tenancy_id, name] = bucket
        return bucket

    def quota(self, tenancy_id: int) -> int | None:
        """Bytes that the tenancy may hold; None without a limit."""
        quotas = self._now().quotas
        if tenancy_id not in quotas:
            row = self.database.one("SELECT quota_bytes FROM tenancies WHERE id = $1", tenancy_id)
            quotas[tenancy_id] = row[0] if row else None
        return quotas[tenancy_id]

    def tenancy_id(self, name: str) -> int | None:
        """The tenancy of that name."""
        tenancies = self._now().tenancies
        if name not in tenancies:
            row = self.database.one("SELECT id FROM tenancies WHERE name = $1", name)
            if row is None:
                return None  # not remembered: names that do not exist have no bound
            tenancies[name] = row[0]
        return tenancies[name]

    def store(self, store_id: int) -> BlobStore:
        """The store with that id. Raises StoreUnavailable if it is not configured here."""
        store = self.stores.get(store_id)
        if store is None and self.on_unknown is not None:
            self.on_unknown()
            store = self.stores.get(store_id)
        if store is None:
            raise StoreUnavailable(str(store_id))
        return store

    def family(self, store_id: int) -> tuple[int, ...]:
        """The stores that share their blobs: a replicated store, which lists those of all, and its members. Any
        other is alone.

        By the catalog: a process that has not heard of a new member must not take what lies there for nobody's.
        """
        known = replicas.every(self.database)
        group = next((one.group_id for one in known if store_id in (one.group_id, one.store_id)), None)
        if group is None:
            return (store_id,)
        return (group, *(one.store_id for one in known if one.group_id == group))

    def change_stores(
        self,
        stores: Mapping[int, BlobStore],
        default_store: int,
        placing: Placing | None,
        members: Mapping[int, Sequence[int]],
    ) -> None:
        """At once, while requests go on."""
        self.stores = stores
        self._files, self._checking, self._some = {}, {}, {}
        self.default_store = default_store
        self.placing = placing
        self.members = members

    def files(self, store_id: int) -> LocalFiles | None:
        """The store as one of files, if it is one. Raises StoreUnavailable."""
        known = self._files  # another dict takes its place when the stores change
        if store_id not in known:
            known[store_id] = unwrap(self.store(store_id), LocalFiles)
        return known[store_id]

    def checking(self, store_id: int) -> ChecksBlobs | None:
        """The store as one whose files are to be checked by whoever reads them. Raises StoreUnavailable."""
        known = self._checking
        if store_id not in known:
            power = unwrap(self.store(store_id), ChecksBlobs)
            known[store_id] = power if power is not None and power.verify_reads else None
        return known[store_id]

    def some_files(self, store_id: int) -> HasSomeFiles | None:
        """The store as one that has files for some of its blobs. Raises StoreUnavailable."""
        known = self._some
        if store_id not in known:
            known[store_id] = unwrap(self.store(store_id), HasSomeFiles)
        return known[store_id]

    def candidates(self, bucket_id: int, wanted: Wanted, size: int | None) -> Sequence[int]:
        """The stores for a new blob, in the order in which to try them. Raises StoreFull, StoreReadOnly,
        StoreUnavailable if there is none.
        """
        placing = self.placing
        if placing is None:
            return (self.default_store,)
        return placing.choose(request_of(self._now().names, self.database, placing, bucket_id, wanted, size))

    def new_blob_key(self) -> str:
        """In front of the fence, also when the clock was set back."""
        remembered = self._now()
        if remembered.fence_ns is None:
            remembered.fence_ns = fences.highest(self.database)
        return blob_key(max(time.time_ns(), remembered.fence_ns), secrets.token_hex(6))

    def close(self) -> None:
        """Close the stores, then the catalog."""
        self.hashing.shutdown()
        if self.on_close is not None:
            self.on_close()
        else:
            for store in self.stores.values():
                store.close()
        self.database.close()


def description(bucket: Bucket, key: str, sequence: int, **more: str | int) -> dict[str, str]:
    """What lies beside the bytes of a blob, so that the catalog can be rebuilt from them (DESIGN §2.6)."""
    facts = {"tenancy": bucket.tenancy_id, "bucket": bucket.name, "key": key, "sequence": sequence, **more}
    return {"dolium": json.dumps(facts, ensure_ascii=False, separators=(",", ":"))}
