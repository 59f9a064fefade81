"""The first start on a data folder: master key, default store, and one person who can do everything.

Runs in the parent before there are workers, and leaves nothing open. Killed anywhere, it is done again: what
lies on disk is made as it is found, and the catalog changes in one transaction.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from dolium.catalog import fences, people, stores, tenancies
from dolium.catalog.database import Transaction
from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.settings import Settings
from dolium.crashpoints import reach
from dolium.errors import StoreUnavailable
from dolium.identity.credentials import Credentials, add_key, generate
from dolium.identity.keys import open_sealer
from dolium.identity.seal import Sealer, discard_unfinished
from dolium.server.snippets import endpoint_of, snippets
from dolium.stores.leaves.disk import Disk, Options

__all__ = ["ADMIN", "DEFAULT_STORE", "TENANCY", "Arrival", "arrive", "welcome"]

ADMIN, TENANCY, DEFAULT_STORE = "admin", "main", "default"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the first start made. `given`: the key came from the environment, whoever set it knows it."""

    credentials: Credentials
    given: bool


def arrive(settings: Settings, given: Credentials | None) -> Arrival | None:
    """Make the data folder ready to be served; None if it was arrived at before. The caller has claimed it.

    Raises ConfigError (master key), CatalogUnavailable, StoreUnavailable.
    """
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    reach("start.folder")
    database = SqliteDatabase(settings.data)
    try:
        reach("start.catalog")
        discard_unfinished(settings.data)
        sealer = open_sealer(database, settings.data, settings.master_key, create=True)
        reach("start.master")
        _enter_store(database, settings)
        reach("start.store")
        # Nobody is writing, so no blob that is there now and that the catalog does not name will ever be named.
        database.write(lambda tx: fences.raise_all(tx, time.time_ns()))
        reach("start.fenced")
        credentials = given or generate()
        if database.write(lambda tx: _enter_admin(tx, sealer, credentials)):
            reach("start.admin")
            return Arrival(credentials, given is not None)
        return None
    finally:
        database.close()


def _enter_store(database: SqliteDatabase, settings: Settings) -> None:
    """The default store, if the catalog knows none. One that it knows is never made anew: the folder may be
    the mount point of a disk that is missing.
    """
    if stores.find(database, DEFAULT_STORE) is not None:
        return
    try:
        uuid = Disk.initialise(settings.store_root)
    except OSError as error:
        message = f"{settings.store_root} cannot be made a store: {error.strerror}"
        raise StoreUnavailable(DEFAULT_STORE, message) from error

    disk = Disk(Options(root=settings.store_root, expected_uuid=uuid), store_id=DEFAULT_STORE)
    used = next(disk.list(), None) is not None

    def write(tx: Transaction) -> None:
        if stores.find(tx, DEFAULT_STORE) is None:
            stores.add(tx, DEFAULT_STORE, "disk", uuid)
            if used:
                # The catalog that named these blobs is gone: they are kept, for `dolium rebuild`.
                fences.add_loss(tx, time.time_ns())

    database.write(write)


def _enter_admin(tx: Transaction, sealer: Sealer, credentials: Credentials) -> bool:
    """False if there are people or tenancies already."""
    if people.every(tx) or tenancies.every(tx):
        return False
    admin = people.add(tx, ADMIN, display_name="Site admin", site_admin=True)
    tenancy = tenancies.add(tx, TENANCY)
    tenancies.enrol(tx, tenancy.id, admin.id, "manager")
    add_key(
        tx,
        sealer,
        credentials,
        tenancy_id=tenancy.id,
        person_id=admin.id,
        description="made at the first start",
    )
    return True


def welcome(arrival: Arrival, settings: Settings) -> str:
    """What to print, once."""
    key = arrival.credentials
    secret = "YOUR_SECRET_KEY" if arrival.given else key.secret.reveal()
    hint = "as given in DOLIUM_SECRET_ACCESS_KEY" if arrival.given else f"{secret}   (not shown again)"
    lines = [
        f"First start in {settings.data}: the site admin {ADMIN!r}, the tenancy {TENANCY!r} and a key were made.",
        "",
        f"  access key  {key.key_id}",
        f"  secret key  {hint}",
        f"  another     dolium key issue --data {settings.data} --person {ADMIN}",
    ]
    url = str(endpoint_of(settings.listen))
    for title, text, _ in snippets(url, key.key_id, secret, settings.region):
        lines += ["", f"{title}:", *(f"  {line}" for line in text.splitlines())]
    return "\n".join([*lines, ""])
