"""The body of a request: plain or aws-chunked, small and whole or streamed into an intake.

A small body is hashed on the event loop, where nothing blocks. A large one goes in pieces of about a
megabyte to a thread of its store, and while one piece is being written the next is received.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol, TypeVar

from dolium.asgi.bridge import Settling, Strand
from dolium.asgi.messages import body_pieces
from dolium.errors import BodyTruncated, Malformed
from dolium.objects.receive import Digests
from dolium.s3.call import Call
from dolium.values import Checksum, ChecksumAlgorithm
from dolium.wire import checksums
from dolium.wire.checksums import SentChecksum
from dolium.wire.chunked import Decoder
from dolium.wire.claims import Payload

__all__ = ["Incoming", "read_document", "receive_into"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_MAX_DOCUMENT = 4 << 20


class _Intake(Protocol[T_co]):
    @property
    def in_memory(self) -> bool: ...

    @property
    def store_id(self) -> int: ...

    def write(self, data: bytes | memoryview, /) -> None: ...

    def write_all(self, pieces: Sequence[bytes | memoryview], /) -> None: ...

    def finish(self, trailer: Checksum | None, /) -> Settling[T_co]: ...

    def abort(self) -> None: ...


class Incoming:
    """What the headers say of the body, checked before a byte is read.

    Raises Malformed: MissingContentLength, InvalidDigest, InvalidRequest, InvalidArgument.
    """

    __slots__ = ("call", "decoder", "digests", "sent", "size")

    def __init__(self, call: Call, *, describes_body: bool = True) -> None:
        """`describes_body` False: checksum headers are about an object, not about this body."""
        fields, payload = call.fields, call.caller.payload
        length = fields.get(b"content-length")
        if payload.chunked:
            decoded = fields.get(b"x-amz-decoded-content-length")
            if decoded is None:
                raise Malformed("MissingContentLength")
            if not decoded.isdigit() or len(decoded) > 18:
                raise Malformed("InvalidArgument", ArgumentName="x-amz-decoded-content-length")
            self.size: int | None = int(decoded)
        elif length is not None:
            if not length.isdigit() or len(length) > 18:
                raise Malformed("InvalidArgument", ArgumentName="content-length")
            self.size = int(length)
        elif b"transfer-encoding" in fields:
            self.size = None
        else:
            raise Malformed("MissingContentLength")
        self.call = call
        self.sent = checksums.read_checksum(call.headers) if describes_body else SentChecksum()
        md5 = fields.get(b"content-md5")
        self.digests = Digests(
            md5=None if md5 is None else checksums.parse_content_md5(md5),
            sha256=call.caller.payload_hash.decode("ascii").lower()
            if payload is Payload.SIGNED_SHA256
            else None,
            checksum=self.sent.checksum,
            algorithm=self.sent.algorithm,
        )
        self.decoder = self._decoder(payload) if payload.chunked else None

    def _decoder(self, payload: Payload) -> Decoder:
        assert self.size is not None
        return Decoder(payload, self.size, signer=self.call.caller.signer, announced=self.sent.trailer)

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """The payload, without the framing. Raises BodyTruncated, Malformed."""
        decoder = self.decoder
        if decoder is None:
            async for piece in body_pieces(self.call.receive):
                yield piece
            return
        async for piece in body_pieces(self.call.receive):
            for payload in decoder.feed(piece):
                yield payload

    def trailer(self) -> Checksum | None:
        """The checksum that came behind the body, once all of it has come. Raises Malformed."""
        if self.decoder is None:
            return None
        return checksums.checksum_from_trailers(self.decoder.finish(), self.sent)


def with_algorithm(digests: Digests, algorithm: ChecksumAlgorithm | None) -> Digests:
    """The same, with a checksum to compute if the request names none."""
    if algorithm is None or digests.algorithm is not None:
        return digests
    return Digests(digests.md5, digests.sha256, digests.checksum, algorithm)


async def receive_into(incoming: Incoming, intake: _Intake[T], *, small: int) -> T:
    """Feed the body to the intake and wait for its commit. `small`: up to here nothing blocks.

    Raises what the intake raises; whatever goes wrong, nothing of the body stays.
    """
    bridge = incoming.call.site.bridge
    strand = Strand(bridge, lambda: intake.store_id, intake.abort)
    try:
        if incoming.size is not None and incoming.size <= small:
            async for piece in incoming.pieces():
                intake.write(piece)
        else:
            await _stream(incoming, intake, strand)
        trailer = incoming.trailer()
        if intake.in_memory:
            pending = intake.finish(trailer)
        else:
            pending = await strand.run(intake.finish, trailer)
    except BaseException:
        if strand.begun:
            await strand.close()
        else:
            intake.abort()
        raise
    return await bridge.settle(pending)


async def _stream(incoming: Incoming, intake: _Intake[T], strand: Strand) -> None:
    load = incoming.call.site.load
    load.uploads += 1
    batch: list[bytes | memoryview] = []
    size = 0
    writing: asyncio.Future[None] | None = None
    try:
        async for piece in incoming.pieces():
            batch.append(piece)
            size += len(piece)
            if size >= load.piece:
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(strand.run(intake.write_all, batch))
                batch, size = [], 0
    finally:
        load.uploads -= 1
        # Also on an error: an intake is used by one thread at a time.
        if writing is not None:
            await writing
    if batch:
        await strand.run(intake.write_all, batch)


async def read_document(call: Call, *, describes_body: bool = True) -> bytes:
    """A small body, whole and verified; `describes_body` as in `Incoming`. Raises Malformed: MaxMessageLengthExceeded and as `Incoming`."""
    incoming = Incoming(call, describes_body=describes_body)
    if incoming.size is not None and incoming.size > _MAX_DOCUMENT:
        raise _too_long()
    load = call.site.load
    parts: list[bytes] = []
    size = held = 0
    try:
        async for piece in incoming.pieces():
            size += len(piece)
            if size > _MAX_DOCUMENT:
                raise _too_long()
            load.hold(call.principal, len(piece))
            held = size
            parts.append(bytes(piece))
    finally:
        load.release(call.principal, held)
    if incoming.size is not None and size != incoming.size:
        raise BodyTruncated(
            "You did not provide the number of bytes specified by the Content-Length HTTP header."
        )
    data = b"".join(parts)
    checksums.verify(data, incoming.digests.md5, incoming.digests.sha256, incoming.sent, incoming.trailer())
    return data


def _too_long() -> Malformed:
    return Malformed(
        "MaxMessageLengthExceeded", "Your request was too big.", MaxMessageLengthBytes=str(_MAX_DOCUMENT)
    )
