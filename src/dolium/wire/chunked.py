"""Bodies in `aws-chunked` framing, decoded as they arrive.

    decoder = Decoder(payload, size, signer=signer, announced=b"x-amz-checksum-crc32")
    for data in body:
        for piece in decoder.feed(data):
            ...
    trailers = decoder.finish()

Signed chunks carry a signature each, which continues that of the request; it is checked at the end of its
chunk. So nothing of a body may be published before `finish` has returned. Pieces are views of the data that
was fed: nothing is copied. Sources: AWS "Transferring Payload in Multiple Chunks", "Including Trailing
Headers"; minio-go ends a trailer with LF before its CRLF, as the second of these pages shows it.
"""

from __future__ import annotations

import hmac
import re
from enum import Enum, auto
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from dolium.errors import BodyTruncated, Malformed
from dolium.wire.claims import Payload
from dolium.wire.sigv4 import chunk_signature, trailer_signature

if TYPE_CHECKING:
    from dolium.wire.sigv4 import SigningKey

__all__ = ["MIN_CHUNK", "ChunkSigner", "Decoder"]

MIN_CHUNK = 8192
"""Of signed chunks, all but the last are at least so large."""

_MAX_LINE = 1024
_signed_header = re.compile(rb"([0-9a-fA-F]{1,16});chunk-signature=([0-9a-f]{64})\r\n").fullmatch
_plain_header = re.compile(rb"([0-9a-fA-F]{1,16})\r\n").fullmatch
_trailer = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\r?\n").fullmatch
_TRAILER_SIGNATURE = b"x-amz-trailer-signature"


class ChunkSigner(Protocol):
    """What the signatures of chunks continue from: the request's key, x-amz-date, scope and signature."""

    @property
    def key(self) -> SigningKey: ...
    @property
    def stamp(self) -> bytes: ...
    @property
    def scope(self) -> bytes: ...
    @property
    def seed(self) -> bytes: ...


class _At(Enum):
    HEADER = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    END = auto()


