import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dolium.config.settings import Settings
from dolium.server.housekeeping import Housekeeper
from tests.unit.server.conftest import Client, With


def blobs(settings: Settings) -> list[Path]:
    return [
        path for path in settings.store_root.rglob("*") if path.is_file() and not path.name.startswith(".")
    ]


def until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


def test_replaced_bytes_go_after_their_grace(with_client: With, settings: Settings) -> None:
    settings = replace(settings, garbage_grace=0, inline_limit=0)

    async def work(client: Client) -> None:
        await client.call("PUT", "/my-bucket")
        for body in (b"first", b"second"):
            await client.call("PUT", "/my-bucket/key", body)
        assert until(lambda: len(blobs(settings)) == 1)
        assert (await client.call("GET", "/my-bucket/key")).body == b"second"
        await client.call("DELETE", "/my-bucket/key")
        assert until(lambda: blobs(settings) == [])

    with_client(work, settings)


def test_one_of_many_keeps_house_and_another_takes_over(with_client: With, settings: Settings) -> None:
    async def work(client: Client) -> None:
        first = Housekeeper(client.wired.service, settings.data, every=0.05)
        second = Housekeeper(client.wired.service, settings.data, every=0.05)
        assert first._is_mine()
        assert first._is_mine()
        assert not second._is_mine()
        first.close()
        assert second._is_mine()
        second.close()

    with_client(work)
