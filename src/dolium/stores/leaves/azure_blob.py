"""Blobs as block blobs in a container of Azure Blob Storage.

kind: azure_blob
container: galaxy
account_name: research
account_key: env:AZURE_KEY
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from obstore.store import AzureStore

from dolium.errors import ConfigError
from dolium.stores.leaves.object_service import (
    AnswerHeaders,
    ObjectService,
    ServiceClient,
    client_options,
    retries,
)
from dolium.values import Secret

__all__ = ["AzureBlob", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of an Azure store. `account_url`: another service than Azure's own. Instead of the key of the account: a
    service principal (`tenant_id`, `client_id`, `client_secret`). The others as in `s3`.
    """

    container: str
    account_name: str
    account_key: Secret | None = None
    account_url: str = ""
    tenant_id: str = ""
    client_id: str = ""
    client_secret: Secret | None = None
    prefix: str = ""
    upload_concurrency: int = 4
    block_bytes: int = 8 << 20
    attempts: int = 4
    timeout_seconds: float = 30.0
    expected_uuid: str = ""


class AzureBlob(ObjectService):
    """Takes chunks, keeps descriptions, signs URLs.

    Raises ConfigError for an account key that is none.
    """

    def __init__(self, options: Options, *, store_id: str = "azure_blob") -> None:
        config: dict[str, Any] = {"account_name": options.account_name}
        if options.account_key is not None:
            config["account_key"] = options.account_key.reveal()
        if options.client_secret is not None:
            config["client_secret"] = options.client_secret.reveal()
            config |= {"tenant_id": options.tenant_id, "client_id": options.client_id}
        if options.account_url:
            config["endpoint"] = options.account_url.rstrip("/")
        service = AzureStore(
            options.container,
            config=config,
            client_options=client_options(
                endpoint=options.account_url, timeout_seconds=options.timeout_seconds
            ),
            retry_config=retries(options.attempts, options.timeout_seconds),
        )
        client = _Client(
            service,
            store_id=store_id,
            chunk=options.block_bytes,
            concurrency=options.upload_concurrency,
            attributes={},
        )
        if options.account_key is not None:
            client.signer = _Signer(options, options.account_key)
        super().__init__(
            client, store_id=store_id, prefix=options.prefix, threshold=options.block_bytes,
            expected_uuid=options.expected_uuid,
        )  # fmt: skip


_SIGN: Final = "\ud7ff"
_BACKSLASH: Final = f"[{_SIGN}~"
_ODD: Final = re.compile(r"[\\\ud7ff\ue000-\U0010ffff]")
_WRITTEN: Final = re.compile(rf"\[{_SIGN}~|{_SIGN}([0-9a-f]{{6}})")


_SIGNED_VERSION: Final = "2020-12-06"
"""Of the protocol, which says what is signed and in which order."""


class _Signer:
    """A shared access signature for reading one blob. obstore signs the path as it is sent, where Azure wants it decoded:
    of a name with a space or an umlaut its signature is wrong.
    """

    def __init__(self, options: Options, key: Secret) -> None:
        self._account, self._container = options.account_name, options.container
        self._base = (
            options.account_url.rstrip("/") or f"https://{options.account_name}.blob.core.windows.net"
        )
        try:
            self._key = base64.b64decode(key.reveal(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigError(
                "the account_key of the azure_blob store is not the base64 text of a key"
            ) from error

    def url(self, name: str, seconds: int, answer: AnswerHeaders) -> str:
        expires = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        resource = f"/blob/{self._account}/{self._container}/{name}"
        # Permissions, start, end, place, identifier, addresses, protocol, version, kind, snapshot, encryption scope; then
        # what the answer says of caching, disposition, encoding, language and type.
        fields = [
            "r", "", expires, resource, "", "", "", _SIGNED_VERSION, "b", "", "",
            "", answer.content_disposition, "", "", answer.content_type,
        ]  # fmt: skip
        signature = hmac.new(self._key, "\n".join(fields).encode(), hashlib.sha256).digest()
        said = {
            "sv": _SIGNED_VERSION, "se": expires, "sr": "b", "sp": "r", "sig": base64.b64encode(signature).decode(),
            "rscd": answer.content_disposition, "rsct": answer.content_type,
        }  # fmt: skip
        query = urlencode({field: value for field, value in said.items() if value}, quote_via=quote)
        return f"{self._base}/{self._container}/{quote(name)}?{query}"


class _Client(ServiceClient):
    signer: _Signer | None = None

    def url(self, name: str, seconds: int, answer: AnswerHeaders) -> str:
        if self.signer is None:  # a service principal: what the answer says cannot be asked for
            return super().url(name, seconds, answer)
        return self.signer.url(self.encoded(name), seconds, answer)

    def encoded(self, name: str) -> str:
        return name if name.isascii() and "\\" not in name else _ODD.sub(_write, name)

    def decoded(self, name: str) -> str:
        return name if name.isascii() else _WRITTEN.sub(_read, name)


def _write(odd: re.Match[str]) -> str:
    return _BACKSLASH if odd[0] == "\\" else f"{_SIGN}{ord(odd[0]):06x}"


def _read(written: re.Match[str]) -> str:
    return chr(int(written[1], 16)) if written[1] else "\\"
