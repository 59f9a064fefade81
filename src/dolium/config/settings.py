"""What can be set, and what it is when nobody sets it.

Defaults < the configuration file < flags of the command line. `dolium check FILE --json` prints the outcome.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dolium.config.explain import as_json
from dolium.config.specs import Notice, StoresSpec
from dolium.errors import ConfigError
from dolium.values import Durability, Secret
from dolium.wire.names import Hosts

__all__ = [
    "LOG_LEVELS",
    "METRICS",
    "REQUEST_LOGS",
    "Listen",
    "Network",
    "Settings",
    "override",
    "parse_host_pattern",
    "parse_listen",
    "parse_network",
    "require_sound",
]

LOG_LEVELS = ("debug", "info", "warning", "error")
REQUEST_LOGS = ("all", "failures", "off")
METRICS = ("local", "token", "all", "off")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on. `host` is a name or address, IPv6 without brackets."""

    scheme: str  # "http" | "https"
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting. Sizes are bytes, times are seconds.

    `hosts`: patterns such as `{tenancy}-o.s3.example.org`; a request to such a host is for that tenancy
    (`wire.names.Hosts`). `store`: root of the default disk store (None: `store` in the data folder). `min_free`: bytes
    of a store's file system, and of the catalog's, that uploads leave free. `store_deadline`: how long a store may
    take for one step of a request. `verify_reads`: whether the bytes of an object are checked before
    they are sent (docs/decisions/0005). `stores`: the tree of stores in place of that one, and `notices`, what in it is
    odd. `scrub_every`, `scrub_rate`: how often all of them are looked at, and how many bytes of them a second.
    `inline_limit`: objects up to this size lie in the
    catalog (docs/decisions/0004). `garbage_grace`: how long the bytes of an object that was replaced or
    deleted stay for those who are still reading it; choose it above the longest download.
    `backup_every`: how often the catalog is backed up (0: never), to `backup_folder` (None: `backups` in the data folder),
    where the newest `backup_keep` stay. `backup_hold`: how long the bytes of a deleted object stay that a backup names.
    `drain`: how long requests may go on after SIGTERM. `request_log`: a line for every request, for those
    that failed (5xx, broken connections), or none. `metrics`: who may read `/_metrics`: peers on this
    machine, who knows `metrics_token`, everybody, or nobody.
    `connections`, `requests`: at once, in each worker; `peer_connections` of them from one address, and
    `person_requests` from one person. `proxies`: addresses through which many people come.
    """

    data: Path = Path("dolium-data")
    listen: tuple[Listen, ...] = (Listen("http", "127.0.0.1", 9000),)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    workers: int = 0  # 0: one per core
    region: str = "us-east-1"
    hosts: tuple[str, ...] = ()
    master_key: Secret | None = None
    store: Path | None = None
    durability: Durability = Durability.STRICT
    min_free: int = 256 << 20
    store_deadline: int = 120
    stores: StoresSpec | None = None
    notices: tuple[Notice, ...] = ()
    verify_reads: bool = True
    scrub_every: int = 30 * 86400  # 0: never
    scrub_rate: int = 20 << 20
    inline_limit: int = 16 << 10
    max_object: int = 5 << 30
    garbage_grace: int = 3600
    backup_every: int = 86400
    backup_keep: int = 7
    backup_folder: Path | None = None
    backup_hold: int = 2 * 86400
    drain: int = 30
    log_level: str = "info"
    request_log: str = "all"
    metrics: str = "local"
    metrics_token: Secret | None = None
    connections: int = 10_000
    peer_connections: int = 0  # 0: half of all
    requests: int = 1024
    person_requests: int = 0  # 0: half of all
    proxies: tuple[Network, ...] = ()

    @property
    def store_root(self) -> Path:
        return self.store if self.store is not None else self.data / "store"

    @property
    def backups(self) -> Path:
        return self.backup_folder if self.backup_folder is not None else self.data / "backups"

    @property
    def worker_count(self) -> int:
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def peer_share(self) -> int:
        return self.peer_connections or max(1, self.connections // 2)

    @property
    def person_share(self) -> int:
        return self.person_requests or max(1, self.requests // 2)

    def as_json(self) -> dict[str, Any]:
        """Every setting as JSON has it; secrets are masked."""
        return {
            "data": str(self.data),
            "listen": [str(one) for one in self.listen],
            "tls": {"cert": _text(self.tls_cert), "key": _text(self.tls_key)},
            "workers": self.workers,
            "region": self.region,
            "hosts": list(self.hosts),
            "master_key": "***" if self.master_key else None,
            "store": {
                "root": str(self.store_root),
                "durability": str(self.durability),
                "min_free": self.min_free,
                "deadline": self.store_deadline,
                "verify_reads": self.verify_reads,
            },
            "stores": None if self.stores is None else as_json(self.stores),
            "scrub": {"every": self.scrub_every, "rate": self.scrub_rate},
            "inline_limit": self.inline_limit,
            "max_object": self.max_object,
            "garbage_grace": self.garbage_grace,
            "backup": {
                "every": self.backup_every,
                "keep": self.backup_keep,
                "folder": str(self.backups),
                "hold": self.backup_hold,
            },
            "drain": self.drain,
            "log_level": self.log_level,
            "request_log": self.request_log,
            "metrics": self.metrics,
            "metrics_token": "***" if self.metrics_token else None,
            "limits": {
                "connections": self.connections,
                "connections_per_peer": self.peer_share,
                "requests": self.requests,
                "requests_per_person": self.person_share,
            },
            "proxies": [str(one) for one in self.proxies],
        }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def parse_listen(text: str) -> Listen:
    """`HOST:PORT` (http), `http://HOST:PORT` or `https://HOST:PORT`. Raises ConfigError."""
    try:
        split = urlsplit(text if "://" in text else f"http://{text}")
    except ValueError:
        raise ConfigError(f"cannot listen on {text!r}: the brackets are for an IPv6 address") from None
    try:
        port = split.port
    except ValueError:
        port = None
    if (
        split.scheme not in {"http", "https"}
        or split.path.strip("/")
        or split.query
        or split.fragment
        or "@" in text
    ):
        raise ConfigError(
            f"cannot listen on {text!r}: expected HOST:PORT, http://HOST:PORT or https://HOST:PORT"
        )
    if not split.hostname or port is None:
        raise ConfigError(f"cannot listen on {text!r}: it needs a host and a port, as in 127.0.0.1:9000")
    return Listen(split.scheme, split.hostname, port)


def parse_host_pattern(text: str) -> str:
    """A host name with `{tenancy}` or `{bucket}` in it, or both. Raises ConfigError."""
    with contextlib.suppress(ValueError):
        Hosts((text,))
        if "{tenancy}" in text or "{bucket}" in text:
            return text
    raise ConfigError(
        f"{text!r} is no pattern of host names: expected a name in lower case with {{tenancy}} or {{bucket}} "
        "in it, as in {tenancy}-o.s3.example.org"
    )


def parse_network(text: str) -> Network:
    """An address, or a network as in 10.1.0.0/16. Raises ConfigError."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no address and no network: expected one as in 10.1.0.7, 10.1.0.0/16 or fd00::/8"
        ) from None


