"""Galaxy's `object_store_conf.xml` and `.yml`, and what ours adds to them, as a `StoresSpec`.

    spec, notices = read_stores(Path("object_store_conf.xml"), os.environ)

Unknown and misplaced keys, ids that stand twice, weights and orders that cannot be, and types without a store here
are ConfigErrors with file and line. What is odd in Galaxy's own files means what Galaxy makes of it; a notice says so.
`docs/stores.md` has the whole schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from yaml.nodes import MappingNode, ScalarNode
from yaml.nodes import Node as YamlNode

from dolium.config.galaxy_stores import ReadStores, Stores
from dolium.config.galaxy_values import Reading
from dolium.config.specs import GALAXY_DEFAULTS, GalaxyDefaults
from dolium.config.tree import compose, from_objects, from_yaml, read_bytes
from dolium.config.tree_xml import read_xml
from dolium.errors import ConfigError

__all__ = [
    "ReadStores",
    "handed_over",
    "is_stores_file",
    "read_stores",
    "read_stores_node",
    "read_stores_objects",
]

_XML: Final = (".xml", ".xml.sample")  # as Galaxy tells them apart


def is_stores_file(file: Path) -> bool:
    """Is this a file of stores, and not `dolium.yml`? By its suffix, or by the `type` at its root.

    Raises ConfigError for a file that can be neither.
    """
    if file.name.endswith(_XML):
        return True
    root = compose(read_bytes(file), str(file))
    return isinstance(root, MappingNode) and any(
        isinstance(key, ScalarNode) and key.value in ("type", "backends") for key, _ in root.value
    )


def read_stores(
    file: Path,
    environ: Mapping[str, str],
    *,
    defaults: GalaxyDefaults = GALAXY_DEFAULTS,
    base: Path | None = None,
    resolve: bool = True,
) -> ReadStores:
    """A file, XML or YAML by its suffix. Raises ConfigError.

    `base`: where relative paths start; None leaves them relative, to the folder of the process, as in Galaxy.
    `resolve=False` leaves references to secrets unread.
    """
    xml = file.name.endswith(_XML)
    data = read_bytes(file)
    reading = Reading(str(file), environ, defaults, base, resolve, xml)
    if xml:
        return Stores(reading).read(read_xml(data, str(file)))
    root = compose(data, str(file))
    if root is None:
        raise ConfigError("is empty; expected a store with its type", file=str(file))
    return Stores(reading).read(from_yaml(root, str(file)))


def read_stores_node(
    node: YamlNode, file: Path, environ: Mapping[str, str], *, base: Path | None = None
) -> ReadStores:
    """Stores that stand within another YAML file."""
    return Stores(Reading(str(file), environ, GALAXY_DEFAULTS, base)).read(from_yaml(node, str(file)))


def read_stores_objects(
    config: object,
    environ: Mapping[str, str],
    *,
    defaults: GalaxyDefaults = GALAXY_DEFAULTS,
    name: str = "object_store_config",
) -> ReadStores:
    """Stores as a dictionary: Galaxy's option `object_store_config`, or what `to_dict` gives, with `galaxy.yml`'s values
    in its `config`. Raises ConfigError.
    """
    bare = _without_config(config)
    reading = Reading(name, environ, handed_over(config, defaults))
    try:
        tree = from_objects(bare)
    except ConfigError as error:
        raise ConfigError(error.message, file=name) from error
    return Stores(reading).read(tree)


def handed_over(stores: object, otherwise: GalaxyDefaults) -> GalaxyDefaults:
    """What a Galaxy put into `to_dict` of its own configuration."""
    config = stores.get("config") if isinstance(stores, Mapping) else None
    if not isinstance(config, Mapping):
        return otherwise
    paths = ("file_path", "new_file_path", "jobs_directory")
    renamed = {"object_store_cache_path": "cache_path", "object_store_cache_size": "cache_size"}
    found: dict[str, Any] = {name: Path(config[name]) for name in paths if config.get(name)}
    found |= {own: config[name] for name, own in renamed.items() if config.get(name) is not None}
    found |= {
        name: config[name] for name in ("enable_quotas", "umask", "gid") if config.get(name) is not None
    }
    if "cache_path" in found:
        found["cache_path"] = Path(found["cache_path"])
    if config.get("object_store_check_old_style"):
        found["check_old_style"] = True
    return replace(otherwise, **found)


def _without_config(value: Any) -> Any:
    """Without the copies of `galaxy.yml` that `to_dict` puts into every store."""
    if isinstance(value, Mapping) and "type" in value:
        bare = {key: one for key, one in value.items() if key != "config"}
        if isinstance(bare.get("backends"), list):
            bare["backends"] = [_without_config(one) for one in bare["backends"]]
        return bare
    return value
