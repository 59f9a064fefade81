"""Our store where an unmodified Galaxy asks for its own: `galaxy.objectstore.build_object_store_from_config`.

The only file that imports Galaxy (extra `dolium[galaxy]`). `take_place` exchanges the functions of that module that
build stores; what they give are Galaxy's classes by type, with our store behind every method, and Galaxy's exceptions:

    DatasetNotFound                     ObjectNotFound
    DatasetInvalid, Conflict            ObjectInvalid
    StoreFull, StoreReadOnly            ObjectInvalid, which Galaxy shows as a full storage location
    StoreUnavailable                    StorageUnavailable, a 503: never "not found"

Stores that people bring along (`user_objects://…`) are resolved by Galaxy, and built by us.
"""

from __future__ import annotations

import functools
import inspect
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from xml.etree import ElementTree as ET

from galaxy.exceptions import ConfigDoesNotAllowException, MessageException, ObjectInvalid, ObjectNotFound
from galaxy.objectstore.caching import CacheTarget

from dolium.config.specs import GALAXY_DEFAULTS, GalaxyDefaults, LeafSpec
from dolium.datasets.concrete import ConcreteStore
from dolium.datasets.entry import build_object_store
from dolium.datasets.group import GroupStore
from dolium.datasets.maps import is_users_own
from dolium.datasets.placing import acting_for
from dolium.datasets.store import ObjectStore
from dolium.datasets.streams import DataStream
from dolium.errors import (
    ConfigError,
    Conflict,
    DatasetInvalid,
    DatasetNotFound,
    DoliumError,
    StoreFull,
    StoreReadOnly,
)
from galaxy import objectstore

__all__ = ["StorageUnavailable", "build_object_store_from_config", "take_place"]


class StorageUnavailable(MessageException):
    """A store is down: nothing is known of the dataset."""

    status_code = 503


_OBJECT_METHODS: Final = (
    "exists", "construct_path", "create", "empty", "size", "delete", "get_data", "get_filename",
    "update_from_file", "get_object_url", "get_direct_download_url", "get_data_stream", "get_concrete_store_name", "get_concrete_store_description_markdown",
    "get_concrete_store_badges", "get_store_by", "is_private",
)  # fmt: skip
_WHOLE_METHODS: Final = (
    "object_store_ids", "object_store_allows_id_selection", "object_store_ids_allowing_selection",
    "validate_selected_object_store_id", "get_store_usage_percent", "get_quota_source_map",
    "get_device_source_map",
)  # fmt: skip


def _galaxys(error: DoliumError) -> Exception:
    match error:
        case DatasetNotFound():
            return ObjectNotFound(error.message)
        case DatasetInvalid() | Conflict() | StoreFull() | StoreReadOnly():
            return ObjectInvalid(error.message)
        case ConfigError():
            return error
    return StorageUnavailable(error.message)


class _Stream(Iterator[bytes]):
    """What breaks in the middle is Galaxy's exception too."""

    def __init__(self, stream: DataStream) -> None:
        self._stream = stream
        self.close = stream.close

    def __next__(self) -> bytes:
        try:
            return next(self._stream)
        except DoliumError as error:
            raise _galaxys(error) from error


class _Adapter:
    """What the three classes below share."""

    ours: ObjectStore
    resolver: Any = None
    _user_object_store_cache: Any = None

    def __init__(self, ours: ObjectStore, config: Any) -> None:
        self.ours = ours
        self.config = config
        self.running = True
        self.store_type = ours.store_type
        self._wrapped: dict[int, tuple[ObjectStore, Any]] = {}
        self.extra_dirs = {one["type"]: one["path"] for one in self.to_dict()["extra_dirs"]}

    def _own(self, obj: Any) -> Any:
        """The store of a person that the object lies in; None if it lies in one of the configuration."""
        uri = getattr(obj, "object_store_id", None)
        if not is_users_own(uri) or self._user_object_store_cache is None:
            return None
        known = self.ours.get_concrete_store_by_object_store_id(str(uri)) is not None
        return None if known else self._user_object_store_cache.get(uri)

    def _as_galaxys(self, store: ObjectStore) -> Any:
        if store is self.ours:
            return self
        found = self._wrapped.get(id(store))
        if found is None:
            found = self._wrapped[id(store)] = (store, _adapted(store, self.config))
        return found[1]

    def to_dict(self) -> dict[str, Any]:
        return self.ours.to_dict()

    def to_model(self, object_store_id: str | None) -> Any:
        model = asdict(self.ours.to_model(object_store_id))
        quota = objectstore.QuotaModel(**model.pop("quota"))
        known = objectstore.ConcreteObjectStoreModel.model_fields  # those of this Galaxy
        said = {name: value for name, value in model.items() if name in known}
        return objectstore.ConcreteObjectStoreModel(quota=quota, **said)

    def get_concrete_store_by_object_store_id(self, object_store_id: str) -> Any:
        found = self.ours.get_concrete_store_by_object_store_id(object_store_id)
        return None if found is None else self._as_galaxys(found)

    def cache_targets(self) -> list[Any]:
        return [_cache_target(target) for target in self.ours.cache_targets()]

    def start(self) -> None:
        self.ours.start()

    def shutdown(self) -> None:
        self.running = False
        if self._user_object_store_cache is not None:
            self._user_object_store_cache.shutdown()
        self.ours.shutdown()

    def soft_shutdown(self) -> None:
        self.ours.soft_shutdown()


