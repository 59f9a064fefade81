"""Puts our store in Galaxy's place as soon as a process imports `galaxy.objectstore`, and costs nothing until then.

`dolium galaxy run -- COMMAND` puts `hook/` in front of PYTHONPATH, whose `sitecustomize` calls `install`. Python runs
that at its start in every child process too, so that the jobs which build the store again get ours. Those whose
environment is made anew, as the local runner and most clusters do, get it by their script: Galaxy writes one for every
job, and ours puts the folder there too. Only the standard library is needed here.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

__all__ = ["HOOK", "install"]

HOOK: Final = Path(__file__).parent / "hook"


def _take_place(module: ModuleType) -> None:
    from dolium.datasets.galaxy import take_place  # noqa: PLC0415 - it imports Galaxy, which is there by now

    take_place(module)


def _tell_jobs(module: ModuleType) -> None:
    """Let the scripts of jobs put our folder in front of PYTHONPATH, once."""
    theirs = module.job_script
    folder = shlex.quote(str(HOOK))
    ours = f'case ":$PYTHONPATH:" in *:{folder}:*) ;; *) export PYTHONPATH={folder}${{PYTHONPATH:+:$PYTHONPATH}} ;; esac'

    @functools.wraps(theirs)
    def job_script(*args: Any, **kwargs: Any) -> Any:
        kwargs["env_setup_commands"] = [*(kwargs.get("env_setup_commands") or ()), ours]
        return theirs(*args, **kwargs)

    module.job_script = job_script  # type: ignore[attr-defined]


_AFTER: Final[Mapping[str, Callable[[ModuleType], None]]] = {
    "galaxy.objectstore": _take_place,
    "galaxy.jobs.runners.util.job_script": _tell_jobs,
}


class _Loader(importlib.abc.Loader):
    """Galaxy's own loader, and then our part."""

    def __init__(self, inner: importlib.abc.Loader, after: Callable[[ModuleType], None]) -> None:
        self._inner = inner
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(
            self._inner, name
        )  # what else is asked of a loader, such as for the files of its package

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        self._after(module)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        after = _AFTER.get(fullname)
        if after is None:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if found is not None and found.loader is not None:
            found.loader = _Loader(found.loader, after)
        return found


def install() -> None:
    """Once in a process is enough; twice does nothing more."""
    if not any(isinstance(one, _Finder) for one in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
