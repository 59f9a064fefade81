"""A disk that fails under the catalog: a VFS of SQLite whose nth call fails, once or for good.

    with faulty_catalogs() as faults:                    # every catalog that is opened from here on
        database = SqliteDatabase(folder)
        with faults.failing("xSync", error=apsw.IOError, nth=1) as calls:
            database.write(...)
        assert calls.failed == ["xSync"]

Names are those of SQLite's VFS: xOpen, xDelete, xRead, xWrite, xTruncate, xSync; and `mmap`, by which the index of
the log comes into memory (xShmMap never comes by Python). The files are real ones of the default VFS, never synced.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

import apsw

from dolium.testing.disk_faults import Calls

__all__ = ["CATALOG_CALLS", "Faults", "faulty_catalogs"]

CATALOG_CALLS: Final = ("xOpen", "xDelete", "xRead", "xWrite", "xTruncate", "xSync", "mmap")

_NAME: Final = "dolium-faults"
_MAP_FAILED: Final = ctypes.c_void_p(-1).value
_MMAP: Final = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    use_errno=True,
)  # fmt: skip


class Faults:
    """What fails, and when. One at a time; all threads of the process are hit."""

    def __init__(self) -> None:
        self._lock = Lock()  # guards all below
        self._names: frozenset[str] = frozenset()
        self._error: type[apsw.Error] = apsw.IOError
        self._nth = 0
        self._for_good = False
        self._calls = Calls()

    @contextmanager
    def failing(
        self, *names: str, error: type[apsw.Error] = apsw.IOError, nth: int = 0, for_good: bool = False
    ) -> Iterator[Calls]:
        """The nth call of any of `names` raises `error`, and those after it if `for_good`; 0: none, only count."""
        with self._lock:
            self._names, self._error, self._nth, self._for_good = frozenset(names), error, nth, for_good
            calls = self._calls = Calls()
        try:
            yield calls
        finally:
            with self._lock:
                self._names = frozenset()

    def check(self, name: str) -> None:
        """A call is about to be made. Raises what it has to fail with."""
        with self._lock:
            if name not in self._names:
                return
            self._calls.made.append(name)
            count = len(self._calls.made)
            if not self._nth or not (count == self._nth or (self._for_good and count > self._nth)):
                return
            self._calls.failed.append(name)
            error = self._error
        raise error(f"{name} fails, as it was told to")


@contextmanager
def faulty_catalogs(faults: Faults | None = None) -> Iterator[Faults]:
    """Put the VFS under every connection that is opened meanwhile."""
    faults = faults or Faults()
    before = apsw.vfs_names()[0]
    vfs = _Vfs(faults, before)
    apsw.set_default_vfs(_NAME)
    try:
        with _mapping_through(faults, vfs):
            yield faults
    finally:
        apsw.set_default_vfs(before)
        vfs.unregister()


class _Vfs(apsw.VFS):
    def __init__(self, faults: Faults, base: str) -> None:
        self._faults = faults
        self._base = base
        super().__init__(_NAME, base)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        self._faults.check("xOpen")
        return _File(self._faults, self._base, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802
        self._faults.check("xDelete")
        super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(
        self, faults: Faults, base: str, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._faults = faults
        super().__init__(base, name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._faults.check("xRead")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._faults.check("xWrite")
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._faults.check("xTruncate")
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._faults.check("xSync")  # and that is all: nobody cuts the power here, and tests are many


@contextmanager
def _mapping_through(faults: Faults, vfs: apsw.VFS) -> Iterator[None]:
    real = _MMAP(vfs.xGetSystemCall("mmap") or 0)

    def mmap(*arguments: Any) -> int | None:
        try:
            faults.check("mmap")
        except apsw.Error:
            ctypes.set_errno(errno.ENOMEM)
            return _MAP_FAILED
        found: int | None = real(*arguments)
        return found

    kept = _MMAP(mmap)
    vfs.xSetSystemCall("mmap", ctypes.cast(kept, ctypes.c_void_p).value or 0)
    try:
        yield
    finally:
        vfs.xSetSystemCall("mmap", 0)  # the system's own again
