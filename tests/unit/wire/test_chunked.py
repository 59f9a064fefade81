"""aws-chunked: the published examples, every split, and every way to be wrong."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolium.errors import BodyTruncated, Malformed
from dolium.wire import sigv4
from dolium.wire.chunked import MIN_CHUNK, Decoder
from dolium.wire.claims import Payload
from dolium.wire.sigv4 import SigningKey

KEY = sigv4.signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1")
STAMP, SCOPE = b"20130524T000000Z", b"20130524/us-east-1/s3/aws4_request"
CRC = b"x-amz-checksum-crc32c"


class Signer(NamedTuple):
    key: SigningKey
    stamp: bytes
    scope: bytes
    seed: bytes


SIGNER = Signer(KEY, STAMP, SCOPE, b"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
TRAILER_SIGNER = SIGNER._replace(seed=b"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")

CHUNKS_EXAMPLE = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n%b\r\n"
    b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n%b\r\n"
    b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
) % (b"a" * 65536, b"a" * 1024)

TRAILER_EXAMPLE = (
    b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n%b\r\n"
    b"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n%b\r\n"
    b"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
    b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
) % (b"a" * 65536, b"a" * 1024)


def encode(
    chunks: list[bytes],
    *,
    trailers: list[tuple[bytes, bytes]] | None = None,
    signer: Signer | None = None,
    end: bytes = b"\r\n",
) -> bytes:
    """A body as a client makes it."""
    body, previous = b"", b"" if signer is None else signer.seed
    for chunk in [*chunks, b""]:
        body += b"%x" % len(chunk)
        if signer is not None:
            digest = hashlib.sha256(chunk).hexdigest().encode()
            previous = sigv4.chunk_signature(signer.key, signer.stamp, signer.scope, previous, digest)
            body += b";chunk-signature=" + previous
        body += b"\r\n" + chunk + (b"\r\n" if chunk else b"")
    for name, value in trailers or []:
        body += name + b":" + value + end
    if trailers and signer is not None:
        text = b"".join([name + b":" + value + b"\n" for name, value in trailers])
        signature = sigv4.trailer_signature(signer.key, signer.stamp, signer.scope, previous, text)
        body += b"x-amz-trailer-signature:" + signature + b"\r\n"
    return body + b"\r\n"


def decoder(
    payload: Payload, size: int, announced: bytes | None = None, signer: Signer | None = SIGNER
) -> Decoder:
    return Decoder(payload, size, signer=signer if payload.signed_chunks else None, announced=announced)


def run(body: bytes, made: Decoder, step: int | None = None) -> tuple[bytes, dict[bytes, bytes]]:
    pieces = []
    for start in range(0, len(body), step or max(1, len(body))):
        pieces += [bytes(piece) for piece in made.feed(body[start : start + (step or len(body))])]
    return b"".join(pieces), made.finish()


@pytest.mark.parametrize("step", [None, 1, 7, 65536, 1000])
def test_signed_chunks_of_the_published_example(step: int | None) -> None:
    data, trailers = run(CHUNKS_EXAMPLE, decoder(Payload.SIGNED_CHUNKS, 66560), step)
    assert (data, trailers) == (b"a" * 66560, {})


@pytest.mark.parametrize("step", [None, 1, 7, 65536, 1000])
def test_signed_trailer_of_the_published_example(step: int | None) -> None:
    made = decoder(Payload.SIGNED_CHUNKS_TRAILER, 66560, CRC, TRAILER_SIGNER)
    assert run(TRAILER_EXAMPLE, made, step) == (b"a" * 66560, {CRC: b"sOO8/Q=="})


BODIES = {
    "unsigned": (Payload.UNSIGNED_CHUNKS_TRAILER, None, encode([b"one", b"", b"three"][::2])),
    "unsigned trailer": (
        Payload.UNSIGNED_CHUNKS_TRAILER,
        CRC,
        encode([b"onethree"], trailers=[(CRC, b"sOO8/Q==")]),
    ),
    "trailer ended by LF and CRLF": (
        Payload.UNSIGNED_CHUNKS_TRAILER,
        CRC,
        encode([b"onethree"], trailers=[(CRC, b"sOO8/Q==")], end=b"\n\r\n"),
    ),
    "signed": (Payload.SIGNED_CHUNKS, None, encode([b"onethree"], signer=SIGNER)),
    "signed trailer": (
        Payload.SIGNED_CHUNKS_TRAILER,
        CRC,
        encode([b"onethree"], trailers=[(CRC, b"sOO8/Q==")], signer=SIGNER),
    ),
    "signed trailer ended by LF and CRLF": (
        Payload.SIGNED_CHUNKS_TRAILER,
        CRC,
        encode([b"onethree"], trailers=[(CRC, b"sOO8/Q==")], signer=SIGNER, end=b"\n\r\n"),
    ),
    "signed trailer, none announced": (
        Payload.SIGNED_CHUNKS_TRAILER,
        None,
        encode([b"onethree"], signer=SIGNER),
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_every_split(name: str) -> None:
    payload, announced, body = BODIES[name]
    expected = {} if announced is None else {announced: b"sOO8/Q=="}
    for cut in range(len(body) + 1):
        made = decoder(payload, 8, announced)
        pieces = [*made.feed(body[:cut]), *made.feed(memoryview(body)[cut:])]
        assert b"".join(pieces) == b"onethree"
        assert made.finish() == expected


@pytest.mark.parametrize("name", BODIES)
def test_every_truncation(name: str) -> None:
    payload, announced, body = BODIES[name]
    for cut in range(len(body)):
        made = decoder(payload, 8, announced)
        made.feed(body[:cut])
        with pytest.raises(BodyTruncated):
            made.finish()


@pytest.mark.parametrize("name", [name for name in BODIES if name.startswith("signed")])
def test_every_changed_byte_of_a_signed_body(name: str) -> None:
    payload, announced, body = BODIES[name]
    for at in range(len(body)):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises((Malformed, BodyTruncated)):
            run(changed, decoder(payload, 8, announced))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 60), min_size=1, max_size=20),
)
def test_any_chunks_in_any_pieces(chunks: list[bytes], signed: bool, trailed: bool, steps: list[int]) -> None:
    if signed:  # all but the last are at least 8 KiB
        chunks = [chunk.ljust(MIN_CHUNK, b"-") for chunk in chunks[:-1]] + chunks[-1:]
        steps = [step * 100 for step in steps]
    kind = {
        (True, True): Payload.SIGNED_CHUNKS_TRAILER,
        (True, False): Payload.SIGNED_CHUNKS,
        (False, True): Payload.UNSIGNED_CHUNKS_TRAILER,
        (False, False): Payload.UNSIGNED_CHUNKS_TRAILER,
    }[signed, trailed]
    trailers = [(CRC, b"value")] if trailed else None
    body = encode(chunks, trailers=trailers, signer=SIGNER if signed else None)
    data = b"".join(chunks)
    made = decoder(kind, len(data), CRC if trailed else None)
    found, position, turn = b"", 0, 0
    while position < len(body):
        step = steps[turn % len(steps)]
        found += b"".join(made.feed(body[position : position + step]))
        position, turn = position + step, turn + 1
    assert (found, made.finish()) == (data, dict(trailers or []))


def test_pieces_are_views() -> None:
    body = encode([b"x" * 100_000])
    [piece] = decoder(Payload.UNSIGNED_CHUNKS_TRAILER, 100_000).feed(body)
    assert piece.obj is body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"g\r\n", "InvalidRequest"),
        (b"\r\n", "InvalidRequest"),
        (b"-3\r\nabc\r\n", "InvalidRequest"),
        (b"+3\r\nabc\r\n", "InvalidRequest"),
        (b" 3\r\nabc\r\n", "InvalidRequest"),
        (b"3 \r\nabc\r\n", "InvalidRequest"),
        (b"0x3\r\nabc\r\n", "InvalidRequest"),
        (b"3;\r\nabc\r\n", "InvalidRequest"),
        (b"3;junk=1\r\nabc\r\n", "InvalidRequest"),
        (b"3;chunk-signature=" + b"0" * 64 + b"\r\nabc\r\n", "InvalidRequest"),
        (b"3\nabc\r\n", "InvalidRequest"),
        (b"3\r\nabcX\r\n0\r\n\r\n", "InvalidRequest"),
        (b"3\r\nabc\n0\r\n\r\n", "InvalidRequest"),
        (b"3\r\nabc0\r\n\r\n", "InvalidRequest"),
        (b"1" * 17 + b"\r\n", "InvalidRequest"),
        (b"1" * 2000, "InvalidRequest"),
        (b"3\r\nabc\r\n0\r\n\r\nX\n", "InvalidRequest"),
        (b"3\r\nabc\r\n0\r\n\r\n\r\n", "InvalidRequest"),
        (b"8000000000000000\r\n", "IncompleteBody"),
        (b"ffffffffffffffff\r\n", "IncompleteBody"),
        (b"4\r\nabcd\r\n", "IncompleteBody"),
        (b"2\r\nab\r\n0\r\n\r\n", "IncompleteBody"),
        (b"0\r\n\r\n", "IncompleteBody"),
        (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32c:a\r\n\r\n", "MalformedTrailerError"),
    ],
)
def test_bad_framing(body: bytes, code: str) -> None:
    for step in (None, 1):
        with pytest.raises(Malformed) as refusal:
            run(body, decoder(Payload.UNSIGNED_CHUNKS_TRAILER, 3), step)
        assert refusal.value.code == code


@pytest.mark.parametrize(
    "trailers",
    [
        b"",
        b"x-amz-checksum-crc32:AAAA\r\n",
        b"x-amz-checksum-crc32c:A\r\nx-amz-checksum-crc32c:A\r\n",
        b"x-amz-checksum-crc32c:A\r\nx-other:B\r\n",
        b"x-amz-checksum-crc32c\r\n",
        b"x-amz-checksum-crc32c :A\r\n",
        b":A\r\n",
        b" x-amz-checksum-crc32c:A\r\n",
        b"x-amz-checksum-crc32c:A\rB\r\n",
        b"x-amz-checksum-crc32c:A\nx-other:B\r\n",
        b"x-amz-checksum-crc32c:A\r\nx-amz-trailer-signature:" + b"0" * 64 + b"\r\n",
    ],
)
def test_bad_trailers(trailers: bytes) -> None:
    for step in (None, 1):
        with pytest.raises(Malformed) as refusal:
            run(
                b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n",
                decoder(Payload.UNSIGNED_CHUNKS_TRAILER, 3, CRC),
                step,
            )
        assert refusal.value.code == "MalformedTrailerError"


def test_a_trailer_without_end_is_cut_off() -> None:
    with pytest.raises(Malformed) as refusal:
        run(
            b"0\r\nx-amz-checksum-crc32c:" + b"A" * 3000,
            decoder(Payload.UNSIGNED_CHUNKS_TRAILER, 0, CRC),
            100,
        )
    assert refusal.value.code == "InvalidRequest"


def test_names_of_trailers_are_read_in_any_case_and_trimmed() -> None:
    body = b"0\r\nX-Amz-Checksum-CRC32C: \tsOO8/Q== \r\n\r\n"
    assert run(body, decoder(Payload.UNSIGNED_CHUNKS_TRAILER, 0, CRC)) == (b"", {CRC: b"sOO8/Q=="})


def test_small_signed_chunks() -> None:
    small = [b"x" * (MIN_CHUNK - 1), b"y"]
    with pytest.raises(Malformed) as refusal:
        run(encode(small, signer=SIGNER), decoder(Payload.SIGNED_CHUNKS, MIN_CHUNK))
    assert refusal.value.code == "InvalidChunkSizeError"
    assert refusal.value.fields == {"Chunk": "2", "BadChunkSize": "8191"}
    large = [b"x" * MIN_CHUNK, b"y"]
    assert run(encode(large, signer=SIGNER), decoder(Payload.SIGNED_CHUNKS, MIN_CHUNK + 1))[0] == b"".join(
        large
    )


def test_chunks_cannot_be_replayed_swapped_or_left_out() -> None:
    one, two = b"1" * MIN_CHUNK, b"2" * MIN_CHUNK
    body = encode([one, two], signer=SIGNER)
    framed = len(one) + len(b"2000;chunk-signature=\r\n\r\n") + 64
    first, second, rest = body[:framed], body[framed : 2 * framed], body[2 * framed :]
    assert run(first + second + rest, decoder(Payload.SIGNED_CHUNKS, 2 * MIN_CHUNK))[0] == one + two
    for changed in (second + first + rest, first + first + rest, first + rest, second + rest, rest):
        size = MIN_CHUNK * (changed.count(b"chunk-signature") - 1)
        with pytest.raises(Malformed) as refusal:
            run(changed, decoder(Payload.SIGNED_CHUNKS, size))
        assert refusal.value.code == "SignatureDoesNotMatch"


def test_unsigned_chunks_do_not_pass_for_signed() -> None:
    with pytest.raises(Malformed):
        run(encode([b"abc"]), decoder(Payload.SIGNED_CHUNKS, 3))


def test_a_trailer_must_be_signed_in_a_signed_stream() -> None:
    body = encode([b"abc"], signer=SIGNER)[:-2] + CRC + b":A\r\n\r\n"
    with pytest.raises(Malformed) as refusal:
        run(body, decoder(Payload.SIGNED_CHUNKS_TRAILER, 3, CRC))
    assert refusal.value.code == "MalformedTrailerError"


def test_a_wrong_trailer_signature() -> None:
    body = encode([b"abc"], trailers=[(CRC, b"A")], signer=SIGNER).replace(b"crc32c:A", b"crc32c:B")
    with pytest.raises(Malformed) as refusal:
        run(body, decoder(Payload.SIGNED_CHUNKS_TRAILER, 3, CRC))
    assert refusal.value.code == "SignatureDoesNotMatch"


def test_nothing_behind_the_signature_of_the_trailer() -> None:
    body = encode([b"abc"], trailers=[(b"x-other", b"A")], signer=SIGNER)
    with pytest.raises(Malformed) as refusal:
        run(body, decoder(Payload.SIGNED_CHUNKS_TRAILER, 3, CRC))
    assert refusal.value.code == "MalformedTrailerError"
    signed = encode([b"abc"], trailers=[(CRC, b"A")], signer=SIGNER)
    with pytest.raises(Malformed):
        run(signed[:-2] + CRC + b":B\r\n\r\n", decoder(Payload.SIGNED_CHUNKS_TRAILER, 3, CRC))


def test_a_trailer_needs_a_kind_of_payload_that_has_one() -> None:
    with pytest.raises(Malformed) as refusal:
        decoder(Payload.SIGNED_CHUNKS, 3, CRC)
    assert refusal.value.code == "InvalidRequest"


def test_an_empty_object_in_an_empty_body() -> None:
    assert decoder(Payload.SIGNED_CHUNKS, 0).finish() == {}
    with pytest.raises(BodyTruncated):
        decoder(Payload.SIGNED_CHUNKS, 1).finish()
    with pytest.raises(BodyTruncated):
        decoder(Payload.UNSIGNED_CHUNKS_TRAILER, 0, CRC).finish()
