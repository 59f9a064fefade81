import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from dolium.catalog import access_keys
from dolium.config.settings import Settings
from dolium.errors import ConfigError
from dolium.server.wiring import build
from dolium.values import Secret
from tests.unit.server.conftest import Client, With


def test_it_stores_and_gives_back(with_client: With) -> None:
    async def work(client: Client) -> None:
        assert (await client.call("PUT", "/my-bucket")).status == 200
        assert (await client.call("PUT", "/my-bucket/key", b"some bytes")).status == 200
        answer = await client.call("GET", "/my-bucket/key")
        assert (answer.status, answer.body) == (200, b"some bytes")
        assert answer.headers[b"x-amz-request-id"]

    with_client(work)


def test_it_is_alive_and_ready(with_client: With) -> None:
    async def work(client: Client) -> None:
        live = await client.call("GET", "/_health/live", signed=False)
        assert (live.status, json.loads(live.body)) == (200, {"status": "live"})
        ready = await client.call("GET", "/_health/ready", signed=False)
        assert ready.status == 200
        assert json.loads(ready.body) == {"status": "ready", "catalog": "ready", "store default": "ready"}
        head = await client.call("HEAD", "/_health/ready", signed=False)
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers[b"content-length"]) == len(ready.body)
        assert (await client.call("DELETE", "/_health/live", signed=False)).status == 405

    with_client(work)


def test_a_disk_that_is_gone_is_not_ready_and_comes_back(with_client: With, settings: Settings) -> None:
    identity = settings.store_root / ".dolium-store.json"
    aside = settings.data / "aside"

    async def work(client: Client) -> None:
        identity.rename(aside)
        gone = await client.call("GET", "/_health/ready", signed=False)
        assert gone.status == 503
        assert "is its disk mounted?" in json.loads(gone.body)["store default"]
        assert str(settings.data) not in gone.body.decode()
        assert (await client.call("GET", "/_health/live", signed=False)).status == 200
        aside.rename(identity)
        assert (await client.call("GET", "/_health/ready", signed=False)).status == 200

    with_client(work)


def test_one_that_ends_is_alive_and_not_ready(with_client: With) -> None:
    async def work(client: Client) -> None:
        client.wired.drain()
        assert (await client.call("GET", "/_health/live", signed=False)).status == 200
        ready = await client.call("GET", "/_health/ready", signed=False)
        assert (ready.status, json.loads(ready.body)["worker"]) == (503, "ending")

    with_client(work)


def test_what_is_done_is_counted(with_client: With) -> None:
    async def work(client: Client) -> None:
        await client.call("PUT", "/my-bucket")
        await client.call("PUT", "/my-bucket/key", b"x" * 1000)
        await client.call("GET", "/my-bucket/key")
        await client.call("GET", "/my-bucket/absent")
        await client.call("GET", "/", signed=False)
        await client.call("GET", "/%zz", signed=False)
        text = (await client.call("GET", "/_metrics", signed=False)).body.decode()
        for line in (
            'dolium_requests_total{operation="CreateBucket",status="2xx"} 1.0',
            'dolium_requests_total{operation="GetObject",status="2xx"} 1.0',
            'dolium_requests_total{operation="GetObject",status="4xx"} 1.0',
            'dolium_requests_total{operation="ListBuckets",status="4xx"} 1.0',
            'dolium_requests_total{operation="other",status="4xx"} 1.0',
            'dolium_received_bytes_total{operation="PutObject"} 1000.0',
            'dolium_request_seconds_count{operation="PutObject"} 1.0',
            'dolium_stored_bytes{tenancy="main"} 1000.0',
            'dolium_objects{tenancy="main"} 1.0',
        ):
            assert line in text
        assert 'dolium_store_bytes{kind="free",store="default"}' in text

    with_client(work)


