"""Addresses and certificates: what cannot be used is one clear sentence."""

import socket
import ssl
from pathlib import Path

import pytest

from dolium.config.settings import Listen, parse_listen
from dolium.errors import ConfigError
from dolium.server.listen import bind, load_certificate, tls_context
from dolium.testing.certificates import make_authority


def close(*found: object) -> None:
    for one in found:
        one.socket.close()  # type: ignore[attr-defined]


def test_port_0_becomes_a_real_one() -> None:
    (bound,) = bind((Listen("http", "127.0.0.1", 0),))
    assert bound.listen.port == bound.socket.getsockname()[1] > 0
    assert str(bound.listen) == f"http://127.0.0.1:{bound.listen.port}"
    close(bound)


def test_a_name_is_bound_to_each_of_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    (free,) = bind((Listen("http", "127.0.0.1", 0),))
    port = free.listen.port
    close(free)
    answers = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", port)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port)),  # not of this machine
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    bound = bind((Listen("http", "store.example", port),))
    assert [one.socket.getsockname()[0] for one in bound] == ["127.0.0.1", "127.0.0.2"]
    close(*bound)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 in this build")
def test_ipv6_and_ipv4_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        (six,) = bind((parse_listen("[::1]:0"),))
    except ConfigError as error:
        assert "Cannot assign" in str(error)  # noqa: PT017 - a machine without IPv6 says so
        return
    assert str(six.listen) == f"http://[::1]:{six.listen.port}"
    four = bind((Listen("http", "127.0.0.1", six.listen.port),))
    close(six, *four)


def test_a_port_in_use_is_told_and_nothing_stays_bound() -> None:
    (taken,) = bind((Listen("http", "127.0.0.1", 0),))
    (free,) = bind((Listen("http", "127.0.0.1", 0),))
    close(free)
    with pytest.raises(ConfigError, match=f"^cannot listen on {taken.listen}: Address already in use$"):
        bind((free.listen, taken.listen))
    close(taken, *bind((free.listen,)))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_here_is_told(host: str) -> None:
    with pytest.raises(ConfigError, match=f"^cannot listen on http://{host}:9: "):
        bind((Listen("http", host, 9),))


def test_a_context_speaks_tls_1_2_and_later(tmp_path: Path) -> None:
    made = make_authority(tmp_path)
    assert tls_context(made.cert_file, made.key_file).minimum_version == ssl.TLSVersion.TLSv1_2


def test_certificates_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    one, other = make_authority(tmp_path / "one"), make_authority(tmp_path / "other")
    context = tls_context(one.cert_file, one.key_file)
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    for cert, key in (
        (one.cert_file, other.key_file), (junk, one.key_file), (one.cert_file, junk), (tmp_path / "absent", one.key_file)
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=f"^{cert}: .*{key}"):
            tls_context(cert, key)
        with pytest.raises(ConfigError):
            load_certificate(context, cert, key)
    load_certificate(context, other.cert_file, other.key_file)
