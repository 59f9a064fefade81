"""The frame: help, exit codes, where the data folder is found, and what an error looks like."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dolium.cli.main import EXIT_CODES, parser
from tests.unit.cli.conftest import Run


def commands(
    top: argparse.ArgumentParser, name: str = "dolium"
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    nested = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    if not nested:
        yield name, top
    for action in nested:
        for word, child in action.choices.items():
            yield from commands(child, f"{name} {word}")


ALL = dict(commands(parser()))


@pytest.mark.parametrize("name", ALL)
def test_every_command_explains_itself(name: str) -> None:
    command = ALL[name]
    assert command.description
    assert "xit codes" in (command.epilog or "")
    assert callable(command.get_default("run"))


@pytest.mark.parametrize("name", [name for name in ALL if name.split()[-1] in {"list", "show", "usage"}])
def test_every_listing_has_json(name: str) -> None:
    assert "--json" in ALL[name].format_help()


@pytest.mark.parametrize("name", ALL)
def test_no_command_takes_a_secret_as_argument(name: str) -> None:
    words = ALL[name].format_usage().lower()
    assert "secret" not in words
    assert "password" not in words


def test_the_help_tells_the_exit_codes(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    assert EXIT_CODES in ran.out


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").out.startswith("dolium ")


@pytest.mark.parametrize(
    "arguments", [[], ["user"], ["nonsense"], ["user", "list", "--jso"], ["tenancy", "member"]]
)
def test_arguments_that_cannot_be(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).code == 2


def test_the_data_folder_comes_from_flag_environment_or_file(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dolium.yml").write_text("data: data\n")
    assert run("user", "list").code == 0
    assert run("user", "list", "--data", str(tmp_path / "absent")).code == 5
    monkeypatch.delenv("DOLIUM_DATA")
    assert run("user", "list", "--config", str(tmp_path / "dolium.yml")).code == 0
    monkeypatch.setenv("DOLIUM_CONFIG", str(tmp_path / "dolium.yml"))
    assert run("user", "list").code == 0
    monkeypatch.delenv("DOLIUM_CONFIG")
    monkeypatch.chdir(tmp_path)
    ran = run("user", "list")
    assert ran.code == 5
    assert "dolium-data is no data folder" in ran.err
    assert not (tmp_path / "dolium-data").exists()


def test_the_master_key_comes_from_the_environment(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOLIUM_MASTER_KEY", (data / "master.key").read_text())
    (data / "master.key").unlink()
    assert run("key", "issue", "--person", "admin").code == 0
    monkeypatch.setenv("DOLIUM_MASTER_KEY", "short")
    ran = run("key", "issue", "--person", "admin")
    assert ran.code == 5
    assert "short" not in ran.err.replace("DOLIUM_MASTER_KEY", "")


def test_a_catalog_of_another_program_is_told(run: Run, data: Path) -> None:
    (data / "catalog.sqlite").write_bytes(b"not a database, just some text that is long enough" * 100)
    ran = run("user", "list")
    assert ran.code == 6
    assert ran.err.count("\n") == 1


def test_a_configuration_is_checked(run: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text("workers: 3\n")
    bad.write_text("workers: 3\nlisen: x\n")
    assert run("check", str(good)).out == f"{good}: sound\n"
    assert '"workers": 3' in run("check", str(good), "--json").out
    refused = run("check", str(bad))
    assert refused.code == 5
    assert refused.err == f"dolium: {bad}:2: unknown key 'lisen'; did you mean listen?\n"
    good.write_text("listen: https://h:1\n")
    assert run("check", str(good)).code == 5


def test_the_module_is_the_program_and_a_closed_pipe_no_error(data: Path) -> None:
    script = f"{sys.executable} -m dolium user list --json | true; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "DOLIUM_DATA": str(data)},
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
