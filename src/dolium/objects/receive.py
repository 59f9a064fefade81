"""Bytes on their way in: hashed as they come, held against what the caller says of them, and put where they stay.

Small bodies stay in memory and go into the catalog; larger ones stream to a leaf while they are hashed. A store that
refuses at the beginning is replaced by the next that placement names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from dolium.catalog.objects import Body
from dolium.errors import (
    BodyTruncated,
    ChecksumMismatch,
    Malformed,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from dolium.objects.placing import Wanted
from dolium.objects.service import ObjectService
from dolium.stores.contract import BlobWriter, PutOptions, TakesChunks, unwrap
from dolium.values import Checksum, ChecksumAlgorithm, ChecksumType
from dolium.wire.checksums import Hasher, hasher

__all__ = ["Blob", "Digests", "Receiver", "stored_checksum"]

_REFUSALS: Final = (StoreFull, StoreReadOnly, StoreUnavailable)
# So much of a body is kept until its store has taken it: then another one can take its place.
_KEPT: Final = 1 << 20

# Below this, handing a piece to another thread costs more than hashing it here.
_WORTH_A_THREAD = 128 << 10


@dataclass(frozen=True, slots=True)
class Digests:
    """What the caller says about the bytes; all that is given is verified before anything is visible.

    `algorithm` without a value in `checksum`: computed and kept (the value may come in a trailer).
    """

    md5: bytes | None = None
    sha256: str | None = None  # hex, of the signed payload
    checksum: Checksum | None = None
    algorithm: ChecksumAlgorithm | None = None


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that were received and verified, and are durable."""

    body: Body
    size: int
    md5: bytes
    checksum: Checksum | None


def stored_checksum(checksum: Checksum | None) -> str:
    """As the catalog keeps it: `CRC32 FULL_OBJECT <base64>`."""
    return f"{checksum.algorithm} {checksum.type} {checksum.value}" if checksum else ""


