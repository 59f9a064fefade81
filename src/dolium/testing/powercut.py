"""A power cut: makes of a folder what its disk would have kept, if nothing is kept that was not synced.

    disk = Powercut(folder / "data", folder / "shadow", compile_library(folder))
    server = LiveServer(folder, environment=disk.environment)
    disk.settle()       # all that is there now is on the disk
    server.start()
    ...                 # requests, and what was answered to them
    server.kill()
    disk.cut()          # the strictest disk, or cut(Random(seed)): one that had begun to write more

`powercut.c` is preloaded into the server and notes each file and folder when it is synced. The strictest disk holds a
file as of its last fsync, empty if there was none, and the names in a folder as of the last fsync of that folder. A
torn one decides anew for every name and for every page of 4 KiB whether it is that, or what was written last: a file
system promises no order. It needs a C compiler, and folders that are not removed while the server runs.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path
from random import Random
from typing import Final, TypeVar

__all__ = ["NotNotedError", "Powercut", "compile_library"]

T = TypeVar("T")

_PAGE: Final = 4096
_SOURCE: Final = Path(__file__).with_name("powercut.c")

Names = dict[str, tuple[int, bool]]
"""Of a folder: name -> inode, and whether that is a folder."""


class NotNotedError(Exception):
    """The library could not note what was synced: nobody knows what the disk would have kept."""


def compile_library(folder: Path) -> Path:
    """Build what is preloaded; it may be shared by many. Raises OSError without a compiler, CalledProcessError."""
    folder.mkdir(parents=True, exist_ok=True)
    built = folder / "powercut.so"
    flags = ("-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror")
    subprocess.run(("cc", *flags, "-o", built, _SOURCE, "-ldl"), check=True)
    return built


class Powercut:
    """The disk under `data`. Not to be asked while anybody serves or changes that."""

    def __init__(self, data: Path, shadow: Path, library: Path) -> None:
        """`shadow`: a folder on the same file system, not in `data`; it is this object's own."""
        self.data = data.parent.resolve() / data.name
        self._shadow = shadow.resolve()
        self._note = ctypes.CDLL(str(library)).powercut_note
        self._note.argtypes = (ctypes.c_char_p, ctypes.c_int)
        self.environment = {
            "LD_PRELOAD": str(library.resolve()),
            "DOLIUM_POWERCUT_WATCHED": str(self.data),
            "DOLIUM_POWERCUT_SHADOW": str(self._shadow),
        }

    def settle(self) -> None:
        """From here on everything that is there now is on the disk."""
        shutil.rmtree(self._shadow, ignore_errors=True)
        self._shadow.mkdir(parents=True)
        self._settle(self.data.parent)
        for folder, _, names in os.walk(self.data):
            self._settle(Path(folder))
            for name in names:
                self._settle(Path(folder, name))
        self._require_noted()

    def _settle(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._note(os.fsencode(self._shadow), descriptor)
        finally:
            os.close(descriptor)

    def _require_noted(self) -> None:
        failed = self._shadow / "failed"
        if failed.exists():
            raise NotNotedError(failed.read_text())

    def cut(self, torn: Random | None = None) -> None:
        """Put in the place of `data` what a power cut leaves of it. Raises NotNotedError."""
        built = self.data.with_name(f"{self.data.name}.built")
        self.build(built, torn)
        shutil.rmtree(self.data, ignore_errors=True)
        if built.exists():
            built.rename(self.data)

    def build(self, into: Path, torn: Random | None = None) -> None:
        """As `cut`, in another place; nothing is there if the disk does not know the folder itself."""
        self._require_noted()
        disk = _Disk(self._shadow, self.data, torn)
        inode, _ = disk.names(self.data.parent.stat().st_ino).get(self.data.name, (0, True))
        if inode:
            disk.build_folder(inode, into)
            _boot(into / "catalog.shared")


def _boot(shared: Path) -> None:
    """The machine that starts again is not the boot that the file was written in."""
    if shared.exists() and any(shared.read_bytes()[:16]):
        with shared.open("r+b") as file:
            file.write(os.urandom(16))


class _Disk:
    """Reads the shadow, and beside it the folder as it was when the power went."""

    def __init__(self, shadow: Path, data: Path, torn: Random | None) -> None:
        self._shadow = shadow
        self._torn = torn
        self._last = {path.stat().st_ino: path for path in (data.parent, data) if path.exists()}
        for folder, folders, files in os.walk(data):
            paths = (Path(folder, name) for name in folders + files)
            self._last.update((path.stat().st_ino, path) for path in paths)

    def names(self, inode: int) -> Names:
        """The entries of a folder."""
        noted = self._noted_names(inode)
        if self._torn is None:
            return noted
        last = self._last_names(inode)
        chosen = ((name, self._choose(noted.get(name), last.get(name))) for name in sorted(noted | last))
        return {name: entry for name, entry in chosen if entry is not None}

    def _noted_names(self, inode: int) -> Names:
        noted = self._shadow / f"{inode}.names"
        entries = os.fsdecode(noted.read_bytes()).split("\0")[:-1] if noted.exists() else []
        fields = (entry.split(" ", 2) for entry in entries)
        return {name: (int(child), kind == "d") for child, kind, name in fields}

    def _last_names(self, inode: int) -> Names:
        folder = self._last.get(inode)
        if folder is None:
            return {}
        return {entry.name: (entry.inode(), entry.is_dir()) for entry in os.scandir(folder)}

    def _choose(self, noted: T, last: T) -> T:
        return noted if self._torn is None else self._torn.choice((noted, last))

    def build_folder(self, inode: int, into: Path) -> None:
        into.mkdir()
        if inode in self._last:
            shutil.copymode(self._last[inode], into)
        for name, (child, is_folder) in self.names(inode).items():
            (self.build_folder if is_folder else self._build_file)(child, into / name)

    def _build_file(self, inode: int, into: Path) -> None:
        noted, last = self._shadow / f"{inode}.bytes", self._last.get(inode, self._shadow / f"{inode}.link")
        old = noted.read_bytes() if noted.exists() else b""
        into.write_bytes(old if self._torn is None else self._tear(old, last.read_bytes(), self._torn))
        shutil.copymode(last, into)
        described = self._choose(noted, last)
        if described.exists():
            shutil.copystat(described, into)  # the extended attributes too

    def _tear(self, old: bytes, new: bytes, torn: Random) -> bytes:
        size = len(torn.choice((old, new)))
        pages = (torn.choice((old, new))[at : at + _PAGE].ljust(_PAGE, b"\0") for at in range(0, size, _PAGE))
        return b"".join(pages)[:size]
