"""Kinds of stores by name. What a kind needs is imported when one is built, not before."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

from dolium.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dolium.stores.contract import BlobStore

__all__ = ["EXTRAS", "LEAVES", "build_leaf"]

LEAVES: Final[Mapping[str, str]] = {
    "azure_blob": "dolium.stores.leaves.azure_blob:AzureBlob",
    "disk": "dolium.stores.leaves.disk:Disk",
    "gcs": "dolium.stores.leaves.gcs:Gcs",
    "memory": "dolium.stores.leaves.memory:Memory",
    "openstack_swift": "dolium.stores.leaves.openstack_swift:OpenstackSwift",
    "s3": "dolium.stores.leaves.s3:S3",
    "webdav": "dolium.stores.leaves.webdav:WebDav",
}
"""kind -> `module:Class`; the module's `Options` are the settings of the kind."""

EXTRAS: Final[Mapping[str, str]] = {
    "azure_blob": "azure",
    "gcs": "gcs",
    "openstack_swift": "swift",
    "s3": "s3",
    "webdav": "webdav",
}
"""kind -> the extra of `dolium` that brings what it needs."""


def build_leaf(kind: str, options: Mapping[str, object], *, store_id: str = "") -> BlobStore:
    """A leaf of this kind; `store_id` is the kind if not given.

    Raises ConfigError for an unknown kind, an unknown or absent setting, and a value of the wrong type. The
    caller, who knows file and line, adds them.
    """
    if kind not in LEAVES:
        raise ConfigError(f"unknown kind of store {kind!r}{_meant(kind, LEAVES)}; known: {', '.join(LEAVES)}")
    module_name, _, class_name = LEAVES[kind].partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dolium"):
            raise
        raise ConfigError(
            f"a {kind} store needs the package {error.name}: pip install 'dolium[{EXTRAS[kind]}]'"
        ) from error
    store: BlobStore = getattr(module, class_name)(
        _read(kind, module.Options, options), store_id=store_id or kind
    )
    return store


def _read(kind: str, shape: type, options: Mapping[str, object]) -> object:
    hints = get_type_hints(shape)
    for name in options:
        if name not in hints:
            raise ConfigError(f"a {kind} store has no setting {name!r}{_meant(name, hints)}")
    for field in dataclasses.fields(shape):
        if field.default is dataclasses.MISSING and field.name not in options:
            raise ConfigError(f"a {kind} store needs the setting {field.name!r}")
    return shape(**{name: _value(name, value, hints[name]) for name, value in options.items()})


def _value(name: str, value: object, hint: Any) -> object:
    """The value as the type that the setting has; text stands for paths and for words from a list."""
    choices = [one for one in get_args(hint) if one is not NoneType]
    if choices and value is None:
        return None
    wanted: type = choices[0] if choices else hint
    if type(value) is wanted:
        return value
    if wanted is float and type(value) is int:
        return float(value)
    if isinstance(value, Path) and wanted is Path:
        return value
    if isinstance(value, str) and wanted is Path:
        return Path(value)
    if isinstance(value, str) and issubclass(wanted, StrEnum):
        if value in set(wanted):
            return wanted(value)
        raise ConfigError(f"{name!r} is one of {', '.join(wanted)}, not {value!r}")
    raise ConfigError(f"{name!r} is a {wanted.__name__}, not {value!r}")


def _meant(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