class Receiver:
    """Takes the bytes of one object or part, hashes them, and puts them where they stay."""

    def __init__(
        self,
        service: ObjectService,
        size: int | None,
        digests: Digests,
        *,
        inline: bool,
        bucket_id: int = 0,
        wanted: Wanted | None = None,
    ) -> None:
        """`inline`: whether a small body may stay in memory, for the catalog. `wanted`: what it is of."""
        self._service = service
        self._digests = digests
        self._size = size
        self._inline_limit = service.limits.inline_bytes if inline else -1
        self._received = 0
        self._small: list[bytes] = []
        self._writer: BlobWriter | None = None
        self._hashing: Future[None] | None = None
        self._bucket_id = bucket_id
        self._wanted = wanted
        self._candidates: list[int] | None = None  # where else it may go; None: not asked yet
        self._kept: list[bytes] | None = None  # what was written, as long as it may be written elsewhere
        self._store_id = service.default_store
        self.blob_key = ""
        # ETags are MD5 by S3's rule; also where a policy forbids MD5 for security.
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._checksum: Hasher | None = hasher(digests.algorithm) if digests.algorithm else None
        self._sha256: Hasher | None = None
        if digests.sha256 is not None:
            self._sha256 = (
                self._checksum
                if self._checksum is not None and digests.algorithm is ChecksumAlgorithm.SHA256
                else hasher(ChecksumAlgorithm.SHA256)
            )

    @property
    def in_memory(self) -> bool:
        """Whether all that came so far may stay in memory: then no call here blocks."""
        return self._writer is None

    @property
    def store_id(self) -> int:
        """The store that the bytes go to, chosen when it is first asked for; another one if that refuses.

        Raises StoreFull, StoreReadOnly, StoreUnavailable if none takes them.
        """
        if self._candidates is None:
            if self._service.placing is None or self._wanted is None:
                self._candidates = []
            else:
                chosen = self._service.candidates(self._bucket_id, self._wanted, self._size)
                self._store_id, self._candidates = chosen[0], list(chosen[1:])
                self._kept = [] if self._candidates else None
        return self._store_id

    def write(self, data: bytes | memoryview) -> None:
        """Take a piece. Raises Malformed EntityTooLarge, BodyTruncated (more than declared), StoreError."""
        self._count(len(data))
        self._finish_hashing()  # bytes are hashed in the order in which they came
        if self._writer is None and self._received <= self._inline_limit:
            self._small.append(bytes(data))
        else:
            self._put(data)
        self._hash(data)

    def write_all(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Take several pieces. MD5 is slower than a disk: it runs beside the write of the same pieces, and may
        end while the next are being received.
        """
        if sum(map(len, pieces)) < _WORTH_A_THREAD:
            for piece in pieces:
                self.write(piece)
            return
        for piece in pieces:
            self._count(len(piece))
        self._finish_hashing()
        self._hashing = self._service.hashing.submit(self._hash_all, pieces)
        for piece in pieces:
            self._put(piece)

    def _count(self, size: int) -> None:
        self._received += size
        if self._received > self._service.limits.object_bytes:
            raise Malformed("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        if self._size is not None and self._received > self._size:
            raise BodyTruncated("The body is longer than its declared length")

    def _put(self, data: bytes | memoryview) -> None:
        if self._writer is None:
            self._writer = self._open()
            for piece in self._small:
                self._pass(piece)
            self._small = []
        self._pass(data)

    def _pass(self, data: bytes | memoryview) -> None:
        writer, kept = self._writer, self._kept
        assert writer is not None
        if kept is not None:
            kept.append(bytes(data))
            if self._received > _KEPT:
                self._kept = None  # from here on it stays where it is
        try:
            writer.write(data)
        except _REFUSALS:
            if kept is None:
                raise
            self._writer = self._elsewhere(kept)

    def _hash_all(self, pieces: Sequence[bytes | memoryview]) -> None:
        for piece in pieces:
            self._hash(piece)

    def _finish_hashing(self) -> None:
        hashing, self._hashing = self._hashing, None
        if hashing is not None:
            hashing.result()

    def _hash(self, data: bytes | memoryview) -> None:
        self._md5.update(data)
        if self._checksum is not None:
            self._checksum.update(data)
        if self._sha256 is not None and self._sha256 is not self._checksum:
            self._sha256.update(data)

    def _open(self) -> BlobWriter:
        """In the first of the candidates that takes it."""
        while True:
            try:
                return self._open_in(self.store_id)
            except _REFUSALS:
                if not self._candidates:
                    raise
                self._store_id = self._candidates.pop(0)

    def _open_in(self, store_id: int) -> BlobWriter:
        power = unwrap(self._service.store(store_id), TakesChunks)
        if power is None:
            raise StoreUnavailable(str(store_id), "the store takes no streams")
        self.blob_key = self._service.new_blob_key()
        return power.open_writer(self.blob_key, options=PutOptions(size=self._size))

    def _elsewhere(self, pieces: Sequence[bytes]) -> BlobWriter:
        """A writer of another store that has taken the same; raises what is being handled if none does."""
        while self._candidates:
            if self._writer is not None:
                self._writer.abort()
            self._store_id = self._candidates.pop(0)
            writer = self._open()
            try:
                for piece in pieces:
                    writer.write(piece)
            except _REFUSALS:
                writer.abort()
                if not self._candidates:
                    raise
                continue
            except BaseException:
                writer.abort()
                raise
            return writer
        raise  # noqa: PLE0704 - what is being handled

    def verify(self, trailer: Checksum | None = None) -> Checksum | None:
        """Compare with all that the caller said; the checksum to keep. Raises BodyTruncated, ChecksumMismatch."""
        self._finish_hashing()
        if self._size is not None and self._received != self._size:
            raise BodyTruncated(
                "You did not provide the number of bytes specified by the Content-Length HTTP header."
            )
        said = self._digests
        if said.md5 is not None and not hmac.compare_digest(said.md5, self._md5.digest()):
            raise ChecksumMismatch("Content-MD5")
        if self._sha256 is not None and said.sha256 is not None:
            found = self._sha256.digest().hex()
            if not hmac.compare_digest(found, said.sha256):
                raise ChecksumMismatch("x-amz-content-sha256", expected=said.sha256, computed=found)
        if self._checksum is None or said.algorithm is None:
            return None
        value = base64.b64encode(self._checksum.digest()).decode("ascii")
        expected = trailer or said.checksum
        if expected is not None and not hmac.compare_digest(expected.value, value):
            raise ChecksumMismatch(said.algorithm, expected=expected.value, computed=value)
        return Checksum(said.algorithm, value, ChecksumType.FULL_OBJECT)

    def store(self, facts: dict[str, str], checksum: Checksum | None) -> Blob:
        """Make the bytes durable, with `facts` beside them. Raises StoreError."""
        if self._writer is None and self._inline_limit < 0:
            self._writer = self._open()
        if self._writer is None:
            body = Body(data=self._small[0] if len(self._small) == 1 else b"".join(self._small))
        else:
            self._commit(facts)
            body = Body(store_id=self.store_id, blob_key=self.blob_key)
        return Blob(body, self._received, self._md5.digest(), checksum)

    def _commit(self, facts: dict[str, str]) -> None:
        assert self._writer is not None
        while True:
            try:
                self._writer.commit(facts)
            except _REFUSALS:
                if self._kept is None:
                    raise
                self._writer = self._elsewhere(self._kept)
            else:
                return

    @property
    def received(self) -> int:
        return self._received

    @property
    def md5_hex(self) -> str:
        return self._md5.hexdigest()

    def abort(self) -> None:
        """Forget everything. Never raises."""
        self._small = []
        if self._writer is not None:
            self._writer.abort()
