"""Which key may stand where in a file of stores, and how its value is read: tables, one per type.

Keys are named as in YAML. Those that Galaxy does not know are marked *ours*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dolium.config.galaxy_values import (
    Reading,
    Schema,
    boolean,
    credential,
    folder,
    identifier,
    number,
    one_of,
    prefix,
    public,
    size,
    text,
    url,
    whole,
)
from dolium.config.specs import Badge, CacheDir, ExtraDir
from dolium.config.tree import Items, Node, Table

__all__ = ["BADGES", "CHILD", "GROUPS", "LEAVES", "ROOT", "LeafType", "home", "refusal"]

BADGES: Final[Mapping[str, str | None]] = {
    "faster": "slower",
    "slower": "faster",
    "short_term": None,
    "backed_up": "not_backed_up",
    "not_backed_up": "backed_up",
    "more_secure": "less_secure",
    "less_secure": "more_secure",
    "more_stable": "less_stable",
    "less_stable": "more_stable",
}
"""What an administrator may say of a store, and what contradicts it."""

_GALAXYS_BADGES: Final = frozenset({"cloud", "quota", "no_quota", "restricted", "user_defined"})


def _tables(reading: Reading, node: Node, of: str) -> Iterator[Table]:
    if not isinstance(node, Items):
        raise reading.wrong(node.line, f"{of} is a list")
    for one in node.nodes:
        yield reading.table(one, f"one of {of}")


def _badges(reading: Reading, node: Node) -> tuple[Badge, ...]:
    found: list[Badge] = []
    for table in _tables(reading, node, "badges"):
        said = reading.values(table, {"type": text, "message": text, "source": text}, "a badge", home)
        if said.get("source", "admin") != "admin":
            continue  # Galaxy's own, which its to_dict adds
        kind = said.get("type")
        if kind in _GALAXYS_BADGES:
            raise reading.wrong(table.line, f"the badge {kind!r} is set by Galaxy itself; leave it out")
        one_of(*BADGES)(reading, table.entries["type"].node) if kind else None
        if not isinstance(kind, str):
            raise reading.wrong(table.line, f"a badge has a type: {', '.join(BADGES)}")
        against = BADGES[kind]
        before = {badge.type for badge in found}
        if against in before:
            raise reading.wrong(table.line, f"the badges {kind!r} and {against!r} contradict each other")
        if kind in before:
            reading.notice(table.line, f"the badge {kind!r} stands here twice")
        message = said.get("message")
        found.append(Badge(kind, message if isinstance(message, str) else None))
    return tuple(found)


def _extra_dirs(reading: Reading, node: Node) -> tuple[ExtraDir, ...]:
    found: dict[str, ExtraDir] = {}
    for table in _tables(reading, node, reading.name("extra_dirs")):
        said = reading.values(table, {"type": text, "path": folder}, reading.name("extra_dirs"), home)
        if said.keys() != {"type", "path"}:
            raise reading.wrong(table.line, f"{reading.name('extra_dirs')} needs a type and a path")
        kind, path = str(said["type"]), folder(reading, table.entries["path"].node)
        if kind not in ("job_work", "temp"):
            reading.notice(
                table.line, f"{kind!r} is none of the folders that Galaxy asks for (job_work, temp)"
            )
        if kind in found:
            reading.notice(table.line, f"a folder for {kind!r} stands here twice; the last one counts")
        found[kind] = ExtraDir(kind, path)
    return tuple(found.values())


def _cache_dirs(reading: Reading, node: Node) -> tuple[CacheDir, ...]:
    schema: Schema = {"path": folder, "weight": whole(0), "size": number(-1)}
    found: dict[Path, CacheDir] = {}
    for table in _tables(reading, node, "dirs"):
        said: dict[str, Any] = reading.values(table, schema, "a folder of a cache", home, "dirs")
        if "path" not in said:
            raise reading.wrong(table.line, "a folder of a cache needs a path")
        one = CacheDir(**said)
        if one.path in found:
            raise reading.wrong(table.line, f"the folder {one.path} stands in dirs twice")
        found[one.path] = one
    if not any(one.weight for one in found.values()):
        why = "all weights are 0" if found else "no folder stands there"
        raise reading.wrong(node.line, f"dirs of a cache has nowhere to keep anything: {why}")
    return tuple(found.values())


_QUOTA: Final[Schema] = {"source": text, "enabled": boolean}

ROOT: Final[Schema] = {"id": identifier, "order": whole(-(1 << 31))}
"""Keys of a root beside those of its type; `rules` (ours) is read apart."""

CHILD: Final[Schema] = {
    "id": identifier,
    "weight": number(0),
    "max_percent_full": number(0, 100),
    "allow_selection": boolean,
    "order": whole(-(1 << 31)),
    "max_bytes": size,  # ours
    "state": one_of("online", "read-only", "draining", "offline"),  # ours
}
"""Keys of a store in a group, beside those of its type."""

_ONE_PLACE: Final[Schema] = {
    "store_by": one_of("id", "uuid"),
    "private": boolean,
    "device": text,
    "quota": _QUOTA,
    "badges": _badges,
    "object_expires_after_days": whole(1),
    "enable_direct_download": boolean,
}
"""What Galaxy says of a place with one id: a leaf, or copies that are one place."""

_GROUP: Final[Schema] = {"type": text, "name": text, "description": text, "extra_dirs": _extra_dirs}

GROUPS: Final[Mapping[str, Schema]] = {
    "hierarchical": {
        **_GROUP,
        "private": boolean,
        "quota": _QUOTA,
        "global_max_percent_full": number(0, 100),
    },
    "distributed": {**_GROUP, "search_for_missing": boolean, "global_max_percent_full": number(0, 100)},
    "replicated": {**_GROUP, **_ONE_PLACE, "write_quorum": whole(1, 1000)},  # ours
}
"""`backends` is read apart."""

_LEAF: Final[Schema] = {
    "type": text,
    "name": text,
    "description": text,
    **_ONE_PLACE,
    "extra_dirs": _extra_dirs,
    "expected_uuid": text,  # ours
}
_REMOTE: Final[Schema] = {
    **_LEAF,
    "prefix": prefix,  # ours
    "enable_cache_monitor": boolean,
    "cache": {
        "path": folder,
        "size": number(-1),
        "monitor": one_of("auto", "inprocess", "celery", "external"),
        "monitor_interval": whole(1),
        "cache_updated_data": boolean,
        "dirs": _cache_dirs,
    },
}
_BUCKET: Final[Schema] = {
    "name": text,
    "use_reduced_redundancy": boolean,
    "max_chunk_size": whole(5, 5120, quoted=True),
    "storage_class": text,  # ours
    "create": boolean,  # ours
}
_PATIENCE: Final[Schema] = {"attempts": whole(1, 100), "timeout_seconds": number(0.1)}  # ours
_TLS: Final[Schema] = {"validate_certs": boolean, "ca_file": folder}  # ours
_S3_AUTH: Final[Schema] = {"access_key": public, "secret_key": credential, "session_token": credential}
_CONNECTION: Final[Schema] = {
    "host": text,
    "port": whole(1, 65535, quoted=True),
    "is_secure": boolean,
    "conn_path": text,
    "multipart": boolean,
    "region": text,
    "path_style": boolean,  # ours
    **_TLS,
    **_PATIENCE,
}
_BOTO3_TRANSFER: Final[Schema] = {
    f"{direction}{name}": boolean if name == "use_threads" else whole(1, quoted=True)
    for direction in ("", "upload_", "download_")
    for name in (
        "multipart_threshold",
        "max_concurrency",
        "multipart_chunksize",
        "num_download_attempts",
        "max_io_queue",
        "io_chunksize",
        "use_threads",
        "max_bandwidth",
    )
}
_AZURE_TRANSFER: Final[Schema] = {
    name: whole(1, quoted=True)
    for name in (
        "max_concurrency",
        "upload_max_concurrency",
        "download_max_concurrency",
        "max_single_put_size",
        "max_single_get_size",
        "max_block_size",
    )
}
_S3: Final[Schema] = {**_REMOTE, "auth": _S3_AUTH, "bucket": _BUCKET, "connection": _CONNECTION}


@dataclass(frozen=True, slots=True)
class LeafType:
    """A type of leaf: the kind that serves it, its keys, and those that it needs (`section.key`)."""

    kind: str
    keys: Schema
    needs: tuple[str, ...] = field(default=())


LEAVES: Final[Mapping[str, LeafType]] = {
    "disk": LeafType(
        "disk",
        {
            **_LEAF,
            "files_dir": folder,
            "durability": one_of("strict", "relaxed"),  # ours
            "min_free": size,  # ours
            "timeout_seconds": number(0.1),  # ours
        },
    ),
    "s3": LeafType("s3", _S3, ("bucket.name",)),
    "aws_s3": LeafType("s3", _S3, ("bucket.name",)),
    "generic_s3": LeafType("s3", _S3, ("bucket.name",)),
    "swift": LeafType("s3", _S3, ("bucket.name",)),
    "boto3": LeafType(
        "s3",
        {**_S3, "connection": {**_CONNECTION, "endpoint_url": url}, "transfer": _BOTO3_TRANSFER},
        ("bucket.name",),
    ),
    "azure_blob": LeafType(
        "azure_blob",
        {
            **_REMOTE,
            "auth": {"account_name": public, "account_key": credential, "account_url": url},
            "container": {"name": text, "max_chunk_size": whole(1, quoted=True)},
            "connection": _PATIENCE,  # ours
            "transfer": _AZURE_TRANSFER,
        },
        ("container.name", "auth.account_name", "auth.account_key"),
    ),
    "cloud": LeafType(
        "",  # by its provider
        {
            **_REMOTE,
            "provider": one_of("aws", "azure", "google", "AWS", "Azure", "Google"),
            "auth": {
                **_S3_AUTH,
                "region": text,
                "subscription_id": public,
                "client_id": public,
                "secret": credential,
                "tenant": public,
                "storage_account": public,
                "resource_group": text,
                "credentials_file": folder,
            },
            "bucket": _BUCKET,
            "connection": _PATIENCE,  # ours
        },
        ("provider", "bucket.name"),
    ),
    "gcs": LeafType(  # ours, as are all below
        "gcs",
        {
            **_REMOTE,
            "auth": {"credentials_file": folder, "credentials": credential, "anonymous": boolean},
            "bucket": {"name": text},
            "connection": {"endpoint_url": url, **_PATIENCE},
        },
        ("bucket.name",),
    ),
    "openstack_swift": LeafType(
        "openstack_swift",
        {
            **_REMOTE,
            "auth": {
                "auth_url": url,
                "auth_version": one_of("1", "2", "3"),
                "username": public,
                "password": credential,
                "project": text,
                "user_domain": text,
                "project_domain": text,
                "temp_url_key": credential,
            },
            "container": {"name": text},
            "connection": {"region": text, **_PATIENCE},
        },
        ("container.name", "auth.auth_url", "auth.username", "auth.password"),
    ),
    "webdav": LeafType(
        "webdav",
        {
            **_REMOTE,
            "auth": {"username": public, "password": credential},
            "connection": {"url": url, **_TLS, **_PATIENCE},
        },
        ("connection.url",),
    ),
}

_S3_INSTEAD: Final = (
    "an S3 gateway in front of it (type boto3), or a mount of it (type disk), can be used instead"
)
_NOT_HERE: Final[Mapping[str, str]] = {
    "irods": f"iRODS stores are not offered; {_S3_INSTEAD}",
    "rucio": "Rucio stores are not offered; the storage element itself, by S3 (type boto3) or WebDAV (type webdav), "
    "can be used instead",
    "onedata": f"Onedata stores are not offered; {_S3_INSTEAD}",
    "pithos": "Pithos+ stores are not offered; its OpenStack Swift interface (type openstack_swift) can be used instead",
    "pulsar": "Pulsar stores are not offered, and Galaxy has switched them off too; any other type can be used instead",
    "source": "stores over Galaxy's file sources are not offered; the service behind one, as type webdav, boto3, gcs "
    "or azure_blob, can be used instead",
}


def refusal(kind: str) -> str | None:
    """Why a type of Galaxy's has no store here, and what to do; None for one that is unknown."""
    return _NOT_HERE.get(kind)


