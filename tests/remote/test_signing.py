"""URLs that are signed without asking the service: their signature is right."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from dolium.errors import ConfigError
from dolium.stores.contract import SignsUrls, unwrap
from dolium.stores.leaves.gcs import Gcs, Options
from dolium.testing.powers import put
from dolium.values import Secret
from tests.remote.conftest import Service
from tests.remote.google import EMAIL, Account, account


def _is_signed(url: str, by: Account, seconds: int) -> bool:
    """As Google says that version 4 is: the request as text, its digest with date and place, signed with RSA."""
    where = urlsplit(url)
    said = dict(parse_qsl(where.query))
    signature = bytes.fromhex(said.pop("X-Goog-Signature"))
    scope = f"{said['X-Goog-Date'][:8]}/auto/storage/goog4_request"
    assert said["X-Goog-Credential"] == f"{EMAIL}/{scope}"
    assert said["X-Goog-Expires"] == str(seconds)
    query = urlencode(sorted(said.items()), quote_via=quote, safe="")
    request = f"GET\n{where.path}\n{query}\nhost:{where.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"GOOG4-RSA-SHA256\n{said['X-Goog-Date']}\n{scope}\n{digest}"
    return by.signed(signature, text.encode())


def test_gcs_signs_with_the_key_of_a_service_account() -> None:
    one, other = account(), account()
    store = Gcs(Options("bucket", credentials=Secret(one.said), prefix="data"))
    power = unwrap(store, SignsUrls)
    assert power is not None
    url = power.sign_url("000/dataset 1+é.dat", seconds=60)
    assert url.startswith("https://storage.googleapis.com/bucket/data/000/dataset%201%2B%C3%A9.dat?")
    assert _is_signed(url, one, 60)
    assert not _is_signed(url, other, 60)
    assert _is_signed(power.sign_url("a", seconds=30 * 86400), one, 7 * 86400), "no longer than they take"
    named = power.sign_url(
        "a", seconds=60, content_disposition='attachment; filename="b c"', content_type="text/x"
    )
    assert _is_signed(named, one, 60)
    said = dict(parse_qsl(urlsplit(named).query))
    assert said["response-content-disposition"] == 'attachment; filename="b c"'
    assert said["response-content-type"] == "text/x"
    with pytest.raises(ValueError, match="key"):
        power.sign_url("../a", seconds=60)


def test_what_gcs_signs_is_read(gcs_service: Service) -> None:
    """By fake-gcs-server, which looks at no signature, so what is seen here is that the address is right."""
    gcs_service.make("signing")
    plain = Gcs(gcs_service.options_of("signing"))
    assert unwrap(plain, SignsUrls) is None, "nobody signs for nobody"
    put(plain, "a/b+c=d é", b"bytes")
    credentials = Secret(account().said)
    signing = Gcs(Options("signing", endpoint=gcs_service.options.endpoint, credentials=credentials))
    with urllib.request.urlopen(signing.sign_url("a/b+c=d é", seconds=60), timeout=10) as answer:
        assert answer.read() == b"bytes"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{}", "not those of a service account"),
        ("no json", "not those of a service account"),
        (None, "not configured"),
    ],
)
def test_credentials_that_are_none_are_told_at_once(
    said: str | None, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", f"{tmp_path}/absent.json")
    with pytest.raises(ConfigError, match=words):
        Gcs(Options("bucket", credentials=None if said is None else Secret(said)))


def test_credentials_that_cannot_be_read_are_told_with_their_file(tmp_path: Path) -> None:
    file = tmp_path / "absent.json"
    with pytest.raises(ConfigError, match=f"{file}: No such file"):
        Gcs(Options("bucket", credentials_file=file))
    file.write_text(json.dumps({"type": "authorized_user"}))
    with pytest.raises(ConfigError, match="not those of a service account"):
        Gcs(Options("bucket", credentials_file=file))


def test_swift_without_a_key_for_it_signs_nothing(openstack_swift_service: Service) -> None:
    assert unwrap(openstack_swift_service.open(temp_url_key=None), SignsUrls) is None
