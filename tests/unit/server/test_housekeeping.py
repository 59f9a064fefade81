import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.galaxy import read_stores
from dolium.config.settings import Settings
from dolium.objects.blob_keys import blob_key
from dolium.server.housekeeping import Housekeeper
from dolium.server.store_entry import enter_stores
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
        first = Housekeeper(client.wired.live, client.wired.service, settings.data, every=0.05)
        second = Housekeeper(client.wired.live, client.wired.service, settings.data, every=0.05)
        assert first._is_mine()
        assert first._is_mine()
        assert not second._is_mine()
        first.close()
        assert second._is_mine()
        second.close()

    with_client(work)


def test_a_store_that_is_down_keeps_no_other_from_being_swept(
    with_client: With, settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "stores.yml"
    file.write_text(
        "type: hierarchical\nbackends:\n  - {id: a, type: disk, files_dir: a}\n  - {id: b, type: disk, files_dir: b}\n"
        "rules: [{store: b, when: {prefix: [b]}}]\n"
    )
    spec = read_stores(file, {}, base=tmp_path).spec
    settings = replace(settings, garbage_grace=0, inline_limit=0, stores=spec)
    database = SqliteDatabase(settings.data)
    enter_stores(database, settings)
    database.close()
    roots = [tmp_path / name for name in "ab"]

    def left(root: Path) -> list[Path]:
        return [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]

    orphan = blob_key(time.time_ns() - 8 * 86400 * 10**9, "0123456789ab")
    for root in roots:
        (root / orphan).parent.mkdir(parents=True)
        (root / orphan).touch()
    roots[0].rename(tmp_path / "away")

    async def work(client: Client) -> None:
        assert until(lambda: left(roots[1]) == [])
        assert len(left(tmp_path / "away")) == 1
        (tmp_path / "away").rename(roots[0])
        assert until(lambda: left(roots[0]) == [])
        await client.call("PUT", "/my-bucket")
        for key in "ab":
            await client.call("PUT", f"/my-bucket/{key}", b"bytes")
        assert [len(left(root)) for root in roots] == [1, 1]
        roots[0].rename(tmp_path / "away")
        for key in "ab":
            assert (await client.call("DELETE", f"/my-bucket/{key}")).status == 204
        assert until(lambda: left(roots[1]) == [])
        assert len(left(tmp_path / "away")) == 1
        (tmp_path / "away").rename(roots[0])
        assert until(lambda: left(roots[0]) == [])

    with_client(work, settings)
