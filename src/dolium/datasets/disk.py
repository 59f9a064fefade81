"""Datasets as files of a disk: the path that a job is given is the file itself.

    R/000/dataset_24.dat
    R/000/dataset_24_files/report.html
    R/.dolium-tmp/                        where files grow before they get their name

* What is written through here is whole or not at all: a temporary file, then its name. `strict` syncs the file and
  its folder before it returns, `relaxed` leaves that to the kernel, as Galaxy does. What a job writes in place is the
  job's own affair; telling the store afterwards (`update` without a source) syncs it.
* Nothing is remembered of a file: size and time are looked at each time, for jobs write without telling.
* A new file never takes away what somebody else has just begun to write there.
* A disk that was seen and is gone, or another's, is down and not empty: what is not found is checked against the
  file system of the root, and its identity where `expected_uuid` says it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dolium.datasets.disk_writing import Writing
from dolium.datasets.file_reader import FileReader
from dolium.datasets.layout import disk_path
from dolium.errors import (
    Conflict,
    DatasetInvalid,
    DatasetNotFound,
    DoliumError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from dolium.stores.leaves import disk_identity, disk_temporary
from dolium.values import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dolium.datasets.layout import Address, DatasetId
    from dolium.datasets.shelf import CacheTarget
    from dolium.stores.contract import BlobReader
    from dolium.values import ByteRange

__all__ = ["DiskShelf"]

_MISSING: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_NAME: Final = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ, errno.EINVAL})
_IN_THE_WAY: Final = frozenset({errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})


class DiskShelf:
    """`extra`: further folders by name. `umask` of new files, as Galaxy's.

    `moved`: told of each step of what takes long, for who watches whether the disk hangs. To make a shelf touches no
    disk; `see` does.
    """

    def __init__(
        self,
        root: Path,
        *,
        store_id: str,
        extra: Mapping[str, Path],
        umask: int = 0o77,
        strict: bool = True,
        old_style: bool = False,
        min_free_bytes: int = 0,
        expected_uuid: str = "",
        moved: Callable[[], None] | None = None,
    ) -> None:
        self.root = os.path.abspath(root)
        self.store_id = store_id
        self._bases: dict[str | None, str] = {name: os.path.abspath(path) for name, path in extra.items()}
        self._bases |= {None: self.root, "": self.root}
        self._strict = strict
        self._writing = Writing(
            mode=0o666 & ~umask,
            strict=strict,
            moved=moved or (lambda: None),
            in_steps=strict and moved is not None,
        )
        self._old_style = old_style
        self._min_free = min_free_bytes
        self._identity = (
            disk_identity.Identity(self.root, expected=expected_uuid, store_id=store_id)
            if expected_uuid
            else None
        )
        self._device: int | None = None  # the file system of the root, once it was seen

    def see(self) -> None:
        """Remember which disk lies there now."""
        self._look()

    def look_again(self) -> None:
        """Raises StoreUnavailable if it is not the one that was seen."""
        self._require()

    # Where.

    def construct(self, dataset: DatasetId, at: Address, *, local: bool = False) -> str:  # noqa: ARG002 - all is
        return f"{self._base(at)}/{disk_path(dataset, at)}"

    def _base(self, at: Address) -> str:
        try:
            return self._bases[at.base_dir]
        except KeyError:
            known = ", ".join(name for name in self._bases if name)
            raise DatasetInvalid(f"{self.store_id} has no base_dir {at.base_dir!r}; known: {known}") from None

    def _old(self, dataset: DatasetId, at: Address) -> str:
        """Where Galaxy had it before folders were spread by the id; empty if nothing is there."""
        hashed = disk_path(dataset, at)  # refuses what cannot be
        name = "" if at.dir_only else hashed.rpartition("/")[2] if not at.alt_name else at.alt_name
        path = os.path.normpath("/".join(filter(None, (self._base(at), at.extra_dir, name))))
        return path if path != self._base(at) and self._status(path) is not None else ""

    def _find(self, dataset: DatasetId, at: Address) -> tuple[str, os.stat_result]:
        """Raises DatasetNotFound."""
        if self._old_style and (old := self._old(dataset, at)):
            return old, os.stat(old)
        path = f"{self._base(at)}/{disk_path(dataset, at)}"
        status = self._status(path)
        if status is None:
            raise DatasetNotFound(f"no file {disk_path(dataset, at)} in {self.store_id}")
        return path, status

    # Reads.

    def size(self, dataset: DatasetId, at: Address) -> int | None:
        if self._old_style:
            try:
                status: os.stat_result | None = self._find(dataset, at)[1]
            except DatasetNotFound:
                return None
        else:
            status = self._status(f"{self._base(at)}/{disk_path(dataset, at)}")
        if status is None:
            return None
        return 0 if stat.S_ISDIR(status.st_mode) else status.st_size

    def path(self, dataset: DatasetId, at: Address, *, fetch: bool = True) -> str:  # noqa: ARG002 - it is here
        return self._find(dataset, at)[0]

    def status(self, dataset: DatasetId, at: Address) -> os.stat_result | None:
        try:
            return self._find(dataset, at)[1]
        except DatasetNotFound:
            return None

    def open(self, dataset: DatasetId, at: Address, wanted: ByteRange | None) -> BlobReader:
        path, _ = self._find(dataset, at)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise self._translated(error) from error
        try:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode):
                raise Conflict(f"{path} is a folder; it has no bytes of its own")
            size = found.st_size
            start, stop = wanted.resolve(size) if wanted else (0, size)
        except BaseException:
            os.close(descriptor)
            raise
        return FileReader(descriptor, self.store_id, size, start, stop)

    def at_hand(self, dataset: DatasetId, at: Address) -> bool:
        self.path(dataset, at)
        return True

    def url(self, *_: object, **__: object) -> None:
        """A disk has none."""

    def space(self) -> Space | None:
        try:
            found = os.statvfs(self.root)
        except FileNotFoundError:
            self._require()
            return None
        except OSError as error:
            raise self._translated(error) from error
        return Space(total=found.f_blocks * found.f_frsize, free=found.f_bavail * found.f_frsize)

    # Writes.

    def create(self, dataset: DatasetId, at: Address) -> None:
        if self._old_style and self._old(dataset, at):
            return
        self._create(self.construct(dataset, at), at)

    def update(
        self, dataset: DatasetId, at: Address, source: str | None, *, create: bool, keep_links: bool
    ) -> None:
        old = self._old(dataset, at) if self._old_style else ""
        path = old or self.construct(dataset, at)
        here = self._status(path)
        if here is None and not create:
            raise DatasetNotFound(f"no file {disk_path(dataset, at)} in {self.store_id}")
        if source is None or (here is not None and _same(source, here)):
            if here is None:
                self._create(path, at)
            elif self._strict:
                try:
                    self._writing.sync(path)
                except OSError as error:
                    raise self._translated(error, writing=True) from error
            return
        self._replace(path, source, keep_links=keep_links and os.path.islink(source))

    def delete(self, dataset: DatasetId, at: Address, *, entire_dir: bool) -> bool:
        try:
            path, status = self._find(dataset, at)
        except DatasetNotFound:
            path = self.construct(dataset, at)
            if not os.path.islink(path):  # one that leads nowhere is still to be removed
                return False
            status = os.lstat(path)
        try:
            if entire_dir and (at.extra_dir or at.obj_dir):
                self._writing.remove_tree(path)
            elif stat.S_ISDIR(status.st_mode) and not os.path.islink(path):
                raise Conflict(f"{path} is a folder; entire_dir deletes one that has a name of its own")
            else:
                self._writing.remove(path)
        except FileNotFoundError:
            return True  # somebody else was faster
        except OSError as error:
            raise self._translated(error, writing=True) from error
        return True

    def probe(self) -> None:
        self._require()
        folder = self._temporaries(self.root)
        name = disk_temporary.begin()
        path = f"{folder}/{name}"
        try:
            self._make_folder(folder)
            with open(path, "xb") as file:
                file.write(b"dolium")
                file.flush()
                if self._strict:
                    os.fsync(file.fileno())
            os.unlink(path)
        except OSError as error:
            raise StoreUnavailable(self.store_id, f"{self.store_id} cannot be written: {error}") from error
        finally:
            disk_temporary.end(name)

    def cache_targets(self) -> list[CacheTarget]:
        return []

    def start(self) -> None:
        """Sweep what killed processes have left."""
        for base in {*self._bases.values()}:
            folder = f"{base}/{disk_identity.TEMPORARY}"
            try:
                disk_temporary.sweep(folder)
            except OSError:
                continue  # absent, or down: there is nothing to sweep

    def close(self) -> None:
        pass

    # How.

    def _status(self, path: str) -> os.stat_result | None:
        """None if nothing is there, in a store that is up."""
        if self._device is None:
            self._look()
        try:
            return os.stat(path)
        except OSError as error:
            if error.errno in _MISSING:
                self._require()
                return None
            raise self._translated(error) from error
        except ValueError as error:  # NUL, or what no file system can say
            raise DatasetInvalid("the name of the file cannot be") from error

    def _look(self) -> int | None:
        try:
            found = os.stat(self.root)
        except OSError:
            return None
        if not stat.S_ISDIR(found.st_mode):
            return -1  # of no disk
        if self._device is None:
            self._device = found.st_dev
        return found.st_dev

    def _require(self) -> None:
        """Raises StoreUnavailable if the disk that was there is not."""
        found = self._look()
        if self._identity is not None:
            self._identity.require()
        elif found != self._device:
            raise StoreUnavailable(
                self.store_id, f"{self.root} of {self.store_id} is gone: is its disk mounted?"
            )

    def _create(self, path: str, at: Address) -> None:
        try:
            if at.dir_only:
                self._make_folder(path)
                return
            self._require_room(0)
            try:
                self._writing.create(path)
            except FileNotFoundError:
                self._require_device()
                self._make_folder(os.path.dirname(path))
                self._writing.create(path)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                raise Conflict(f"a folder lies where {path} should be") from None
        except OSError as error:
            raise self._translated(error, writing=True) from error

    def _replace(self, path: str, source: str, *, keep_links: bool) -> None:
        """Put what `source` has under `path`. A source that cannot be read is the caller's OSError."""
        reading = None if keep_links else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        target = os.readlink(source) if keep_links else ""
        try:
            if reading is not None:
                self._require_room(os.fstat(reading).st_size)
            self._require_device()
            self._writing.replace(path, reading, target, self._temporaries(path))
        except OSError as error:
            raise self._translated(error, writing=True) from error
        finally:
            if reading is not None:
                os.close(reading)

    def _temporaries(self, path: str) -> str:
        """Of the base that the path is below."""
        base = next(
            (one for one in self._bases.values() if one != self.root and path.startswith(f"{one}/")),
            self.root,
        )
        return f"{base}/{disk_identity.TEMPORARY}"

    def _make_folder(self, path: str) -> None:
        self._writing.make_folder(path)
        if self._device is None:
            self._look()

    def _require_device(self) -> None:
        """Before a folder is made: not on what lies below a disk that is not mounted."""
        if self._identity is not None or self._device is not None:
            self._require()

    def _require_room(self, size: int) -> None:
        if self._min_free:
            space = self.space()
            if space is not None and space.free - size < self._min_free:
                raise StoreFull(f"{self.store_id} has come to its limit")

    def _translated(self, error: OSError, *, writing: bool = False) -> DoliumError:
        found = error.errno
        if found in _FULL:
            return StoreFull(f"{self.store_id} is full")
        if found == errno.EROFS:
            return StoreReadOnly(f"{self.store_id} takes no writes")
        if found in _NO_NAME:
            return DatasetInvalid(f"the name of the file cannot be in {self.store_id}: {error.strerror}")
        if writing and found in _IN_THE_WAY and os.path.isdir(self.root):
            return Conflict(
                f"something else lies where a file of {self.store_id} should be: {error.filename}"
            )
        return StoreUnavailable(self.store_id, f"{self.store_id} is down: {error.strerror}")


def _same(source: str, here: os.stat_result) -> bool:
    try:
        found = os.stat(source)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (here.st_dev, here.st_ino)