def _of_an_object(name: str) -> Callable[..., Any]:
    method = getattr(ObjectStore, name)

    @functools.wraps(method)
    def call(self: _Adapter, obj: Any, *args: Any, auth: Any = None, **kwargs: Any) -> Any:
        """`auth`: who asks, which newer versions of Galaxy say; no store of ours takes a person's credentials."""
        own = self._own(obj) if self._user_object_store_cache is not None else None
        if own is not None:
            more = {} if auth is None else {"auth": auth}
            return getattr(own, name)(obj, *args, **kwargs, **more)
        try:
            found = getattr(self.ours, name)(obj, *args, **kwargs)
        except DoliumError as error:
            raise _galaxys(error) from error
        if isinstance(found, DataStream):
            return _Stream(found)
        return self._as_galaxys(found) if name == "create" else found

    return call


def _of_all(name: str) -> Callable[..., Any]:
    method = getattr(ObjectStore, name)

    @functools.wraps(method)
    def call(self: _Adapter, *args: Any, **kwargs: Any) -> Any:
        try:
            return getattr(self.ours, name)(*args, **kwargs)
        except DoliumError as error:
            raise _galaxys(error) from error

    return call


def _get_data(self: _Adapter, obj: Any, start: int = 0, count: int = -1, **where: Any) -> str:
    """Text, as Galaxy has it: `start` in bytes, `count` in characters. Bytes that are no UTF-8 come as lone surrogates
    (`surrogateescape`) where Galaxy fails.
    """
    own = self._own(obj)
    if own is not None:
        return str(own.get_data(obj, start=start, count=count, **where))
    try:
        # No character has more than four bytes, and a line end two.
        most = -1 if count < 0 else count * 4 + 4
        data = self.ours.get_data(obj, start=start, count=most, **where)
    except DoliumError as error:
        raise _galaxys(error) from error
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="surrogateescape").read()
    return text if count < 0 else text[:count]


for _name in _OBJECT_METHODS:
    setattr(_Adapter, _name, _of_an_object(_name))
for _name in _WHOLE_METHODS:
    setattr(_Adapter, _name, _of_all(_name))
_Adapter.get_data = _get_data  # type: ignore[attr-defined]


class ConcreteAdapter(_Adapter, objectstore.ConcreteObjectStore):
    """A store without children, with the attributes that Galaxy reads of one."""

    ours: ConcreteStore

    def __init__(self, ours: ConcreteStore, config: Any) -> None:
        _Adapter.__init__(self, ours, config)
        about = ours.about
        self.store_by = ours.store_by
        self.name, self.description = about.name, about.description
        self.private = about.private
        self.quota_source, self.quota_enabled = about.quota.source, about.quota.enabled
        self.device_id = about.device
        self.object_expires_after_days = about.object_expires_after_days
        self.enable_direct_download = about.direct_download
        self.badges = [{"type": one.type, "message": one.message} for one in about.badges]  # type: ignore[typeddict-item]
        if isinstance(ours.spec, LeafSpec) and ours.spec.kind == "disk":
            self.file_path = str(ours.spec.options["root"])

    @property
    def cache_target(self) -> Any:
        """The first of several; `cache_targets` has all."""
        return next(iter(self.cache_targets()), None)


class _GroupAdapter(_Adapter):
    ours: GroupStore

    @property
    def backends(self) -> dict[Any, Any]:
        return {name: self._as_galaxys(store) for name, store in self.ours.backends.items()}

    @property
    def private(self) -> bool:
        return self.ours.private

    def start(self) -> None:
        for backend in self.backends.values():
            backend.start()


class HierarchicalAdapter(_GroupAdapter, objectstore.HierarchicalObjectStore):  # type: ignore[override]  # `backends`
    """Its `object_store_id` is set and honoured too."""


class DistributedAdapter(_GroupAdapter, objectstore.DistributedObjectStore):  # type: ignore[override]  # `backends`
    """`resolver`: Galaxy's, of the stores that people bring along."""

    def __init__(self, ours: GroupStore, config: Any, resolver: Any = None) -> None:
        _Adapter.__init__(self, ours, config)
        self.user_object_store_resolver = resolver
        self._user_object_store_cache = objectstore.UserObjectStoreCache(resolver) if resolver else None
        ours.users_own = resolver is not None

    def to_dict(self, object_store_uris: set[str] | None = None) -> dict[str, Any]:
        found = self.ours.to_dict()
        for uri in sorted(object_store_uris or ()):
            if not self.user_object_store_resolver:
                raise ConfigDoesNotAllowException
            spec = self.user_object_store_resolver.resolve_object_store_uri_config(uri)
            found["backends"].append(objectstore.user_object_store_configuration_to_config_dict(spec, uri))
        return found

    def _resolve_backend(self, object_store_id: str) -> Any:
        known = self.get_concrete_store_by_object_store_id(object_store_id)
        if known is not None:
            return known
        if is_users_own(object_store_id) and self._user_object_store_cache is not None:
            return self._user_object_store_cache.get(object_store_id)
        raise KeyError(object_store_id)


