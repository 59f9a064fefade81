"""The service's own scrub: when it is due, in one process, and out of the way of a command."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dolium.catalog import damage, scrubs
from dolium.config.settings import Settings
from dolium.movers.scrub import claim, hold
from dolium.server.scrubbing import Scrubber
from tests.unit.server.conftest import Client, With
from tests.unit.server.test_housekeeping import blobs
from tests.unit.stores.test_disk_sums import flip

FILE = b"f" * 300_000


async def until(true: Callable[[], bool]) -> bool:
    """The loop goes on meanwhile: it commits what reads have met."""
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:  # noqa: ASYNC110 - what is waited for is in the catalog
        await asyncio.sleep(0.05)
    return true()


def scrubber(client: Client, folder: Path, *, every: int = 0, rate: int = 0) -> Scrubber:
    return Scrubber(client.wired.service, folder, every=every, rate=rate, look_every=0.05)


async def rotten(client: Client, settings: Settings) -> Path:
    await client.call("PUT", "/my-bucket")
    await client.call("PUT", "/my-bucket/key", FILE)
    [blob] = blobs(settings)
    flip(blob, 0)
    return blob


@pytest.mark.parametrize("every", [0, 1, 3600])
def test_it_begins_when_it_is_due(with_client: With, settings: Settings, every: int) -> None:
    async def work(client: Client) -> None:
        await rotten(client, settings)
        read = client.wired.service.database
        scrub = scrubber(client, settings.data, every=every)
        scrub.start()
        if every == 1:
            assert await until(lambda: damage.counts(read) == {"corrupt": 1})
            assert await until(lambda: (scrubs.latest(read) or scrubs.Run(0, 0, None, "")).id > 1), (
                "and again"
            )
        else:
            await asyncio.sleep(0.5)
            assert scrubs.latest(read) is None
            assert damage.counts(read) == {}
        scrub.close()
        assert (await client.call("GET", "/my-bucket/key")).status == 500

    with_client(work, replace(settings, scrub_every=0))


def test_what_a_read_met_is_looked_at_at_once(with_client: With, settings: Settings) -> None:
    async def work(client: Client) -> None:
        blob = await rotten(client, settings)
        read = client.wired.service.database
        scrub = scrubber(client, settings.data)
        assert (await client.call("GET", "/my-bucket/key")).status == 500
        assert await until(lambda: damage.counts(read) == {"suspect": 1})
        scrub.start()
        assert await until(lambda: damage.counts(read) == {"corrupt": 1})
        await client.call("DELETE", "/my-bucket/key")
        assert await until(lambda: damage.counts(read) == {}), "it is nobody's damage any more"
        await client.call("PUT", "/my-bucket/key", FILE)
        [other] = [path for path in blobs(settings) if path != blob]
        flip(other, 0)
        assert (await client.call("GET", "/my-bucket/key")).status == 500
        flip(other, 0)
        # As when memory had erred, and not the disk.
        assert await until(lambda: damage.counts(read) == {} or "corrupt" in damage.counts(read))
        scrub.close()

    with_client(work, replace(settings, scrub_every=0))


def test_one_of_many_does_it_and_gives_way_to_a_command(with_client: With, settings: Settings) -> None:
    async def work(client: Client) -> None:
        await rotten(client, settings)
        slow = [scrubber(client, settings.data, every=1, rate=1000) for _ in range(2)]
        await asyncio.sleep(1)
        for one in slow:
            one.start()

        def is_at_work() -> bool:
            held = hold(settings.data)
            if held is not None:
                os.close(held)
            return held is None

        assert await until(is_at_work)
        began = time.monotonic()
        held = claim(settings.data)
        assert held is not None
        assert time.monotonic() - began < 10
        run = scrubs.latest(client.wired.service.database)
        assert run is not None
        assert run.ended_ms is None
        os.close(held)
        assert await until(is_at_work), "and goes on"
        for one in slow:
            one.close()

    with_client(work, replace(settings, scrub_every=0))
