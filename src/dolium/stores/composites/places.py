"""The power to say where a blob lies and where a new one would go, by the ids of leaves.

    id = store.find(key, hint=dataset.object_store_id)
    with store.member(id).get(key) as reader: ...

    for id in store.choose(Request(bucket="climate", size=1 << 30)):
        try: store.member(id).put(key, body)

A caller that writes down the id asks one store afterwards, not all; and moves, limits and switches of the type do not
matter to it. Composites below composites are seen through; a replicated or cached store is one place with one id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dolium.stores.composites.guarded import Guarded
    from dolium.stores.composites.placement import Request

__all__ = ["Places"]


@runtime_checkable
class Places(Protocol):
    """Knows its leaves. An id that none of them has raises RecordNotFound."""

    def ids(self) -> tuple[str, ...]:
        """Of all leaves, in the order in which they are searched."""
        ...

    def names(self) -> frozenset[str]:
        """Whom a request or a rule may name: the leaves, and the groups above them."""
        ...

    def member(self, store_id: str, /) -> Guarded:
        """The leaf, behind its state, breaker and deadline: the door to the five verbs and to its powers."""
        ...

    def find(self, key: str, /, *, hint: str | None = None) -> str:
        """The id of the leaf that has the blob. `hint` is asked first; if it is wrong, or no id, the others are.

        Raises StoreUnavailable if it is nowhere and one that is down might have it; else BlobNotFound.
        """
        ...

    def choose(self, request: Request, /) -> tuple[str, ...]:
        """The leaves that may take a new blob, in the order in which to try them; at least one.

        Raises StoreFull, StoreReadOnly or StoreUnavailable if there is none.
        """
        ...

    def explain(self, request: Request, /) -> Sequence[str]:
        """Why these and not others, in words, a line for each member."""
        ...
