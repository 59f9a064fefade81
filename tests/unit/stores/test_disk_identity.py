"""Whose tree it is: an unmounted disk is down, not empty."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dolium.errors import StoreUnavailable
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.leaves.disk_identity import NAME, TEMPORARY, make_folder
from dolium.testing.disk_faults import failing_calls
from dolium.testing.powers import keys, put


def _verbs(store: Disk) -> list[Callable[[], object]]:
    return [
        lambda: put(store, "a", b"new"),
        lambda: store.open_writer("a"),
        lambda: store.get("absent"),
        lambda: store.stat("absent"),
        lambda: store.delete("a"),
        lambda: list(store.list()),
        store.space,
        store.probe,
        store.identify,
    ]


def _refuse(store: Disk) -> None:
    for verb in _verbs(store):
        with pytest.raises(StoreUnavailable) as raised:
            verb()
        assert raised.value.store_id == store.store_id


def test_initialise_makes_a_store_once(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "disk"
    with failing_calls("fsync") as calls:
        uuid = Disk.initialise(root)
    assert len(calls.made) == 5, "three folders, the identity, its entry"
    assert Disk.initialise(root) == uuid
    assert Disk(Options(root, expected_uuid=uuid)).identify() == uuid
    assert json.loads((root / NAME).read_bytes()) == {"format": 1, "uuid": uuid}
    assert list((root / TEMPORARY).iterdir()) == []


def test_initialise_syncs_what_one_that_was_killed_did_not(tmp_path: Path) -> None:
    Disk.initialise(tmp_path / "disk")
    with failing_calls("fsync") as calls:
        Disk.initialise(tmp_path / "disk")
    assert len(calls.made) == 3, (
        "the entries of the folder, of the one for temporary files, and of the identity"
    )


def test_a_folder_above_that_cannot_be_opened_is_synced_with_all_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be entered, and not listed."""
    opened, synced = os.open, []

    def refuse(path: Path, flags: int) -> int:
        if path == tmp_path:
            raise PermissionError
        return opened(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "sync", lambda: synced.append("all"))
    make_folder(tmp_path / "deep" / "folder")
    assert synced == ["all"]
    assert (tmp_path / "deep" / "folder").is_dir()


def test_those_who_initialise_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        uuids = {job.result() for job in [pool.submit(Disk.initialise, tmp_path / "disk") for _ in range(32)]}
    assert len(uuids) == 1


def test_initialise_works_where_there_are_no_hard_links(tmp_path: Path) -> None:
    with failing_calls("link", code=1, nth=1):  # EPERM
        uuid = Disk.initialise(tmp_path / "disk")
    assert Disk.initialise(tmp_path / "disk") == uuid
    assert list((tmp_path / "disk" / TEMPORARY).iterdir()) == []


def test_a_folder_that_is_no_store_is_down_and_stays_empty(tmp_path: Path) -> None:
    store = Disk(Options(tmp_path), store_id="d1")
    _refuse(store)
    assert list(tmp_path.iterdir()) == []
    _refuse(Disk(Options(tmp_path / "absent")))
    assert list(tmp_path.iterdir()) == []


def test_another_store_in_its_place_is_down(tmp_path: Path, root: Path) -> None:
    _refuse(Disk(Options(root, expected_uuid="11111111-0000-4000-8000-000000000000")))
    store = Disk(Options(root))
    put(store, "a", b"x")
    root.rename(tmp_path / "away")
    Disk.initialise(root)
    _refuse(store)
    assert not (root / "a").exists()


def test_an_unmounted_disk_is_down_and_comes_back(tmp_path: Path, root: Path) -> None:
    store = Disk(Options(root))
    put(store, "ab/cd/1", b"x")
    writer = store.open_writer("ab/cd/2")
    writer.write(b"x")
    late = store.open_writer("late")
    root.rename(tmp_path / "away")
    root.mkdir()  # the mount point that is left
    _refuse(store)
    with pytest.raises(StoreUnavailable):
        store.get("ab/cd/1")
    with pytest.raises(StoreUnavailable):
        writer.commit()
    late.abort()
    assert list(root.iterdir()) == []
    root.rmdir()
    (tmp_path / "away").rename(root)
    assert keys(store) == ["ab/cd/1"]
    put(store, "ab/cd/2", b"x")


def test_a_disk_that_goes_while_it_is_listed_is_no_end(tmp_path: Path, root: Path) -> None:
    store = Disk(Options(root))
    for key in ("a/1", "b/1", "c/1"):
        put(store, key, b"")
    listing = store.list()
    assert next(listing).key == "a/1"
    root.rename(tmp_path / "away")
    root.mkdir()
    with pytest.raises(StoreUnavailable):
        list(listing)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": "x", "uuid": "y"}', '{"format": 2, "uuid": "y"}']
)
def test_an_identity_that_cannot_be_used_is_down(root: Path, text: str) -> None:
    store = Disk(Options(root))
    put(store, "a", b"x")
    (root / NAME).write_text(text)
    _refuse(store)
    with pytest.raises(StoreUnavailable):
        Disk.initialise(root)
    assert (root / NAME).read_text() == text


def test_the_temporary_folder_is_made_anew_only_in_the_store_itself(root: Path) -> None:
    store = Disk(Options(root))
    shutil.rmtree(root / TEMPORARY)
    put(store, "a", b"x")
    assert keys(store) == ["a"]


def test_the_root_may_be_a_link(tmp_path: Path, root: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    store = Disk(Options(tmp_path / "link"))
    put(store, "a", b"x")
    assert keys(store) == ["a"]
