"""A store as the dictionary that Galaxy hands to its jobs: read again, in another process, it gives the same store.

Secrets that the configuration has as references (`env:`, `file:`) stay references; what stands in it in the clear
must be handed over in the clear, and a warning says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from dolium.config.convert import to_objects
from dolium.config.specs import (
    Credential,
    GalaxyAttributes,
    GalaxyDefaults,
    GroupSpec,
    LeafSpec,
    RuleSpec,
    StoresSpec,
)
from dolium.datasets.maps import badges_of

if TYPE_CHECKING:
    from dolium.datasets.tree import Tree

__all__ = ["Describer"]

_log: Final = logging.getLogger(__name__)


class Describer:
    """Of one configuration. `defaults`: the values of `galaxy.yml` that it was read with."""

    def __init__(self, defaults: GalaxyDefaults, rules: tuple[RuleSpec, ...] = ()) -> None:
        self._defaults = defaults
        self._rules = rules
        self._warned = False

    def leaf(self, spec: LeafSpec) -> dict[str, Any]:
        self._warn(spec)
        found = {
            **to_objects(StoresSpec(spec)),
            "id": spec.id,
            **self._place(spec.galaxy, cloud=spec.kind != "disk"),
        }
        if spec.kind == "disk":
            found["files_dir"] = str(spec.options["root"])
        return found

    def replicated(self, spec: GroupSpec) -> dict[str, Any]:
        found = {**to_objects(StoresSpec(spec)), **self._place(spec.galaxy, cloud=False)}
        found["backends"] = [
            {**self._as_child(before), **self.leaf(child.spec)}
            for before, child in zip(found["backends"], spec.children, strict=True)
            if isinstance(child.spec, LeafSpec)
        ]
        return found

    def _place(self, about: GalaxyAttributes, *, cloud: bool) -> dict[str, Any]:
        own = {one.type: str(one.path) for one in about.extra_dirs}
        return {
            **self._common(about.type_as_written),
            "private": about.private,
            "store_by": about.store_by,
            "name": about.name,
            "description": about.description,
            "quota": asdict(about.quota),
            "badges": badges_of(about, quotas=self._defaults.enable_quotas, cloud=cloud),
            "device": about.device,
            "object_expires_after_days": about.object_expires_after_days,
            "enable_direct_download": about.direct_download,
            "extra_dirs": [{"type": name, "path": path} for name, path in (self._extra_dirs() | own).items()],
        }

    def group(self, tree: Tree) -> dict[str, Any]:
        spec = tree.spec
        found = {
            **to_objects(StoresSpec(spec, self._rules)),
            **self._common(spec.kind),
        }
        found["extra_dirs"] = [{"type": name, "path": path} for name, path in self._extra_dirs().items()]
        if spec.kind == "hierarchical":
            found["private"] = spec.galaxy.private
        else:
            found["global_max_percent_full"] = spec.max_percent or 0
            found["search_for_missing"] = spec.search_for_missing
        written = found["backends"]
        found["backends"] = [
            {**self._as_child(before), **branch.store.to_dict(), "id": branch.id}
            for before, branch in zip(written, tree.branches, strict=True)
        ]
        for one, child in zip(found["backends"], spec.children, strict=True):
            one.pop("rules", None)
            if spec.kind == "distributed":
                one["weight"] = child.weight
                one["max_percent_full"] = child.max_percent or 0
        return found

    @staticmethod
    def _as_child(written: Mapping[str, Any]) -> dict[str, Any]:
        keys = ("max_percent_full", "max_bytes", "allow_selection", "state")
        return {key: written[key] for key in keys if key in written}

    def _common(self, kind: str) -> dict[str, Any]:
        defaults = self._defaults
        return {
            "type": kind,
            "config": {
                "object_store_check_old_style": defaults.check_old_style,
                "enable_quotas": defaults.enable_quotas,
                "file_path": str(defaults.file_path),
                "umask": defaults.umask,
                "jobs_directory": str(defaults.jobs_directory),
                "new_file_path": str(defaults.new_file_path),
                "object_store_cache_path": str(defaults.cache_path),
                "object_store_cache_size": defaults.cache_size,
                "gid": defaults.gid,
            },
        }

    def _extra_dirs(self) -> dict[str, str]:
        return {"job_work": str(self._defaults.jobs_directory), "temp": str(self._defaults.new_file_path)}

    def _warn(self, spec: LeafSpec) -> None:
        literal = sorted(_literals(spec.written))
        if literal and not self._warned:
            self._warned = True
            _log.warning(
                "%s: %s in the clear is handed to every job; write it as env:NAME or file:PATH",
                spec.id,
                ", ".join(literal),
            )


def _literals(written: Mapping[str, Any], of: str = "") -> list[str]:
    found = []
    for key, value in written.items():
        if isinstance(value, Mapping):
            found += _literals(value, f"{of}{key}.")
        elif isinstance(value, Credential) and not value.reference and not value.public:
            found.append(f"{of}{key}")
    return found
