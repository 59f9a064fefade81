"""Names of buckets and keys, addresses, copy sources."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolium.errors import Malformed
from dolium.wire.canonical import encode
from dolium.wire.names import (
    Address,
    CopySource,
    Hosts,
    check_bucket_name,
    check_key,
    parse_copy_source,
    read_address,
)

HERE = b"127.0.0.1:9000"
NONE = Hosts()
KNOWN = Hosts(["{tenancy}.s3.example.org", "{tenancy}-o.s3.site.uk", "s3.plain.org", "{bucket}.web.org"])


@pytest.mark.parametrize(
    "name", ["abc", "a" * 63, "0ab", "a.b.c", "a-b", "a--b", "1.2.3", "1.2.3.4a", "ten.years"]
)
def test_good_bucket_names(name: str) -> None:
    assert check_bucket_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *[
            "",
            "ab",
            "a" * 64,
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "ab.",
            "a..b",
            "a.-b",
            "a-.b",
            "192.168.5.4",
            "a b",
        ],
        *[
            "xn--abc",
            "sthree-x",
            "amzn-s3-demo-x",
            "x-s3alias",
            "x--ol-s3",
            "x.mrap",
            "x--x-s3",
            "x--table-s3",
        ],
        *["abc\n", "ä-b", "a/b", "a\0b", "٣٣٣"],
    ],
)
def test_bad_bucket_names(name: str) -> None:
    with pytest.raises(Malformed) as refusal:
        check_bucket_name(name)
    assert (refusal.value.code, refusal.value.fields) == ("InvalidBucketName", {"BucketName": name})


@pytest.mark.parametrize(
    "key", ["a", "a" * 1024, "ü" * 512, "..", ".", "/", "a//b", "\x01", "\ufffe", "🫙" * 256]
)
def test_good_keys(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "InvalidArgument"),
        ("a\0", "InvalidArgument"),
        ("a" * 1025, "KeyTooLongError"),
        ("ü" * 513, "KeyTooLongError"),
        ("🫙" * 257, "KeyTooLongError"),
    ],
)
def test_bad_keys(key: str, code: str) -> None:
    with pytest.raises(Malformed) as refusal:
        check_key(key)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("host", "tenancy", "bucket"),
    [
        (b"climate.s3.example.org", "climate", None),
        (b"CLIMATE.S3.example.org:443", "climate", None),
        (b"climate.s3.example.org.", "climate", None),
        (b"data.climate.s3.example.org", "climate", "data"),
        (b"a.b.climate.s3.example.org:9000", "climate", "a.b"),
        (b"climate-o.s3.site.uk", "climate", None),
        (b"data.climate-o.s3.site.uk", "climate", "data"),
        (b"s3.plain.org", None, None),
        (b"data.s3.plain.org", None, "data"),
        (b"data.web.org", None, "data"),
        (b"s3.example.org", None, None),
        (b"evil.s3.example.org.evil.net", None, None),
        (b"climate.s3xexample.org", None, None),
        (b"localhost", None, None),
        (b"127.0.0.1:9000", None, None),
        (b"[::1]:9000", None, None),
        (b"[::1]", None, None),
        (b"", None, None),
        (b"\xff.s3.example.org", None, None),
    ],
)
def test_hosts(host: bytes, tenancy: str | None, bucket: str | None) -> None:
    assert KNOWN.read(host) == (tenancy, bucket)
    assert KNOWN.read(host) == (tenancy, bucket)  # from memory
    assert NONE.read(host) == (None, None)


def test_hosts_forget() -> None:
    hosts = Hosts(["{tenancy}.s3.example.org"])
    for number in range(5000):
        assert hosts.read(b"t%d.s3.example.org" % number) == (f"t{number}", None)
    assert hosts.read(b"t0.s3.example.org") == ("t0", None)


@pytest.mark.parametrize(
    "pattern", ["", "{tenant}.s3.org", "https://s3.org", "a b", "{bucket}.{bucket}.org", "s3.org:80"]
)
def test_bad_host_patterns(pattern: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        Hosts([pattern])


@pytest.mark.parametrize(
    ("path", "host", "address"),
    [
        (b"/", HERE, (None, None, None)),
        (b"/bucket", HERE, (None, "bucket", None)),
        (b"/bucket/", HERE, (None, "bucket", None)),
        (b"/bucket/key", HERE, (None, "bucket", "key")),
        (b"/bucket//key", HERE, (None, "bucket", "/key")),
        (b"/bucket/../../etc", HERE, (None, "bucket", "../../etc")),
        (b"/bucket/%2e%2e%2fx", HERE, (None, "bucket", "../x")),
        (b"/bucket/a%2520b+c", HERE, (None, "bucket", "a%20b+c")),
        (b"/bucket%2Fkey", HERE, (None, "bucket/key", None)),
        (b"/%24weird%24", HERE, (None, "$weird$", None)),
        ("/bucket/ü".encode(), HERE, (None, "bucket", "ü")),
        (b"/bucket/key", b"t.s3.example.org", ("t", "bucket", "key")),
        (b"/", b"data.t.s3.example.org", ("t", "data", None)),
        (b"/bucket/key", b"data.t.s3.example.org", ("t", "data", "bucket/key")),
        (b"//key", b"data.t.s3.example.org", ("t", "data", "/key")),
    ],
)
def test_addresses(path: bytes, host: bytes, address: tuple[str | None, ...]) -> None:
    assert read_address(path, host, KNOWN) == Address(*address)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (b"", "InvalidURI"),
        (b"*", "InvalidURI"),
        (b"//", "InvalidURI"),
        (b"//key", "InvalidURI"),
        (b"/bucket/100%", "InvalidURI"),
        (b"/bucket/%zz", "InvalidURI"),
        (b"/bucket/%ff", "InvalidURI"),
        (b"/bucket/%ed%a0%80", "InvalidURI"),
        (b"/%ff/key", "InvalidURI"),
        (b"/bucket/a%00", "InvalidArgument"),
        (b"/bucket/" + b"a" * 1025, "KeyTooLongError"),
    ],
)
def test_bad_addresses(path: bytes, code: str) -> None:
    with pytest.raises(Malformed) as refusal:
        read_address(path, HERE, NONE)
    assert refusal.value.code == code


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200))
def test_every_key_survives_path_and_copy_source(key: str) -> None:
    path = b"/bucket/" + encode(key.encode(), slash=True)
    assert read_address(path, HERE, NONE).key == key
    assert parse_copy_source(path) == CopySource("bucket", key, None)
    assert parse_copy_source(path[1:] + b"?versionId=v%201") == CopySource("bucket", key, "v 1")
    assert parse_copy_source(encode(b"/bucket/" + key.encode())) == CopySource("bucket", key, None)


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (b"bucket/key", ("bucket", "key", None)),
        (b"/bucket/a?b", ("bucket", "a?b", None)),
        (b"/bucket/a+b", ("bucket", "a+b", None)),
        (b"/bucket/100%", ("bucket", "100%", None)),
        (b"/bucket//a/", ("bucket", "/a/", None)),
        (b"/bucket/a%3FversionId=x", ("bucket", "a?versionId=x", None)),
        (b"/bucket/a?versionId=null", ("bucket", "a", "null")),
    ],
)
def test_copy_sources(value: bytes, source: tuple[str, str, str | None]) -> None:
    assert parse_copy_source(value) == CopySource(*source)


@pytest.mark.parametrize(
    "value",
    [b"", b"/", b"bucket", b"/bucket", b"/bucket/", b"//key", b"/b/k?versionId=", b"/b/%ff", b"/b/a%00"],
)
def test_bad_copy_sources(value: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        parse_copy_source(value)
    assert refusal.value.code == "InvalidArgument"
