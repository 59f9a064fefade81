"""Datasets in a remote store, with a cache on this machine for those who need paths.

    the store     000/dataset_24.dat
    CACHE/blobs/                            what was read or written lately (composites/cached)
    CACHE/paths/ID/000/dataset_24.dat       what was given out: the same files, as links, where Galaxy has them
    CACHE/paths/ID/000/dataset_24_files/
    CACHE/writing/ID/000/dataset_24.dat     a file, and a folder, that a job fills
    CACHE/cleaned/ID/                       nothing: Galaxy's cleaners are told of this

CACHE is one of several folders (`dirs`) if the configuration says so: all files of one dataset are in the same one.

* The path of a dataset with content is for reading, and write-protected: its file stays in the cache for a day, whoever
  else needs room. To change a dataset, give `update` a file. What somebody who may (root) writes there all the same is
  seen by nobody else, until `update` without a source sends it; one that is not told within the day is lost.
* The path of an empty one is for a job to fill; until `update` without a source has sent it, what is in it is what the
  dataset is on this machine.
* Galaxy's jobs look for the folder of a dataset beside its file, and ask nobody: `dataset_24_files` beside
  `dataset_24.dat`. So it is there, fetched, when the file is.
* `update` returns when the remote store has the bytes, and raises if it has not.
* A folder is fetched whole each time it is asked for. A file that finds no room in the cache has no path here, which
  StoreFull says; it can be streamed all the same.
* Further folders, `job_work` and `temp`, are on this machine.
* A job's file is found in whatever folder it was begun, so that another list of folders, or other weights, cost fetches
  and nothing else.
"""

from __future__ import annotations

import importlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Final

from dolium.datasets.disk import DiskShelf
from dolium.datasets.file_reader import FileReader
from dolium.datasets.layout import remote_key
from dolium.errors import (
    BlobNotFound,
    ConfigError,
    DatasetInvalid,
    DatasetNotFound,
    DoliumError,
    StoreFull,
    StoreUnavailable,
)
from dolium.stores.composites.cached import Cached, CacheOptions
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.health import Health
from dolium.stores.composites.shards import Shards
from dolium.stores.contract import PutOptions, SignsUrls, unwrap
from dolium.stores.registry import LEAVES

if TYPE_CHECKING:
    from dolium.config.specs import CacheSpec
    from dolium.datasets.layout import Address, DatasetId
    from dolium.datasets.shelf import CacheTarget
    from dolium.stores.contract import BlobReader, BlobStore
    from dolium.values import ByteRange, Space

__all__ = ["RemoteShelf"]

_LIMIT: Final = 0.9  # of the cache's size, as in Galaxy
_GIGABYTE: Final = 1 << 30
_ROUNDS: Final = 8
_SWEEP_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class _Folder:
    """One of those of a cache, with the names that stand above."""

    root: str
    paths: str
    writing: str
    cleaned: str


