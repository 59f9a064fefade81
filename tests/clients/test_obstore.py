"""obstore: the Rust object_store, whose conditional puts locks and table formats are built on."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dolium.testing.server import Site

obstore = pytest.importorskip("obstore")


@pytest.fixture
def store(site: Site, bucket: str) -> Any:
    from obstore.store import S3Store

    return S3Store(
        bucket,
        endpoint=site.url,
        access_key_id=site.access_key,
        secret_access_key=site.secret_key,
        region=site.region,
        client_options={"allow_http": not site.secure},
        retry_config={"max_retries": 0},
    )


def test_put_get_list_and_delete(store: Any) -> None:
    names = ["a b/c+d", "a b/ü", "a", "z/1", "z/2"]
    for name in names:
        store.put(name, name.encode())
    assert sorted(meta["path"] for page in store.list() for meta in page) == sorted(names)
    found = store.list_with_delimiter("z/")
    assert [meta["path"] for meta in found["objects"]] == ["z/1", "z/2"]
    assert bytes(store.get("a b/ü").bytes()) == "a b/ü".encode()
    assert [bytes(part) for part in store.get_ranges("a b/c+d", starts=[0, 4], ends=[2, 6])] == [b"a ", b"c+"]
    assert store.head("a")["size"] == 1
    store.copy("a", "copied")
    store.rename("copied", "renamed")
    assert bytes(store.get("renamed").bytes()) == b"a"
    store.delete(names)
    assert [meta["path"] for page in store.list() for meta in page] == ["renamed"]
    with pytest.raises(FileNotFoundError):
        store.get("a")


def test_multipart(store: Any) -> None:
    body = bytes(range(256)) * 4096 * 12
    store.put("big", body, use_multipart=True, chunk_size=5 * 2**20)
    assert bytes(store.get("big").bytes()) == body


def test_create_only_if_absent(store: Any) -> None:
    from obstore.exceptions import AlreadyExistsError

    store.put("k", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        store.put("k", b"second", mode="create")
    assert bytes(store.get("k").bytes()) == b"first"


def test_update_only_what_was_read(store: Any) -> None:
    from obstore.exceptions import PreconditionError

    seen = store.put("k", b"first")
    changed = store.put("k", b"second", mode={"e_tag": seen["e_tag"]})
    assert changed["e_tag"] != seen["e_tag"]
    with pytest.raises(PreconditionError):
        store.put("k", b"late", mode={"e_tag": seen["e_tag"]})
    assert bytes(store.get("k").bytes()) == b"second"


def test_a_counter_that_sixteen_threads_raise_loses_nothing(store: Any) -> None:
    """Read, add one, put if unchanged, else again: the end is the number of successes."""
    from obstore.exceptions import PreconditionError

    store.put("counter", b"0")

    def raise_it(_: int) -> None:
        while True:
            seen = store.get("counter")
            number, tag = int(bytes(seen.bytes())), seen.meta["e_tag"]
            try:
                store.put("counter", str(number + 1).encode(), mode={"e_tag": tag})
            except PreconditionError:
                continue
            return

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(raise_it, range(32)))
    assert bytes(store.get("counter").bytes()) == b"32"