def override(settings: Settings, flags: Mapping[str, Any]) -> Settings:
    """The settings with every flag that was given (is not None) in place of what was there."""
    return replace(settings, **{name: value for name, value in flags.items() if value is not None})


def require_sound(settings: Settings) -> None:
    """Raises ConfigError for settings that are fine each, and cannot be together."""
    secure = [one for one in settings.listen if one.scheme == "https"]
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise ConfigError(
            "tls needs both a certificate (tls.cert, --tls-cert) and its key (tls.key, --tls-key)"
        )
    if secure and settings.tls_cert is None:
        raise ConfigError(f"to listen on {secure[0]} give a certificate and its key (--tls-cert, --tls-key)")
    if settings.tls_cert is not None and not secure:
        raise ConfigError(
            "a certificate is given, but no https:// address to listen on (--listen https://HOST:PORT)"
        )
    if settings.metrics == "token" and settings.metrics_token is None:
        raise ConfigError("metrics: token needs a metrics_token")
    for share, name, every in (
        (settings.peer_share, "connections_per_peer", settings.connections),
        (settings.person_share, "requests_per_person", settings.requests),
    ):
        if share > every:
            raise ConfigError(f"limits.{name} is {share}, more than there are in all ({every})")
    if len(set(settings.listen)) != len(settings.listen):
        raise ConfigError("the same address to listen on is given twice")
    if settings.store_deadline < 1:
        raise ConfigError("store.deadline must be at least a second")
    for path in (settings.tls_cert, settings.tls_key):
        if path is not None and not os.access(path, os.R_OK):
            raise ConfigError("this file of the tls settings cannot be read", file=str(path))
