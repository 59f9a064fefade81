"""What a type of store in Galaxy's schema means to the store that serves it: written values to options.

`written` has what the file sets, by key and section, typed. The options are those of `stores.registry`; what the
file does not set is left to their defaults, except where Galaxy's default is another.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from dolium.config.galaxy_values import Reading
from dolium.config.specs import Credential, LeafSpec
from dolium.errors import ConfigError
from dolium.values import Secret

__all__ = ["leaf_options", "options_of", "own_id"]

_NO_MULTIPART: Final = 5 << 30  # the largest object that S3 takes in one request
_PORT: Final = 6000  # Galaxy's default for host and port, whatever the service

Written = Mapping[str, Any]
Options = dict[str, Any]


def leaf_options(spec: LeafSpec) -> dict[str, object]:
    """The options of a leaf, ready for `stores.registry.build_leaf`: secrets as `Secret`, names as text.

    Raises ConfigError for a reference that was not resolved.
    """
    kept = _KEPT_ONLY | {"timeout_seconds"} if spec.kind == "disk" else _KEPT_ONLY
    return {name: _revealed(spec, value) for name, value in spec.options.items() if name not in kept}


_KEPT_ONLY: Final = frozenset({"download_concurrency"})
"""Said again by `to_dict`, and nothing else: a blob is read as one stream. The deadline of a disk is kept by who asks it."""


def _revealed(spec: LeafSpec, value: object) -> object:
    if not isinstance(value, Credential):
        return value
    if value.value is None:
        raise ConfigError(f"{value.reference} was not resolved", file=spec.place.file, line=spec.place.line)
    return value.value.reveal() if value.public else value.value


def options_of(reading: Reading, kind: str, written: Written, line: int) -> tuple[str, Options]:
    """(kind, options) of a store of this type. Raises ConfigError."""
    if kind == "cloud":
        return _cloud(reading, written, line)
    if kind == "disk":
        return "disk", _disk(reading, written)
    served, build = _BUILDERS[kind]
    options = build(reading, kind, written, line)
    return served, _with_common(options, written)


def _with_common(options: Options, written: Written) -> Options:
    connection = _section(written, "connection")
    common = {
        "prefix": written.get("prefix"),
        "expected_uuid": written.get("expected_uuid"),
        "attempts": connection.get("attempts"),
        "timeout_seconds": connection.get("timeout_seconds"),
    }
    return _set(options | {name: value for name, value in common.items() if value is not None})


def _section(written: Written, name: str) -> Written:
    found: Written = written.get(name) or {}
    return found


def _set(options: Options) -> Options:
    return {name: value for name, value in options.items() if value is not None}


def _disk(reading: Reading, written: Written) -> Options:
    return _set(
        {
            "root": written.get("files_dir", reading.defaults.file_path),
            "durability": written.get("durability"),
            "min_free_bytes": written.get("min_free"),
            "timeout_seconds": written.get("timeout_seconds"),
            "expected_uuid": written.get("expected_uuid"),
        }
    )


def _s3(reading: Reading, kind: str, written: Written, line: int) -> Options:
    auth, bucket, connection = (_section(written, name) for name in ("auth", "bucket", "connection"))
    _require_pair(reading, auth, "access_key", "secret_key", line)
    endpoint = _endpoint(reading, kind, connection, line)
    chunk = bucket["max_chunk_size"] << 20 if "max_chunk_size" in bucket else None
    options: Options = {
        "bucket": bucket["name"],
        "endpoint": endpoint,
        "region": connection.get("region"),
        "access_key": auth.get("access_key"),
        "secret_key": auth.get("secret_key"),
        "session_token": auth.get("session_token"),
        "path_style": connection.get("path_style", bool(endpoint)),
        "storage_class": bucket.get("storage_class", "REDUCED_REDUNDANCY" if _reduced(bucket) else None),
        "create_bucket": bucket.get("create", True),  # as Galaxy does
        "verify_tls": connection.get("validate_certs"),
        "ca_file": connection.get("ca_file"),
        "multipart_threshold": chunk,
        "multipart_chunk": chunk,
    }
    options |= _transfer(reading, _section(written, "transfer"), line)
    if connection.get("multipart") is False:
        options["multipart_threshold"] = _NO_MULTIPART
    return _set(options)


def _reduced(bucket: Written) -> bool:
    return bool(bucket.get("use_reduced_redundancy"))


def _endpoint(reading: Reading, kind: str, connection: Written, line: int) -> str:
    """The URL of the service; empty for AWS's own."""
    host = connection.get("host")
    if kind in ("s3", "aws_s3"):
        if host:
            reading.notice(
                line, f"type {kind} is AWS's own S3: host has no effect, as in Galaxy; boto3 takes it"
            )
        return ""
    if "endpoint_url" in connection:
        return str(connection["endpoint_url"])
    if not host:
        if kind != "boto3":
            reading.notice(line, f"type {kind} without a host is taken as AWS's own S3")
        return ""
    scheme = "https" if connection.get("is_secure", True) else "http"
    path = "/" + str(connection.get("conn_path", "")).strip("/")
    found = f"{scheme}://{host}:{connection.get('port', _PORT)}{path.rstrip('/')}"
    if not _is_host(str(host)):
        raise reading.wrong(
            line, f"{host!r} is no host; write it without scheme and port, or use endpoint_url (boto3)"
        )
    return found


