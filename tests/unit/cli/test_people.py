from pathlib import Path

from tests.unit.cli.conftest import Run


def test_a_person_is_added_listed_and_shown(run: Run, data: Path) -> None:
    added = run(
        "user", "add", "ada", "--display-name", "Ada L.", "--email", "ada@example.org", "--canonical-id", "adaid",
        "--json",
    )  # fmt: skip
    assert added.code == 0
    assert added.record["canonical_id"] == "adaid"
    assert [(one["name"], one["site_admin"]) for one in run("user", "list", "--json").records] == [
        ("ada", False),
        ("admin", True),
    ]
    shown = run("user", "show", "admin", "--json").record
    assert shown["memberships"] == [{"tenancy": "main", "role": "manager", "expires": None}]
    table = run("user", "list").out.splitlines()
    assert table[0].split()[:2] == ["NAME", "DISPLAY"]
    assert "Ada L." in table[1]
    assert "main (manager)" in run("user", "show", "admin").out


def test_a_person_changes_suspends_and_goes(run: Run, data: Path) -> None:
    run("user", "add", "ada")
    assert run("user", "set", "ada", "--email", "a@b.example", "--site-admin").code == 0
    shown = run("user", "show", "ada", "--json").record
    assert (shown["display_name"], shown["email"], shown["site_admin"]) == ("ada", "a@b.example", True)
    assert run("user", "set", "ada", "--no-site-admin").code == 0
    assert run("user", "suspend", "ada").code == 0
    assert run("user", "show", "ada", "--json").record["suspended"]
    assert run("user", "resume", "ada").code == 0
    assert not run("user", "show", "ada", "--json").record["suspended"]
    assert run("user", "remove", "ada").code == 0
    assert [one["name"] for one in run("user", "list", "--json").records] == ["admin"]


def test_what_cannot_be_is_told_in_one_line(run: Run, data: Path) -> None:
    for code, arguments in [
        (2, ["user", "add", "a/b"]),
        (3, ["user", "show", "nobody"]),
        (4, ["user", "add", "admin"]),
        (4, ["user", "suspend", "admin"]),
        (4, ["user", "remove", "admin"]),
        (4, ["user", "set", "admin", "--no-site-admin"]),
    ]:
        ran = run(*arguments)
        assert ran.code == code, arguments
        assert ran.out == ""
        assert ran.err.startswith("dolium: ")
        assert ran.err.count("\n") == 1


def test_a_name_cannot_move_the_cursor_of_who_lists_it(run: Run, data: Path) -> None:
    run("user", "add", "ada", "--display-name", "Ada\x1b[2J\r")
    assert "Ada?[2J?" in run("user", "list").out
