"""A whole service in this process, without sockets: for what needs people, keys, quotas, or its own settings.

inside = Inside(folder, garbage_grace=0)
ada = inside.member("ada", role="viewer")
ada.refused((403, "AccessDenied"), "PUT", "/bucket/key")
inside.close()
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dolium.catalog import people, tenancies
from dolium.catalog.access_keys import Scope
from dolium.catalog.database import Transaction
from dolium.config.settings import Settings
from dolium.identity.credentials import Credentials, add_key, generate
from dolium.identity.keys import open_sealer
from dolium.objects.sweep import sweep
from dolium.server import meters, wiring
from dolium.server.first_run import arrive
from dolium.testing.server import Site
from dolium.values import Secret
from tests.s3.client import Answer, Client

__all__ = ["Inside"]

T = TypeVar("T")

_ADMIN = Credentials("INSIDEKEY", Secret("inside-secret-of-the-site-admin"))
_HOST = "127.0.0.1:9000"
_IDENTITY = ".dolium-store.json"
_WHOLE = Scope()


class Inside:
    """Use from one thread; it has an event loop of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = Settings(data=folder / "data", min_free=0, request_log="off", **settings)
        arrive(self.settings, _ADMIN)
        meters.clear(wiring.meters_folder(self.settings))
        self._runner = asyncio.Runner()
        self.wired = self._runner.run(self._build())
        self.service = self.wired.service
        self.sealer = open_sealer(self.service.database, self.settings.data, None)
        self.admin = self.client(_ADMIN)

    async def _build(self) -> wiring.Wired:
        return wiring.build(self.settings)

    def close(self) -> None:
        self._runner.run(self.wired.shutdown())
        self._runner.close()

    # Who asks -----------------------------------------------------------------------------------------------

    def client(self, credentials: Credentials, *, host: str = _HOST) -> Client:
        site = Site(f"http://{host}", credentials.key_id, credentials.secret.reveal())
        return Client(site, self.send)

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Change the catalog, as the command line does."""
        return self.service.database.write(work)

    def tenancy(self, name: str, **options: Any) -> int:
        return self.write(lambda tx: tenancies.add(tx, name, **options)).id

    def tenancy_id(self, name: str = "main") -> int:
        return tenancies.get(self.service.database, name).id

    def change_tenancy(
        self, name: str = "main", *, sharing: str = "owner", quota_bytes: int | None = None
    ) -> None:
        number = self.tenancy_id(name)
        self.write(
            lambda tx: tenancies.change(tx, number, title="", sharing=sharing, quota_bytes=quota_bytes)
        )

    def person(self, name: str, role: str = "member", *, tenancy: str = "main") -> int:
        """Someone who belongs to the tenancy, made if there is nobody of that name."""

        def enrol(tx: Transaction) -> int:
            found = people.find(tx, name) or people.add(tx, name, display_name=name.title())
            tenancies.enrol(tx, tenancies.get(tx, tenancy).id, found.id, role)
            return found.id

        return self.write(enrol)

    def suspend(self, name: str) -> None:
        self.write(lambda tx: people.set_suspended(tx, people.get(tx, name).id, suspended=True))

    def member(
        self,
        name: str,
        role: str = "member",
        *,
        tenancy: str = "main",
        scope: Scope = _WHOLE,
        expires_ms: int | None = None,
        host: str = _HOST,
    ) -> Client:
        """A client with a key of that person."""
        number = self.person(name, role, tenancy=tenancy)
        return self.client(self.key(number, tenancy=tenancy, scope=scope, expires_ms=expires_ms), host=host)

    def key(
        self,
        person_id: int | None,
        *,
        tenancy: str = "main",
        scope: Scope = _WHOLE,
        expires_ms: int | None = None,
    ) -> Credentials:
        """A new key; of the tenancy itself without a person."""
        credentials = generate()
        number = self.tenancy_id(tenancy)
        self.write(
            lambda tx: add_key(
                tx, self.sealer, credentials, tenancy_id=number, person_id=person_id, scope=scope, expires_ms=expires_ms
            )
        )  # fmt: skip
        return credentials

    def client_of(self, key_id: str, secret: str) -> Client:
        """Whoever believes to have that key."""
        return self.client(Credentials(key_id, Secret(secret)))

    def import_key(self, key_id: str, secret: str) -> None:
        """As `dolium key import` for the tenancy itself. Raises Malformed."""
        given, number = Credentials(key_id, Secret(secret)), self.tenancy_id()
        self.write(lambda tx: add_key(tx, self.sealer, given, tenancy_id=number, person_id=None))

    # What is asked ------------------------------------------------------------------------------------------

    def send(
        self, site: Site, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """One request, its body in one piece."""
        return self._runner.run(self._answer(site, method, path, headers, (body,)))

    def from_afar(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """Unsigned, from another machine."""
        return self._runner.run(self._answer(self.admin.site, method, path, headers, (b"",), "203.0.113.7"))

    def together(self, requests: Sequence[tuple[Client, str, str, Mapping[str, str], bytes]]) -> list[Answer]:
        """All at once; headers as they are to be sent."""

        async def every() -> list[Answer]:
            return await asyncio.gather(
                *(self._answer(client.site, method, path, headers, (body,))
                  for client, method, path, headers, body in requests)
            )  # fmt: skip

        return self._runner.run(every())

    def while_waiting(
        self,
        requests: Sequence[tuple[Client, str, str, Mapping[str, str], bytes]],
        meanwhile: Callable[[], Awaitable[None]],
    ) -> list[Answer]:
        """Their answers; `meanwhile` is awaited while they are under way."""

        async def both() -> list[Answer]:
            asked = [asyncio.ensure_future(self.answer(*request)) for request in requests]
            await asyncio.sleep(0)
            await meanwhile()
            return await asyncio.gather(*asked)

        return self._runner.run(both())

    async def answer(
        self, client: Client, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """For `while_waiting`."""
        return await self._answer(client.site, method, path, headers, (body,))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Let the event loop go on for ten seconds at most."""

        async def wait() -> None:
            async with asyncio.timeout(10):
                while not condition():  # noqa: ASYNC110 - other threads change it
                    await asyncio.sleep(0.01)

        self._runner.run(wait())

    async def _answer(
        self,
        site: Site,
        method: str,
        path: str,
        headers: Mapping[str, str],
        pieces: Iterable[bytes],
        peer: str = "127.0.0.1",
    ) -> Answer:
        waiting = list(pieces)
        fields = [(b"host", site.host.encode())]
        fields += [
            (n.lower().encode(), v.encode("latin-1")) for n, v in headers.items() if n.lower() != "host"
        ]
        if not {b"content-length", b"transfer-encoding"} & {name for name, _ in fields}:
            fields.append((b"content-length", str(sum(map(len, waiting))).encode()))
        raw_path, _, query = path.encode("ascii").partition(b"?")
        scope: MutableMapping[str, Any] = {
            "type": "http", "method": method, "raw_path": raw_path, "query_string": query, "headers": fields,
            "client": (peer, 1), "scheme": "http", "extensions": {},
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            piece = waiting.pop(0) if waiting else b""
            return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

        def send(message: Any) -> Awaitable[None]:
            sent.append(message)
            return asyncio.sleep(0)

        await self.wired.app(scope, receive, send)
        start, *rest = sent
        text = b"".join(message.get("body", b"") for message in rest)
        self.wired.app.finished(scope, start["status"], len(text), 0, 0.001)
        named = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], named, text)

    # What is there ------------------------------------------------------------------------------------------

    def files(self) -> list[Path]:
        """The blobs in the store, and whatever lies beside them, temporary files too."""
        root = self.settings.store_root
        return sorted(path for path in root.rglob("*") if path.is_file() and path.name != _IDENTITY)

    def sweep(self, *, after_ms: int = 1000) -> int:
        """Delete garbage as if so much time had gone by."""
        now = self.write(lambda tx: tx.now_ms)
        return sweep(self.service, now_ms=now + after_ms)

    def dump(self) -> dict[str, list[Any]]:
        """Every row of the catalog but for its own counters, and every file of the store."""
        read = self.service.database
        tables = [
            row[0] for row in read.all("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        ]
        found: dict[str, list[Any]] = {
            name: list(read.all(f"SELECT * FROM {name}")) for name in tables if name != "book"
        }
        found["files"] = [str(path) for path in self.files()]
        return found
