"""Golden pairs: NAME.yml gives the settings in NAME.json, or is refused with the words in NAME.err."""

import json
from pathlib import Path

import pytest

from dolium.config.native import read_settings
from dolium.config.settings import Settings
from dolium.errors import ConfigError

FOLDER = Path(__file__).parents[2] / "config"
FILES = sorted(FOLDER.glob("*.yml"))
ENVIRON = {"SOME_KEY": "the-master-key-in-clear"}


def outcome(path: Path) -> tuple[str, str]:
    """(suffix of the golden file, its text), with the folder left out of paths."""
    try:
        settings = read_settings(path, ENVIRON)
    except ConfigError as error:
        return ".err", error.message.replace(f"{FOLDER}/", "") + "\n"
    return ".json", json.dumps(settings.as_json(), indent=2).replace(f"{FOLDER}/", "") + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    suffix, text = outcome(path)
    assert path.with_suffix(suffix).read_text() == text
    assert "the-master-key-in-clear" not in text


def test_every_pair_is_whole() -> None:
    stems = {path.stem for path in FILES}
    assert stems
    assert {path.stem for path in FOLDER.iterdir() if path.is_file()} == stems


def test_every_setting_can_be_set_in_the_file() -> None:
    default, whole = Settings().as_json(), read_settings(FOLDER / "whole.yml", ENVIRON).as_json()
    assert default.keys() == whole.keys()
    assert [name for name in default if default[name] == whole[name]] == ["stores"]
    assert read_settings(FOLDER / "stores.yml", ENVIRON).as_json()["stores"] is not None
    assert read_settings(FOLDER / "stores_file.yml", ENVIRON).as_json()["stores"] is not None


def test_what_is_odd_in_the_stores_is_told() -> None:
    [notice] = read_settings(FOLDER / "stores.yml", ENVIRON).notices
    assert str(notice) == f"{FOLDER}/stores.yml:6: order has no effect in a distributed store"


def test_the_secret_is_there_and_never_shown() -> None:
    settings = read_settings(FOLDER / "whole.yml", ENVIRON)
    assert settings.master_key is not None
    assert settings.master_key.reveal() == "the-master-key-in-clear"
    assert "the-master-key-in-clear" not in repr(settings)


def test_a_secret_in_a_file_is_read_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("abc\n")
    (tmp_path / "dolium.yml").write_text("master_key: file:secret\n")
    settings = read_settings(tmp_path / "dolium.yml", {})
    assert settings.master_key is not None
    assert settings.master_key.reveal() == "abc"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yml: cannot be read"):
        read_settings(tmp_path / "absent.yml", {})


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dolium.yml").write_bytes(b"data: \xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_settings(tmp_path / "dolium.yml", {})
