"""`dolium.yml`: the service's own configuration.

    listen: [http://127.0.0.1:9000, https://0.0.0.0:9443]
    tls: {cert: cert.pem, key: key.pem}
    hosts: ["{tenancy}-o.s3.example.org"]
    master_key: env:DOLIUM_MASTER_KEY
    store: {root: /srv/objects, durability: strict, min_free: 10 GiB}

Every key is optional. Paths are relative to the folder of the file. Sizes and times take units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from dolium.config.nodes import Where, choice, integer, items, seconds, size, text
from dolium.config.settings import (
    LOG_LEVELS,
    METRICS,
    REQUEST_LOGS,
    Settings,
    override,
    parse_host_pattern,
    parse_listen,
)
from dolium.errors import ConfigError
from dolium.values import Durability

__all__ = ["read_settings"]

_Read = Callable[[Where, Node], Any]

# Key of the file -> (field of Settings, reader); a mapping is a section.
_KEYS: dict[str, tuple[str, _Read] | dict[str, tuple[str, _Read]]] = {
    "data": ("data", Where.path),
    "listen": ("listen", items(parse_listen)),
    "tls": {"cert": ("tls_cert", Where.path), "key": ("tls_key", Where.path)},
    "workers": ("workers", integer(0, 512)),
    "region": ("region", text),
    "hosts": ("hosts", items(parse_host_pattern)),
    "master_key": ("master_key", Where.secret),
    "store": {
        "root": ("store", Where.path),
        "durability": ("durability", lambda where, node: Durability(choice(*Durability)(where, node))),
        "min_free": ("min_free", size),
    },
    "inline_limit": ("inline_limit", size),
    "max_object": ("max_object", size),
    "garbage_grace": ("garbage_grace", seconds),
    "drain": ("drain", seconds),
    "log_level": ("log_level", choice(*LOG_LEVELS)),
    "request_log": ("request_log", choice(*REQUEST_LOGS)),
    "metrics": ("metrics", choice(*METRICS)),
}


def read_settings(file: Path, environ: Mapping[str, str]) -> Settings:
    """The defaults with what the file sets. Raises ConfigError with file and line."""
    where = Where(file, environ)
    root = _compose(file)
    found: dict[str, Any] = {}
    if root is not None:
        _read_section(where, root, _KEYS, found)
    return override(Settings(), found)


def _compose(file: Path) -> Node | None:
    """The nodes of the one document, which know their lines; None for an empty file."""
    try:
        return yaml.compose(file.read_text("utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(file)) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8", file=str(file)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(
            f"is not YAML: {error.problem or error.context}", file=str(file), line=line
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError("is not YAML", file=str(file)) from error


def _read_section(where: Where, node: Node, keys: Mapping[str, Any], found: dict[str, Any]) -> None:
    if not isinstance(node, MappingNode):
        raise where.wrong(node, f"expected keys with values; known here: {', '.join(sorted(keys))}")
    seen: set[str] = set()
    for key_node, value in node.value:
        if not isinstance(key_node, ScalarNode):
            raise where.wrong(key_node, "a key must be a word")
        name = str(key_node.value)
        if name not in keys:
            raise where.unknown_key(key_node, name, keys, _home_of(name))
        if name in seen:
            raise where.wrong(key_node, f"the key {name!r} stands here twice")
        seen.add(name)
        known = keys[name]
        if isinstance(known, dict):
            _read_section(where, value, known, found)
        else:
            field, read = known
            found[field] = read(where, value)


def _home_of(name: str) -> str:
    """Where a key belongs that stands in the wrong place."""
    for section, known in _KEYS.items():
        if isinstance(known, dict) and name in known:
            return f"under {section}:"
    return "at the top of the file" if name in _KEYS else ""
