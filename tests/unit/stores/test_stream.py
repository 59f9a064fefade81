"""Readers over readers."""

import hashlib
import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolium.stores.contract import Reader
from dolium.stores.stream import BoundedReader, HashingReader, IterableReader


def _drain(reader: Reader, size: int) -> list[bytes]:
    pieces = []
    while piece := reader.read(size):
        pieces.append(piece)
    assert reader.read(size) == b""
    return pieces


@given(pieces=st.lists(st.binary(max_size=20)), size=st.integers(1, 15))
def test_an_iterable_gives_its_bytes_in_pieces_of_at_most_the_size(pieces: list[bytes], size: int) -> None:
    read = _drain(IterableReader(iter(pieces)), size)
    assert b"".join(read) == b"".join(pieces)
    assert all(len(piece) <= size for piece in read)


@given(data=st.binary(max_size=40), limit=st.integers(0, 50), size=st.integers(1, 15))
def test_a_bound_is_never_read_beyond(data: bytes, limit: int, size: int) -> None:
    source = io.BytesIO(data)
    assert b"".join(_drain(BoundedReader(source, limit), size)) == data[:limit]
    assert source.tell() == min(limit, len(data))


@given(data=st.binary(max_size=40), size=st.integers(1, 15))
def test_what_goes_by_is_hashed_and_counted(data: bytes, size: int) -> None:
    reader = HashingReader(io.BytesIO(data), hasher := hashlib.sha256())
    assert b"".join(_drain(reader, size)) == data
    assert hasher.digest() == hashlib.sha256(data).digest()
    assert reader.count == len(data)


@pytest.mark.parametrize(
    "wrap", [lambda reader: BoundedReader(reader, 99), lambda reader: HashingReader(reader, hashlib.md5())]
)
def test_an_error_of_the_source_passes_through(wrap: Callable[[Reader], Reader]) -> None:
    error = ConnectionResetError()

    class Broken:
        def read(self, size: int, /) -> bytes:
            raise error

    with pytest.raises(ConnectionResetError) as raised:
        wrap(Broken()).read(1)
    assert raised.value is error
