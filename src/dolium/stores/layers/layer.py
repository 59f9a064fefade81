"""A layer is a store around one other store. It forwards every verb, and a layer overrides what it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dolium.stores.contract import BlobStore, PutOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dolium.stores.contract import BlobReader, Reader
    from dolium.values import BlobInfo, ByteRange

__all__ = ["Layer"]


class Layer(BlobStore):
    """Forwards all, explicitly: a verb that were inherited from elsewhere would pass the child by.

    `transparent`: whether `unwrap` may find powers of the child behind it. Only a layer that changes no key,
    no byte and no right, and has nothing to do when a power is used, may say so.
    """

    transparent: ClassVar[bool] = False

    def __init__(self, child: BlobStore) -> None:
        self.child = child

    def put(self, key: str, body: Reader, *, options: PutOptions = PutOptions()) -> BlobInfo:  # noqa: B008 - frozen
        return self.child.put(key, body, options=options)

    def get(self, key: str, *, range: ByteRange | None = None) -> BlobReader:  # noqa: A002 - as the contract
        return self.child.get(key, range=range)

    def stat(self, key: str) -> BlobInfo:
        return self.child.stat(key)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[BlobInfo]:
        return self.child.list(prefix, after=after)

    def delete(self, key: str) -> None:
        self.child.delete(key)

    def close(self) -> None:
        self.child.close()
