"""Datasets in a remote store, with a cache on this machine for those who need paths.

    the store     000/dataset_24.dat
    CACHE/blobs/                            what was read or written lately (composites/cached)
    CACHE/paths/ID/000/dataset_24_files/    folders that were given out
    CACHE/writing/ID/000/dataset_24.dat     a file that a job fills

* The path of a dataset with content is for reading, and write-protected: its file stays in the cache for a day, whoever
  else needs room. To change a dataset, give `update` a file. What somebody who may (root) writes there all the same is
  seen by nobody else, until `update` without a source sends it; one that is not told within the day is lost.
* The path of an empty one is for a job to fill; until `update` without a source has sent it, what is in it is what the
  dataset is on this machine.
* `update` returns when the remote store has the bytes, and raises if it has not.
* A folder is fetched whole each time it is asked for. A file that finds no room in the cache has no path here, which
  StoreFull says; it can be streamed all the same.
* Further folders, `job_work` and `temp`, are on this machine.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from dolium.datasets.disk import DiskShelf
from dolium.datasets.file_reader import FileReader
from dolium.datasets.layout import remote_key
from dolium.errors import (
    BlobNotFound,
    ConfigError,
    DatasetInvalid,
    DatasetNotFound,
    StoreFull,
    StoreUnavailable,
)
from dolium.stores.composites.cached import Cached, CacheOptions
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.health import Health
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
        self._folder = os.path.abspath(cache.path)
        self._paths = f"{self._folder}/paths/{store_id}"
        self._writing = f"{self._folder}/writing/{store_id}"
        self._lock = Lock()  # guards the two below
        self._process = 0
        self._live: tuple[Guarded, Cached] | None = None

    def _stores(self) -> tuple[Guarded, Cached]:
        """(the leaf, behind its breaker; the cache before it)."""
        live = self._live
        if live is not None and self._process == os.getpid():
            return live
        with self._lock:
            if self._live is None or self._process != os.getpid():
                size = self._cache.size_bytes
                options = CacheOptions(
                    Path(self._folder, "blobs"),
                    None if size is None else int(size * _LIMIT),
                    keep_writes=self._cache.cache_updated_data,
                )
                try:
                    leaf = self._build()
                except ConfigError as error:  # as a store that is down: the others go on
                    raise StoreUnavailable(self.store_id, f"{self.store_id}: {error.message}") from error
                guarded = Guarded(leaf, self.store_id, Health())
                self._live = (guarded, Cached(guarded, options, scope=self.store_id))
                self._process = os.getpid()
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
                return None if next(self._stores()[1].list(key), None) is None else 0
        written = self._written(key)
        if written is not None:
            return written
        try:
            with self._asking():
                return self._stores()[1].stat(key).size
        except DatasetNotFound:
            return None

    def path(self, dataset: DatasetId, at: Address, *, fetch: bool = True) -> str:
        if at.base_dir:
            return self._local.path(dataset, at, fetch=fetch)
        key = self._key(dataset, at)
        if at.dir_only:
            return self._fetch_folder(key) if fetch else f"{self._paths}/{key}".rstrip("/")
        if self._written(key) is not None:
            return f"{self._writing}/{key}"
        if not fetch:
            return self.construct(dataset, at, local=True)
        with self._asking():
            if self._stores()[1].stat(key).size == 0:
                return self._begin(key)
            return str(self._pinned(key))

    def construct(self, dataset: DatasetId, at: Address, *, local: bool = False) -> str:
        if at.base_dir:
            return self._local.construct(dataset, at)
        key = self._key(dataset, at)
        return f"{self._paths if at.dir_only else self._writing}/{key}".rstrip("/") if local else key

    def open(self, dataset: DatasetId, at: Address, wanted: ByteRange | None) -> BlobReader:
        if at.base_dir:
            return self._local.open(dataset, at, wanted)
        key = self._key(dataset, at)
        if (size := self._written(key)) is not None:
            start, stop = wanted.resolve(size) if wanted else (0, size)
            descriptor = os.open(f"{self._writing}/{key}", os.O_RDONLY | os.O_CLOEXEC)
            return FileReader(descriptor, self.store_id, size, start, stop)
        with self._asking():
            return self._stores()[1].get(key, range=wanted)

    def url(self, dataset: DatasetId, at: Address, seconds: int) -> str | None:
        signer = unwrap(self._stores()[0].child, SignsUrls)
        with self._asking():
            return None if signer is None else signer.sign_url(self._key(dataset, at), seconds=seconds)

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
            return  # a folder is there as soon as a file in it is
        elif self.size(dataset, at) is None:
            with self._asking():
                self._stores()[1].put(self._key(dataset, at), _Nothing(), options=PutOptions(size=0))

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
        written = f"{self._writing}/{key}"
        if source is None and self._written(key) is None:
            with self._asking():
                edited = self._stores()[1].put_edited(key)
            if edited is None and here is None:
                self.create(dataset, at)
            return
        self._send(key, written if source is None else source)
        _remove(written)

    def delete(self, dataset: DatasetId, at: Address, *, entire_dir: bool) -> bool:
        if at.base_dir:
            return self._local.delete(dataset, at, entire_dir=entire_dir)
        if entire_dir and (at.extra_dir or at.obj_dir):
            return self._delete_folder(remote_key(dataset, at).rpartition("/")[0] + "/")
        if self.size(dataset, at) is None:
            return False
        key = self._key(dataset, at)
        if at.dir_only:
            raise DatasetInvalid(f"{key} is a folder; entire_dir deletes one that has a name of its own")
        with self._asking():
            self._stores()[1].delete(key)
        _remove(f"{self._writing}/{key}")
        return True

    def probe(self) -> None:
        with self._asking():
            next(self._stores()[0].child.list("000/dataset_0.dat"), None)

    def cache_target(self) -> CacheTarget | None:
        """What Galaxy's cleaners may do with as they like: the cache keeps its own limit, and needs none of them."""
        size = self._cache.size_bytes
        return self._paths, -1 if size is None else size / _GIGABYTE, _LIMIT

    def start(self) -> None:
        self._local.start()
        for folder, _, names in os.walk(self._paths):
            for name in names:
                path = f"{folder}/{name}"
                if os.lstat(path).st_nlink == 1:  # the cache has let it go
                    _remove(path)

    def close(self) -> None:
        live, self._live = self._live, None
        if live is not None and self._process == os.getpid():
            live[1].close()

    # How.

    def _written(self, key: str) -> int | None:
        """How much a job has written to the path that it was given; None if there is none."""
        try:
            return os.stat(f"{self._writing}/{key}").st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreUnavailable(self.store_id, f"the cache of {self.store_id} is down: {error}") from error

    def _begin(self, key: str) -> str:
        path = f"{self._writing}/{key}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        return path

    def _send(self, key: str, source: str) -> None:
        with open(source, "rb") as body, self._asking():
            self._stores()[1].put(key, body, options=PutOptions(size=os.fstat(body.fileno()).st_size))

    def _pinned(self, key: str, link: str = "") -> Path:
        """The file of the cache; `link`: a further name that it gets."""
        for _ in range(_ROUNDS):
            try:
                path = self._stores()[1].local_path(key)
                path.chmod(0o444)
                if link:
                    self._link(path, link)
            except StoreFull as error:
                raise StoreFull(
                    f"{key} of {self.store_id} does not fit into the cache, so it has no path here; it can be streamed"
                ) from error
            except FileNotFoundError:
                continue  # the cache is being removed by hand
            return path
        raise StoreUnavailable(self.store_id, f"the cache of {self.store_id} is removed again and again")

    def _fetch_folder(self, key: str) -> str:
        """All that is below, as a folder; what is there no more is removed."""
        root = f"{self._paths}/{key}".rstrip("/")
        with self._asking():
            names = [info.key for info in self._stores()[1].list(key)]
            if not names:
                raise DatasetNotFound(f"no folder {key} in {self.store_id}")
            wanted = set()
            for name in names:
                path = f"{self._paths}/{name}"
                if not path.startswith(f"{root}/") or os.path.normpath(path) != path:
                    raise DatasetInvalid(f"{name!r} in {self.store_id} would lie outside of its folder")
                wanted.add(path)
                self._pinned(name, path)
        for folder, _, files in os.walk(root):
            for one in files:
                if f"{folder}/{one}" not in wanted:
                    _remove(f"{folder}/{one}")
        return root

    def _link(self, cached: Path, path: str) -> None:
        """The file of the cache under the name that it has in the store."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            if os.path.samefile(cached, path):
                return
        except FileNotFoundError:
            pass
        fresh = f"{path}.{os.getpid()}.dolium"
        os.link(cached, fresh)
        os.replace(fresh, path)

    def _delete_folder(self, key: str) -> bool:
        with self._asking():
            names = [info.key for info in self._stores()[1].list(key)]
            for name in names:
                self._stores()[1].delete(name)
                _remove(f"{self._writing}/{name}")
        shutil.rmtree(f"{self._paths}/{key}".rstrip("/"), ignore_errors=True)
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
