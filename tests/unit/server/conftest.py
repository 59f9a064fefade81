"""A wired process without HTTP: requests go straight into the ASGI app."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Signer

from dolium.config.settings import Settings
from dolium.identity.credentials import Credentials
from dolium.server import meters, wiring
from dolium.server.first_run import arrive
from dolium.server.wiring import Wired, build
from dolium.values import Secret

HOST = "127.0.0.1:9000"
KEY = Credentials("FIRSTKEY", Secret("first-secret"))


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Client:
    """Speaks ASGI to one app; `peer` is where it seems to come from."""

    def __init__(self, wired: Wired) -> None:
        self.wired = wired
        self.peer = "127.0.0.1"

    async def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        signed: bool = True,
        host: str = HOST,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """`more`: headers that are not signed."""
        request = AWSRequest(method, f"http://{host}{path}", data=body, headers={"host": host})
        if signed:
            S3SigV4Auth(Signer(KEY.key_id, KEY.secret.reveal()), "s3", "us-east-1").add_auth(request)
        headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
        headers += [(name.lower().encode(), value.encode()) for name, value in (more or {}).items()]
        headers.append((b"content-length", str(len(body)).encode()))
        raw_path, _, query = path.encode().partition(b"?")
        scope = {
            "type": "http", "method": method, "raw_path": raw_path, "query_string": query,
            "headers": headers, "client": (self.peer, 1), "extensions": {},
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.wired.app(scope, receive, send)
        text = b"".join(message.get("body", b"") for message in sent[1:])
        self.wired.app.finished(scope, sent[0]["status"], len(text), len(body), 0.001)
        return Answer(sent[0]["status"], dict(sent[0]["headers"]), text)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data=tmp_path / "data", min_free=0, request_log="off")
    arrive(settings, KEY)
    meters.clear(wiring.meters_folder(settings))
    return settings


With = Callable[..., None]


@pytest.fixture
def with_client(settings: Settings) -> With:
    """Runs an async function with a client of a wired process, then closes it."""

    def run(work: Callable[[Client], Coroutine[Any, Any, None]], changed: Settings | None = None) -> None:
        async def main() -> None:
            wired = build(changed or settings)
            await wired.startup()
            try:
                await work(Client(wired))
            finally:
                await wired.shutdown()

        asyncio.run(main())

    return run
