"""Checksums of objects and parts: the five algorithms, the headers that carry them, and their combination.

Values are base64, as in `x-amz-checksum-*`. A CRC of a whole object is combined from those of its parts,
without reading anything again; a composite one is the checksum of the parts' checksums.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from awscrt import checksums as crt  # type: ignore[import-untyped]

from dolium.errors import ChecksumMismatch, Malformed
from dolium.values import Checksum, ChecksumAlgorithm, ChecksumType
from dolium.wire.canonical import Headers

__all__ = [
    "Hasher",
    "SentChecksum",
    "checksum_from_trailers",
    "checksum_of",
    "combined_checksum",
    "crc32c",
    "hasher",
    "multipart_etag",
    "multipart_type",
    "parse_algorithm",
    "parse_content_md5",
    "parse_value",
    "read_checksum",
    "verify",
]

_CRC32 = ChecksumAlgorithm.CRC32
_CRC32C = ChecksumAlgorithm.CRC32C
_CRC64NVME = ChecksumAlgorithm.CRC64NVME
_SHA1 = ChecksumAlgorithm.SHA1
_SHA256 = ChecksumAlgorithm.SHA256
_COMPOSITE, _FULL_OBJECT = ChecksumType.COMPOSITE, ChecksumType.FULL_OBJECT

_SIZES = {_CRC32: 4, _CRC32C: 4, _CRC64NVME: 8, _SHA1: 20, _SHA256: 32}
_PREFIX = b"x-amz-checksum-"
_HEADERS = {_PREFIX + name.lower().encode(): name for name in ChecksumAlgorithm}
_NAMES = {name: header.decode() for header, name in _HEADERS.items()}
_NOT_VALUES = frozenset({b"x-amz-checksum-algorithm", b"x-amz-checksum-mode", b"x-amz-checksum-type"})


class Hasher(Protocol):
    """A checksum in the making."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def digest(self) -> bytes:
        """Of all that came so far."""
        ...


crc32c: Callable[..., int] = crt.crc32c
"""Of bytes, and of what came before them: `crc32c(data, previous)`. In hardware, 18 µs for a MiB."""

_Crc = Callable[[bytes, int], int]
_FUNCTIONS: dict[ChecksumAlgorithm, _Crc] = {
    _CRC32: zlib.crc32,
    _CRC32C: crt.crc32c,
    _CRC64NVME: crt.crc64nvme,
}
_COMBINE: dict[ChecksumAlgorithm, Callable[[int, int, int], int]] = {
    _CRC32: crt.combine_crc32,
    _CRC32C: crt.combine_crc32c,
    _CRC64NVME: crt.combine_crc64nvme,
}


class _CrcHasher:
    __slots__ = ("_function", "_size", "_value")

    def __init__(self, function: _Crc, size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        self._value = self._function(data, self._value)  # type: ignore[arg-type]

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def hasher(algorithm: ChecksumAlgorithm) -> Hasher:
    """A new one. Large updates release the interpreter lock, whatever the algorithm."""
    if algorithm is _SHA256:
        return hashlib.sha256()
    if algorithm is _SHA1:
        return hashlib.sha1(usedforsecurity=False)
    return _CrcHasher(_FUNCTIONS[algorithm], _SIZES[algorithm])


def checksum_of(algorithm: ChecksumAlgorithm, data: bytes) -> Checksum:
    """The checksum of some bytes."""
    making = hasher(algorithm)
    making.update(data)
    return Checksum(algorithm, b64encode(making.digest()).decode("ascii"))


# What requests say -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SentChecksum:
    """What a request says of its body's checksum.

    `algorithm`: None if it says nothing. `checksum`: the value, if a header has it. `trailer`: the name in
    `x-amz-trailer`, if it is to come behind the body.
    """

    algorithm: ChecksumAlgorithm | None = None
    checksum: Checksum | None = None
    trailer: bytes | None = None


_NOTHING = SentChecksum()


def read_checksum(headers: Headers, *, of_body: bool = True) -> SentChecksum:
    """`of_body=False` for CompleteMultipartUpload, whose header speaks of the object, not of the document.

    Raises Malformed (InvalidRequest): several or unknown algorithms, a value that is none, an algorithm
    announced without a value, a trailer for a body that can have none.
    """
    value: bytes | None = None
    algorithm: ChecksumAlgorithm | None = None
    trailer = announced = None
    trailing = False
    for name, text in headers:
        if name[:6] != b"x-amz-":
            continue
        if name[:15] == _PREFIX and name not in _NOT_VALUES:
            if algorithm is not None:
                raise _several()
            algorithm = _HEADERS.get(name)
            if algorithm is None:
                raise Malformed(
                    "InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid."
                )
            value = text
        elif not of_body:
            continue
        elif name == b"x-amz-trailer":
            trailer = _read_trailer(text)
        elif name == b"x-amz-sdk-checksum-algorithm":
            announced = text
        elif name == b"x-amz-content-sha256":
            trailing = text.endswith(b"-TRAILER")
    if trailer is not None:
        if algorithm is not None:
            raise _several()
        if not trailing:
            raise Malformed("InvalidRequest", "x-amz-trailer needs a body in chunks with trailers")
        algorithm = _HEADERS[trailer]
    if announced is not None:
        _check_announced(announced, algorithm)
    if algorithm is None:
        return _NOTHING
    checksum = None
    if value is not None:
        checksum = Checksum(algorithm, parse_value(algorithm, value, composite=not of_body))
    return SentChecksum(algorithm, checksum, trailer)


def _read_trailer(text: bytes) -> bytes:
    name = text.strip().removesuffix(b",").lower()
    if name not in _HEADERS:
        raise Malformed("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return name


def _check_announced(text: bytes, algorithm: ChecksumAlgorithm | None) -> None:
    if algorithm is None:
        raise Malformed(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
            "headers were found.",
        )
    if text.upper() != algorithm.encode():
        raise Malformed("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")


def _several() -> Malformed:
    return Malformed(
        "InvalidRequest",
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )


_cut_short = re.compile(r"(?:[A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{2,3}").fullmatch


def parse_value(algorithm: ChecksumAlgorithm, value: bytes | str, *, composite: bool = False) -> str:
    """A well-formed value as it stands; `composite` allows `-N` behind it.

    Raises Malformed (InvalidRequest), ChecksumMismatch.
    """
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    encoded, dash, count = text.partition("-") if composite else (text, "", "")
    if (dash and not (count.isascii() and count.isdigit())) or not _is_base64(encoded, _SIZES[algorithm]):
        if _cut_short(encoded):
            # A value cut short is a wrong value, to ceph/s3-tests; one that is no base64 is no value.
            raise ChecksumMismatch(algorithm, expected=text)
        raise Malformed("InvalidRequest", f"Value for {_NAMES[algorithm]} header is invalid.")
    return text


def _is_base64(text: str, size: int) -> bool:
    try:
        data = a2b_base64(text, strict_mode=True)
    except (NotBase64, ValueError):
        return False
    return len(data) == size and b64encode(data).decode("ascii") == text


def checksum_from_trailers(trailers: Mapping[bytes, bytes], sent: SentChecksum) -> Checksum | None:
    """The value that came behind the body. Raises Malformed (InvalidRequest)."""
    if sent.trailer is None or sent.algorithm is None:
        return None
    return Checksum(sent.algorithm, parse_value(sent.algorithm, trailers[sent.trailer]))


def parse_algorithm(name: str) -> ChecksumAlgorithm:
    """The value of `x-amz-checksum-algorithm`. Raises Malformed (InvalidRequest)."""
    try:
        return ChecksumAlgorithm(name.upper())
    except ValueError:
        raise Malformed(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(ChecksumAlgorithm)}]",
        ) from None


