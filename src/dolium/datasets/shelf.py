"""Where the files of datasets lie: what a disk, or a cache before a remote store, does for the store above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import os

    from dolium.datasets.layout import Address, DatasetId
    from dolium.stores.contract import BlobReader
    from dolium.values import ByteRange, Space

__all__ = ["CacheTarget", "Shelf"]

CacheTarget = tuple[str, float, float]
"""(folder, gigabytes, share of them that may be used), as Galaxy's."""


class Shelf(Protocol):
    """Errors: DatasetNotFound, DatasetInvalid, StoreUnavailable, StoreFull, StoreReadOnly, Conflict; never a bare
    OSError of the store. *Down is not gone*: DatasetNotFound, False and None are said only by a store that is up.
    """

    def size(self, dataset: DatasetId, at: Address) -> int | None:
        """None if nothing is there; of a folder, 0."""

    def path(self, dataset: DatasetId, at: Address, *, fetch: bool = True) -> str:
        """A file or folder of this machine with the bytes. Raises DatasetNotFound.

        Not `fetch`: only where it would be, if the bytes had to come from elsewhere.
        """

    def status(self, dataset: DatasetId, at: Address) -> os.stat_result | None:
        """Of the file that a job may have written in place; None if there is none on this machine."""

    def construct(self, dataset: DatasetId, at: Address, *, local: bool = False) -> str:
        """Where it would be, there or not; `local`: on this machine."""

    def create(self, dataset: DatasetId, at: Address) -> None:
        """An empty file, or a folder. What is there stays as it is."""

    def update(
        self, dataset: DatasetId, at: Address, source: str | None, *, create: bool, keep_links: bool
    ) -> None:
        """The bytes of the file `source`, whole or not at all; None: those that were written to `path`.

        Raises DatasetNotFound if nothing is there and not `create`, and OSError for a source that cannot be read.
        """

    def delete(self, dataset: DatasetId, at: Address, *, entire_dir: bool) -> bool:
        """False if nothing was there. `entire_dir`: the folder of `extra_dir` or `obj_dir` with all in it."""

    def open(self, dataset: DatasetId, at: Address, wanted: ByteRange | None) -> BlobReader:
        """Raises DatasetNotFound, RangeNotSatisfiable."""

    def at_hand(self, dataset: DatasetId, at: Address) -> bool:
        """Whether `path` has nothing to fetch. Raises DatasetNotFound."""

    def url(
        self, dataset: DatasetId, at: Address, seconds: int, *, disposition: str = "", media_type: str = ""
    ) -> str | None:
        """None if there is none; what the answer shall say is asked for where that can be."""

    def space(self) -> Space | None:
        """None if it is not known."""

    def probe(self) -> None:
        """Raises StoreUnavailable."""

    def cache_targets(self) -> list[CacheTarget]: ...

    def start(self) -> None: ...

    def close(self) -> None: ...
