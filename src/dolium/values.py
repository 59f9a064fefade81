"""The nouns that every room shares. Frozen, no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dolium.errors import RangeNotSatisfiable

__all__ = [
    "BlobInfo",
    "ByteRange",
    "Checksum",
    "ChecksumAlgorithm",
    "ChecksumType",
    "Durability",
    "Secret",
    "Space",
]


class ChecksumAlgorithm(StrEnum):
    """S3's checksum algorithms, by the names of `x-amz-checksum-algorithm`."""

    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    SHA1 = "SHA1"
    SHA256 = "SHA256"


class ChecksumType(StrEnum):
    """What the checksum of a multipart object covers: its bytes, or the checksums of its parts."""

    FULL_OBJECT = "FULL_OBJECT"
    COMPOSITE = "COMPOSITE"


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum as S3 speaks it: `value` is base64 (and ends in `-N` when composite)."""

    algorithm: ChecksumAlgorithm
    value: str
    type: ChecksumType = ChecksumType.FULL_OBJECT


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` up to and including `last`; an open end or a suffix is resolved against a size.

    Exactly three forms (RFC 9110 §14.1.2): `ByteRange(a, b)` is `a-b`, `ByteRange(a, None)` is `a-`,
    `ByteRange(None, n)` is `-n`.
    """

    first: int | None
    last: int | None

    def resolve(self, size: int) -> tuple[int, int]:
        """(start, stop) with 0 <= start < stop <= size.

        Raises RangeNotSatisfiable if no byte of the object is in the range.
        """
        if self.first is None:
            length = self.last or 0
            if length == 0 or size == 0:
                raise RangeNotSatisfiable(size)
            return max(0, size - length), size
        if self.first >= size:
            raise RangeNotSatisfiable(size)
        if self.last is None:
            return self.first, size
        return self.first, min(self.last + 1, size)


class Durability(StrEnum):
    """What an acknowledged write has survived: a power cut (strict) or a crash of the process (relaxed)."""

    STRICT = "strict"
    RELAXED = "relaxed"


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What a store knows of a blob without reading it. `modified_ns` is display only, never an order."""

    key: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of a store, as the file system or the service reports them."""

    total: int
    free: int


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Text that never prints itself; ask with `reveal`."""

    _text: str

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__
