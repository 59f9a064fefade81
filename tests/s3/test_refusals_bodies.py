"""Bodies that are not as long as was said, or framed in a way that does not add up: nothing of them stays."""

import http.client
import socket
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping

import pytest

from tests.s3.client import Refusal, bare, complete_document, head_of
from tests.s3.conftest import Stage
from tests.s3.signing import (
    STREAMING,
    STREAMING_TRAILER,
    UNSIGNED_TRAILER,
    Seed,
    chunk_signature,
    plain_chunks,
    sign_v4,
    signed_chunks,
)

INCOMPLETE = (400, "IncompleteBody")
INVALID = (400, "InvalidRequest")
BAD_TRAILER = (400, "MalformedTrailerError")
MISMATCH = (403, "SignatureDoesNotMatch")
LONG = (400, "EntityTooLarge")
PIECES = (b"a" * 8192, b"b" * 9000, b"c")
WHOLE = b"".join(PIECES)
CRC = b64encode(zlib.crc32(WHOLE).to_bytes(4)).decode()
NAME = "x-amz-checksum-crc32"


@pytest.mark.parametrize("size", [100, 300_000], ids=["inline", "file"])
@pytest.mark.parametrize("route", ["object", "part"])
def test_a_body_that_is_cut_short(stage: Stage, size: int, route: str) -> None:
    path = stage.at("kept", "" if route == "object" else f"partNumber=1&uploadId={stage.upload}")
    headers, _ = sign_v4(stage.client.site, "PUT", path, {"content-length": str(size)})
    request = head_of("PUT", path, headers) + b"x" * (size // 2)
    host, port = stage.client.site.host.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as opened:
        opened.sendall(request)
        opened.shutdown(socket.SHUT_WR)
        try:
            answer = opened.recv(65536)
        except ConnectionResetError:
            answer = b""
    # Either is right: the refusal, or a connection that is closed.
    assert not answer or (
        b" 400 " in answer.split(b"\r\n", 1)[0] and b"<Code>IncompleteBody</Code>" in answer
    )


@pytest.mark.parametrize("size", [0, 10, 100_000])
def test_a_refused_body_is_not_the_next_request(stage: Stage, size: int) -> None:
    """On a connection that is kept, the next answer is to the next request and to nothing inside a body."""
    site = stage.client.site
    smuggled, _ = sign_v4(site, "DELETE", stage.at("kept"))
    body = head_of("DELETE", stage.at("kept"), smuggled).rjust(size) if size > 10 else b"x" * size
    headers, _ = sign_v4(site, "PUT", stage.at("kept", "nonsense"), {"content-length": str(len(body))})
    following, _ = sign_v4(site, "HEAD", stage.at("kept"))
    host, port = site.host.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as opened:
        opened.sendall(head_of("PUT", stage.at("kept", "nonsense"), headers) + body)
        first = http.client.HTTPResponse(opened, method="PUT")
        first.begin()
        assert (first.status, b"NotImplemented" in first.read()) == (501, True)
        opened.sendall(head_of("HEAD", stage.at("kept"), following))
        second = http.client.HTTPResponse(opened, method="HEAD")
        second.begin()
        assert (second.status, second.getheader("content-length")) == (200, "21")


def test_no_length_at_all(stage: Stage) -> None:
    for method, path in (
        ("PUT", stage.at("kept")),
        ("PUT", stage.at("kept", f"partNumber=1&uploadId={stage.upload}")),
        ("POST", stage.at("kept", f"uploadId={stage.upload}")),
        ("POST", stage.at(query="delete")),
    ):
        headers, _ = sign_v4(stage.client.site, method, path, {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
        answer = bare(stage.client.site, head_of(method, path, headers))
        stage.checked(answer, (411, "MissingContentLength"), method)


@pytest.mark.parametrize("length", ["-1", "ten", "1e3", "0x10", "1 0", "9" * 40, ""])
def test_a_length_that_is_none(stage: Stage, length: str) -> None:
    headers, _ = sign_v4(stage.client.site, "PUT", stage.at("kept"), {"content-length": length})
    answer = bare(stage.client.site, head_of("PUT", stage.at("kept"), headers))
    assert answer.status == 400, answer


@pytest.mark.parametrize("size", [5 * 2**30 + 1, 60 * 10**9])
def test_more_than_one_put_may_have(stage: Stage, size: int) -> None:
    """Refused before a byte of it is read."""
    part = f"partNumber=1&uploadId={stage.upload}"
    for path in (stage.at("kept"), stage.at("kept", part)):
        headers, _ = sign_v4(stage.client.site, "PUT", path, {"content-length": str(size)})
        stage.checked(bare(stage.client.site, head_of("PUT", path, headers)), LONG)
        said = {"content-length": "100", "x-amz-decoded-content-length": str(size)}
        headers, _ = sign_v4(stage.client.site, "PUT", path, said, UNSIGNED_TRAILER)
        stage.checked(bare(stage.client.site, head_of("PUT", path, headers)), LONG)


def test_a_part_that_is_too_small(stage: Stage) -> None:
    """Only the last may be below 5 MiB."""
    upload = stage.client.begin(stage.bucket, "kept")
    parts = {n: stage.client.put_part(stage.bucket, "kept", upload, n, b"small") for n in (1, 2)}
    path = stage.at("kept", f"uploadId={upload}")
    answer = stage.refused((400, "EntityTooSmall"), "POST", path, body=complete_document(parts))
    assert (answer.field("PartNumber"), answer.field("ProposedSize")) == ("1", "5")
    stage.client.done("DELETE", path)


Frame = Callable[[Seed], bytes]


def _sent(
    stage: Stage, payload: str, frame: Frame, refusal: Refusal, headers: Mapping[str, str] | None = None
) -> None:
    """As object and as part; `frame` makes the body out of what its signatures continue from."""
    said = {"x-amz-decoded-content-length": str(len(WHOLE)), **(headers or {})}
    for path in (stage.at("kept"), stage.at("kept", f"partNumber=1&uploadId={stage.upload}")):
        signed, seed = sign_v4(stage.client.site, "PUT", path, said, payload)
        stage.checked(stage.client.send("PUT", path, signed, frame(seed)), refusal)


GOOD = plain_chunks(PIECES)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"zz\r\nabc\r\n0\r\n\r\n", INVALID),
        (b"0x5\r\nabcde\r\n0\r\n\r\n", INVALID),
        (b"+5\r\nabcde\r\n0\r\n\r\n", INVALID),
        (b"-5\r\nabcde\r\n0\r\n\r\n", INVALID),
        (b" 5\r\nabcde\r\n0\r\n\r\n", INVALID),
        (b"5_0\r\nabcde\r\n0\r\n\r\n", INVALID),
        (b"\r\n\r\n", INVALID),
        (b"5\nabcde\n0\n\n", INVALID),
        (b"5;name=value\r\nabcde\r\n0\r\n\r\n", INVALID),
        (b"5;chunk-signature=00\r\nabcde\r\n0\r\n\r\n", INVALID),
        (b"2000\r\n" + PIECES[0] + b"2328\r\n", INVALID),
        (b"2000\r\n" + PIECES[0] + b"XX0\r\n\r\n", INVALID),
        (b"1" * 2000 + b"\r\n", INVALID),
        (b"1ffffffffffffffff\r\n", INVALID),
        (b"7fffffffffffffff\r\nabc\r\n0\r\n\r\n", INCOMPLETE),
        (b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n", INCOMPLETE),
        (plain_chunks([*PIECES, b"d"]), INCOMPLETE),
        (plain_chunks(PIECES[:2]), INCOMPLETE),
        (GOOD.removesuffix(b"0\r\n\r\n"), INCOMPLETE),
        (GOOD.removesuffix(b"\r\n"), INCOMPLETE),
        (b"", INCOMPLETE),
        (WHOLE, INVALID),
        (GOOD + b"behind", INVALID),
        (GOOD + GOOD, INVALID),
    ],
)
def test_framing_that_does_not_add_up(stage: Stage, body: bytes, refusal: Refusal) -> None:
    _sent(stage, UNSIGNED_TRAILER, lambda _: body, refusal)


def test_the_decoded_length(stage: Stage) -> None:
    path = stage.at("kept")
    stage.refused((411, "MissingContentLength"), "PUT", path, body=GOOD, payload=UNSIGNED_TRAILER)
    for wrong, refusal in (
        (len(WHOLE) - 1, INCOMPLETE),
        (len(WHOLE) + 1, INCOMPLETE),
        (0, INCOMPLETE),
        (-1, (400, "InvalidArgument")),
        ("many", (400, "InvalidArgument")),
        ("", (400, "InvalidArgument")),
        ("9" * 30, (400, "InvalidArgument")),
    ):
        _sent(stage, UNSIGNED_TRAILER, lambda _: GOOD, refusal, {"x-amz-decoded-content-length": str(wrong)})


def test_a_chunk_below_8_kib_that_is_not_the_last(stage: Stage) -> None:
    _sent(stage, STREAMING, lambda seed: signed_chunks(seed, [b"x" * 8191, *PIECES]),
          (400, "InvalidChunkSizeError"), {"x-amz-decoded-content-length": str(8191 + len(WHOLE))})  # fmt: skip


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_a_chunk_with_a_wrong_signature(stage: Stage, position: int) -> None:
    def frame(seed: Seed) -> bytes:
        before, mark, after = signed_chunks(seed, PIECES).rpartition(b"chunk-signature=")
        for _ in range(3 - position):
            before, mark, rest = before.rpartition(b"chunk-signature=")
            after = rest + b"chunk-signature=" + after
        return before + mark + b"0" * 64 + after[64:]

    _sent(stage, STREAMING, frame, MISMATCH)


def test_the_data_of_a_chunk_changed(stage: Stage) -> None:
    _sent(
        stage,
        STREAMING,
        lambda seed: signed_chunks(seed, PIECES).replace(b"\r\nc\r\n", b"\r\nd\r\n"),
        MISMATCH,
    )


def test_chunks_swapped_and_repeated(stage: Stage) -> None:
    """Each is signed, and each only in its place."""
    pieces = (b"a" * 8192, b"b" * 8192, b"c")
    size = {"x-amz-decoded-content-length": str(2 * 8192 + 1)}

    def chunks(seed: Seed) -> list[bytes]:
        """Three of them, each whole, and the end."""
        framed, previous = [], seed.signature
        for piece in (*pieces, b""):
            previous = chunk_signature(seed, previous, piece)
            framed.append(f"{len(piece):x};chunk-signature={previous}\r\n".encode() + piece + b"\r\n")
        return framed

    def swapped(seed: Seed) -> bytes:
        one, two, three, end = chunks(seed)
        return two + one + three + end

    def repeated(seed: Seed) -> bytes:
        one, _, three, end = chunks(seed)
        return one + one + three + end

    _sent(stage, STREAMING, swapped, MISMATCH, size)
    _sent(stage, STREAMING, repeated, MISMATCH, size)


def test_chunks_of_another_request(stage: Stage) -> None:
    """The whole body of one request, sent again with the head of another."""
    other, _ = sign_v4(stage.client.site, "PUT", stage.at("other"), at=1.7e9)
    seed = Seed(b"", "", "", other["authorization"].rpartition("=")[2])
    _sent(stage, STREAMING, lambda own: signed_chunks(Seed(own.key, own.stamp, own.scope, seed.signature), PIECES),
          MISMATCH)  # fmt: skip


def test_the_final_chunk_missing(stage: Stage) -> None:
    def frame(seed: Seed) -> bytes:
        whole = signed_chunks(seed, PIECES)
        return whole[: whole.rindex(b"0;chunk-signature=")]

    _sent(stage, STREAMING, frame, INCOMPLETE)


TRAILER = {"x-amz-trailer": NAME}


@pytest.mark.parametrize(
    ("trailers", "refusal"),
    [
        ({}, BAD_TRAILER),
        ({"x-amz-checksum-crc32c": CRC}, BAD_TRAILER),
        ({"anything": "else"}, BAD_TRAILER),
        ({NAME: CRC, "x-amz-checksum-sha1": CRC}, BAD_TRAILER),
        ({NAME: CRC, f"{NAME} ": CRC}, BAD_TRAILER),
        ({NAME + " ": CRC}, BAD_TRAILER),
        ({NAME: CRC, NAME.upper(): CRC}, BAD_TRAILER),
        ({"": CRC}, BAD_TRAILER),
        ({NAME: "no base64!"}, INVALID),
        ({NAME: ""}, INVALID),
        ({NAME: b64encode(bytes(4)).decode()}, (400, "BadDigest")),
    ],
)
def test_trailers(stage: Stage, trailers: dict[str, str], refusal: Refusal) -> None:
    _sent(stage, UNSIGNED_TRAILER, lambda _: plain_chunks(PIECES, trailers), refusal, TRAILER)


def test_a_trailer_that_is_not_announced(stage: Stage) -> None:
    _sent(stage, UNSIGNED_TRAILER, lambda _: plain_chunks(PIECES, {NAME: CRC}), BAD_TRAILER)


@pytest.mark.parametrize(
    "name", ["x-amz-meta-late", "content-length", "authorization", f"{NAME},x-amz-checksum-sha1"]
)
def test_announced_trailers_that_are_no_checksum(stage: Stage, name: str) -> None:
    body = plain_chunks(PIECES, {name: CRC})
    _sent(stage, UNSIGNED_TRAILER, lambda _: body, INVALID, {"x-amz-trailer": name})


def test_a_checksum_in_header_and_trailer(stage: Stage) -> None:
    both = {**TRAILER, NAME: CRC}
    _sent(stage, UNSIGNED_TRAILER, lambda _: plain_chunks(PIECES, {NAME: CRC}), INVALID, both)


def test_a_trailer_with_a_wrong_signature(stage: Stage) -> None:
    def forged(seed: Seed) -> bytes:
        body = signed_chunks(seed, PIECES, {NAME: CRC})
        cut = body.rindex(b"x-amz-trailer-signature:") + len(b"x-amz-trailer-signature:")
        return body[:cut] + b"0" * 64 + b"\r\n\r\n"

    def unsigned(seed: Seed) -> bytes:
        body = signed_chunks(seed, PIECES, {NAME: CRC})
        return body[: body.rindex(b"x-amz-trailer-signature:")] + b"\r\n"

    _sent(stage, STREAMING_TRAILER, forged, MISMATCH, TRAILER)
    _sent(stage, STREAMING_TRAILER, unsigned, BAD_TRAILER, TRAILER)


def test_chunks_where_no_body_is_taken(stage: Stage) -> None:
    """STREAMING-… on a route that takes no stream; the signature is good."""
    said = {"x-amz-decoded-content-length": str(len(WHOLE))}
    copy = {**said, "x-amz-copy-source": f"/{stage.bucket}/kept"}
    for method, path, headers in (
        ("GET", stage.at("kept"), said),
        ("DELETE", stage.at("kept"), said),
        ("PUT", stage.at("copied"), copy),
        ("POST", stage.at("new", "uploads"), said),
        ("DELETE", stage.at("kept", f"uploadId={stage.upload}"), said),
        ("DELETE", stage.at(), said),
        ("PUT", stage.at("kept", f"partNumber=1&uploadId={stage.upload}"), copy),
    ):
        for payload in (STREAMING, STREAMING_TRAILER, UNSIGNED_TRAILER):
            stage.refused(INVALID, method, path, headers, GOOD, payload=payload)
