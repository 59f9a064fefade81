"""Access keys, with the standing of whoever holds them. Secrets are sealed before they come here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dolium.catalog.database import Read, Row, Transaction
from dolium.errors import AlreadyExists, Conflict, Malformed, RecordNotFound

__all__ = [
    "AccessKey",
    "Holder",
    "ListedKey",
    "Scope",
    "SealedKey",
    "add",
    "any_sealed",
    "find",
    "get",
    "holder",
    "listed",
    "revoke",
    "seal_again",
    "sealed",
]

# Wide enough for keys that people bring from elsewhere; no `/`, which separates parts of a credential.
_KEY_ID = re.compile(r"[A-Za-z0-9_.+=@-]{3,128}")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a key is narrowed to. `bucket` None: every bucket."""

    read_only: bool = False
    bucket: str | None = None
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """`person_id` None: a service key, which belongs to the tenancy itself."""

    key_id: str
    tenancy_id: int
    person_id: int | None
    description: str
    secret_sealed: bytes = field(repr=False)
    scope: Scope
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as people see it: names instead of numbers, no secret. `person` None: a service key."""

    key_id: str
    tenancy: str
    person: str | None
    description: str
    scope: Scope
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None


@dataclass(frozen=True, slots=True)
class SealedKey:
    """What is sealed of a key, and what it is bound to."""

    key_id: str
    tenancy_id: int
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Holder:
    """A key together with all that decides what it may do. `role` None: no membership of the tenancy."""

    key: AccessKey
    tenancy_name: str
    tenancy_canonical_id: str
    tenancy_title: str
    sharing: str
    person_name: str | None
    canonical_id: str | None
    display_name: str | None
    site_admin: bool
    suspended: bool
    role: str | None
    membership_expires_ms: int | None


_COLUMNS = (
    "k.key_id, k.tenancy_id, k.person_id, k.description, k.secret_sealed, k.read_only, k.scope_bucket, "
    "k.scope_prefix, k.created_ms, k.expires_ms, k.revoked_ms"
)
_HOLDER = (
    f"SELECT {_COLUMNS}, t.name, t.canonical_id, t.title, t.sharing, p.name, p.canonical_id, p.display_name, "
    "p.site_admin, p.suspended, m.role, m.expires_ms FROM access_keys k "
    "JOIN tenancies t ON t.id = k.tenancy_id LEFT JOIN people p ON p.id = k.person_id "
    "LEFT JOIN memberships m ON m.tenancy_id = k.tenancy_id AND m.person_id = k.person_id WHERE k.key_id = $1"
)


def _key(row: Row) -> AccessKey:
    return AccessKey(
        row[0],
        row[1],
        row[2],
        row[3],
        bytes(row[4]),
        Scope(bool(row[5]), row[6], row[7]),
        row[8],
        row[9],
        row[10],
    )


def find(read: Read, key_id: str) -> AccessKey | None:
    """The key of that id, revoked or not."""
    row = read.one(f"SELECT {_COLUMNS} FROM access_keys k WHERE k.key_id = $1", key_id)
    return _key(row) if row else None


def get(read: Read, key_id: str) -> AccessKey:
    """Raises RecordNotFound."""
    key = find(read, key_id)
    if key is None:
        raise RecordNotFound("access key", key_id)
    return key


def holder(read: Read, key_id: str) -> Holder | None:
    """The key with tenancy, person and membership, from one snapshot."""
    row = read.one(_HOLDER, key_id)
    if row is None:
        return None
    return Holder(
        key=_key(row),
        tenancy_name=row[11],
        tenancy_canonical_id=row[12],
        tenancy_title=row[13],
        sharing=row[14],
        person_name=row[15],
        canonical_id=row[16],
        display_name=row[17],
        site_admin=bool(row[18]),
        suspended=bool(row[19]),
        role=row[20],
        membership_expires_ms=row[21],
    )


def listed(read: Read, *, tenancy_id: int | None = None, person_id: int | None = None) -> list[ListedKey]:
    """Keys of a tenancy, a person, both or all; oldest first."""
    rows = read.all(
        "SELECT k.key_id, t.name, p.name, k.description, k.read_only, k.scope_bucket, k.scope_prefix, "
        "k.created_ms, k.expires_ms, k.revoked_ms FROM access_keys k "
        "JOIN tenancies t ON t.id = k.tenancy_id LEFT JOIN people p ON p.id = k.person_id "
        "WHERE ($1 IS NULL OR k.tenancy_id = $1) AND ($2 IS NULL OR k.person_id = $2) "
        "ORDER BY k.created_ms, k.key_id",
        tenancy_id, person_id,
    )  # fmt: skip
    return [ListedKey(r[0], r[1], r[2], r[3], Scope(bool(r[4]), r[5], r[6]), r[7], r[8], r[9]) for r in rows]


def any_sealed(read: Read) -> AccessKey | None:
    """One of the keys, or None if there is none: tells whether a master key must exist."""
    row = read.one(f"SELECT {_COLUMNS} FROM access_keys k LIMIT 1")
    return _key(row) if row else None


def sealed(read: Read, *, after: str = "", limit: int = 500) -> list[SealedKey]:
    """Keys behind `after`, by id."""
    rows = read.all(
        "SELECT key_id, tenancy_id, secret_sealed FROM access_keys WHERE key_id > $1 ORDER BY key_id LIMIT $2",
        after, limit,
    )  # fmt: skip
    return [SealedKey(row[0], row[1], bytes(row[2])) for row in rows]


def seal_again(tx: Transaction, old: SealedKey, secret_sealed: bytes, *, revoke_it: bool = False) -> None:
    """Put another seal in the place of `old`, unless somebody was faster."""
    tx.run(
        "UPDATE access_keys SET secret_sealed = $1, revoked_ms = CASE $2 WHEN 1 THEN coalesce(revoked_ms, $3) "
        "ELSE revoked_ms END WHERE key_id = $4 AND secret_sealed = $5",
        secret_sealed, int(revoke_it), tx.now_ms, old.key_id, old.sealed,
    )  # fmt: skip
    tx.touch()


def add(
    tx: Transaction,
    key_id: str,
    *,
    tenancy_id: int,
    person_id: int | None,
    secret_sealed: bytes,
    description: str = "",
    scope: Scope = Scope(),
    expires_ms: int | None = None,
) -> AccessKey:
    """Raises Malformed (an id that cannot be, a prefix without a bucket), AlreadyExists, and Conflict if
    the person is not a member of the tenancy.
    """
    if not _KEY_ID.fullmatch(key_id):
        raise Malformed(
            "InvalidArgument", "an access key id is 3 to 128 characters of A-Z a-z 0-9 _ . + = @ -"
        )
    if scope.prefix and scope.bucket is None:
        raise Malformed("InvalidArgument", "a key with a prefix needs the bucket that the prefix is in")
    if find(tx, key_id) is not None:
        raise AlreadyExists("access key", key_id)
    if person_id is not None and not _belongs(tx, tenancy_id, person_id):
        raise Conflict("the person is not a member of the tenancy; add the membership first")
    tx.run(
        "INSERT INTO access_keys (key_id, tenancy_id, person_id, description, secret_sealed, read_only, "
        "scope_bucket, scope_prefix, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        key_id, tenancy_id, person_id, description, secret_sealed, int(scope.read_only),
        scope.bucket, scope.prefix, tx.now_ms, expires_ms,
    )  # fmt: skip
    tx.touch()
    return AccessKey(
        key_id, tenancy_id, person_id, description, secret_sealed, scope, tx.now_ms, expires_ms, None
    )  # fmt: skip


def _belongs(read: Read, tenancy_id: int, person_id: int) -> bool:
    """Members, and the site admin, who is over all."""
    row = read.one(
        "SELECT 1 FROM memberships WHERE tenancy_id = $1 AND person_id = $2 "
        "UNION ALL SELECT 1 FROM people WHERE id = $2 AND site_admin = 1",
        tenancy_id, person_id,
    )  # fmt: skip
    return row is not None


def revoke(tx: Transaction, key_id: str) -> None:
    """For good: every worker refuses the key from the next request on. Raises RecordNotFound."""
    get(tx, key_id)
    tx.run(
        "UPDATE access_keys SET revoked_ms = $1 WHERE key_id = $2 AND revoked_ms IS NULL", tx.now_ms, key_id
    )
    tx.touch()
