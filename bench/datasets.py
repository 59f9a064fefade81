"""Galaxy's object store and ours, call by call, on the same disk: microseconds per call, the best of several rounds.

    python -m bench.datasets

The rows are Galaxy's own way of use: one store on a disk, a hierarchy of ten, a distributed store of two. Writes of ours
are measured relaxed, as Galaxy's are, and strict.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dolium.config.specs import GalaxyDefaults
from dolium.datasets.entry import build_object_store
from galaxy import objectstore

__all__ = ["main", "measure"]

_ids = itertools.count(10_000_000)
Config = dict[str, Any]


def _dataset(number: int, store_id: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(id=number, uuid=None, object_store_id=store_id)


def _disk(folder: Path, name: str, **more: Any) -> Config:
    return {"type": "disk", "id": name, "files_dir": f"{folder}/{name}", **more}


def _galaxys(folder: Path, config: Config) -> Any:
    said = SimpleNamespace(
        file_path=str(folder), new_file_path=str(folder), jobs_directory=str(folder), umask=0o22, gid=-1,
        object_store_check_old_style=False, enable_quotas=False, object_store_store_by="id",
        object_store_cache_path="", object_store_cache_size=-1,
    )  # fmt: skip
    return objectstore.build_object_store_from_config(said, config_dict=config)


def _ours(folder: Path, config: Config, durability: str) -> Any:
    def durable(one: Config) -> Config:
        return {**one, "durability": durability} if one["type"] == "disk" else one

    said = durable(config)
    if "backends" in said:
        said = {**said, "backends": [durable(one) for one in said["backends"]]}
    defaults = GalaxyDefaults(file_path=folder, new_file_path=folder, jobs_directory=folder, umask=0o22)
    return build_object_store(said, defaults=defaults)


def _best(call: Callable[[], object], rounds: int, calls: int) -> float:
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - begin) / calls)
    return min(times) * 1e6


def _rows(folder: Path, kind: str, build: Callable[[Path, Config], Any]) -> dict[str, Callable[[], object]]:
    """What is measured of one side, by the name of its row."""
    home = folder / kind
    one = build(home, _disk(home, "one"))
    ten = build(home, {"type": "hierarchical", "backends": [_disk(home, f"t{at}") for at in range(10)]})
    two = build(
        home, {"type": "distributed", "backends": [_disk(home, name, weight=1) for name in ("one", "d2")]}
    )
    for place in ("one", "t9"):
        file = home / place / "123/dataset_123456.dat"
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent.parent / "000/123").mkdir(parents=True, exist_ok=True)
        (file.parent.parent / "000/123/dataset_123456.dat").write_bytes(b"x" * 4096)
    for at in range(10):
        (home / f"t{at}").mkdir(exist_ok=True)
    (home / "d2").mkdir(exist_ok=True)
    source = home / "source"
    source.write_bytes(b"y" * 4096)
    here = _dataset(123456)
    one.exists(here)
    known = _dataset(123456, "t9")
    lost = _dataset(999999)

    def create_and_delete() -> None:
        fresh = _dataset(next(_ids))
        one.create(fresh)
        one.delete(fresh)

    return {
        "construct_path": lambda: one.construct_path(here),
        "exists": lambda: one.exists(here),
        "get_filename": lambda: one.get_filename(here),
        "size of 4 KiB": lambda: one.size(here),
        "get_data of 4 KiB": lambda: one.get_data(here),
        "create": lambda: one.create(_dataset(next(_ids))),
        "create and delete": create_and_delete,
        "update_from_file, 4 KiB": lambda: one.update_from_file(here, file_name=str(source)),
        "hierarchy of ten, in the last": lambda: ten.exists(known),
        "hierarchy of ten, in the last, id not known": lambda: ten.exists(_dataset(123456)),
        "distributed, by id": lambda: two.exists(_dataset(123456, "one")),
        "distributed, absent, no id": lambda: two.exists(lost),
    }


def measure(folder: Path, *, rounds: int = 7, calls: int = 400) -> dict[str, dict[str, float]]:
    """Row -> side -> microseconds per call."""
    sides: dict[str, Callable[[Path, Config], Any]] = {
        "Galaxy": _galaxys,
        "dolium relaxed": lambda home, config: _ours(home, config, "relaxed"),
        "dolium strict": lambda home, config: _ours(home, config, "strict"),
    }
    built = {name: _rows(folder, name.replace(" ", "-"), build) for name, build in sides.items()}
    found: dict[str, dict[str, float]] = {}
    for row in built["Galaxy"]:  # side by side, so that a noisy moment hits all
        found[row] = {name: _best(rows[row], rounds, calls) for name, rows in built.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Galaxy's object store and ours, call by call.")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; a temporary one if not given")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=400)
    arguments = parser.parse_args()
    logging.getLogger("galaxy").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        found = measure(Path(folder), rounds=arguments.rounds, calls=arguments.calls)
    sides = list(next(iter(found.values())))
    print(f"| µs per call | {' | '.join(sides)} |")
    print(f"| --- |{' ---: |' * len(sides)}")
    for row, times in found.items():
        print(f"| {row} | {' | '.join(f'{times[side]:.1f}' for side in sides)} |")


if __name__ == "__main__":
    main()