def _is_host(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname == host.lower().strip("[]") and not set(host) & set("/@?# ")
    except ValueError:
        return False


_NO_EFFECT: Final = ("max_io_queue", "io_chunksize", "max_bandwidth")


def _transfer(reading: Reading, transfer: Written, line: int) -> Options:
    """boto3's options; one with upload_ or download_ in front wins over the bare one."""
    idle = sorted(
        name for name in transfer if name.endswith(_NO_EFFECT) or name == "download_max_concurrency"
    )
    if idle:
        reading.notice(line, f"{', '.join(idle)} of transfer: taken, and without effect here")

    def asked(direction: str, name: str) -> Any:
        return transfer.get(f"{direction}_{name}", transfer.get(name))

    options = {
        "multipart_threshold": asked("upload", "multipart_threshold"),
        "multipart_chunk": asked("upload", "multipart_chunksize"),
        "upload_concurrency": asked("upload", "max_concurrency"),
        "download_concurrency": asked("download", "max_concurrency"),
        "attempts": asked("download", "num_download_attempts"),
    }
    for direction in ("upload", "download"):
        if asked(direction, "use_threads") is False:
            options[f"{direction}_concurrency"] = 1
    return _set(options)


def _azure(reading: Reading, _kind: str, written: Written, line: int) -> Options:
    auth, container, transfer = (_section(written, name) for name in ("auth", "container", "transfer"))
    if "max_chunk_size" in container:
        reading.notice(
            line, "max_chunk_size of container has no effect, as in Galaxy; transfer has max_block_size"
        )
    idle = sorted(name for name in transfer if name.startswith(("max_single", "download_max_concurrency")))
    if idle:
        reading.notice(line, f"{', '.join(idle)} of transfer: taken, and without effect here")
    return _set(
        {
            "container": container["name"],
            "account_name": auth["account_name"],
            "account_key": auth["account_key"],
            "account_url": auth.get("account_url"),
            "upload_concurrency": transfer.get("upload_max_concurrency", transfer.get("max_concurrency")),
            "download_concurrency": transfer.get("download_max_concurrency", transfer.get("max_concurrency")),
            "block_bytes": transfer.get("max_block_size"),
        }
    )


_CLOUD_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws": (),
    "azure": ("subscription_id", "client_id", "secret", "tenant"),
    "google": ("credentials_file",),
}
_CLOUD_TAKES: Final[Mapping[str, frozenset[str]]] = {
    "aws": frozenset({"access_key", "secret_key", "session_token", "region"}),
    "azure": frozenset({*_CLOUD_NEEDS["azure"], "storage_account", "resource_group"}),
    "google": frozenset({"credentials_file"}),
}


