"""Which blobs of a store can still be published, and which are of a time that this catalog has not seen.

Keys of blobs are ordered by the time at which their upload began. The fence of a store is such a time: a
transaction that would publish an older blob is refused. So a blob behind the fence that nothing names in a later
snapshot will never be named, however long its writer sleeps before it comes to its commit.
"""

from __future__ import annotations

from dataclasses import dataclass

from dolium.catalog.database import Read, Transaction
from dolium.errors import StoreUnavailable

__all__ = [
    "Loss",
    "add_loss",
    "fence",
    "highest",
    "losses",
    "raise_all",
    "raise_fence",
    "require_fresh",
    "set_walked",
    "walked",
]


@dataclass(frozen=True, slots=True)
class Loss:
    """The catalog was found to be an older one, brought back: what was committed with a sequence above
    `sequence` is not in it. Blobs of that time have keys older than `before_ns`. `highest`: the highest sequence that
    is known to have been handed out until then, or 0.
    """

    sequence: int
    before_ns: int
    found_ms: int
    highest: int

    def covers(self, written_ns: int, sequence: int | None) -> bool:
        """Whether a blob may be of what was lost; one that does not tell its sequence may."""
        return written_ns < self.before_ns and (sequence is None or sequence > self.sequence)


def fence(read: Read, store_id: int) -> int:
    """Nanoseconds since 1970; 0 for a store that is not known."""
    row = read.one("SELECT fence_ns FROM stores WHERE id = $1", store_id)
    return int(row[0]) if row else 0


def highest(read: Read) -> int:
    """The fence that is the furthest: a blob in front of it can be published in every store."""
    row = read.one("SELECT max(fence_ns) FROM stores")
    return int(row[0] or 0) if row else 0


def raise_fence(tx: Transaction, store_id: int, to_ns: int) -> None:
    """Refuse every blob whose upload began before; never lowered."""
    tx.run("UPDATE stores SET fence_ns = $1 WHERE id = $2 AND fence_ns < $1", to_ns, store_id)
    tx.touch()  # processes make no keys behind the fence, whatever their clock says


def raise_all(tx: Transaction, to_ns: int) -> None:
    """`raise_fence` of every store."""
    tx.run("UPDATE stores SET fence_ns = $1 WHERE fence_ns < $1", to_ns)
    tx.touch()


def require_fresh(tx: Transaction, store_id: int, written_ns: int) -> None:
    """Raises StoreUnavailable for a blob behind the fence: it may be deleted already."""
    if written_ns < fence(tx, store_id):
        raise StoreUnavailable(str(store_id), "the upload has taken too long; send it again")


def walked(read: Read, store_id: int) -> int:
    """How far the walk for orphans came: those with older keys are gone."""
    row = read.one("SELECT walked_ns FROM stores WHERE id = $1", store_id)
    return int(row[0]) if row else 0


def set_walked(tx: Transaction, store_id: int, to_ns: int) -> None:
    """Never lowered."""
    tx.run("UPDATE stores SET walked_ns = $1 WHERE id = $2 AND walked_ns < $1", to_ns, store_id)


def losses(read: Read) -> list[Loss]:
    """Each time that this catalog was found to be an older one."""
    rows = read.all("SELECT sequence, before_ns, found_ms, highest FROM losses ORDER BY id")
    return [Loss(*row) for row in rows]


def add_loss(tx: Transaction, before_ns: int) -> None:
    """This catalog is new, and the stores are not: all that lies in them is of a time that it has not seen."""
    tx.run(
        "INSERT INTO losses (sequence, before_ns, found_ms) VALUES (0, $1, $2)",
        before_ns,
        before_ns // 1_000_000,
    )
    # Above whatever the catalog that was lost has handed out: as many as microseconds have passed since 1970.
    tx.note_sequence(before_ns // 1000)
