"""Settings to live parts: everything that one process needs to serve, built once, in the process itself.

No connection, thread or descriptor of it crosses a fork: the parent builds nothing, each worker all.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dolium.asgi.bridge import Bridge
from dolium.catalog.database import Database
from dolium.catalog.sqlite import SqliteDatabase
from dolium.catalog.stores import StoreRecord
from dolium.config.settings import Settings
from dolium.errors import DoliumError
from dolium.identity.directory import Directory
from dolium.identity.keys import KeyRing, open_sealer
from dolium.objects.room import Room
from dolium.objects.service import Limits, ObjectService
from dolium.s3.app import S3App
from dolium.s3.call import Site
from dolium.s3.load import Load
from dolium.s3.route import OPERATIONS
from dolium.server.app import App
from dolium.server.backing_up import BackupKeeper
from dolium.server.health import PROBES, Health
from dolium.server.housekeeping import Housekeeper
from dolium.server.http.options import LOOPBACK, HttpOptions, Refusal
from dolium.server.http.server import Finished
from dolium.server.meters import Meters
from dolium.server.repairing import Repairer
from dolium.server.scrubbing import Scrubber
from dolium.server.stores import LiveStores
from dolium.server.telemetry import RequestLog
from dolium.server.worker import ServeOptions
from dolium.wire.names import Hosts
from dolium.wire.render import error_document

__all__ = ["Wired", "build", "limits_of", "meters_folder", "open_service", "serve_options"]

_log = logging.getLogger("dolium.server")

_ROUND_SECONDS = 60.0
_REPAIR_SECONDS = 5.0
_CATCH_UP_SECONDS = 1.0


def meters_folder(settings: Settings) -> Path:
    """Where the workers of one service leave their counts."""
    return settings.data / "run" / "meters"


def serve_options(settings: Settings) -> ServeOptions:
    """What the HTTP server needs to know of the settings."""
    return ServeOptions(
        listen=settings.listen,
        workers=settings.worker_count,
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
        drain=float(settings.drain),
        http=HttpOptions(
            max_connections=settings.connections,
            max_per_peer=settings.peer_share,
            uncounted=(*LOOPBACK, *settings.proxies),
            max_requests=settings.requests,
            always=PROBES,
            disk_deadline=float(settings.store_deadline),
            render_refusal=_render_refusal,
        ),
    )


def _render_refusal(refusal: Refusal) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The server's own refusals look like those of S3, so that clients tell their people the reason."""
    request_id = secrets.token_hex(8).upper()
    headers = [(b"content-type", b"application/xml"), (b"x-amz-request-id", request_id.encode("ascii"))]
    return headers, error_document(refusal.code, refusal.message, "", request_id, {})


@dataclass(frozen=True, slots=True)
class Wired:
    """The parts of a process, and what a worker asks of them (`server.worker.Service`)."""

    app: App
    service: ObjectService
    live: LiveStores
    keys: KeyRing
    bridge: Bridge
    health: Health
    meters: Meters
    requests: RequestLog | None
    housekeeper: Housekeeper
    backups: BackupKeeper
    scrubber: Scrubber
    repairer: Repairer
    read_again: Callable[[], Settings] | None = None
    caught_up: dict[str, float] = field(default_factory=dict)  # when that was last tried

    @property
    def finished(self) -> Finished:
        return self.app.finished

    async def startup(self) -> None:
        self.service.database.attach(asyncio.get_running_loop().call_soon)
        self.housekeeper.start()
        self.backups.start()
        self.scrubber.start()
        self.repairer.start()

    def drain(self) -> None:
        self.health.draining = True

    def reload(self) -> None:
        """The stores as the configuration now has them; beside the loop, since a store may be slow to answer."""
        if self.read_again is not None:
            threading.Thread(target=self._reload, args=(self.read_again,), name="reload", daemon=True).start()

    def _reload(self, read_again: Callable[[], Settings]) -> None:
        try:
            changed = self.live.apply(read_again())
        except DoliumError as error:
            _log.error("the stores stay as they are: %s", error.message)
        else:
            if changed:
                _log.info("the stores are as the configuration has them now: %s", ", ".join(self._names()))

    def catch_up(self) -> None:
        """An object lies in a store that is new: another worker has come to it before us, and SIGHUP is on its way."""
        now = time.monotonic()
        if (
            self.read_again is not None
            and now - self.caught_up.get("at", -_CATCH_UP_SECONDS) >= _CATCH_UP_SECONDS
        ):
            self.caught_up["at"] = now
            self._reload(self.read_again)

    def _names(self) -> list[str]:
        return [one.record.name for one in self.live.now.values()]

    async def shutdown(self) -> None:
        self.close()

    def close(self) -> None:
        """When the last request has ended."""
        if self.requests is not None:
            self.requests.close()
        self.backups.close()
        self.repairer.close()
        self.scrubber.close()
        self.housekeeper.close()
        self.bridge.close()
        self.service.close()
        self.meters.close()


