import base64
import stat
from pathlib import Path

import pytest

from dolium.errors import ConfigError
from dolium.identity.seal import MasterKey, Sealer, create_master_key, open_master_key, parse_master_key
from dolium.values import Secret

RAW = bytes(range(32))


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(MasterKey(RAW))


def test_a_secret_comes_back(sealer: Sealer) -> None:
    sealed = sealer.seal(Secret("s3cr3t/+="), tenancy_id=1, key_id="KEY")
    assert sealer.open(sealed, tenancy_id=1, key_id="KEY").reveal() == "s3cr3t/+="
    assert b"s3cr3t" not in sealed


def test_no_two_seals_are_alike(sealer: Sealer) -> None:
    assert len({sealer.seal(Secret("same"), tenancy_id=1, key_id="KEY") for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("tenancy", "key", "purpose"),
    [(2, "KEY", "s3"), (1, "KEY2", "s3"), (1, "KEY", "portal"), (11, "EY", "s3")],
)
def test_a_secret_opens_only_where_it_was_sealed(
    sealer: Sealer, tenancy: int, key: str, purpose: str
) -> None:
    sealed = sealer.seal(Secret("text"), tenancy_id=1, key_id="KEY")
    with pytest.raises(ConfigError, match="has been changed"):
        sealer.open(sealed, tenancy_id=tenancy, key_id=key, purpose=purpose)


@pytest.mark.parametrize("at", range(9, 40, 3))
def test_a_changed_byte_is_noticed(sealer: Sealer, at: int) -> None:
    sealed = bytearray(sealer.seal(Secret("some longer text"), tenancy_id=1, key_id="KEY"))
    sealed[at] ^= 1
    with pytest.raises(ConfigError):
        sealer.open(bytes(sealed), tenancy_id=1, key_id="KEY")


def test_another_master_key_is_named_as_the_trouble(sealer: Sealer) -> None:
    sealed = sealer.seal(Secret("text"), tenancy_id=1, key_id="KEY")
    with pytest.raises(ConfigError, match="another master key"):
        Sealer(MasterKey(bytes(32))).open(sealed, tenancy_id=1, key_id="KEY")


@pytest.mark.parametrize("sealed", [b"", b"\x01short", b"\x02" + bytes(60)])
def test_an_unknown_format_is_refused(sealer: Sealer, sealed: bytes) -> None:
    with pytest.raises(ConfigError, match="format"):
        sealer.open(sealed, tenancy_id=1, key_id="KEY")


@pytest.mark.parametrize("text", [RAW.hex(), base64.b64encode(RAW).decode(), RAW.hex().upper() + "\n"])
def test_a_master_key_is_hex_or_base64(text: str) -> None:
    assert parse_master_key(text, source="here").id == MasterKey(RAW).id


@pytest.mark.parametrize(
    "text", ["", "short", RAW.hex()[:-1], "z" * 64, base64.b64encode(bytes(31)).decode()]
)
def test_a_malformed_master_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigError, match="here must hold 32 bytes") as refused:
        parse_master_key(text, source="here")
    assert not text or text not in str(refused.value)


def test_a_master_key_never_prints_itself() -> None:
    assert RAW.hex() not in repr(MasterKey(RAW))


def test_the_file_is_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    assert open_master_key(tmp_path, None) is None
    first = create_master_key(tmp_path)
    path = tmp_path / "master.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert create_master_key(tmp_path).id == first.id
    opened = open_master_key(tmp_path, None)
    assert opened is not None
    assert opened.id == first.id
    assert [entry.name for entry in tmp_path.iterdir()] == ["master.key"]


def test_the_given_key_wins_over_the_file(tmp_path: Path) -> None:
    create_master_key(tmp_path)
    opened = open_master_key(tmp_path, Secret(RAW.hex()))
    assert opened is not None
    assert opened.id == MasterKey(RAW).id


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    create_master_key(tmp_path)
    (tmp_path / "master.key").chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        open_master_key(tmp_path, None)


def test_a_link_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(RAW.hex())
    (tmp_path / "master.key").symlink_to("elsewhere")
    with pytest.raises(ConfigError, match="cannot be read"):
        open_master_key(tmp_path, None)
