"""The scan that ends every run on the shared server (`tests/conftest.py`) finds what it looks for."""

import json

import pytest

from tests.logs import leaks

GOOD = json.dumps(
    {"level": "info", "event": "request", "path": "/b/Signature=x", "status": 403, "code": "AccessDenied"}
)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("secret key  s3cr3t-key", "a secret"),
        (json.dumps({"event": "request", "key_id": "s3cr3t-key"}), "a secret"),
        ("Traceback (most recent call last):", "a traceback"),
        (json.dumps({"event": "request 1 failed", "traceback": "…"}), "a traceback"),
        (json.dumps({"level": "error", "event": "request", "status": 500}), "a fault of the server"),
        (json.dumps({"event": "refused AWS4-HMAC-SHA256 Credential=AK"}), "a signature"),
        (json.dumps({"event": "request", "path": "/b/k?X-Amz-Signature=00"}), "a signature"),
        (json.dumps({"event": "no such file: /srv/data/store/x"}), "a path"),
    ],
)
def test_it_is_found(line: str, what: str) -> None:
    (found,) = leaks(
        f"First start in /srv/data\n{GOOD}\n{line}\n", secrets=("s3cr3t-key",), folder="/srv/data"
    )
    assert found.startswith(what)


def test_what_is_fine_is_let_through() -> None:
    assert leaks(f"First start in /srv/data\n{GOOD}\n", secrets=("s3cr3t-key",), folder="/srv/data") == []
