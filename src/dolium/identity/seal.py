"""Secrets at rest: AES-256-GCM under a master key that is never in the database.

A sealed secret is one byte of format, 8 bytes that name the master key, 12 random bytes of nonce, then
ciphertext and tag. It is bound to its tenancy, access key and purpose, so that a row copied over another
does not open. A backup of the catalog is useless without the master key.

The master key comes from the environment (base64 or hex of 32 bytes), or lies in `master.key` of the
data folder, mode 0600, made at the first start. Beside it may lie `master.key.next`, while secrets are being
sealed anew, and `master.key.<id>.old`, for backups from before that: with any of them a secret is opened, with
`master.key` it is sealed.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dolium.crashpoints import reach
from dolium.errors import ConfigError
from dolium.values import Secret

__all__ = [
    "MasterKey",
    "Sealer",
    "create_master_key",
    "discard_unfinished",
    "find_master_key",
    "make_next",
    "open_master_key",
    "parse_master_key",
    "read_master_key",
    "sealed_with",
    "take_next",
]

_FILE = "master.key"
_NEXT = "master.key.next"
_FORMAT = 1
_ID, _NONCE = 8, 12
_HEAD = 1 + _ID + _NONCE


class MasterKey:
    """32 bytes that open every sealed secret; never prints itself."""

    __slots__ = ("_raw", "id")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.id = hashlib.sha256(b"dolium master key\0" + raw).digest()[:_ID]

    def cipher(self) -> AESGCM:
        return AESGCM(self._raw)

    def __repr__(self) -> str:
        return "MasterKey(***)"


class Sealer:
    """Seals and opens secrets of access keys. Safe for use from many threads.

    `find`: another master key by its id, asked when a secret was sealed with one that is not known yet.
    """

    def __init__(
        self, master: MasterKey, *, find: Callable[[bytes], MasterKey | None] = lambda _: None
    ) -> None:
        self.id = master.id
        self._head = bytes([_FORMAT]) + master.id
        self._cipher = master.cipher()
        self._find = find
        self._ciphers = {master.id: self._cipher}

    def seal(self, secret: Secret, *, tenancy_id: int, key_id: str, purpose: str = "s3") -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        text = secret.reveal().encode("utf-8")
        return self._head + nonce + self._cipher.encrypt(nonce, text, _bound_to(tenancy_id, key_id, purpose))

    def open(self, sealed: bytes, *, tenancy_id: int, key_id: str, purpose: str = "s3") -> Secret:
        """Raises ConfigError if another master key sealed it, or if the row is not the one sealed."""
        cipher = self._cipher if sealed.startswith(self._head) else self._cipher_of(sealed_with(sealed))
        try:
            text = cipher.decrypt(
                sealed[1 + _ID : _HEAD], sealed[_HEAD:], _bound_to(tenancy_id, key_id, purpose)
            )
        except InvalidTag as error:
            raise ConfigError(f"the sealed secret of access key {key_id} has been changed") from error
        return Secret(text.decode("utf-8"))

    def _cipher_of(self, number: bytes) -> AESGCM:
        cipher = self._ciphers.get(number)
        if cipher is None:
            master = self._find(number)
            if master is None:
                raise ConfigError(
                    "the secrets in the catalog were sealed with another master key; "
                    "give the one that belongs to this data folder"
                )
            cipher = self._ciphers[number] = master.cipher()
        return cipher


def sealed_with(sealed: bytes) -> bytes:
    """The id of the master key that it was sealed with. Raises ConfigError for what is no sealed secret."""
    if len(sealed) < _HEAD or sealed[0] != _FORMAT:
        raise ConfigError("a sealed secret in the catalog has a format that this version does not know")
    return sealed[1 : 1 + _ID]


def _bound_to(tenancy_id: int, key_id: str, purpose: str) -> bytes:
    # No part can hold a `|` that moves the border: a number, then an id without `|`, then our own word.
    return f"{tenancy_id}|{key_id}|{purpose}".encode()


def parse_master_key(text: str, *, source: str) -> MasterKey:
    """32 bytes written as 64 hex digits or as base64. Raises ConfigError, naming `source`."""
    text = text.strip()
    raw = b""
    with contextlib.suppress(binascii.Error, ValueError):
        raw = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    if len(raw) != 32:
        raise ConfigError(f"{source} must hold 32 bytes, as 64 hex digits or as base64")
    return MasterKey(raw)


def open_master_key(folder: Path, given: Secret | None) -> MasterKey | None:
    """The key that was given, else the one in the data folder, else None.

    Raises ConfigError for a key of the wrong length, and for a file that others than its owner may read.
    """
    if given is not None:
        return parse_master_key(given.reveal(), source="DOLIUM_MASTER_KEY")
    return read_master_key(folder / _FILE)


def read_master_key(path: Path) -> MasterKey | None:
    """The key in a file, None if there is none. Raises ConfigError as `open_master_key`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"the master key cannot be read: {error.strerror}", file=str(path)) from error
    with os.fdopen(fd, "rb") as file:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & 0o077:
            raise ConfigError(
                f"the master key is readable for others (mode {mode:04o}); run: chmod 600 {path}",
                file=str(path),
            )
        text = file.read(4096).decode("ascii", "replace")
    return parse_master_key(text, source=str(path))


def find_master_key(folder: Path, number: bytes) -> MasterKey | None:
    """The key with that id among those that lie in the data folder. Raises ConfigError as `open_master_key`."""
    # In this order: the next key takes the place of the current one meanwhile, never the other way.
    for name in (_NEXT, _FILE, f"{_FILE}.{number.hex()}.old"):
        found = read_master_key(folder / name)
        if found is not None and found.id == number:
            return found
    return None


def make_next(folder: Path) -> MasterKey:
    """The key that is to follow: made, or the one that lies there from a rotation that was cut off."""
    return _create(folder, _NEXT)


def take_next(folder: Path, old: MasterKey) -> Path:
    """Put `master.key.next` in the place of `master.key`, which holds `old`; where that is kept."""
    kept = folder / f"{_FILE}.{old.id.hex()}.old"
    with contextlib.suppress(FileExistsError):
        os.link(folder / _FILE, kept)
    _sync_folder(folder)
    reach("rotate.kept")
    (folder / _NEXT).replace(folder / _FILE)
    _sync_folder(folder)
    reach("rotate.taken")
    return kept


def discard_unfinished(folder: Path) -> None:
    """Remove what was left where the making of a master key was cut off. Not while another may be making it."""
    for path in folder.glob(f".{_FILE}.*"):
        path.unlink(missing_ok=True)


def create_master_key(folder: Path) -> MasterKey:
    """Make `master.key`, or take the one that another process has just made. Durable when it returns."""
    return _create(folder, _FILE)


def _create(folder: Path, name: str) -> MasterKey:
    path = folder / name
    raw = secrets.token_bytes(32)
    temporary = folder / f".{_FILE}.{secrets.token_hex(8)}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(base64.b64encode(raw) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        reach("master.written")
        # A link never replaces: whoever is second reads the key of whoever was first.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        reach("master.linked")
    finally:
        temporary.unlink()
    _sync_folder(folder)
    master = read_master_key(path)
    if master is None:
        raise ConfigError("the master key was removed while it was being made", file=str(path))
    return master


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