def parse_content_md5(value: bytes) -> bytes:
    """The 16 bytes. Raises Malformed (InvalidDigest)."""
    text = value.decode("latin-1").strip()
    if not _is_base64(text, 16):
        raise Malformed(
            "InvalidDigest", "The Content-MD5 you specified was invalid.", **{"Content-MD5": text}
        )
    return b64decode(text)


def verify(
    data: bytes, md5: bytes | None, sha256: str | None, sent: SentChecksum, trailer: Checksum | None = None
) -> None:
    """Compare a small body with all that was said of it. Raises ChecksumMismatch."""
    if md5 is not None and not hmac.compare_digest(hashlib.md5(data, usedforsecurity=False).digest(), md5):
        raise ChecksumMismatch("Content-MD5", expected=b64encode(md5).decode("ascii"))
    if sha256 is not None:
        found = hashlib.sha256(data).hexdigest()
        if not hmac.compare_digest(found, sha256):
            raise ChecksumMismatch("x-amz-content-sha256", expected=sha256, computed=found)
    expected = trailer or sent.checksum
    if expected is not None:
        computed = checksum_of(expected.algorithm, data)
        if not hmac.compare_digest(expected.value, computed.value):
            raise ChecksumMismatch(expected.algorithm, expected=expected.value, computed=computed.value)


# Multipart -------------------------------------------------------------------------------------------------


def multipart_type(algorithm: ChecksumAlgorithm | None, kind: str | None) -> ChecksumType | None:
    """The type of a multipart object's checksum: `kind` is what `x-amz-checksum-type` says, if anything.

    CRC64NVME has only FULL_OBJECT, SHA only COMPOSITE; without a word all but CRC64NVME are COMPOSITE.
    None without an algorithm. Raises Malformed (InvalidRequest).
    """
    if algorithm is None:
        if kind is not None:
            raise Malformed(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        return None
    if kind is None:
        return _FULL_OBJECT if algorithm is _CRC64NVME else _COMPOSITE
    try:
        chosen = ChecksumType(kind.upper())
    except ValueError:
        raise Malformed("InvalidRequest", "Value for x-amz-checksum-type header is invalid.") from None
    if (algorithm is _CRC64NVME and chosen is _COMPOSITE) or (
        algorithm not in _COMBINE and chosen is _FULL_OBJECT
    ):
        raise Malformed(
            "InvalidRequest",
            f"The {chosen} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
        )
    return chosen


def combined_checksum(
    algorithm: ChecksumAlgorithm, kind: ChecksumType, parts: Sequence[tuple[str, int]]
) -> Checksum:
    """Of a multipart object, from (value, size) of its parts in order."""
    if kind is _COMPOSITE:
        making = hasher(algorithm)
        making.update(b"".join([b64decode(value) for value, _ in parts]))
        return Checksum(algorithm, f"{b64encode(making.digest()).decode('ascii')}-{len(parts)}", kind)
    combine = _COMBINE[algorithm]
    total = 0
    for value, size in parts:
        total = combine(total, int.from_bytes(b64decode(value), "big"), size)
    return Checksum(algorithm, b64encode(total.to_bytes(_SIZES[algorithm], "big")).decode("ascii"), kind)


def multipart_etag(etags: Iterable[str]) -> str:
    """MD5 of the MD5s of the parts (hex, bare), and how many there are."""
    digests = [bytes.fromhex(etag) for etag in etags]
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"
