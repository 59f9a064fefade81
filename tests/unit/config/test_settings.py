from pathlib import Path

import pytest

from dolium.config.settings import Listen, Settings, override, parse_listen, require_sound
from dolium.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("127.0.0.1:9000", Listen("http", "127.0.0.1", 9000)),
        ("http://0.0.0.0:80", Listen("http", "0.0.0.0", 80)),
        ("https://s3.example.org:443/", Listen("https", "s3.example.org", 443)),
        ("[::1]:9000", Listen("http", "::1", 9000)),
        ("localhost:0", Listen("http", "localhost", 0)),
    ],
)
def test_an_address_is_read(text: str, listen: Listen) -> None:
    assert parse_listen(text) == listen
    assert parse_listen(str(listen)) == listen


@pytest.mark.parametrize(
    "text", ["", ":9000", "host", "9000", "ws://h:1", "h:1/x", "h:1?x", "h:-1", "u@h:1", "h:x"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_listen(text)


def test_flags_win_where_they_are_given() -> None:
    settings = Settings(region="file", workers=3)
    changed = override(settings, {"region": "flag", "workers": None, "data": Path("d")})
    assert (changed.region, changed.workers, changed.data) == ("flag", 3, Path("d"))


def test_the_store_lies_in_the_data_folder_unless_told() -> None:
    assert Settings(data=Path("d")).store_root == Path("d/store")
    assert Settings(data=Path("d"), store=Path("s")).store_root == Path("s")


def test_workers_are_cores_unless_told() -> None:
    assert Settings().worker_count >= 1
    assert Settings(workers=7).worker_count == 7


def test_what_cannot_be_together_is_refused(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert", tmp_path / "key"
    cert.touch()
    key.touch()
    http, https = Listen("http", "h", 1), Listen("https", "h", 2)
    require_sound(Settings())
    require_sound(Settings(listen=(http, https), tls_cert=cert, tls_key=key))
    for wrong, words in [
        (Settings(listen=(https,)), "to listen on https://h:2"),
        (Settings(listen=(https,), tls_cert=cert), "both"),
        (Settings(listen=(http,), tls_cert=cert, tls_key=key), "no https"),
        (Settings(listen=(http, http)), "twice"),
        (Settings(metrics="token"), "needs a metrics_token"),
        (Settings(requests=10, person_requests=11), "requests_per_person is 11, more than"),
        (Settings(connections=100, peer_connections=101), "connections_per_peer is 101, more than"),
        (Settings(listen=(https,), tls_cert=cert, tls_key=tmp_path / "absent"), "cannot be read"),
    ]:
        with pytest.raises(ConfigError, match=words):
            require_sound(wrong)


def test_a_share_is_half_unless_it_is_given() -> None:
    assert (Settings().peer_share, Settings().person_share) == (5000, 512)
    assert (Settings(connections=40).peer_share, Settings(requests=1).person_share) == (20, 1)
    assert Settings(connections=40, peer_connections=40).peer_share == 40
