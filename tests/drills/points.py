"""Where the drills end a process: paths through the crash points, and the operation of the load that comes there.

The last name of a path is where it ends; the ones before say in the midst of what.
"""

from typing import Final

__all__ = [
    "AFTER_A_RESTORE",
    "AT_A_POWER_CUT",
    "AT_A_START",
    "IN_A_BACKUP",
    "IN_A_REBUILD",
    "IN_A_RESTORE",
    "IN_A_ROTATION",
    "IN_A_SCRUB",
    "IN_A_SWEEP",
    "OF_COPIES",
    "UNDER_LOAD",
    "WHILE_HOLDING",
]

Path = tuple[str, ...]

_IN_A_COMMIT: Final = ("catalog.filled", "catalog.committed")
_OF_A_BLOB: Final = (
    "disk.created",
    "disk.folder",
    "disk.described",
    "disk.synced",
    "disk.named",
    "disk.settled",
)


def _then(first: str, names: tuple[str, ...]) -> list[Path]:
    return [(first, name) for name in names]


UNDER_LOAD: Final[dict[str, list[Path]]] = {
    "small": [
        ("put.received",), ("object.entered",), ("object.body",), ("catalog.begun",),
        ("object.released", "object.body"),
        *_then("object.body", _IN_A_COMMIT),
    ],
    "file": [
        ("disk.created",), ("disk.written",), ("put.reserved",), ("put.reserved", "disk.summed"),
        *_then("put.reserved", _OF_A_BLOB[1:]),
        ("put.reserved", "put.stored"),
        ("object.released",), ("object.blob",),
        *_then("object.blob", _IN_A_COMMIT),
    ],
    "large": [("disk.written", "disk.written")],
    "wide": [("disk.sidecar",)],
    "upload": [
        ("upload.begun",), ("upload.begun", "catalog.committed"),
        ("part.received",), *_then("part.received", _OF_A_BLOB[1:]), ("part.stored",),
        ("part.released",), ("part.entered",), *_then("part.entered", _IN_A_COMMIT),
        ("complete.chosen",), *_then("complete.chosen", _OF_A_BLOB), ("complete.manifest",),
        ("upload.closed",), ("upload.closed", "object.blob"), *_then("upload.closed", _IN_A_COMMIT),
        ("abort.released",), ("abort.forgotten",), *_then("abort.forgotten", _IN_A_COMMIT),
    ],
    "copy": [
        ("copy.described",), *_then("copy.described", _OF_A_BLOB), ("copy.manifest",), ("copy.shared",),
        ("copy.shared", "object.blob"), *_then("copy.shared", _IN_A_COMMIT),
    ],
    "delete": [("object.removed",), *_then("object.removed", _IN_A_COMMIT)],
    "many": [("delete.each",), ("delete.each", "delete.each"), *_then("delete.each", _IN_A_COMMIT)],
    "bucket": [
        ("bucket.created",), *_then("bucket.created", _IN_A_COMMIT), ("bucket.created", "catalog.touched"),
        ("bucket.deleted",), ("bucket.deleted", "abort.released"), *_then("bucket.deleted", _IN_A_COMMIT),
        ("bucket.deleted", "catalog.touched"), ("catalog.committed",), ("catalog.filled",), ("catalog.touched",),
    ],
    # What others have left, and the housekeeper takes away.
    "": [("disk.unlinked",), ("disk.removed",), ("sweep.deleted",), ("sweep.forgotten",)],
}  # fmt: skip

AT_A_START: Final = (
    "start.folder", "migrate.changed", "migrate.committed", "start.catalog", "master.written", "master.linked",
    "start.master", "identity.written", "identity.placed", "start.store", "start.fenced", "start.admin",
)  # fmt: skip

IN_A_SWEEP: Final = ("orphans.deleted", "orphans.walked")

IN_A_SCRUB: Final = ("scrub.begun", "scrub.found", "scrub.marked", "scrub.saved", "sums.attached")

OF_COPIES: Final = ("copies.made", "copies.settled", "copies.filled", "copies.taken")

AFTER_A_RESTORE: Final = ("catalog.replaced",)

AT_A_POWER_CUT: Final[list[tuple[str, Path]]] = [
    ("file", ("put.reserved", "disk.named")),
    ("file", ("put.reserved", "disk.settled")),
    ("wide", ("disk.sidecar",)),
    ("small", ("object.body", "catalog.filled")),
    ("small", ("object.body", "catalog.committed")),
    ("upload", ("complete.manifest",)),
    ("upload", ("part.entered", "catalog.committed")),
    ("copy", ("copy.shared", "catalog.committed")),
    ("", ("disk.removed",)),
    ("", ("sweep.deleted",)),
    ("", ("sweep.forgotten",)),
]
"""Where something has just been synced, or is the next to be."""

WHILE_HOLDING: Final = ("sweep.told",)

IN_A_BACKUP: Final = ("backup.written", "backup.verified", "backup.named")

IN_A_RESTORE: Final = ("restore.copied", "restore.kept", "restore.replaced")

IN_A_REBUILD: Final = ("rebuild.each", "rebuild.batch", "rebuild.part", "rebuild.gone")

IN_A_ROTATION: Final = ("rotate.made", "rotate.each", "rotate.sealed", "rotate.kept", "rotate.taken")