def test_metrics_are_for_this_machine_unless_told(with_client: With, settings: Settings) -> None:
    async def from_afar(client: Client) -> int:
        client.peer = "192.0.2.7"
        return (await client.call("GET", "/_metrics", signed=False)).status

    async def refused(client: Client) -> None:
        assert await from_afar(client) == 403
        client.peer = "::1"
        assert (await client.call("GET", "/_metrics", signed=False)).status == 200

    async def answered(client: Client) -> None:
        assert await from_afar(client) == 200

    async def off(client: Client) -> None:
        assert (await client.call("GET", "/_metrics", signed=False)).status == 403

    with_client(refused)
    with_client(answered, replace(settings, metrics="all"))
    with_client(off, replace(settings, metrics="off"))


def test_where_the_host_names_a_bucket_own_pages_are_keys_in_it(
    with_client: With, settings: Settings
) -> None:
    async def work(client: Client) -> None:
        await client.call("PUT", "/", host="my-bucket.main.s3.example.org")
        for path in ("/_metrics", "/_health/live"):
            put = await client.call("PUT", path, b"mine", host="my-bucket.main.s3.example.org")
            assert put.status == 200
            got = await client.call("GET", path, host="my-bucket.main.s3.example.org")
            assert got.body == b"mine"
        assert b"live" in (await client.call("GET", "/_health/live", host="main.s3.example.org")).body

    with_client(work, replace(settings, hosts=("{tenancy}.s3.example.org",)))


def test_a_revoked_key_is_refused_from_the_next_request_on(with_client: With) -> None:
    async def work(client: Client) -> None:
        assert (await client.call("GET", "/")).status == 200
        database = client.wired.service.database
        # Not from the loop's thread: there a commit waits for the loop.
        await asyncio.to_thread(database.write, lambda tx: access_keys.revoke(tx, "FIRSTKEY"))
        assert (await client.call("GET", "/")).status == 403

    with_client(work)


def test_a_folder_that_never_started_is_not_served(settings: Settings) -> None:
    (settings.data / "master.key").unlink()
    with pytest.raises(ConfigError, match="master key is missing"):
        build(settings)


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded",
        "Via",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Real-IP",
        "CF-Connecting-IP",
    ],
)
def test_what_came_through_a_proxy_is_not_of_this_machine(with_client: With, header: str) -> None:
    async def work(client: Client) -> None:
        async def status(**more: str) -> int:
            return (await client.call("GET", "/_metrics", signed=False, more={**more})).status

        assert await status() == 200
        assert await status(**{header: "192.0.2.7"}) == 403
        assert await status(**{header: ""}) == 403

    with_client(work)


def test_a_name_of_the_outside_is_not_of_this_machine(with_client: With) -> None:
    """A proxy that adds no header still passes on the name that it was asked for, or signatures would not hold."""

    async def work(client: Client) -> None:
        for host, status in (
            ("s3.example.org", 403),
            ("localhost.example.org", 403),
            ("127.0.0.1.example.org", 403),
            ("192.0.2.7:9000", 403),
            ("[::1]:9000", 200),
            ("LocalHost", 200),
            ("127.0.0.2:9000", 200),
        ):
            assert (await client.call("GET", "/_metrics", signed=False, host=host)).status == status, host

    with_client(work)


def test_a_token_opens_the_metrics_from_anywhere(with_client: With, settings: Settings) -> None:
    token = replace(settings, metrics_token=Secret("correct horse"))

    def bearing(value: str, peer: str, expected: int) -> Callable[[Client], Coroutine[Any, Any, None]]:
        async def work(client: Client) -> None:
            client.peer = peer
            more = {"Authorization": value, "X-Forwarded-For": "192.0.2.7"}
            assert (await client.call("GET", "/_metrics", signed=False, more=more)).status == expected

        return work

    for how in ("local", "token"):
        with_client(bearing("Bearer correct horse", "192.0.2.9", 200), replace(token, metrics=how))
        for wrong in ("Bearer correct", "Bearer ", "bearer correct horse", "Basic correct horse", ""):
            with_client(bearing(wrong, "127.0.0.1", 400 if wrong else 403), replace(token, metrics=how))
    with_client(bearing("Bearer correct horse", "127.0.0.1", 400), replace(token, metrics="off"))
    with_client(bearing("Bearer ", "127.0.0.1", 400), settings)

    async def local(client: Client) -> None:
        assert (await client.call("GET", "/_metrics", signed=False)).status == 403

    with_client(local, replace(token, metrics="token"))
