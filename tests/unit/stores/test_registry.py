"""Kinds of stores, and what is wrong with their settings."""

import subprocess
import sys
from pathlib import Path

import pytest

from dolium.errors import ConfigError
from dolium.stores.leaves.disk import Disk
from dolium.stores.leaves.memory import Memory
from dolium.stores.leaves.s3 import S3
from dolium.stores.registry import EXTRAS, LEAVES, build_leaf
from dolium.values import Durability, Secret


def test_a_leaf_is_built_from_plain_values(tmp_path: Path) -> None:
    uuid = Disk.initialise(tmp_path)
    disk = build_leaf(
        "disk",
        {
            "root": str(tmp_path),
            "durability": "relaxed",
            "expected_uuid": uuid,
            "min_free_bytes": 1000,
            "min_free_percent": 5,
        },
        store_id="d1",
    )
    assert isinstance(disk, Disk)
    assert disk.store_id == "d1"
    assert disk.identify() == uuid
    assert disk._options.durability is Durability.RELAXED
    assert disk._options.min_free_percent == 5.0
    memory = build_leaf("memory", {"capacity": 10})
    assert isinstance(memory, Memory)
    assert memory.store_id == "memory"
    assert memory.space().total == 10


def test_values_of_the_right_type_are_taken_as_they_are(tmp_path: Path) -> None:
    disk = build_leaf("disk", {"root": tmp_path, "durability": Durability.STRICT, "probe_seconds": 1.5})
    assert isinstance(disk, Disk)
    assert disk._options.root == tmp_path


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (
            "dsik",
            {},
            "unknown kind of store 'dsik' (did you mean 'disk'?); known: azure_blob, disk, gcs, memory, openstack_swift, s3, webdav",
        ),
        (
            "tape",
            {},
            "unknown kind of store 'tape'; known: azure_blob, disk, gcs, memory, openstack_swift, s3, webdav",
        ),
        ("memory", {"capactiy": 1}, "has no setting 'capactiy' (did you mean 'capacity'?)"),
        ("memory", {"zzz": 1}, "a memory store has no setting 'zzz'"),
        ("disk", {}, "a disk store needs the setting 'root'"),
        ("disk", {"root": 5}, "'root' is a Path, not 5"),
        ("disk", {"root": "/x", "durability": "sync"}, "'durability' is one of strict, relaxed, not 'sync'"),
        ("disk", {"root": "/x", "durability": True}, "'durability' is a Durability, not True"),
        ("disk", {"root": "/x", "min_free_bytes": True}, "'min_free_bytes' is a int, not True"),
        ("disk", {"root": "/x", "min_free_bytes": "1"}, "'min_free_bytes' is a int, not '1'"),
        ("disk", {"root": "/x", "min_free_percent": "5%"}, "'min_free_percent' is a float, not '5%'"),
        ("disk", {"root": "/x", "expected_uuid": 5}, "'expected_uuid' is a str, not 5"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(kind: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        build_leaf(kind, options)
    assert words in str(raised.value)


def test_no_leaf_is_imported_before_it_is_built() -> None:
    code = (
        "import sys, dolium.stores.registry; print([m for m in sys.modules if 'dolium.stores.leaves' in m])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"


def test_every_kind_is_there() -> None:
    for kind in LEAVES:
        with pytest.raises(ConfigError, match=f"a {kind} store has no setting 'no such'"):
            build_leaf(kind, {"no such": 1})


def test_a_remote_leaf_is_built_without_asking_its_service() -> None:
    leaf = build_leaf(
        "s3",
        {"bucket": "galaxy", "endpoint": "http://127.0.0.1:9", "secret_key": Secret("x"), "ca_file": None},
    )
    assert isinstance(leaf, S3)
    assert leaf.store_id == "s3"
    with pytest.raises(ConfigError, match="'secret_key' is a Secret, not"):
        build_leaf("s3", {"bucket": "galaxy", "secret_key": "in the clear"})


@pytest.mark.parametrize("kind", EXTRAS)
def test_an_absent_package_is_named_with_its_extra(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("obstore", "obstore.store", "google.cloud", "swiftclient", "swiftclient.client", "urllib3"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, LEAVES[kind].partition(":")[0], raising=False)
    for name in [name for name in sys.modules if name.startswith("dolium.stores.leaves.object_service")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match=rf"pip install 'dolium\[{EXTRAS[kind]}\]'"):
        build_leaf(kind, {})
