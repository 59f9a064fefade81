from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run


def test_a_tenancy_is_added_listed_shown_and_changed(run: Run, data: Path) -> None:
    added = run("tenancy", "add", "climate", "--title", "Climate", "--quota", "1GiB", "--json").record
    assert (added["name"], added["quota_bytes"], added["bytes"]) == ("climate", 1 << 30, 0)
    assert run("tenancy", "set", "climate", "--sharing", "everyone").code == 0
    shown = run("tenancy", "show", "climate", "--json").record
    assert (shown["title"], shown["sharing"], shown["quota_bytes"]) == ("Climate", "everyone", 1 << 30)
    assert run("tenancy", "set", "climate", "--quota", "none", "--title", "").code == 0
    shown = run("tenancy", "show", "climate", "--json").record
    assert (shown["title"], shown["sharing"], shown["quota_bytes"]) == ("", "everyone", None)
    assert [one["name"] for one in run("tenancy", "list", "--json").records] == ["climate", "main"]
    assert run("tenancy", "list").out.splitlines()[1].split()[0] == "climate"
    assert "admin (manager)" in run("tenancy", "show", "main").out
    assert run("tenancy", "remove", "climate").code == 0
    assert run("tenancy", "show", "climate").code == 3


def test_members_come_change_and_go(run: Run, data: Path) -> None:
    run("user", "add", "ada")
    assert run("tenancy", "member", "add", "main", "ada", "--expires", "2099-12-31").code == 0
    members = {one["person"]: one for one in run("tenancy", "member", "list", "main", "--json").records}
    assert (members["ada"]["role"], members["ada"]["expires"]) == ("member", "2099-12-31T23:59:59Z")
    assert run("tenancy", "member", "role", "main", "ada", "viewer").code == 0
    members = {one["person"]: one for one in run("tenancy", "member", "list", "main", "--json").records}
    assert (members["ada"]["role"], members["ada"]["expires"]) == ("viewer", None)
    assert run("tenancy", "member", "remove", "main", "ada").code == 0
    assert len(run("tenancy", "member", "list", "main", "--json").records) == 1
    assert run("tenancy", "member", "add", "main", "ada", "--role", "king").code == 2


def test_a_tenancy_with_a_bucket_stays(run: Run, data: Path) -> None:
    run("bucket", "create", "main", "my-bucket")
    refused = run("tenancy", "remove", "main")
    assert refused.code == 4
    assert "1 bucket" in refused.err


def test_groups(run: Run, data: Path) -> None:
    run("user", "add", "ada")
    assert run("group", "add", "main", "modellers").code == 0
    assert run("group", "member", "add", "main", "modellers", "ada").code == 4
    run("tenancy", "member", "add", "main", "ada")
    assert run("group", "member", "add", "main", "modellers", "ada").code == 0
    assert run("group", "show", "main", "modellers", "--json").record["members"] == ["ada"]
    assert run("group", "list", "main").out.splitlines()[1].split()[:2] == ["modellers", "ada"]
    assert run("group", "member", "remove", "main", "modellers", "ada").code == 0
    assert run("group", "list", "main", "--json").record["members"] == []
    assert run("group", "remove", "main", "modellers").code == 0
    assert run("group", "show", "main", "modellers").code == 3


@pytest.mark.parametrize("quota", ["-1", "1.5TB", "lots", ""])
def test_a_quota_is_a_size(run: Run, data: Path, quota: str) -> None:
    assert run("tenancy", "add", "t", "--quota", quota).code == 2


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("10", 10), ("10B", 10), ("5kB", 5000), ("2KiB", 2048), ("3TB", 3 * 10**12)]
)
def test_sizes_take_units(run: Run, data: Path, text: str, size: int) -> None:
    assert run("tenancy", "add", "t", "--quota", text, "--json").record["quota_bytes"] == size
