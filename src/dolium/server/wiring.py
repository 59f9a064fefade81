"""Settings to live parts: everything that one process needs to serve, built once, in the process itself.

No connection, thread or descriptor of it crosses a fork: the parent builds nothing, each worker all.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path

from dolium.asgi.bridge import Bridge
from dolium.catalog import stores
from dolium.catalog.database import Database
from dolium.catalog.sqlite import SqliteDatabase
from dolium.catalog.stores import StoreRecord
from dolium.config.settings import Settings
from dolium.errors import ConfigError
from dolium.identity.directory import Directory
from dolium.identity.keys import KeyRing, open_sealer
from dolium.objects.service import Limits, ObjectService
from dolium.s3.app import S3App
from dolium.s3.call import Site
from dolium.s3.load import Load
from dolium.s3.route import OPERATIONS
from dolium.server.app import App
from dolium.server.backing_up import BackupKeeper
from dolium.server.first_run import DEFAULT_STORE
from dolium.server.health import PROBES, Health
from dolium.server.housekeeping import Housekeeper
from dolium.server.http.options import LOOPBACK, HttpOptions, Refusal
from dolium.server.http.server import Finished
from dolium.server.meters import Meters
from dolium.server.scrubbing import Scrubber
from dolium.server.telemetry import RequestLog
from dolium.server.worker import ServeOptions
from dolium.stores.contract import BlobStore
from dolium.stores.leaves.disk import Disk, Options
from dolium.wire.names import Hosts
from dolium.wire.render import error_document

__all__ = ["Wired", "build", "meters_folder", "open_service", "serve_options"]

_ROUND_SECONDS = 60.0


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
    keys: KeyRing
    bridge: Bridge
    health: Health
    meters: Meters
    requests: RequestLog | None
    housekeeper: Housekeeper
    backups: BackupKeeper
    scrubber: Scrubber

    @property
    def finished(self) -> Finished:
        return self.app.finished

    async def startup(self) -> None:
        self.service.database.attach(asyncio.get_running_loop().call_soon)
        self.housekeeper.start()
        self.backups.start()
        self.scrubber.start()

    def drain(self) -> None:
        self.health.draining = True

    def reload(self) -> None:
        """Certificates are all that is read again."""

    async def shutdown(self) -> None:
        self.close()

    def close(self) -> None:
        """When the last request has ended."""
        if self.requests is not None:
            self.requests.close()
        self.backups.close()
        self.scrubber.close()
        self.housekeeper.close()
        self.bridge.close()
        self.service.close()
        self.meters.close()


def build(settings: Settings) -> Wired:
    """Build everything; `startup` begins what runs beside requests.

    Raises ConfigError (master key, no store), CatalogUnavailable. A store that is down is no error here:
    the service starts, says that it is not ready, and comes back with the store.
    """
    database = SqliteDatabase(settings.data)
    try:
        keys = KeyRing(database, open_sealer(database, settings.data, settings.master_key))
        service, records = open_service(database, settings)
    except BaseException:
        database.close()
        raise
    bridge = Bridge()
    hosts = Hosts(settings.hosts)
    load = Load(settings.requests, settings.person_share)
    site = Site(service, bridge, Directory(database), settings.region, load)
    meters = Meters(meters_folder(settings), [operation.name for operation in OPERATIONS])
    service.noted = meters.note
    named = {record.id: (record.name, service.stores[record.id]) for record in records}
    health = Health(
        database, named, bridge, meters,
        metrics=settings.metrics, token=settings.metrics_token, data=settings.data,
    )  # fmt: skip
    requests = (
        None
        if settings.request_log == "off"
        else RequestLog(failures_only=settings.request_log == "failures")
    )
    every = min(_ROUND_SECONDS, settings.garbage_grace / 4 + 0.1)
    housekeeper = Housekeeper(service, settings.data, every=every, min_free=settings.min_free)
    scrubber = Scrubber(
        service, settings.data, every=settings.scrub_every, rate=settings.scrub_rate, look_every=every
    )
    app = App(S3App(site, keys, hosts), health, hosts, meters, requests)
    keeper = BackupKeeper(database, settings)
    return Wired(app, service, keys, bridge, health, meters, requests, housekeeper, keeper, scrubber)


def open_service(database: Database, settings: Settings) -> tuple[ObjectService, list[StoreRecord]]:
    """The use cases over a catalog and its stores, without anything that serves. Raises ConfigError."""
    records = stores.every(database)
    live = {record.id: _open(record, settings) for record in records}
    default = next((record.id for record in records if record.name == DEFAULT_STORE), None)
    if default is None:
        raise ConfigError("the catalog knows no store; start the service with dolium serve")
    return ObjectService(database, live, default, _limits(settings)), records


def _open(record: StoreRecord, settings: Settings) -> BlobStore:
    if record.kind != "disk" or record.name != DEFAULT_STORE:
        raise ConfigError(f"the catalog names a store {record.name!r} of kind {record.kind!r}, unknown here")
    options = Options(
        root=settings.store_root,
        durability=settings.durability,
        expected_uuid=record.uuid,
        min_free_bytes=settings.min_free,
        verify_reads=settings.verify_reads,
    )
    return Disk(options, store_id=record.name)


def _limits(settings: Settings) -> Limits:
    return Limits(
        inline_bytes=settings.inline_limit,
        grace_ms=settings.garbage_grace * 1000,
        hold_ms=settings.backup_hold * 1000,
        object_bytes=settings.max_object,
        verify_inline=settings.verify_reads,
    )
