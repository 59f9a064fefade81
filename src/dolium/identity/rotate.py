"""Another master key: every secret is sealed anew, while the folder is served.

Where the master key lies in the data folder, the next one is made beside it, so that from then on secrets open that
are sealed with either. They are sealed anew, some at a time; then the next key takes the place of the old, which stays
as `master.key.<id>.old`. Killed anywhere, everything opens, and the rotation goes on where it was.

Where it was given from elsewhere, a service that runs cannot learn another. So nobody may serve the folder, and all
secrets are sealed anew in one transaction: with the old key, or with the new one.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dolium.catalog import access_keys
from dolium.catalog.access_keys import SealedKey
from dolium.catalog.database import Database, Transaction
from dolium.crashpoints import reach
from dolium.errors import ConfigError
from dolium.identity.keys import every_sealed, opens
from dolium.identity.seal import (
    MasterKey,
    Sealer,
    create_master_key,
    find_master_key,
    make_next,
    read_master_key,
    sealed_with,
    take_next,
)
from dolium.values import Secret

__all__ = ["Rotated", "replace_lost", "rotate", "rotate_given"]

_BATCH = 200


@dataclass(frozen=True, slots=True)
class Rotated:
    """`sealed`: secrets that were sealed anew. `revoked`: keys that could not be opened any more. `kept`: where the old
    key lies, or None.
    """

    sealed: int
    revoked: int
    kept: Path | None


def rotate(database: Database, folder: Path) -> Rotated:
    """Where `master.key` lies in the folder. Raises ConfigError if there is none, or if it does not open a secret."""
    old = read_master_key(folder / "master.key")
    if old is None:
        raise ConfigError(f"there is no {folder / 'master.key'} to follow; if it is lost: --lost")
    opener = Sealer(old, find=lambda number: find_master_key(folder, number))
    for key in every_sealed(database):
        opener.open(key.sealed, tenancy_id=key.tenancy_id, key_id=key.key_id)
    following = make_next(folder)
    reach("rotate.made")
    sealed = _seal_anew(database, opener, following)
    reach("rotate.sealed")
    kept = take_next(folder, old)
    # Of a command that had opened the old key before, and has committed since.
    sealed += _seal_anew(database, opener, following)
    return Rotated(sealed, 0, kept)


def _seal_anew(database: Database, opener: Sealer, following: MasterKey) -> int:
    sealer = Sealer(following)
    waiting = (key for key in every_sealed(database) if sealed_with(key.sealed) != following.id)
    done = 0
    while batch := list(islice(waiting, _BATCH)):
        database.write(lambda tx, batch=batch: _enter(tx, opener, sealer, batch))  # type: ignore[misc]
        done += len(batch)
    return done


def _enter(tx: Transaction, opener: Sealer, sealer: Sealer, keys: Iterable[SealedKey]) -> None:
    for key in keys:
        secret = opener.open(key.sealed, tenancy_id=key.tenancy_id, key_id=key.key_id)
        access_keys.seal_again(tx, key, sealer.seal(secret, tenancy_id=key.tenancy_id, key_id=key.key_id))
        reach("rotate.each")


def rotate_given(database: Database, folder: Path, old: MasterKey, following: MasterKey) -> Rotated:
    """Where the master key was given from elsewhere; the caller has claimed the folder. Raises ConfigError."""
    opener = Sealer(
        old, find=lambda number: following if number == following.id else find_master_key(folder, number)
    )
    sealer = Sealer(following)
    waiting = [key for key in every_sealed(database) if sealed_with(key.sealed) != following.id]
    database.write(lambda tx: _enter(tx, opener, sealer, waiting))
    return Rotated(len(waiting), 0, None)


def replace_lost(database: Database, folder: Path, given: MasterKey | None) -> Rotated:
    """The old master key is gone: begin with another. Keys that no master key at hand opens are revoked: nobody can
    ever know their secrets again. The caller has claimed the folder.
    """
    following = given or read_master_key(folder / "master.key") or create_master_key(folder)
    opener = Sealer(following, find=lambda number: find_master_key(folder, number))
    sealer = Sealer(following)
    waiting = [key for key in every_sealed(database) if sealed_with(key.sealed) != following.id]
    closed = [key for key in waiting if not opens(opener, key)]
    gone = {key.key_id for key in closed}

    def write(tx: Transaction) -> None:
        _enter(tx, opener, sealer, (key for key in waiting if key.key_id not in gone))
        for key in closed:
            nothing = Secret(secrets.token_urlsafe(32))
            access_keys.seal_again(
                tx, key, sealer.seal(nothing, tenancy_id=key.tenancy_id, key_id=key.key_id), revoke_it=True
            )

    database.write(write)
    return Rotated(len(waiting) - len(closed), len(closed), None)
