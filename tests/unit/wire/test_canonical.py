"""Canonical paths and queries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolium.wire.canonical import canonical_path, canonical_query, decode, encode


@given(st.binary())
def test_encoding_round_trip(data: bytes) -> None:
    assert decode(encode(data)) == data
    assert canonical_path(b"/" + encode(data, slash=True)) == b"/" + encode(data, slash=True)


@given(st.binary())
def test_canonical_twice_is_canonical_once(data: bytes) -> None:
    assert canonical_path(canonical_path(data)) == canonical_path(data)
    assert canonical_query(canonical_query(data)) == canonical_query(data)


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b"", b"/"),
        (b"/a/b", b"/a/b"),
        (b"/a b", b"/a%20b"),
        (b"/a%20b", b"/a%20b"),
        (b"/%7e%41", b"/~A"),
        (b"/a+b", b"/a%2Bb"),
        (b"/a%2fb", b"/a/b"),
        (b"/a%2Fb", b"/a/b"),
        (b"/../a//b/./", b"/../a//b/./"),
        (b"/100%", b"/100%25"),
        (b"/%2525", b"/%2525"),
        ("/ü".encode(), b"/%C3%BC"),
        (b"/k%3D0", b"/k%3D0"),
        (b"/k=0", b"/k%3D0"),
    ],
)
def test_canonical_path(raw: bytes, canonical: bytes) -> None:
    assert canonical_path(raw) == canonical


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b"", b""),
        (b"acl", b"acl="),
        (b"b=1&a=2", b"a=2&b=1"),
        (b"a-b=1&a=2&a=1", b"a=1&a=2&a-b=1"),
        (b"a%2Db=1&a=2", b"a=2&a-b=1"),
        (b"prefix=a+b&x=%2b", b"prefix=a%20b&x=%2B"),
        (b"token=ab==", b"token=ab%3D%3D"),
        (b"&&uploads&", b"uploads="),
        (b"delimiter=/&prefix=a%2Fb", b"delimiter=%2F&prefix=a%2Fb"),
    ],
)
def test_canonical_query(raw: bytes, canonical: bytes) -> None:
    assert canonical_query(raw) == canonical
