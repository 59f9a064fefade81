"""`dolium.yml`: the service's own configuration.

    listen: [http://127.0.0.1:9000, https://0.0.0.0:9443]
    tls: {cert: cert.pem, key: key.pem}
    hosts: ["{tenancy}-o.s3.example.org"]
    master_key: env:DOLIUM_MASTER_KEY
    store: {root: /srv/objects, durability: strict, min_free: 10 GiB}

In place of `store`, `stores` has a tree of stores in Galaxy's schema, or `stores_file` names a file that has.
Every key is optional. Paths are relative to the folder of the file. Sizes and times take units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode

from dolium.config.galaxy import ReadStores, read_stores, read_stores_node
from dolium.config.nodes import (
    Where,
    choice,
    integer,
    items,
    rate,
    seconds,
    seconds_or_off,
    size,
    switch,
    text,
)
from dolium.config.settings import (
    LOG_LEVELS,
    METRICS,
    REQUEST_LOGS,
    Settings,
    override,
    parse_host_pattern,
    parse_listen,
    parse_network,
)
from dolium.config.tree import compose, read_bytes
from dolium.errors import ConfigError
from dolium.values import Durability

__all__ = ["read_settings"]

_Read = Callable[[Where, Node], Any]


def _read_stores_here(where: Where, node: Node) -> ReadStores:
    return _complete(read_stores_node(node, where.file, where.environ, base=where.file.parent))


def _read_stores_file(where: Where, node: Node) -> ReadStores:
    """The file has its paths from the folder of `dolium.yml` too: Galaxy has them from its own root."""
    return _complete(read_stores(where.path(node), where.environ, base=where.file.parent))


def _complete(read: ReadStores) -> ReadStores:
    """Raises ConfigError for what only a `galaxy.yml` could fill in."""
    for leaf in read.spec.leaves():
        need = ""
        if leaf.kind == "disk" and leaf.galaxy.files_dir is None:
            need = "files_dir"
        elif leaf.cache is not None and leaf.cache.written:
            said: Any = leaf.written["cache"]
            need = "" if "path" in said or "dirs" in said else "path in cache"
        if need:
            raise ConfigError(
                f"the store {leaf.id!r} needs a {need} here, where no galaxy.yml gives one",
                file=leaf.place.file,
                line=leaf.place.line,
            )
    return read


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
        "deadline": ("store_deadline", seconds),
        "verify_reads": ("verify_reads", switch),
    },
    "stores": ("stores", _read_stores_here),
    "stores_file": ("stores_file", _read_stores_file),
    "scrub": {"every": ("scrub_every", seconds_or_off), "rate": ("scrub_rate", rate)},
    "inline_limit": ("inline_limit", size),
    "max_object": ("max_object", size),
    "garbage_grace": ("garbage_grace", seconds),
    "backup": {
        "every": ("backup_every", seconds),
        "keep": ("backup_keep", integer(1, 1000)),
        "folder": ("backup_folder", Where.path),
        "hold": ("backup_hold", seconds),
    },
    "drain": ("drain", seconds),
    "log_level": ("log_level", choice(*LOG_LEVELS)),
    "request_log": ("request_log", choice(*REQUEST_LOGS)),
    "metrics": ("metrics", choice(*METRICS)),
    "metrics_token": ("metrics_token", Where.secret),
    "limits": {
        "connections": ("connections", integer(16, 1_000_000)),
        "connections_per_peer": ("peer_connections", integer(1, 1_000_000)),
        "requests": ("requests", integer(1, 100_000)),
        "requests_per_person": ("person_requests", integer(1, 100_000)),
    },
    "proxies": ("proxies", items(parse_network)),
}


def read_settings(file: Path, environ: Mapping[str, str]) -> Settings:
    """The defaults with what the file sets. Raises ConfigError with file and line."""
    where = Where(file, environ)
    root = compose(read_bytes(file), str(file))
    found: dict[str, Any] = {}
    if root is not None:
        _read_section(where, root, _KEYS, found)
    trees = [key for key in ("stores", "stores_file") if key in found]
    if root is not None:
        _refuse_two(where, root, trees)
    for key in trees:
        read: ReadStores = found.pop(key)
        found |= {"stores": read.spec, "notices": read.notices}
    return override(Settings(), found)


def _refuse_two(where: Where, root: Node, trees: Sequence[str]) -> None:
    """`store`, `stores` and `stores_file` each say where data lies."""
    said = [(key, str(key.value)) for key, _ in root.value if key.value in ("store", *trees)]
    if trees and len(said) > 1:
        raise where.wrong(said[1][0], f"{said[0][1]} and {said[1][1]} exclude each other; keep one")


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
