"""What Galaxy asks of all stores at once: which quota, which device an id belongs to, and the badges of a store.

The classes answer to Galaxy's method names. An id that is not known has the defaults of the whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from dolium.config.specs import Badge, GalaxyAttributes, Quota

__all__ = ["DeviceSourceMap", "QuotaSourceInfo", "QuotaSourceMap", "StoreModel", "badges_of", "is_users_own"]

_USERS_OWN: Final = "user_objects://"


def is_users_own(store_id: str | None) -> bool:
    """An id of a store that a person of Galaxy brings along."""
    return store_id is not None and store_id.startswith(_USERS_OWN)


class QuotaSourceInfo(NamedTuple):
    """`label` None: the person's own quota; not `use`: nothing is counted."""

    label: str | None
    use: bool


class QuotaSourceMap:
    """`stores`: the quota of each id; `whole`: of all else."""

    def __init__(self, whole: Quota, stores: Iterable[tuple[str, Quota]] = ()) -> None:
        self.default_quota_source = whole.source
        self.default_quota_enabled = whole.enabled
        self.info = QuotaSourceInfo(whole.source, whole.enabled)
        self.user_defined_source_info = QuotaSourceInfo(None, use=False)
        self.backends = {store_id: QuotaSourceMap(quota) for store_id, quota in stores}

    def get_quota_source_info(self, object_store_id: str | None) -> QuotaSourceInfo:
        if object_store_id in self.backends:
            return self.backends[object_store_id].info
        return self.user_defined_source_info if is_users_own(object_store_id) else self.info

    def get_quota_source_label(self, object_store_id: str | None) -> str | None:
        return self.get_quota_source_info(object_store_id).label

    def get_quota_source_labels(self) -> set[str]:
        every = (self, *self.backends.values())
        return {one.default_quota_source for one in every if one.default_quota_source}

    def default_usage_excluded_ids(self) -> list[str]:
        """Of stores whose data does not count for the person's own quota."""
        return [
            store_id
            for store_id, one in self.backends.items()
            if one.default_quota_source is not None or not one.default_quota_enabled
        ]

    def get_id_to_source_pairs(
        self,
        include_default_quota_source: bool = False,  # noqa: FBT001, FBT002 - Galaxy's signature
    ) -> list[tuple[str, str | None]]:
        return [
            (store_id, one.default_quota_source)
            for store_id, one in self.backends.items()
            if one.default_quota_enabled
            and (one.default_quota_source is not None or include_default_quota_source)
        ]

    def ids_per_quota_source(
        self,
        include_default_quota_source: bool = False,  # noqa: FBT001, FBT002 - Galaxy's signature
    ) -> dict[str | None, list[str]]:
        found: dict[str | None, list[str]] = {}
        for store_id, label in self.get_id_to_source_pairs(include_default_quota_source):
            found.setdefault(label, []).append(store_id)
        return found


class DeviceSourceMap:
    """Between stores of one device, a dataset may change its label without a move of bytes."""

    def __init__(self, whole: str | None = None, stores: Iterable[tuple[str, str | None]] = ()) -> None:
        self.default_device_id = whole
        self.backends = {store_id: DeviceSourceMap(device) for store_id, device in stores}

    def get_device_id(self, object_store_id: str | None) -> str | None:
        if object_store_id in self.backends:
            return self.backends[object_store_id].default_device_id
        return object_store_id if is_users_own(object_store_id) else self.default_device_id


@dataclass(frozen=True, slots=True)
class StoreModel:
    """What people are told of a store."""

    object_store_id: str | None
    private: bool
    name: str | None
    description: str | None
    quota: Quota
    badges: list[dict[str, Any]] = field(default_factory=list)
    device: str | None = None
    object_expires_after_days: int | None = None
    enable_direct_download: bool = False


def badges_of(about: GalaxyAttributes, *, quotas: bool, cloud: bool) -> list[dict[str, Any]]:
    """The administrator's, and Galaxy's own behind them, in Galaxy's order. `quotas`: Galaxy counts at all."""
    own = ["quota" if quotas and about.quota.enabled else "no_quota"]
    own += ["restricted"] if about.private else []
    own += ["cloud"] if cloud else []
    said = [_badge(one, "admin") for one in about.badges]
    return said + [_badge(Badge(one), "galaxy") for one in own]


def _badge(badge: Badge, source: str) -> dict[str, Any]:
    return {"source": source, "type": badge.type, "message": badge.message}