def _cache_target(target: tuple[str, float, float]) -> CacheTarget:
    folder, gigabytes, share = target
    return CacheTarget(folder, gigabytes, share)  # type: ignore[arg-type]  # a fraction will do as well


def _adapted(store: ObjectStore, config: Any, resolver: Any = None) -> Any:
    if isinstance(store, ConcreteStore):
        return ConcreteAdapter(store, config)
    assert isinstance(store, GroupStore)
    if store.spec.kind == "hierarchical":
        return HierarchicalAdapter(store, config)
    return DistributedAdapter(store, config, resolver)


def _defaults(config: Any) -> GalaxyDefaults:
    """Of Galaxy's configuration object, which need not have everything."""
    names = {
        "file_path": "file_path", "new_file_path": "new_file_path", "jobs_directory": "jobs_directory",
        "cache_path": "object_store_cache_path", "cache_size": "object_store_cache_size",
        "cache_monitor_driver": "object_store_cache_monitor_driver",
        "cache_monitor_interval": "object_store_cache_monitor_interval",
        "store_by": "object_store_store_by", "check_old_style": "object_store_check_old_style",
        "enable_quotas": "enable_quotas", "umask": "umask", "gid": "gid",
    }  # fmt: skip
    said: dict[str, Any] = {}
    for own, name in names.items():
        value = getattr(config, name, None)
        if value is not None:
            said[own] = Path(value) if isinstance(getattr(GALAXY_DEFAULTS, own), Path) else value
    return GalaxyDefaults(**said)


def build_object_store_from_config(
    config: Any,
    fsmon: bool = False,  # noqa: ARG001, FBT001, FBT002 - Galaxy's signature; fullness is always looked at
    config_xml: Any = None,
    config_dict: Mapping[str, Any] | None = None,
    disable_process_management: bool = False,  # noqa: ARG001, FBT001, FBT002 - as above; there are no threads
    user_object_store_resolver: Any = None,
) -> Any:
    """Galaxy's function: from its file, its inline option, its bare `object_store`, or what `to_dict` gave."""
    if config is None:
        if config_dict is None or "config" not in config_dict:
            raise ConfigError("a store is built from Galaxy's configuration, or from what to_dict gave")
        config = SimpleNamespace(**config_dict["config"])
    defaults = _defaults(config)
    if config_xml is not None:
        return _from_xml(config_xml, config, defaults, user_object_store_resolver)
    file = str(getattr(config, "object_store_config_file", None) or "")
    if config_dict is None and os.path.exists(file):  # noqa: PTH110 - may be empty
        store = build_object_store(file=Path(file), defaults=defaults)
    else:
        said = config_dict if config_dict is not None else getattr(config, "object_store_config", None)
        kind = getattr(config, "object_store", None) or "disk"
        if not said and kind == "distributed":
            legacy = Path(config.distributed_object_store_config_file)
            store = build_object_store(file=legacy, defaults=defaults)
        else:
            store = build_object_store(said or {"type": kind}, defaults=defaults)
    return _adapted(store, config, user_object_store_resolver)


def _from_xml(element: Any, config: Any, defaults: GalaxyDefaults, resolver: Any) -> Any:
    with tempfile.NamedTemporaryFile(suffix=".xml") as file:
        file.write(ET.tostring(element))
        file.flush()
        store = build_object_store(file=Path(file.name), defaults=defaults)
    if isinstance(store, GroupStore):
        store.watch = None  # the file is gone
    return _adapted(store, config, resolver)


def _concrete_object_store(object_store_configuration: Any, app_config: Any) -> Any:
    """Galaxy's function for the stores that people bring along: by uuid, and counted for no quota."""
    defaults = {**app_config.model_dump(), "object_store_store_by": "uuid", "enable_quotas": False}
    config = SimpleNamespace(
        **defaults, object_store_check_old_style=False, file_path=app_config.new_file_path
    )
    said = {key: value for key, value in object_store_configuration.model_dump().items() if value is not None}
    return build_object_store_from_config(config, config_dict=said)


def take_place(module: ModuleType) -> None:
    """Let `galaxy.objectstore` build ours from now on."""
    module.build_object_store_from_config = build_object_store_from_config  # type: ignore[attr-defined]
    module.concrete_object_store = _concrete_object_store  # type: ignore[attr-defined]
    populator = module.ObjectStorePopulator
    theirs = inspect.unwrap(populator.set_dataset_object_store_id)

    @functools.wraps(theirs)
    def set_dataset_object_store_id(self: Any, *args: Any, **kwargs: Any) -> None:
        with acting_for(self.user):
            theirs(self, *args, **kwargs)

    populator.set_dataset_object_store_id = set_dataset_object_store_id
