"""Blobs as plain files under a root, whole or not at all, on the disk when they are acknowledged.

    kind: disk
    root: /srv/dolium
    durability: strict
    min_free_percent: 5

A key is the path of its file below the root. Beside them lie `.dolium-store.json`, which says whose tree it is;
`.dolium-tmp/`, where files grow before they get their name; and `.dolium-about-…` sidecars, of descriptions and
checksums too large for an extended attribute. What `relaxed` can lose: what was acknowledged in the last half minute or so before a power
cut or a crash of the kernel, and whole folders made then; never by a crash of the process alone.

`Disk.initialise` makes a store of a folder, once. A disk that is not mounted, or another's, is *down*: the verbs
raise StoreUnavailable, and come back with it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from dolium.crashpoints import reach
from dolium.errors import BlobCorrupt, BlobNotFound, BodyTruncated, ConfigError, StoreFull, SumsDamaged
from dolium.stores.contract import BlobReader, BlobStore, PutOptions
from dolium.stores.keys import check_key
from dolium.stores.leaves import (
    disk_audit,
    disk_description,
    disk_identity,
    disk_listing,
    disk_sums,
    disk_temporary,
    syscalls,
)
from dolium.stores.leaves.disk_mount import is_local
from dolium.stores.leaves.disk_reader import DiskReader
from dolium.stores.leaves.disk_volume import Volume
from dolium.stores.leaves.disk_writer import DiskWriter
from dolium.values import BlobInfo, Durability, Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dolium.stores.contract import Audit, Reader
    from dolium.stores.leaves.disk_sums import Sums
    from dolium.values import ByteRange

__all__ = ["Disk", "Options"]

_PIECE: Final = 1 << 19
_READ: Final = os.O_RDONLY | os.O_NONBLOCK  # a FIFO in the tree must not hold us up; files do not care
_SPACE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of a disk store.

    `root`: the folder; a symbolic link is resolved once, at the start.
    `durability`: strict, or relaxed (see above).
    `expected_uuid`: whose tree it must be; empty: whose it is at first sight.
    `min_free_bytes`, `min_free_percent`: writes find the store full when less is free; deletes always work.
    `probe_seconds`: how often a suspect store is asked again.
    `verify_reads`: whether files that are handed out (`open_checked`) are to be checked by whoever reads them; `get`
    checks always.
    """

    root: Path
    durability: Durability = Durability.STRICT
    expected_uuid: str = ""
    min_free_bytes: int = 0
    min_free_percent: float = 0.0
    probe_seconds: float = 5.0
    verify_reads: bool = True


