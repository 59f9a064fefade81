"""Blobs as block blobs in a container of Azure Blob Storage.

kind: azure_blob
container: galaxy
account_name: research
account_key: env:AZURE_KEY
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from obstore.store import AzureStore

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
    """Takes chunks, keeps descriptions, signs URLs."""

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
        client.container, client.account, client.key = (
            options.container, options.account_name, options.account_key,
        )  # fmt: skip
        super().__init__(
            client, store_id=store_id, prefix=options.prefix, threshold=options.block_bytes,
            expected_uuid=options.expected_uuid,
        )  # fmt: skip


_SIGN: Final = "\ud7ff"
_BACKSLASH: Final = f"[{_SIGN}~"
_ODD: Final = re.compile(r"[\\\ud7ff\ue000-\U0010ffff]")
_WRITTEN: Final = re.compile(rf"\[{_SIGN}~|{_SIGN}([0-9a-f]{{6}})")


_SAS: Final = "2020-12-06"  # the version of the service whose text is signed below


class _Client(ServiceClient):
    container = account = ""
    key: Secret | None = None

    def sign_answer(self, url: str, name: str, seconds: int, headers: AnswerHeaders) -> str:
        """A service SAS, which can say this; a service principal has no key that it could be made with."""
        if self.key is None:
            return url
        until = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        place = f"/blob/{self.account}/{self.container}/{self.encoded(name)}"
        # Permissions, start, end, place, identifier, addresses, protocol, version, kind, snapshot, encryption scope;
        # then what the answer says of caching, disposition, encoding, language and type.
        text = (
            f"r\n\n{until}\n{place}\n\n\n\n{_SAS}\nb\n\n\n"
            f"\n{headers.content_disposition}\n\n\n{headers.content_type}"
        )
        digest = hmac.digest(base64.b64decode(self.key.reveal()), text.encode(), "sha256")
        said = {
            "sv": _SAS, "sr": "b", "sp": "r", "se": until, "rscd": headers.content_disposition,
            "rsct": headers.content_type, "sig": base64.b64encode(digest).decode(),
        }  # fmt: skip
        query = urlencode({field: value for field, value in said.items() if value}, quote_via=quote)
        return f"{url.partition('?')[0]}?{query}"

    def encoded(self, name: str) -> str:
        return name if name.isascii() and "\\" not in name else _ODD.sub(_write, name)

    def decoded(self, name: str) -> str:
        return name if name.isascii() else _WRITTEN.sub(_read, name)


def _write(odd: re.Match[str]) -> str:
    return _BACKSLASH if odd[0] == "\\" else f"{_SIGN}{ord(odd[0]):06x}"


def _read(written: re.Match[str]) -> str:
    return chr(int(written[1], 16)) if written[1] else "\\"
