"""Datasets and stores for tests of the library."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from dolium.config.specs import GalaxyDefaults
from dolium.datasets.entry import build_object_store
from dolium.datasets.store import ObjectStore


@dataclass
class Dataset:
    id: int
    object_store_id: str | None = None
    uuid: UUID = field(default_factory=uuid4)


def defaults(folder: Path, **changes: Any) -> GalaxyDefaults:
    said: dict[str, Any] = {
        "file_path": folder / "files",
        "new_file_path": folder / "tmp",
        "jobs_directory": folder / "jobs",
        "cache_path": folder / "cache",
        "umask": 0o22,
    }
    return GalaxyDefaults(**(said | changes))


def disk(folder: Path, store_id: str, **more: Any) -> dict[str, Any]:
    root = str(folder / store_id)
    return {"id": store_id, "type": "disk", "durability": "relaxed", "files_dir": root, **more}


def group(kind: str, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    weights = {"weight": 1} if kind == "distributed" else {}
    return {"type": kind, "backends": [{**weights, **child} for child in children], **more}


def build(folder: Path, config: dict[str, Any], **changes: Any) -> ObjectStore:
    return build_object_store(config, defaults=defaults(folder, **changes))


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)
