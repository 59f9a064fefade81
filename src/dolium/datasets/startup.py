"""Puts our store in Galaxy's place as soon as a process imports `galaxy.objectstore`, and costs nothing until then.

`dolium galaxy run -- COMMAND` puts `hook/` in front of PYTHONPATH, whose `sitecustomize` calls `install`. Python runs
that at its start in every child process too, so that the jobs which build the store again get ours. Only the
standard library is needed here.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["HOOK", "install", "next_sitecustomize"]

HOOK: Final = Path(__file__).parent / "hook"
_TARGET: Final = "galaxy.objectstore"


class _Loader(importlib.abc.Loader):
    """Galaxy's own loader, and then our part."""

    def __init__(self, inner: importlib.abc.Loader) -> None:
        self._inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        from dolium.datasets.galaxy import take_place  # noqa: PLC0415 - it imports Galaxy, which is there by now

        take_place(module)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _TARGET:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if found is not None and found.loader is not None:
            found.loader = _Loader(found.loader)
        return found


def install() -> None:
    """Once in a process is enough; twice does nothing more."""
    if not any(isinstance(one, _Finder) for one in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def next_sitecustomize() -> None:
    """Run the `sitecustomize` that ours stands in front of, if there is one."""
    rest = [one for one in sys.path if Path(one or ".").resolve() != HOOK.resolve()]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if found is not None and found.loader is not None:
        module = importlib.util.module_from_spec(found)
        sys.modules["sitecustomize"] = module
        found.loader.exec_module(module)
