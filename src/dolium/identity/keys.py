"""Access keys as requests need them: found in less than a microsecond, forgotten the moment they change.

    known = ring.find(key_id, now_ms)          # None: no such key
    ring.signing_key(known, "20260130", "us-east-1", "s3")

A process remembers keys until the catalog's generation changes, which every write to identities does, in
whatever process. Verify the signature first and look at `refusal` afterwards: only a holder of the secret
may learn that a key has expired.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from dolium.catalog import access_keys
from dolium.catalog.access_keys import Holder, SealedKey
from dolium.catalog.database import Database
from dolium.errors import ConfigError
from dolium.identity.permissions import Role
from dolium.identity.principal import Principal
from dolium.identity.seal import MasterKey, Sealer, create_master_key, find_master_key, open_master_key
from dolium.values import Secret
from dolium.wire import sigv4
from dolium.wire.sigv4 import SigningKey

__all__ = ["KeyRing", "KnownKey", "Refusal", "Sealing", "every_sealed", "open_sealer", "opens", "sealing"]

_FOREVER = 1 << 62
_ROLES = {str(role): role for role in Role}
_MOST_SIGNING_KEYS = 64  # of one access key; a caller can name any region, so their number is bounded


class Refusal(StrEnum):
    """Why a key that exists opens nothing."""

    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """`expires_ms` None: never. `until_ms`: when something of this changes by the passing of time."""

    principal: Principal
    secret: Secret
    expires_ms: int | None
    refusal: Refusal | None
    until_ms: int
    # Kept here and not beside: with another secret under the same id comes another dict.
    signing: dict[tuple[str, str, str], SigningKey] = field(default_factory=dict, repr=False, compare=False)


class _Remembered:
    """What is known at one generation of the catalog. A reader that is slow fills the one it began with."""

    __slots__ = ("generation", "keys")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.keys: dict[str, KnownKey] = {}


class KeyRing:
    """Safe for use from many threads: all it shares are single reads and writes of dicts."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._remembered = _Remembered(-1)

    def find(self, key_id: str, now_ms: int) -> KnownKey | None:
        """The key and its principal as of now, or None if there is no such key.

        A member whose membership has ended, or who is suspended, has a principal with role NONE.
        """
        remembered = self._remembered
        generation = self._database.generation()
        if remembered.generation != generation:
            remembered = self._remembered = _Remembered(generation)
        known = remembered.keys.get(key_id)
        if known is None or now_ms >= known.until_ms:
            return self._load(remembered, key_id, now_ms)
        return known

    def _load(self, remembered: _Remembered, key_id: str, now_ms: int) -> KnownKey | None:
        holder = access_keys.holder(self._database, key_id)
        if holder is None:
            return None  # not remembered: ids that do not exist have no bound
        secret = self._sealer.open(holder.key.secret_sealed, tenancy_id=holder.key.tenancy_id, key_id=key_id)
        known = _known(holder, secret, now_ms)
        remembered.keys[key_id] = known
        return known

    def signing_key(self, known: KnownKey, date: str, region: str, service: str = "s3") -> SigningKey:
        """SigV4's key for one day, region and service."""
        name = (date, region, service)
        key = known.signing.get(name)
        if key is None:
            key = sigv4.signing_key(known.secret.reveal(), date, region, service)
            if len(known.signing) >= _MOST_SIGNING_KEYS:
                known.signing.clear()
            known.signing[name] = key
        return key


def _known(holder: Holder, secret: Secret, now_ms: int) -> KnownKey:
    key = holder.key
    refusal = None
    if key.revoked_ms is not None:
        refusal = Refusal.REVOKED
    elif key.expires_ms is not None and now_ms >= key.expires_ms:
        refusal = Refusal.EXPIRED
    ahead = [at for at in (key.expires_ms, holder.membership_expires_ms) if at is not None and at > now_ms]
    return KnownKey(_principal(holder, now_ms), secret, key.expires_ms, refusal, min(ahead, default=_FOREVER))


def _principal(holder: Holder, now_ms: int) -> Principal:
    key = holder.key
    return Principal(
        tenancy_id=key.tenancy_id,
        tenancy=holder.tenancy_name,
        sharing=holder.sharing,
        person_id=key.person_id,
        person=holder.person_name or "",
        canonical_id=holder.canonical_id or holder.tenancy_canonical_id,
        display_name=holder.display_name or holder.tenancy_title or holder.tenancy_name,
        role=_role(holder, now_ms),
        site_admin=holder.site_admin and not holder.suspended,
        key_id=key.key_id,
        read_only=key.scope.read_only,
        scope_bucket=key.scope.bucket,
        scope_prefix=key.scope.prefix,
    )


def _role(holder: Holder, now_ms: int) -> Role:
    if holder.key.person_id is None:
        return Role.SERVICE
    if holder.suspended:
        return Role.NONE
    if holder.site_admin:
        return Role.MANAGER
    ended = holder.membership_expires_ms is not None and now_ms >= holder.membership_expires_ms
    return Role.NONE if holder.role is None or ended else _ROLES[holder.role]


@dataclass(frozen=True, slots=True)
class Sealing:
    """How the access keys of a catalog fare with the master keys that are at hand. `closed`: how many of the `keys`
    cannot be opened. `has_master`: whether there is a master key at all.
    """

    keys: int
    closed: int
    has_master: bool


def sealing(database: Database, folder: Path, given: Secret | None) -> Sealing:
    """Look at every access key. Raises ConfigError for a master key that cannot be used."""
    master = open_master_key(folder, given)
    sealer = None if master is None else _sealer(master, folder)
    keys = closed = 0
    for key in every_sealed(database):
        keys += 1
        closed += sealer is None or not opens(sealer, key)
    return Sealing(keys, closed, master is not None)


def every_sealed(database: Database) -> Iterator[SealedKey]:
    """All keys, as they are while one asks for them."""
    after = ""
    while page := access_keys.sealed(database, after=after):
        yield from page
        after = page[-1].key_id


def opens(sealer: Sealer, key: SealedKey) -> bool:
    """Whether a master key that is at hand opens it."""
    try:
        sealer.open(key.sealed, tenancy_id=key.tenancy_id, key_id=key.key_id)
    except ConfigError:
        return False
    return True


def _sealer(master: MasterKey, folder: Path) -> Sealer:
    return Sealer(master, find=lambda number: find_master_key(folder, number))


def open_sealer(database: Database, folder: Path, given: Secret | None, *, create: bool = False) -> Sealer:
    """The sealer of a data folder, tried on a secret that is there.

    `given`: the master key from the configuration or environment. `create`: make `master.key` if there is
    none and nothing is sealed yet. Raises ConfigError for a master key that is missing, malformed, readable
    for others, or not the one that the secrets were sealed with.
    """
    sample = access_keys.any_sealed(database)
    master = open_master_key(folder, given)
    if master is None and sample is None and create:
        master = create_master_key(folder)
    if master is None:
        raise ConfigError(
            f"the master key is missing: there is no {folder / 'master.key'} and DOLIUM_MASTER_KEY is not set. "
            + (
                "Without it the access keys in the catalog cannot be used: put it back from where you keep it apart. If it is lost: dolium key rotate-master --lost"
                if sample is not None
                else "Start the service once (dolium serve), which makes it"
            )
        )
    sealer = _sealer(master, folder)
    if sample is not None:
        sealer.open(sample.secret_sealed, tenancy_id=sample.tenancy_id, key_id=sample.key_id)
    return sealer
