"""A writer of one member, whose end is the composite's affair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dolium.stores.contract import BlobWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dolium.values import BlobInfo

__all__ = ["RoutedWriter"]


class RoutedWriter(BlobWriter):
    """`publish` makes the commit, and what belongs to it; `ended` is called when nothing more can come."""

    def __init__(
        self,
        writer: BlobWriter,
        publish: Callable[[Callable[[], BlobInfo]], BlobInfo],
        ended: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._publish = publish
        self._ended = ended

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        try:
            self._writer.write(data)
        except BaseException:
            self.abort()
            raise

    def commit(self, description: Mapping[str, str] | None = None) -> BlobInfo:
        try:
            return self._publish(lambda: self._writer.commit(description))
        finally:
            self.abort()

    def abort(self) -> None:
        self._writer.abort()
        self._ended()