class Disk(BlobStore):
    """Takes chunks, has local paths and files, copies within by reflink, deletes many, keeps descriptions and
    checksums, reports space.

    To make one touches no disk: a store that is down can be in a configuration. Raises ConfigError where Python
    does not write names of files in UTF-8: a key would get a name that others do not find.
    """

    def __init__(self, options: Options, *, store_id: str = "disk") -> None:
        if (encoding := sys.getfilesystemencoding()) != "utf-8":
            raise ConfigError(f"names of files are {encoding} here, not UTF-8; set PYTHONUTF8=1")
        self.store_id = store_id
        self._options = options
        self._volume = Volume(
            os.path.realpath(options.root),
            store_id=store_id,
            expected_uuid=options.expected_uuid,
            strict=options.durability is Durability.STRICT,
            probe_seconds=options.probe_seconds,
        )
        self._names = tuple(Lock() for _ in range(64))  # each guards the names of the keys that hash to it
        self._room = (0.0, True)  # when it was looked at, and whether there was any; replaced whole
        self.local = is_local(options.root)
        self.verify_reads = options.verify_reads

    @staticmethod
    def initialise(root: Path) -> str:
        """Make a folder a store and give its UUID; one that is a store keeps its own. Raises OSError."""
        return disk_identity.initialise(root)

    def identify(self) -> str:
        """The UUID of the store that lies there now. Raises StoreUnavailable."""
        return self._volume.identity.require()

    @property
    def suspect(self) -> bool:
        """Whether an fsync has failed and no probe has succeeded since."""
        return self._volume.suspect

    def probe(self) -> None:
        """Write, sync, read and delete a file of the store's own. Raises StoreUnavailable."""
        self._volume.probe()

    def dead_temporaries(self) -> list[str]:
        """What `sweep_temporaries` would remove: the names of the files."""
        self._volume.enter()
        try:
            return self._volume.dead_temporaries()
        except FileNotFoundError:
            self._volume.identity.require()
            return []
        except OSError as error:
            raise self._volume.translated(error) from error

    def sweep_temporaries(self, *, old_seconds: float = disk_temporary.OLD_SECONDS) -> int:
        """Remove what dead writers have left behind; how many files. Safe while others write.

        `old_seconds`: the age of those whose writer cannot be seen from here, on another machine.
        """
        self._volume.enter_to_write()
        try:
            return self._volume.sweep_temporaries(old_seconds)
        except OSError as error:
            raise self._volume.translated(error, writing=True) from error

    def sweep_sidecars(self, *, old_seconds: float = 86400.0) -> int:
        """Remove sidecars that a crash has left without their blob; how many. Walks the whole tree."""
        self._volume.enter_to_write()
        try:
            return disk_description.sweep(self._volume.root, old_seconds)
        except OSError as error:
            raise self._volume.translated(error, writing=True) from error

    def sweep_unborn(self, after: str, before: str, is_dead: Callable[[str], bool]) -> int:
        """Remove the sidecars, however young, of blobs that are not there and, as `is_dead` says of their keys, are
        not about to come; how many. Looks at keys from `after` up to `before`.
        """
        self._volume.enter_to_write()
        try:
            return disk_description.sweep_unborn(self._volume.root, after, before, is_dead)
        except OSError as error:
            raise self._volume.translated(error, writing=True) from error

    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:  # noqa: B008 - frozen
        with self.open_writer(key, options=options) as writer:
            taken = 0
            while (piece := body.read(_PIECE)) and (options.size is None or taken <= options.size):
                writer.write(piece)
                taken += len(piece)
            return writer.commit()

    def open_writer(self, key: str, *, options: PutOptions = PutOptions()) -> DiskWriter:  # noqa: B008 - frozen
        check_key(key)
        self._volume.enter_to_write()
        try:
            self._require_room(options.size or 0)
            return DiskWriter(self._volume, key, options, self._names[hash(key) % len(self._names)])
        except OSError as error:
            raise self._volume.translated(error, key, writing=True) from error

    def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002 - as the contract
        descriptor, size, sums = self.open_checked(key)
        try:
            start, stop = range.resolve(size) if range else (0, size)
        except BaseException:
            _close_read(descriptor)
            raise
        return DiskReader(self._volume, descriptor, size, start, stop, sums)

    def open_file(self, key: str) -> tuple[int, int]:
        descriptor, status = self._open(key)
        return descriptor, status.st_size

    def open_checked(self, key: str) -> tuple[int, int, Sums | None]:
        descriptor, status = self._open(key)
        try:
            return descriptor, status.st_size, self._sums(key, descriptor, status)
        except BaseException:
            _close_read(descriptor)
            raise

    def audit(
        self, key: str, *, md5: str = "", start: int = 0, pace: Callable[[int], None] = lambda _: None
    ) -> Audit:
        descriptor, status = self._open(key)
        try:
            try:
                sums = self._sums(key, descriptor, status)
            except SumsDamaged:
                if not md5:
                    raise
                sums = None
            if sums is not None:
                return disk_audit.check_blocks(descriptor, sums, start, pace)
            return disk_audit.check_whole(self._volume, key, descriptor, status, md5, pace)
        except OSError as error:
            self._volume.probe()  # a disk that reads nothing at all would make every blob a damaged one
            raise self._volume.unreadable(error, key) from error
        finally:
            _close_read(descriptor)

    def stat(self, key: str) -> BlobInfo:
        descriptor, status = self._open(key, os.O_PATH)
        _close_read(descriptor)
        return BlobInfo(key=key, size=status.st_size, modified_ns=status.st_mtime_ns)

    def local_path(self, key: str) -> Path:
        self.stat(key)
        return Path(self._volume.root, key)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[BlobInfo]:
        self._volume.enter()
        self._volume.identity.require()
        try:
            yield from disk_listing.walk(self._volume.root, prefix, after)
        except OSError as error:
            raise self._volume.translated(error) from error
        self._volume.identity.require()  # else the end may be that of the disk

    def delete(self, key: str) -> None:
        check_key(key)
        self._volume.enter_to_write()
        try:
            self._delete_in(key.rpartition("/")[0], [key])
        except OSError as error:
            raise self._volume.translated(error, key, writing=True) from error

    def delete_many(self, keys: Sequence[str]) -> set[str]:
        folders: dict[str, list[str]] = {}
        for key in keys:
            check_key(key)
            folders.setdefault(key.rpartition("/")[0], []).append(key)
        self._volume.enter_to_write()
        gone: set[str] = set()
        for folder, inside in folders.items():
            try:
                gone |= self._delete_in(folder, inside)
            except OSError:
                if self._volume.suspect:
                    break  # whoever asks next is told
        return gone

    def _delete_in(self, folder: str, keys: Sequence[str]) -> set[str]:
        """Those of some keys in one folder that are gone, durably. Raises OSError, of many only for what concerns all."""
        try:
            descriptor = syscalls.open_beneath(self._volume.root, folder, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return set(keys)
        try:
            gone = {key for key in keys if self._removes(key, alone=len(keys) == 1)}
            reach("disk.removed")
            self._volume.sync(
                descriptor
            )  # also if all are absent: whoever removed them may not have come to that
        finally:
            syscalls.close(descriptor)
        return gone

    def _removes(self, key: str, *, alone: bool) -> bool:
        try:
            self._remove(key)
        except OSError:
            if alone:
                raise
            return False
        return True

    def copy_within(self, source: str, target: str, *, options: PutOptions = PutOptions()) -> BlobInfo | None:  # noqa: B008 - frozen
        descriptor, size, sums = self.open_checked(source)
        try:
            if options.size is not None and options.size != size:
                raise BodyTruncated(f"{options.size} bytes were announced, the source has {size}")
            with self.open_writer(target, options=options) as writer:
                return writer.commit() if writer.clone(descriptor, size, sums) else None
        except OSError as error:
            raise self._volume.translated(error, target, writing=True) from error
        finally:
            _close_read(descriptor)

    def description(self, key: str) -> dict[str, str]:
        self.stat(key)
        try:
            return disk_description.read(f"{self._volume.root}/{key}")
        except OSError as error:
            raise self._volume.translated(error, key) from error
        except ValueError as error:
            raise BlobCorrupt("the description of the blob is damaged") from error

    def space(self) -> Space:
        self._volume.identity.require()
        try:
            found = os.statvfs(self._volume.root)
        except OSError as error:
            raise self._volume.translated(error) from error
        return Space(total=found.f_blocks * found.f_frsize, free=found.f_bavail * found.f_frsize)

    def close(self) -> None:
        pass

    def _open(self, key: str, flags: int = _READ) -> tuple[int, os.stat_result]:
        """The blob's file, open, and its status. Raises BlobNotFound, BlobCorrupt, StoreUnavailable."""
        check_key(key)
        self._volume.enter()
        try:
            descriptor = syscalls.open_beneath(self._volume.root, key, flags)
        except OSError as error:
            raise self._volume.translated(error, key) from error
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return descriptor, status
        _close_read(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise BlobNotFound(key)
        raise BlobCorrupt("something that is no file lies where the blob should be")

    def _sums(self, key: str, descriptor: int, status: os.stat_result) -> Sums | None:
        try:
            return disk_sums.read(descriptor, self._volume.root, key, status.st_size, status.st_mtime_ns)
        except OSError as error:
            raise self._volume.unreadable(error, key) from error

    def _remove(self, key: str) -> None:
        path = f"{self._volume.root}/{key}"
        with self._names[hash(key) % len(self._names)]:
            try:
                status = os.lstat(path)
                if not stat.S_ISDIR(status.st_mode):
                    syscalls.unlink(path)
                    reach("disk.unlinked")
                    disk_description.remove_sidecar(path, status.st_mtime_ns)
            except FileNotFoundError:
                disk_description.remove_left_sidecars(path)

    def _require_room(self, size: int) -> None:
        """Raises StoreFull if less than the limits is free, or `size` more would make it so."""
        options = self._options
        if not options.min_free_bytes and not options.min_free_percent:
            return
        looked, room = self._room
        now = time.monotonic()
        if now - looked > _SPACE_SECONDS or size > _PIECE:
            space = self.space()
            least = max(options.min_free_bytes, space.total * options.min_free_percent / 100)
            room = space.free - size >= least
            self._room = (now, room)
        if not room:
            raise StoreFull("the store has come to its limit")


def _close_read(descriptor: int) -> None:
    """What only read has nothing to lose by a close that fails."""
    with contextlib.suppress(OSError):
        syscalls.close(descriptor)
