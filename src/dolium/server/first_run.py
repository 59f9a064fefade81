"""The first start on a data folder: master key, stores, and one person who can do everything.

Runs in the parent before there are workers, and leaves nothing open. Killed anywhere, it is done again: what
lies on disk is made as it is found, and the catalog changes in one transaction.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from dolium.catalog import fences, people, tenancies
from dolium.catalog.database import Transaction
from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.settings import Settings
from dolium.crashpoints import reach
from dolium.identity.credentials import Credentials, add_key, generate
from dolium.identity.keys import open_sealer
from dolium.identity.seal import Sealer, discard_unfinished
from dolium.server.snippets import endpoint_of, snippets
from dolium.server.store_entry import DEFAULT_STORE, enter_stores

__all__ = ["ADMIN", "DEFAULT_STORE", "TENANCY", "Arrival", "arrive", "welcome"]

ADMIN, TENANCY = "admin", "main"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the first start made. `given`: the key came from the environment, whoever set it knows it."""

    credentials: Credentials
    given: bool


def arrive(settings: Settings, given: Credentials | None, *, anew: bool = False) -> Arrival | None:
    """Make the data folder ready to be served; None if it was arrived at before. The caller has claimed it.
    `anew`: also where there was a catalog, and is none.

    Raises ConfigError (master key, stores), CatalogUnavailable, StoreUnavailable.
    """
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    reach("start.folder")
    database = SqliteDatabase(settings.data, anew=anew)
    try:
        reach("start.catalog")
        discard_unfinished(settings.data)
        sealer = open_sealer(database, settings.data, settings.master_key, create=True)
        reach("start.master")
        enter_stores(database, settings)
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