def build(settings: Settings, *, read_again: Callable[[], Settings] | None = None) -> Wired:
    """Build everything; `startup` begins what runs beside requests. `read_again`: the configuration, at SIGHUP.

    Raises ConfigError (master key, no store), CatalogUnavailable. A store that is down is no error here:
    the service starts, says that it is not ready, and comes back with the store.
    """
    database = SqliteDatabase(settings.data)
    try:
        keys = KeyRing(database, open_sealer(database, settings.data, settings.master_key))
        live = LiveStores(database, settings)
        service = live.serve(limits_of(settings), Room(settings.data, settings.min_free))
    except BaseException:
        database.close()
        raise
    bridge = Bridge(deadline=settings.store_deadline)
    hosts = Hosts(settings.hosts)
    load = Load(settings.requests, settings.person_share)
    site = Site(service, bridge, Directory(database), settings.region, load)
    meters = Meters(meters_folder(settings), [operation.name for operation in OPERATIONS])
    service.noted = meters.note
    health = Health(
        database, live, bridge, meters,
        metrics=settings.metrics, token=settings.metrics_token, data=settings.data,
    )  # fmt: skip
    requests = (
        None
        if settings.request_log == "off"
        else RequestLog(failures_only=settings.request_log == "failures")
    )
    every = min(_ROUND_SECONDS, settings.garbage_grace / 4 + 0.1)
    housekeeper = Housekeeper(live, service, settings.data, every=every, min_free=settings.min_free)
    scrubber = Scrubber(
        service, settings.data, every=settings.scrub_every, rate=settings.scrub_rate, look_every=every
    )
    repairer = Repairer(
        service, settings.data, rate=settings.scrub_rate, look_every=min(_REPAIR_SECONDS, every)
    )
    app = App(S3App(site, keys, hosts), health, hosts, meters, requests)
    keeper = BackupKeeper(database, settings)
    wired = Wired(
        app,
        service,
        live,
        keys,
        bridge,
        health,
        meters,
        requests,
        housekeeper,
        keeper,
        scrubber,
        repairer,
        read_again,
    )
    service.on_unknown = wired.catch_up
    return wired


def open_service(database: Database, settings: Settings) -> tuple[ObjectService, list[StoreRecord]]:
    """The use cases over a catalog and its stores, without anything that serves. Raises ConfigError."""
    live = LiveStores(database, settings)
    service = live.serve(limits_of(settings), Room(settings.data, settings.min_free))
    return service, [one.record for one in live.now.values()]


def limits_of(settings: Settings) -> Limits:
    return Limits(
        inline_bytes=settings.inline_limit,
        grace_ms=settings.garbage_grace * 1000,
        hold_ms=settings.backup_hold * 1000,
        object_bytes=settings.max_object,
        verify_inline=settings.verify_reads,
    )