def _cloud(reading: Reading, written: Written, line: int) -> tuple[str, Options]:
    provider = str(written["provider"]).lower()
    auth, bucket = _section(written, "auth"), _section(written, "bucket")
    for name in _CLOUD_NEEDS[provider]:
        if name not in auth:
            raise reading.wrong(line, f"a cloud store of provider {provider} needs {name} in auth")
    for name in auth:
        if name not in _CLOUD_TAKES[provider]:
            raise reading.wrong(
                line,
                f"auth of provider {provider} has no {name!r}; known: {', '.join(sorted(_CLOUD_TAKES[provider]))}",
            )
    if provider == "aws":
        asked = {**written, "connection": {**_section(written, "connection"), "region": auth.get("region")}}
        return "s3", _with_common(_s3(reading, "aws_s3", asked, line), written)
    if _reduced(bucket):
        reading.notice(line, "use_reduced_redundancy is of AWS's S3 only, and without effect here")
    if provider == "google":
        options: Options = {"bucket": bucket["name"], "credentials_file": auth["credentials_file"]}
        return "gcs", _with_common(options, written)
    options = {
        "container": bucket["name"],
        "account_name": auth.get("storage_account") or _storage_account(reading, auth, line),
        "tenant_id": auth["tenant"],
        "client_id": auth["client_id"],
        "client_secret": auth["secret"],
    }
    return "azure_blob", _with_common(options, written)


def _storage_account(reading: Reading, auth: Written, line: int) -> Credential:
    """The account that CloudBridge makes for a subscription: its name follows from that and the resource group."""
    subscription: Credential = auth["subscription_id"]
    group = str(auth.get("resource_group", "cloudbridge"))
    if subscription.value is None:
        return Credential(subscription.reference, None, public=True)
    tail = str(uuid.uuid5(uuid.NAMESPACE_OID, group))[-6:]
    name = f"storacc{subscription.value.reveal()[-6:]}{tail}"
    reading.notice(line, f"auth names no storage_account; CloudBridge's name for it is used: {name}")
    return Credential("", Secret(name), public=True)


def _gcs(reading: Reading, _kind: str, written: Written, line: int) -> Options:
    auth, connection = _section(written, "auth"), _section(written, "connection")
    said = sorted({"credentials_file", "credentials", "anonymous"} & auth.keys())
    if len(said) > 1:
        raise reading.wrong(line, f"auth has {' and '.join(said)}; one of them is enough")
    return _set(
        {
            "bucket": _section(written, "bucket")["name"],
            "credentials_file": auth.get("credentials_file"),
            "credentials": auth.get("credentials"),
            "anonymous": auth.get("anonymous"),
            "endpoint": connection.get("endpoint_url"),
        }
    )


def _openstack_swift(_reading: Reading, _kind: str, written: Written, _line: int) -> Options:
    auth = dict(_section(written, "auth"))
    if "auth_version" in auth:
        auth["auth_version"] = int(auth["auth_version"])
    region = _section(written, "connection").get("region")
    return _set({"container": _section(written, "container")["name"], **auth, "region": region})


def _webdav(reading: Reading, _kind: str, written: Written, line: int) -> Options:
    auth, connection = _section(written, "auth"), _section(written, "connection")
    _require_pair(reading, auth, "username", "password", line)
    return _set(
        {
            "url": connection["url"],
            "username": auth.get("username"),
            "password": auth.get("password"),
            "verify_tls": connection.get("validate_certs"),
            "ca_file": connection.get("ca_file"),
        }
    )


def _require_pair(reading: Reading, auth: Written, first: str, second: str, line: int) -> None:
    if (first in auth) != (second in auth):
        raise reading.wrong(line, f"auth has only one of {first} and {second}; give both, or neither")


_BUILDERS: Final[Mapping[str, tuple[str, Callable[[Reading, str, Written, int], Options]]]] = {
    **dict.fromkeys(("s3", "aws_s3", "generic_s3", "swift", "boto3"), ("s3", _s3)),
    "azure_blob": ("azure_blob", _azure),
    "gcs": ("gcs", _gcs),
    "openstack_swift": ("openstack_swift", _openstack_swift),
    "webdav": ("webdav", _webdav),
}


def own_id(kind: str, options: Mapping[str, object]) -> str:
    """An id for a store that has none: from where it is, so that it is the same whatever stands around it."""
    if kind == "disk":
        where = str(options["root"])
    else:
        parts = [
            urlsplit(str(options.get(name, ""))).hostname
            for name in ("endpoint", "account_url", "auth_url", "url")
        ]
        names = [options.get(name) for name in ("bucket", "container", "prefix")]
        where = "-".join(str(one) for one in (kind, *parts, *names) if one)
    return re.sub(r"[^A-Za-z0-9]+", "-", where).strip("-").lower()[:80] or kind
