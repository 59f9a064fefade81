"""Making access keys, and taking in those that people already have.

    credentials = generate()
    database.write(lambda tx: add_key(tx, sealer, credentials, tenancy_id=1, person_id=7))

The secret leaves this process once, in the answer to whoever asked for the key.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from dolium.catalog import access_keys
from dolium.catalog.access_keys import AccessKey, Scope
from dolium.catalog.database import Transaction
from dolium.errors import Malformed
from dolium.identity.seal import Sealer
from dolium.values import Secret

__all__ = ["Credentials", "add_key", "from_environment", "from_text", "generate"]

# Base32, so that an id survives being read aloud; `DO` tells where it comes from.
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SECRET_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"  # noqa: S105 - not a secret
_WHOLE = Scope()
_SECRET = re.compile(r"[\x21-\x7e]{8,256}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client signs with."""

    key_id: str
    secret: Secret


def generate() -> Credentials:
    """A random key: 90 bits of id, 238 bits of secret; letters and digits only, so nothing needs quoting."""
    key_id = "DO" + "".join(secrets.choice(_ALPHABET) for _ in range(18))
    return Credentials(key_id, Secret("".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))))


def from_environment(environ: Mapping[str, str]) -> Credentials | None:
    """`DOLIUM_ACCESS_KEY_ID` and `DOLIUM_SECRET_ACCESS_KEY`, if they are set; one alone raises Malformed."""
    key_id, secret = environ.get("DOLIUM_ACCESS_KEY_ID", ""), environ.get("DOLIUM_SECRET_ACCESS_KEY", "")
    if bool(key_id) != bool(secret):
        raise Malformed(
            "InvalidArgument", "DOLIUM_ACCESS_KEY_ID and DOLIUM_SECRET_ACCESS_KEY must be set together"
        )
    return Credentials(key_id, Secret(secret)) if key_id else None


def from_text(text: str) -> list[Credentials]:
    """Keys as people have them: two lines (id, secret), or JSON objects one a line or one in all with
    `access_key`/`secret_key` or AWS's `AccessKeyId`/`SecretAccessKey`. Raises Malformed.
    """
    stripped = text.strip()
    if stripped.startswith("{"):
        return [_from_json(piece) for piece in _objects(stripped)]
    lines = [line.strip() for line in stripped.splitlines() if line.strip()]
    if len(lines) != 2:
        raise Malformed("InvalidArgument", "expected two lines, the access key id and the secret, or JSON")
    return [Credentials(lines[0], Secret(lines[1]))]


def _objects(text: str) -> list[object]:
    decoder, found, at = json.JSONDecoder(), [], 0
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            found.append(value)
            while at < len(text) and text[at].isspace():
                at += 1
    except json.JSONDecodeError:
        # Not chained: the error carries the document, and with it the secret.
        raise Malformed("InvalidArgument", "the JSON of the access key cannot be read") from None
    return found


def _from_json(value: object) -> Credentials:
    if isinstance(value, dict):
        # The response of `aws iam create-access-key` wraps the two.
        inner = value.get("AccessKey", value)
        for id_name, secret_name in (("access_key", "secret_key"), ("AccessKeyId", "SecretAccessKey")):
            key_id, secret = inner.get(id_name), inner.get(secret_name)
            if isinstance(key_id, str) and isinstance(secret, str):
                return Credentials(key_id, Secret(secret))
    raise Malformed(
        "InvalidArgument", "the JSON needs access_key and secret_key, or AccessKeyId and SecretAccessKey"
    )


def add_key(
    tx: Transaction,
    sealer: Sealer,
    credentials: Credentials,
    *,
    tenancy_id: int,
    person_id: int | None,
    description: str = "",
    scope: Scope = _WHOLE,
    expires_ms: int | None = None,
) -> AccessKey:
    """Seal and record. Raises Malformed, AlreadyExists, and Conflict for one who is no member."""
    if not _SECRET.fullmatch(credentials.secret.reveal()):
        raise Malformed("InvalidArgument", "a secret is 8 to 256 printable characters without spaces")
    sealed = sealer.seal(credentials.secret, tenancy_id=tenancy_id, key_id=credentials.key_id)
    return access_keys.add(
        tx,
        credentials.key_id,
        tenancy_id=tenancy_id,
        person_id=person_id,
        secret_sealed=sealed,
        description=description,
        scope=scope,
        expires_ms=expires_ms,
    )