class Decoder:
    """Decodes one body. After an error it is of no further use."""

    __slots__ = (
        "_announced",
        "_at",
        "_bare_newline",
        "_chunk",
        "_claimed",
        "_count",
        "_hash",
        "_left",
        "_line",
        "_rest",
        "_signature",
        "_signer",
        "_signs_trailer",
        "_trailer_signed",
        "_trailers",
    )

    def __init__(
        self,
        payload: Payload,
        size: int,
        *,
        signer: ChunkSigner | None = None,
        announced: bytes | None = None,
    ) -> None:
        """`size`: x-amz-decoded-content-length. `announced`: the name in x-amz-trailer, in lower case.
        `signer`: for signed chunks, and only for them. Raises Malformed (InvalidRequest).
        """
        assert payload.chunked
        assert payload.signed_chunks == (signer is not None)
        self._signer = signer
        self._signature = b"" if signer is None else signer.seed
        if announced is not None and payload is Payload.SIGNED_CHUNKS:
            raise Malformed("InvalidRequest", f"x-amz-trailer needs {Payload.SIGNED_CHUNKS_TRAILER.value}")
        self._announced = announced
        self._signs_trailer = payload is Payload.SIGNED_CHUNKS_TRAILER
        self._trailer_signed = False
        self._rest = size  # of the payload, behind the current chunk
        self._at = _At.HEADER
        self._line = b""  # the beginning of a line whose end has not come
        self._chunk = -1  # the size of the current chunk
        self._claimed = b""  # its signature
        self._count = 0  # of chunk headers
        self._left = 0  # of the current chunk
        self._hash = sha256()
        self._trailers: dict[bytes, bytes] = {}
        self._bare_newline = False

    def feed(self, data: bytes | memoryview) -> list[memoryview]:
        """The pieces of payload in the next bytes of the body.

        Raises Malformed: IncompleteBody (sizes that do not add up), InvalidRequest (framing),
        InvalidChunkSizeError, SignatureDoesNotMatch, MalformedTrailerError.
        """
        pieces: list[memoryview] = []
        view = memoryview(data)
        position, end = 0, len(view)
        while position < end:
            if self._at is _At.DATA:
                taken = min(self._left, end - position)
                piece = view[position : position + taken]
                pieces.append(piece)
                position += taken
                self._left -= taken
                if self._signer is not None:
                    self._hash.update(piece)
                if not self._left:
                    self._end_chunk()
            else:
                position += self._take_line(view[position : position + _MAX_LINE])
        return pieces

    def finish(self) -> dict[bytes, bytes]:
        """The trailers, by lower-case name, when the body has ended.

        Raises BodyTruncated if it ended too early, Malformed (MalformedTrailerError) if a trailer is missing.
        """
        nothing = self._at is _At.HEADER and not self._count and not self._line
        if nothing and not self._rest and self._announced is None:
            return {}  # an empty object, sent with an empty body
        if self._at is not _At.END:
            raise BodyTruncated("The body ended before its final chunk")
        if self._line:
            raise _bad_framing("Data behind the final chunk")
        if self._announced is not None and self._announced not in self._trailers:
            raise _bad_trailer(
                f"The trailer {self._announced.decode('latin-1')} was announced and did not come"
            )
        return self._trailers

    def _take_line(self, view: memoryview) -> int:
        """Read on to the end of the current line, if it is there; how many bytes were taken."""
        data = bytes(view)
        newline = data.find(b"\n")
        if newline < 0:
            self._line += data
            if len(self._line) >= _MAX_LINE:
                raise _bad_framing("A line of the chunk framing is too long")
            return len(data)
        line = self._line + data[: newline + 1]
        self._line = b""
        if len(line) > _MAX_LINE:
            raise _bad_framing("A line of the chunk framing is too long")
        if self._at is _At.HEADER:
            self._begin_chunk(line)
        elif self._at is _At.DATA_END:
            if line != b"\r\n":
                raise _bad_framing("The data of a chunk is not followed by CRLF")
            self._at = _At.HEADER
        elif self._at is _At.TRAILER:
            self._take_trailer(line)
        else:
            raise _bad_framing("Data behind the final chunk")
        return newline + 1

    def _begin_chunk(self, line: bytes) -> None:
        self._count += 1
        match = (_plain_header if self._signer is None else _signed_header)(line)
        if match is None:
            raise _bad_framing("A chunk header is malformed")
        size = int(match[1], 16)
        if self._signer is not None:
            if size and 0 <= self._chunk < MIN_CHUNK:
                raise Malformed(
                    "InvalidChunkSizeError",
                    "Only the last chunk is allowed to have a size less than 8192 bytes",
                    Chunk=str(self._count),
                    BadChunkSize=str(self._chunk),
                )
            self._hash = sha256()
            self._claimed = match[2]
        if size > self._rest:
            raise Malformed("IncompleteBody", "The chunks hold more than x-amz-decoded-content-length")
        self._chunk = self._left = size
        self._rest -= size
        if size:
            self._at = _At.DATA
            return
        if self._rest:
            raise Malformed("IncompleteBody", "The chunks hold less than x-amz-decoded-content-length")
        self._end_chunk()

    def _end_chunk(self) -> None:
        signer = self._signer
        if signer is not None:
            digest = self._hash.hexdigest().encode()
            computed = chunk_signature(signer.key, signer.stamp, signer.scope, self._signature, digest)
            if not hmac.compare_digest(computed, self._claimed):
                raise _bad_signature(self._claimed)
            self._signature = computed
        self._at = _At.DATA_END if self._chunk else _At.TRAILER

    def _take_trailer(self, line: bytes) -> None:
        if line == b"\r\n":
            if self._bare_newline:  # the second half of `LF CRLF`
                self._bare_newline = False
                return
            if self._signs_trailer and self._trailers and not self._trailer_signed:
                raise _bad_trailer("The trailer is not signed")
            self._at = _At.END
            return
        match = _trailer(line)
        if match is None or self._bare_newline:
            raise _bad_trailer("A trailer is malformed")
        self._bare_newline = not line.endswith(b"\r\n")
        name, value = match[1].lower(), match[2]
        if name == _TRAILER_SIGNATURE and self._signs_trailer and not self._trailer_signed:
            self._verify_trailers(value)
        elif name != self._announced or name in self._trailers or self._trailer_signed:
            raise _bad_trailer(f"The trailer {name.decode('latin-1')} is not announced, or not in its place")
        else:
            self._trailers[name] = value

    def _verify_trailers(self, claimed: bytes) -> None:
        signer = self._signer
        assert signer is not None
        text = b"".join([b"%b:%b\n" % item for item in self._trailers.items()])
        computed = trailer_signature(signer.key, signer.stamp, signer.scope, self._signature, text)
        if not hmac.compare_digest(computed, claimed):
            raise _bad_signature(claimed)
        self._trailer_signed = True


def _bad_framing(message: str) -> Malformed:
    return Malformed("InvalidRequest", message)


def _bad_trailer(message: str) -> Malformed:
    return Malformed("MalformedTrailerError", message)


def _bad_signature(claimed: bytes) -> Malformed:
    return Malformed(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        SignatureProvided=claimed.decode("latin-1"),
    )
