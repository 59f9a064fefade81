"""A server whose disks fail when they are told to: the real program, with the calls of its disk leaf and of its catalog
watched.

    faults = LiveFaults(folder)
    with LiveServer(folder, program=faults.program, environment=faults.environment) as server:
        with faults.failing("fsync", code=errno.EIO):
            ...                                        # all its processes fail there
        with faults.failing("xWrite", code=errno.ENOSPC):
            ...                                        # in the catalog
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from dolium.stores.leaves import syscalls
from dolium.testing.catalog_faults import CATALOG_CALLS, Faults, faulty_catalogs

__all__ = ["LiveFaults"]

_VARIABLE = "DOLIUM_TEST_FAULTS"


class LiveFaults:
    """The file in which orders to fail are given. One order at a time."""

    program = (sys.executable, "-m", __name__)

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._order = folder / "faults.json"
        self.environment = {_VARIABLE: str(self._order)}

    @contextmanager
    def failing(self, *names: str, code: int) -> Iterator[None]:
        """Every call of these fails with `code`: names of `syscalls`, or of `catalog_faults`."""
        written = self._order.with_name("next")
        written.write_text(json.dumps({"names": names, "code": code}))
        written.rename(self._order)
        try:
            yield
        finally:
            self._order.unlink()


def _ordered(path: str, name: str) -> int:
    """The code with which a call is to fail; 0: it is not."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - many times a request
            order = json.load(file)
    except FileNotFoundError:
        return 0
    return int(order["code"]) if name in order["names"] else 0


class _Catalogs(Faults):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def check(self, name: str) -> None:
        code = _ordered(self._path, name)
        if code:
            raise (apsw.FullError if code == errno.ENOSPC else apsw.IOError)(os.strerror(code))


def _watch(path: str, name: str) -> None:
    real: Callable[..., Any] = getattr(syscalls, name)

    def call(*arguments: Any, **options: Any) -> Any:
        code = _ordered(path, name)
        if code:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    setattr(syscalls, name, call)


def _main() -> int:
    path = os.environ[_VARIABLE]
    for name in set(syscalls.__all__) - {"close"} - set(CATALOG_CALLS):
        _watch(path, name)
    from dolium.cli.main import main  # noqa: PLC0415 - after the calls have been watched

    with faulty_catalogs(_Catalogs(path)):
        return main()


if __name__ == "__main__":
    sys.exit(_main())
