"""Powers that a store has only if its children have them: found out when it is built.

A class that may offer a power writes its method with an underscore in front; `offer` takes that away, in this one
object, where the children allow it. So `unwrap` finds the powers that are there, and no method is a stub.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dolium.stores.contract import (
    CopiesWithin,
    DeletesMany,
    HasSomeFiles,
    KeepsDescriptions,
    LocalFiles,
    LocalPaths,
    ReadsOrigin,
    ReportsSpace,
    TakesChunks,
    unwrap,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dolium.stores.contract import BlobStore

__all__ = ["offer"]

_METHODS: Final[Mapping[type, str]] = {
    CopiesWithin: "copy_within",
    DeletesMany: "delete_many",
    HasSomeFiles: "open_if_file",
    KeepsDescriptions: "description",
    LocalFiles: "open_file",
    LocalPaths: "local_path",
    ReadsOrigin: "get_origin",
    ReportsSpace: "space",
    TakesChunks: "open_writer",
}


def offer(store: BlobStore, children: Iterable[BlobStore]) -> None:
    """Let `store` have those of the powers it is written for that every child has."""
    some = list(children)
    for power, method in _METHODS.items():
        own = getattr(store, f"_{method}", None)
        if own is None:
            continue
        if all(unwrap(child, power) is not None for child in some):
            setattr(store, method, own)
        else:
            vars(store).pop(method, None)