class RemoteShelf:
    """`build` makes the leaf. It is called when the first dataset is asked for, and again in a process that was forked:
    connections and threads do not come along. `local` serves further folders.
    """

    def __init__(
        self, kind: str, build: Callable[[], BlobStore], cache: CacheSpec, local: DiskShelf, *, store_id: str
    ) -> None:
        importlib.import_module(
            LEAVES[kind].partition(":")[0]
        )  # a package that is missing is told at the start
        self.store_id = store_id
        self._build = build
        self._cache = cache
        self._local = local
        roots = [os.path.abspath(one.path) for one in cache.shards]
        self._folders = [
            _Folder(root, *(f"{root}/{name}/{store_id}" for name in ("paths", "writing", "cleaned")))
            for root in roots
        ]
        self._swept = time.monotonic()
        self._shards = Shards(roots, [one.weight for one in cache.shards])
        self._lock = Lock()  # guards the two below
        self._process = 0
        self._live: tuple[Guarded, list[Cached]] | None = None

    def _folder(self, dataset: DatasetId) -> _Folder:
        return self._folders[self._shards.of(str(dataset))]

    def _cached(self, dataset: DatasetId) -> Cached:
        return self._stores()[1][self._shards.of(str(dataset))]

    def _stores(self) -> tuple[Guarded, list[Cached]]:
        """(the leaf, behind its breaker; the caches before it, one in each folder)."""
        live = self._live
        if live is not None and self._process == os.getpid():
            return live
        with self._lock:
            if self._live is None or self._process != os.getpid():
                sizes = [one.size_bytes for one in self._cache.shards]
                every = [
                    CacheOptions(
                        Path(folder.root, "blobs"),
                        None if size is None else int(size * _LIMIT),
                        keep_writes=self._cache.cache_updated_data,
                    )
                    for folder, size in zip(self._folders, sizes, strict=True)
                ]
                try:
                    leaf = self._build()
                except ConfigError as error:  # as a store that is down: the others go on
                    raise StoreUnavailable(self.store_id, f"{self.store_id}: {error.message}") from error
                guarded = Guarded(leaf, self.store_id, Health())
                self._live = (guarded, [Cached(guarded, one, scope=self.store_id) for one in every])
                self._process = os.getpid()
                for folder in self._folders:
                    with suppress(
                        OSError
                    ):  # Galaxy's cleaners expect it; who needs it makes it, or says why not
                        os.makedirs(folder.cleaned, exist_ok=True)
            return self._live

    def _key(self, dataset: DatasetId, at: Address) -> str:
        return remote_key(dataset, at)

    # Reads.

    def size(self, dataset: DatasetId, at: Address) -> int | None:
        if at.base_dir:
            return self._local.size(dataset, at)
        key = self._key(dataset, at)
        if at.dir_only:
            with self._asking():
                return None if next(self._cached(dataset).list(key), None) is None else 0
        written = self._written(dataset, key)
        if written is not None:
            return written[1]
        try:
            with self._asking():
                return self._cached(dataset).stat(key).size
        except DatasetNotFound:
            return None

    def path(self, dataset: DatasetId, at: Address, *, fetch: bool = True) -> str:
        if at.base_dir:
            return self._local.path(dataset, at, fetch=fetch)
        key = self._key(dataset, at)
        if at.dir_only:
            return self._fetch_folder(dataset, key) if fetch else self.construct(dataset, at, local=True)
        if (written := self._written(dataset, key)) is not None:
            return written[0]
        if not fetch:
            return self.construct(dataset, at, local=True)
        with self._asking():
            if self._cached(dataset).stat(key).size == 0:
                return self._begin(dataset, key)
            path, fresh = self._give_out(dataset, key)
            if at.is_main and (fresh or os.path.isdir(f"{path.removesuffix('.dat')}_files")):
                with suppress(DoliumError):  # the file is there all the same; who asks for the folder is told
                    self._fetch_folder(dataset, f"{key.removesuffix('.dat')}_files/")
            return path

    def at_hand(self, dataset: DatasetId, at: Address) -> bool:
        if at.base_dir:
            return self._local.at_hand(dataset, at)
        key = self._key(dataset, at)
        if self._written(dataset, key) is not None:
            return True
        with self._asking():
            return self._cached(dataset).holds(key)

    def status(self, dataset: DatasetId, at: Address) -> os.stat_result | None:
        if at.base_dir:
            return self._local.status(dataset, at)
        return None  # what was written is sent by `update`, and seen in the size until then

    def construct(self, dataset: DatasetId, at: Address, *, local: bool = False) -> str:
        if at.base_dir:
            return self._local.construct(dataset, at)
        key = self._key(dataset, at)
        if not local:
            return key
        return f"{self._folder(dataset).writing}/{key}".rstrip("/")

    def open(self, dataset: DatasetId, at: Address, wanted: ByteRange | None) -> BlobReader:
        if at.base_dir:
            return self._local.open(dataset, at, wanted)
        key = self._key(dataset, at)
        if (written := self._written(dataset, key)) is not None:
            path, size = written
            start, stop = wanted.resolve(size) if wanted else (0, size)
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return FileReader(descriptor, self.store_id, size, start, stop)
        with self._asking():
            return self._cached(dataset).get(key, range=wanted)

    def url(
        self, dataset: DatasetId, at: Address, seconds: int, *, disposition: str = "", media_type: str = ""
    ) -> str | None:
        signer = unwrap(self._stores()[0].child, SignsUrls)
        if signer is None:
            return None
        with self._asking():
            return signer.sign_url(
                self._key(dataset, at),
                seconds=seconds,
                content_disposition=disposition,
                content_type=media_type,
            )

    def space(self) -> Space | None:
        """As it was a moment ago; None also if the store is down."""
        try:
            known = self._stores()[0].health.space
        except StoreUnavailable:
            return None
        return None if known is None else known.space()

    # Writes.

    def create(self, dataset: DatasetId, at: Address) -> None:
        if at.base_dir:
            self._local.create(dataset, at)
        elif at.dir_only:
            # In the store it is there as soon as a file in it is; here, for a job to fill.
            with self._asking():
                os.makedirs(self.construct(dataset, at, local=True), exist_ok=True)
        elif self.size(dataset, at) is None:
            with self._asking():
                self._cached(dataset).put(self._key(dataset, at), _Nothing(), options=PutOptions(size=0))

    def update(
        self, dataset: DatasetId, at: Address, source: str | None, *, create: bool, keep_links: bool
    ) -> None:
        if at.base_dir:
            self._local.update(dataset, at, source, create=create, keep_links=keep_links)
            return
        key = self._key(dataset, at)
        here = self.size(dataset, at)
        if here is None and not create:
            raise DatasetNotFound(f"no file {key} in {self.store_id}")
        written = self._written(dataset, key)
        if source is None and written is None:
            with self._asking():
                edited = self._cached(dataset).put_edited(key)
            if edited is None and here is None:
                self.create(dataset, at)
            return
        if source is None:
            assert written is not None
            source = written[0]
        self._send(dataset, key, source)
        self._forget(key)

    def delete(self, dataset: DatasetId, at: Address, *, entire_dir: bool) -> bool:
        if at.base_dir:
            return self._local.delete(dataset, at, entire_dir=entire_dir)
        if entire_dir and (at.extra_dir or at.obj_dir):
            return self._delete_folder(dataset, remote_key(dataset, at).rpartition("/")[0] + "/")
        if self.size(dataset, at) is None:
            return False
        key = self._key(dataset, at)
        if at.dir_only:
            raise DatasetInvalid(f"{key} is a folder; entire_dir deletes one that has a name of its own")
        with self._asking():
            self._cached(dataset).delete(key)
        self._forget(key)
        for folder in self._folders:
            _remove(f"{folder.paths}/{key}")
        return True

    def probe(self) -> None:
        with self._asking():
            next(self._stores()[0].child.list("000/dataset_0.dat"), None)

    def cache_targets(self) -> list[CacheTarget]:
        """What Galaxy's cleaners may do with as they like: the cache keeps its own limit, and needs none of them."""
        sizes = [one.size_bytes for one in self._cache.shards]
        return [
            (folder.cleaned, -1 if size is None else size / _GIGABYTE, _LIMIT)
            for folder, size in zip(self._folders, sizes, strict=True)
        ]

    def start(self) -> None:
        self._local.start()
        self._sweep()

    def close(self) -> None:
        live, self._live = self._live, None
        if live is not None and self._process == os.getpid():
            for cached in live[1]:
                cached.close()

    # How.

    def _sweep(self) -> None:
        """Remove what was given out, and the cache has let go since: it would need room that nobody counts."""
        self._swept = time.monotonic()
        for one in self._folders:
            for folder, _, names in os.walk(one.paths):
                for name in names:
                    path = f"{folder}/{name}"
                    with suppress(OSError):
                        if os.lstat(path).st_nlink == 1:
                            os.unlink(path)

    def _written(self, dataset: DatasetId, key: str) -> tuple[str, int] | None:
        """The path that a job was given, and how much it has written there; None if there is none."""
        first = self._folder(dataset)
        for folder in (first, *(one for one in self._folders if one is not first)):
            path = f"{folder.writing}/{key}"
            try:
                return path, os.stat(path).st_size
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise StoreUnavailable(
                    self.store_id, f"the cache of {self.store_id} is down: {error}"
                ) from error
        return None

    def _forget(self, key: str) -> None:
        """What jobs have written is sent, or of no use any more."""
        for folder in self._folders:
            _remove(f"{folder.writing}/{key}")

    def _begin(self, dataset: DatasetId, key: str) -> str:
        path = f"{self._folder(dataset).writing}/{key}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        return path

    def _send(self, dataset: DatasetId, key: str, source: str) -> None:
        with open(source, "rb") as body, self._asking():
            size = os.fstat(body.fileno()).st_size
            self._cached(dataset).put(key, body, options=PutOptions(size=size))

    def _give_out(self, dataset: DatasetId, key: str) -> tuple[str, bool]:
        """(a path of the file that is in the cache, under the name that it has in the store; whether that is new)."""
        path = f"{self._folder(dataset).paths}/{key}"
        for _ in range(_ROUNDS):
            try:
                cached = self._cached(dataset).local_path(key)
                cached.chmod(0o444)
                return path, self._link(dataset, cached, path)
            except StoreFull as error:
                raise StoreFull(
                    f"{key} of {self.store_id} does not fit into the cache, so it has no path here; it can be streamed"
                ) from error
            except FileNotFoundError:
                continue  # the cache is being removed by hand
        raise StoreUnavailable(self.store_id, f"the cache of {self.store_id} is removed again and again")

    def _fetch_folder(self, dataset: DatasetId, key: str) -> str:
        """All that is below, as a folder; what is there no more is removed."""
        paths = self._folder(dataset).paths
        root = f"{paths}/{key}".rstrip("/")
        with self._asking():
            names = [info.key for info in self._cached(dataset).list(key)]
            if not names:
                raise DatasetNotFound(f"no folder {key} in {self.store_id}")
            wanted = set()
            for name in names:
                path = f"{paths}/{name}"
                if not path.startswith(f"{root}/") or os.path.normpath(path) != path:
                    raise DatasetInvalid(f"{name!r} in {self.store_id} would lie outside of its folder")
                wanted.add(path)
                self._give_out(dataset, name)
        for folder, _, files in os.walk(root):
            for one in files:
                if f"{folder}/{one}" not in wanted:
                    _remove(f"{folder}/{one}")
        return root

    def _link(self, dataset: DatasetId, cached: Path, path: str) -> bool:
        """The file of the cache under the name that it has in the store; False if it was there."""
        try:
            if os.path.samefile(cached, path):
                return False
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        # Made elsewhere: jobs look into the folder.
        fresh = f"{self._folder(dataset).root}/linking-{os.getpid()}-{get_ident()}"
        _remove(fresh)
        os.link(cached, fresh)
        os.replace(fresh, path)
        if time.monotonic() - self._swept > _SWEEP_SECONDS:
            self._sweep()
        return True

    def _delete_folder(self, dataset: DatasetId, key: str) -> bool:
        cached = self._cached(dataset)
        with self._asking():
            names = [info.key for info in cached.list(key)]
            for name in names:
                cached.delete(name)
                self._forget(name)
        for folder in self._folders:
            for tree in (folder.paths, folder.writing):
                shutil.rmtree(f"{tree}/{key}".rstrip("/"), ignore_errors=True)
        return bool(names)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except BlobNotFound as error:
            raise DatasetNotFound(f"no file {error.key} in {self.store_id}") from error
        except StoreUnavailable as error:
            if self.store_id in error.message:
                raise
            raise StoreUnavailable(self.store_id, f"{self.store_id}: {error.message}") from error
        except ValueError as error:
            raise DatasetInvalid(f"the name of the file cannot be in {self.store_id}") from error
        except OSError as error:
            raise StoreUnavailable(self.store_id, f"the cache of {self.store_id} is down: {error}") from error


class _Nothing:
    def read(self, _size: int, /) -> bytes:
        return b""


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return