def home(key: str, section: str) -> str:
    """Where a key belongs that is not known in a section ("": a store itself); empty if there is no such key."""
    if section:
        return _home_of_setting(key, section)
    if key == "rules":
        return "rules belong at the root of the file"
    if key == "backends":
        return f"only {', '.join(GROUPS)} stores have backends"
    if key in CHILD:
        return "this belongs on a store in backends (<backend>)"
    if key in ("search_for_missing", "global_max_percent_full"):
        return "this belongs on a distributed or hierarchical store (in XML: on its <backends>)"
    if key == "write_quorum":
        return "this belongs on a replicated store"
    types = [name for name, leaf in LEAVES.items() if key in leaf.keys]
    if len(types) == len(LEAVES):
        return "this belongs on a store that keeps data, not on one that holds others"
    if types:
        return f"this belongs on a store of type {', '.join(types)}"
    return _home_of_setting(key, "")


def _home_of_setting(key: str, section: str) -> str:
    """The types that have it in the same section, else the sections that have it."""
    homes = [
        (kind, name)
        for kind, leaf in LEAVES.items()
        for name, keys in leaf.keys.items()
        if isinstance(keys, Mapping) and key in keys
    ]
    types = [kind for kind, name in homes if name == section]
    if types:
        return f"type {', '.join(types)} has it"
    sections = sorted({name for _, name in homes})
    return f"this belongs in {' or '.join(sections)}" if sections else ""
