import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dolium.catalog.sqlite import SqliteDatabase
from dolium.identity.keys import KeyRing, KnownKey, Refusal, open_sealer
from tests.unit.cli.conftest import Run


def find(data: Path, key_id: str) -> KnownKey | None:
    """The key as the service has it."""
    database = SqliteDatabase(data)
    try:
        return KeyRing(database, open_sealer(database, data, None)).find(key_id, time.time_ns() // 1_000_000)
    finally:
        database.close()


def test_a_key_is_issued_and_its_secret_shown_once(run: Run, data: Path) -> None:
    issued = run("key", "issue", "--person", "admin", "--description", "laptop", "--json").record
    known = find(data, issued["access_key"])
    assert known is not None
    assert known.secret.reveal() == issued["secret_key"]
    for arguments in (["list"], ["list", "--json"], ["show", issued["access_key"]]):
        told = run("key", *arguments)
        assert issued["access_key"] in told.out
        assert issued["secret_key"] not in told.out + told.err
    assert issued["secret_key"].encode() not in (data / "catalog.sqlite").read_bytes()


def test_people_read_the_secret_too(run: Run, data: Path) -> None:
    ran = run("key", "issue", "--person", "admin")
    words = ran.out.split()
    known = find(data, words[words.index("key") + 1])
    assert known is not None
    assert known.secret.reveal() in ran.out
    assert "not shown again" in ran.err


def test_configurations_are_printed_for_an_address(run: Run, data: Path) -> None:
    ran = run("key", "issue", "--person", "admin", "--snippets", "https://s3.example.org/")
    assert "host_base = s3.example.org\n" in ran.out
    assert "use_https = True" in ran.out
    assert "mc alias set dolium https://s3.example.org\n" in ran.out
    assert run("key", "issue", "--person", "admin", "--snippets", "s3.example.org").code == 2


def test_a_key_is_narrowed_and_expires(run: Run, data: Path) -> None:
    issued = run(
        "key",
        "issue",
        "--service",
        "--read-only",
        "--bucket",
        "b",
        "--prefix",
        "p/",
        "--expires",
        "90d",
        "--json",
    ).record
    shown = run("key", "show", issued["access_key"], "--json").record
    assert (shown["person"], shown["read_only"], shown["bucket"], shown["prefix"]) == (None, True, "b", "p/")
    days = (datetime.fromisoformat(shown["expires"]) - datetime.now(UTC)).total_seconds() / 86400
    assert 89.9 < days < 90.1
    assert run("key", "issue", "--service", "--prefix", "p/").code == 2


def test_an_expiry_in_the_past_is_expired_at_once(run: Run, data: Path) -> None:
    issued = run("key", "issue", "--person", "admin", "--expires", "2020-01-01", "--json").record
    known = find(data, issued["access_key"])
    assert known is not None
    assert known.refusal is Refusal.EXPIRED


@pytest.mark.parametrize("text", ["soon", "90", "2026-13-01", "1m"])
def test_an_expiry_that_is_none_is_refused(run: Run, data: Path, text: str) -> None:
    assert run("key", "issue", "--person", "admin", "--expires", text).code == 2


def test_keys_are_revoked_together_or_not_at_all(run: Run, data: Path) -> None:
    one, two = (run("key", "issue", "--service", "--json").record["access_key"] for _ in range(2))
    assert run("key", "revoke", one, "ABSENT").code == 3
    assert find(data, one).refusal is None  # type: ignore[union-attr]  # it was issued above
    assert run("key", "revoke", one, two).code == 0
    assert {key["access_key"] for key in run("key", "list", "--json").records if key["revoked"]} == {one, two}


def test_a_key_is_imported_from_standard_input(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("user", "add", "tester", "--canonical-id", "testid", "--display-name", "M. Tester")
    run("tenancy", "member", "add", "main", "tester")
    secret = "h7GhxuBLTrlhVUyxSPUKUV8r/2EI4ngqJxD7iBdBYLhwluN30JaT3Q=="
    monkeypatch.setattr("sys.stdin", io.StringIO(f"0555b35654ad1656d804\n{secret}\n"))
    ran = run("key", "import", "--tenancy", "main", "--person", "tester")
    assert ran.code == 0
    assert secret not in ran.out + ran.err
    known = find(data, "0555b35654ad1656d804")
    assert known is not None
    assert known.secret.reveal() == secret
    assert (known.principal.canonical_id, known.principal.display_name) == ("testid", "M. Tester")


def test_a_key_is_imported_from_the_environment(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOLIUM_ACCESS_KEY_ID", "FROMENV1")
    monkeypatch.setenv("DOLIUM_SECRET_ACCESS_KEY", "secret-from-env")
    assert run("key", "import", "--service", "--json").record["access_key"] == "FROMENV1"
    assert find(data, "FROMENV1").secret.reveal() == "secret-from-env"  # type: ignore[union-attr]


def test_a_person_at_a_terminal_is_asked(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda _: "TYPEDKEY")
    monkeypatch.setattr("dolium.cli.key.getpass", lambda _: "typed-secret")
    assert run("key", "import", "--service", "--json").record["access_key"] == "TYPEDKEY"
    assert find(data, "TYPEDKEY").secret.reveal() == "typed-secret"  # type: ignore[union-attr]


def test_many_keys_are_imported_together_or_not_at_all(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [{"access_key": f"KEY{n}", "secret_key": f"secret-{n}-xx"} for n in range(3)]
    text = "\n".join(json.dumps(key) for key in keys)
    monkeypatch.setattr(
        "sys.stdin", io.StringIO(text + json.dumps({**keys[0], "secret_key": "other-secret"}))
    )
    assert run("key", "import", "--service").code == 4
    assert find(data, "KEY1") is None
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert [one["access_key"] for one in run("key", "import", "--service", "--json").records] == [
        "KEY0",
        "KEY1",
        "KEY2",
    ]


def test_keys_of_people_and_tenancies_are_listed_apart(run: Run, data: Path) -> None:
    run("tenancy", "add", "other")
    service = run("key", "issue", "--tenancy", "other", "--service", "--json").record["access_key"]
    assert [one["access_key"] for one in run("key", "list", "--person", "admin", "--json").records] == [
        "FIRSTKEY"
    ]
    assert [one["access_key"] for one in run("key", "list", "--tenancy", "other", "--json").records] == [
        service
    ]
    assert run("key", "list", "--tenancy", "absent").code == 3
    assert run("key", "issue", "--service").code == 2  # which tenancy?


def test_no_key_without_its_holder_or_membership(run: Run, data: Path) -> None:
    run("user", "add", "ada")
    assert run("key", "issue", "--person", "ada").code == 4
    assert run("key", "issue", "--person", "nobody").code == 3
    assert run("key", "issue").code == 2
    assert run("key", "issue", "--service", "--person", "ada").code == 2


def test_a_lost_master_key_is_told(run: Run, data: Path) -> None:
    (data / "master.key").unlink()
    ran = run("key", "issue", "--person", "admin")
    assert ran.code == 5
    assert "master key is missing" in ran.err


def test_a_revoked_key_is_refused_by_a_ring_that_knew_it(run: Run, data: Path) -> None:
    database = SqliteDatabase(data)
    try:
        ring = KeyRing(database, open_sealer(database, data, None))
        assert ring.find("FIRSTKEY", 0) is not None
        assert run("key", "revoke", "FIRSTKEY").code == 0
        known = ring.find("FIRSTKEY", 0)
        assert known is not None
        assert known.refusal is Refusal.REVOKED
    finally:
        database.close()
