"""What the requests of one process may hold at once, so that none of them, and nobody, takes all of it.

A place is one request at work, from its authentication to the end of its answer. Documents (the lists of keys
and parts that clients send) are held in memory whole; uploads in pieces, which are smaller the more of them there
are.
"""

from __future__ import annotations

from collections.abc import Hashable

from dolium.asgi.shares import Shares
from dolium.errors import Overloaded
from dolium.identity.principal import Principal

__all__ = ["Load", "holder_of"]

_PIECE, _LEAST_PIECE, _PIECES = 1 << 20, 64 << 10, 64 << 20
_DOCUMENTS = 64 << 20


def holder_of(principal: Principal) -> Hashable:
    """A person, whatever keys are used; a service key for itself. Nobody, for those who are not known."""
    return principal.key_id if principal.person_id is None else principal.person_id


class Load:
    """One per process, for the thread of its event loop."""

    def __init__(self, requests: int, requests_per_person: int) -> None:
        self._places = Shares(requests, requests_per_person)
        self._documents = Shares(_DOCUMENTS, _DOCUMENTS // 2)
        self.uploads = 0  # that stream into a store

    @property
    def piece(self) -> int:
        """Bytes that an upload gathers for the next write."""
        if self.uploads * _PIECE <= _PIECES:
            return _PIECE
        return max(_LEAST_PIECE, _PIECES // self.uploads)

    def enter(self, principal: Principal) -> Hashable:
        """A place for a request; give it back with `leave`. Raises Overloaded."""
        holder = holder_of(principal)
        if not self._places.take(holder):
            raise Overloaded
        return holder

    def leave(self, holder: Hashable) -> None:
        self._places.give(holder)

    def hold(self, principal: Principal, size: int) -> None:
        """So much more of a document is in memory. Raises Overloaded."""
        if not self._documents.take(holder_of(principal), size):
            raise Overloaded

    def release(self, principal: Principal, size: int) -> None:
        if size:
            self._documents.give(holder_of(principal), size)
