"""From a configuration of stores to an object store.

    build_object_store(file=Path("/srv/galaxy/config/object_store_conf.xml"))
    build_object_store({"type": "disk", "files_dir": "/data"})
    build_object_store(store.to_dict())

A file is looked at again before new data is placed, every ten seconds at most: weights, limits, states and stores that
were added count from then on; one that cannot be read leaves things as they are, and is told of in the log.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dolium.config.galaxy import ReadStores, handed_over, read_stores, read_stores_objects
from dolium.config.specs import GALAXY_DEFAULTS, GalaxyDefaults, StoresSpec
from dolium.datasets.building import Building
from dolium.datasets.group import GroupStore
from dolium.datasets.store import ObjectStore
from dolium.errors import ConfigError

__all__ = ["build_object_store"]

_log: Final = logging.getLogger(__name__)


def build_object_store(
    config: Mapping[str, Any] | StoresSpec | None = None,
    *,
    file: Path | None = None,
    defaults: GalaxyDefaults = GALAXY_DEFAULTS,
    environ: Mapping[str, str] | None = None,
    reload_seconds: float = 10.0,
) -> ObjectStore:
    """One of `config` and `file`. `defaults`: what `galaxy.yml` says; `environ`: for references, the process's own if
    not given. Raises ConfigError.
    """
    environ = os.environ if environ is None else environ
    if (config is None) == (file is None):
        raise ConfigError("an object store is built from a config or from a file, one of them")
    if isinstance(config, StoresSpec):
        return Building(defaults).store(config)
    if config is not None:
        read = read_stores_objects(config, environ, defaults=defaults)
        return Building(handed_over(config, defaults)).store(_told(read))
    assert file is not None
    marked = _mark(file)
    store = Building(defaults).store(_told(read_stores(file, environ, defaults=defaults)))
    if isinstance(store, GroupStore):
        store.watch = _Watch(store, file, marked, defaults, environ, reload_seconds)
    return store


def _told(read: ReadStores) -> StoresSpec:
    for notice in read.notices:
        _log.info("%s", notice)
    return read.spec


@dataclass(slots=True)
class _Watch:
    """Looks whether the file has changed, and lets the store become what it says."""

    store: GroupStore
    file: Path
    marked: tuple[int, int, int] | None
    defaults: GalaxyDefaults
    environ: Mapping[str, str]
    seconds: float
    looked: float = 0.0
    lock: threading.Lock = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.looked = time.monotonic()
        self.lock = threading.Lock()  # guards `looked` and `marked`

    def __call__(self, *, now: bool = False) -> bool:
        """Whether something has changed, and was taken up. `now`: however short ago it was looked at."""
        at = time.monotonic()
        if not now and at - self.looked < self.seconds:
            return False
        # Who must know waits for who is looking already.
        if not self.lock.acquire(blocking=now):
            return False
        try:
            self.looked = at
            marked = _mark(self.file)
            if marked is None or marked == self.marked:
                return False
            self.marked = marked
            return self._become()
        finally:
            self.lock.release()

    def _become(self) -> bool:
        try:
            spec = _told(read_stores(self.file, self.environ, defaults=self.defaults))
            building = Building(self.defaults, self.store.ever())
            tree = building.tree(spec)
            if tree is None:
                raise ConfigError(
                    "a group of stores cannot become a single one while it runs", file=str(self.file)
                )
        except ConfigError as error:
            _log.warning("the stores stay as they were: %s", error)
            return False
        building.settle()
        self.store.become(tree)
        _log.info("the stores are now as %s says", self.file)
        return True


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
