from pathlib import Path

from tests.unit.cli.conftest import Run


def test_a_bucket_is_created_listed_shown_and_deleted(run: Run, data: Path) -> None:
    made = run("bucket", "create", "main", "my-bucket", "--owner", "admin", "--json").record
    assert (made["tenancy"], made["name"], made["owner"], made["objects"]) == (
        "main",
        "my-bucket",
        "admin",
        0,
    )
    run("bucket", "create", "main", "another")
    assert [(one["name"], one["owner"]) for one in run("bucket", "list", "--json").records] == [
        ("another", None),
        ("my-bucket", "admin"),
    ]
    assert run("bucket", "list", "main").out.splitlines()[1].split()[:3] == ["main", "another", "-"]
    assert run("bucket", "show", "main", "another", "--json").record["settings"] == {}
    assert [one["bytes"] for one in run("bucket", "usage", "--json").records] == [0, 0]
    assert "0 B" in run("bucket", "usage", "main").out
    assert run("bucket", "delete", "main", "another").code == 0
    assert run("bucket", "show", "main", "another").code == 3


def test_a_bucket_is_handed_over_to_members_and_back(run: Run, data: Path) -> None:
    run("bucket", "create", "main", "my-bucket")
    run("user", "add", "ada")
    assert run("bucket", "chown", "main", "my-bucket", "--owner", "ada").code == 4
    run("tenancy", "member", "add", "main", "ada")
    assert run("bucket", "chown", "main", "my-bucket", "--owner", "ada").code == 0
    assert run("bucket", "show", "main", "my-bucket", "--json").record["owner"] == "ada"
    assert run("user", "remove", "ada").code == 4
    assert run("bucket", "chown", "main", "my-bucket", "--service").code == 0
    assert run("bucket", "show", "main", "my-bucket", "--json").record["owner"] is None
    assert run("user", "remove", "ada").code == 0


def test_what_cannot_be_is_told(run: Run, data: Path) -> None:
    run("bucket", "create", "main", "my-bucket")
    assert run("bucket", "create", "main", "my-bucket").code == 4
    assert run("bucket", "create", "main", "Not_A_Bucket").code == 2
    assert run("bucket", "create", "absent", "my-bucket").code == 3
    assert run("bucket", "delete", "main", "absent").code == 3
    assert run("bucket", "chown", "main", "my-bucket").code == 2
