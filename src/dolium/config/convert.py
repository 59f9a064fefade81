"""A `StoresSpec` as YAML in Galaxy's schema: reading it again gives an equal spec.

Defaults that come from `galaxy.yml` are not written down, so that they stay what they are there. Secrets are written
as they were: references as references, literal ones in the clear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from dolium.config.specs import (
    Badge,
    CacheDir,
    Child,
    Credential,
    ExtraDir,
    GroupSpec,
    LeafSpec,
    Quota,
    StoresSpec,
    When,
)

__all__ = ["to_objects", "to_yaml"]


def to_yaml(spec: StoresSpec) -> str:
    """The text of a file."""
    return yaml.safe_dump(to_objects(spec), sort_keys=False, allow_unicode=True, width=110)


def to_objects(spec: StoresSpec) -> dict[str, Any]:
    """What the YAML says, as dictionaries and lists. It has secrets in the clear where the spec has."""
    found = _store(spec.root)
    if spec.rules:
        found["rules"] = [
            {"when": _when(rule.when), "store": rule.store, **({} if rule.only else {"only": False})}
            for rule in spec.rules
        ]
    return found


def _store(spec: LeafSpec | GroupSpec, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    if isinstance(spec, LeafSpec):
        own = {"id": spec.id} if spec.named else {}
        written = {key: _plain(value) for key, value in spec.written.items() if key != "type"}
        return {"type": spec.written["type"], **own, **(extra or {}), **written}
    galaxy = spec.galaxy
    said = {
        "id": spec.id,
        **(extra or {}),
        "name": galaxy.name,
        "description": galaxy.description,
        "search_for_missing": None if spec.search_for_missing else False,
        "global_max_percent_full": spec.max_percent,
        "write_quorum": spec.write_quorum,
    }
    if spec.kind != "distributed":
        said["private"] = galaxy.private or None
        said["quota"] = None if galaxy.quota == Quota() else _plain(asdict(galaxy.quota))
    if spec.kind == "replicated":
        said |= {
            "store_by": None if galaxy.store_by == "id" else galaxy.store_by,
            "device": galaxy.device,
            "badges": _plain(galaxy.badges) or None,
            "object_expires_after_days": galaxy.object_expires_after_days,
            "enable_direct_download": galaxy.direct_download or None,
            "extra_dirs": _plain(galaxy.extra_dirs) or None,
        }
    said["backends"] = [_child(child, spec.kind) for child in spec.children]
    return {"type": spec.kind, **{key: value for key, value in said.items() if value is not None}}


def _child(child: Child, kind: str) -> dict[str, Any]:
    extra = {
        "weight": child.weight if kind == "distributed" else None,
        "max_percent_full": child.max_percent,
        "max_bytes": child.max_bytes,
        "allow_selection": child.allow_selection or None,
        "state": None if child.state == "online" else child.state,
    }
    return _store(child.spec, {key: value for key, value in extra.items() if value is not None})


def _plain(value: Any) -> Any:
    """As YAML has it, without what is not set."""
    if isinstance(value, Credential):
        if value.reference or value.value is None:
            return value.reference
        return value.value.reveal()
    if isinstance(value, Badge | CacheDir | ExtraDir):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _when(when: When) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("tenancy", "person", "group", "bucket", "prefix", "content_type", "storage_class"):
        values: tuple[str, ...] = getattr(when, name)
        if values:
            found[name] = values[0] if len(values) == 1 else list(values)
    bounds = [f">= {when.size_from}"] if when.size_from else []
    bounds += [] if when.size_below is None else [f"< {when.size_below}"]
    if bounds:
        found["size"] = bounds[0] if len(bounds) == 1 else bounds
    return found
