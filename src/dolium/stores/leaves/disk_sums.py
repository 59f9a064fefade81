"""A checksum for each block of a blob, beside its bytes: what makes rot seen before it leaves.

The attribute `user.dolium.sums` holds them, little-endian, CRC32C throughout:

    1 byte   format, 1                         2 bytes  zero
    1 byte   the block is 2^n bytes, n         4 bytes  of the key of the blob
    8 bytes  size of the blob                  4 bytes  of each block
                                               4 bytes  of all that stands before

So one blob's file under another's name is seen, a file that was cut off or has grown, and checksums that have rotted
themselves. Where they do not fit into the attribute, it is a single zero byte and the sidecar has them
(`disk_description`); where there are no attributes, the sidecar alone. Blocks of 128 KiB are what a
disk reads ahead anyway; a blob of 64 MiB has 2 KiB of sums, which fit into an attribute of ext4
(docs/decisions/0005).
"""

from __future__ import annotations

import errno
import struct
import sys
from array import array
from typing import TYPE_CHECKING, Final

from dolium.errors import BlobCorrupt, SumsDamaged
from dolium.stores.leaves import disk_description, syscalls
from dolium.wire.checksums import crc32c

if TYPE_CHECKING:
    from dolium.stores.contract import Buffer

__all__ = ["BLOCK", "Summer", "Sums", "attach", "read"]

_SHIFT: Final = 17
BLOCK: Final = 1 << _SHIFT

_ATTRIBUTE: Final = "user.dolium.sums"
_FORMAT: Final = 1
_BESIDE: Final = b"\0"
_HEAD: Final = struct.Struct("<BBHIQ")
_ONE: Final = struct.Struct("<I")
_NONE: Final = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS})


class Summer:
    """Takes the bytes of a blob as they are written."""

    __slots__ = ("_crc", "_left", "_sums", "size")

    def __init__(self) -> None:
        self._sums = array("I")
        self._crc = 0
        self._left = BLOCK  # of the block that is being filled
        self.size = 0

    def update(self, data: Buffer) -> None:
        size = len(data)
        self.size += size
        if size < self._left:
            self._crc = crc32c(data, self._crc)
            self._left -= size
            return
        view = memoryview(data)
        at = 0
        while size - at >= self._left:
            self._sums.append(crc32c(view[at : at + self._left], self._crc))
            at += self._left
            self._crc, self._left = 0, BLOCK
        if at < size:
            self._crc = crc32c(view[at:])
            self._left -= size - at

    def encode(self, key: str) -> bytes:
        """For the blob of that key, which is whole."""
        sums = array("I", self._sums)
        if self._left < BLOCK:
            sums.append(self._crc)
        if sys.byteorder == "big":
            sums.byteswap()
        return _encode(key, _SHIFT, self.size, sums.tobytes())


class Sums:
    """The checksums of one blob, sound in themselves (`stores.contract.BlockSums`)."""

    __slots__ = ("_encoded", "_shift", "block", "size")

    def __init__(self, encoded: bytes, key: str, size: int) -> None:
        """Raises SumsDamaged; BlobCorrupt for those of another blob, or if the file has not the `size`."""
        try:
            form, shift, zero, of_key, said = _HEAD.unpack_from(encoded)
            sound = _ONE.unpack_from(encoded, len(encoded) - 4)[0] == crc32c(encoded[:-4])
        except struct.error:
            sound = False
        if not sound or form != _FORMAT or zero or not 9 <= shift <= 30:
            raise SumsDamaged("the checksums of the blob are damaged")
        if of_key != crc32c(key.encode()):
            raise BlobCorrupt("another blob lies under this one's name")
        if said != size:
            raise BlobCorrupt(f"the blob has {size} bytes and was written with {said}")
        self._encoded = encoded
        self._shift = shift
        self.block = 1 << shift
        self.size = size
        if len(encoded) != _HEAD.size + 4 * (((size + self.block - 1) >> shift) + 1):
            raise SumsDamaged("the checksums of the blob are damaged")

    def check(self, offset: int, data: Buffer) -> None:
        """Raises BlobCorrupt unless `data` is what was written at `offset`: whole blocks, or up to the end."""
        block, size = self.block, len(data)
        at = _HEAD.size + 4 * (offset >> self._shift)
        if not self.size and not size:
            return
        if size <= block:
            if crc32c(data) != _ONE.unpack_from(self._encoded, at)[0]:
                raise BlobCorrupt(f"the bytes from {offset} on are not those that were written")
            return
        view = memoryview(data)
        for begin in range(0, size, block):
            if crc32c(view[begin : begin + block]) != _ONE.unpack_from(self._encoded, at)[0]:
                raise BlobCorrupt(f"the bytes from {offset + begin} on are not those that were written")
            at += 4

    def encode(self, key: str) -> bytes:
        """For a copy of the blob under another key."""
        return _encode(key, self._shift, self.size, self._encoded[_HEAD.size : -4])


def _encode(key: str, shift: int, size: int, sums: bytes) -> bytes:
    text = _HEAD.pack(_FORMAT, shift, 0, crc32c(key.encode()), size) + sums
    return text + _ONE.pack(crc32c(text))


def attach(file: int, encoded: bytes) -> bool:
    """Set the attribute; False if the sidecar has to hold them. Raises OSError."""
    if disk_description.attach(file, encoded, attribute=_ATTRIBUTE):
        return True
    disk_description.attach(file, _BESIDE, attribute=_ATTRIBUTE)
    return False


def read(file: int, root: str, key: str, size: int, modified_ns: int) -> Sums | None:
    """The sums of an open blob; None if it was written without. Raises as `Sums`, OSError."""
    try:
        encoded = syscalls.getxattr(file, _ATTRIBUTE)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        encoded = b""
    if len(encoded) > 1:
        return Sums(encoded, key, size)
    # Before the sidecar is looked for, or one that is lost would be one that never was.
    beside = disk_description.read_sums(f"{root}/{key}", modified_ns)
    if not beside and not encoded:
        return None
    return Sums(beside, key, size)
