"""Named places at which a drill may end the process, as `kill -9` there would.

    reach("put.stored")

A name says what has just been done; each stands at one place in the code. In a service `reach` is an empty
function, and a call of it costs 45 ns. Only a process that was started with `DOLIUM_CRASHPOINTS` looks further:
the variable names a folder, and the file `armed` in it what to do (`dolium.testing.crashes` writes it):

    <process group, or 0> <number of the order> <name>...

The names must be reached one after the other in the same thread, others between them: `complete.chosen disk.named`
is the rename of the manifest of a Complete. At the last one the process kills itself, or the group. Of all processes
that come there, the one that takes the order by renaming it to `taken` does so.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["POINTS", "reach"]

POINTS: Final[Mapping[str, str]] = {
    # A blob on a disk.
    "disk.created": "its temporary file is there, empty",
    "disk.written": "a piece of it is written",
    "disk.folder": "the folder that it goes to is there",
    "disk.summed": "the checksums of its blocks are attached, if they fit",
    "disk.sidecar": "what was too large for an attribute lies beside the place of the blob",
    "disk.described": "its description is attached",
    "disk.synced": "its bytes are on the disk",
    "disk.named": "it has its name, which is not on the disk yet",
    "disk.settled": "its name is on the disk",
    "disk.unlinked": "it is unlinked, a description beside it is not",
    "disk.removed": "all of it is unlinked, which is not on the disk yet",
    # PutObject.
    "put.received": "the body came, and is what the caller said",
    "put.reserved": "the version of a blob has its sequence",
    "put.stored": "the bytes are where they stay",
    "object.released": "in the transaction: the version that is replaced has given up its bytes",
    "object.entered": "in the transaction: the row of the version is there, its inline bytes are not",
    "object.body": "in the transaction: the inline bytes are there",
    "object.blob": "in the transaction: the row of a version in a store is there",
    # Multipart uploads.
    "upload.begun": "in the transaction: the upload is there",
    "part.received": "the body of the part came, and is what the caller said",
    "part.stored": "the bytes of the part are where they stay",
    "part.released": "in the transaction: the part that is sent again has given up its bytes",
    "part.entered": "in the transaction: the part is there",
    "complete.chosen": "the parts are looked up and fit together",
    "complete.manifest": "the manifest is stored",
    "upload.closed": "in the transaction: the upload is completed, its object not there",
    "abort.released": "in the transaction: the parts have given up their bytes",
    "abort.forgotten": "in the transaction: the upload is gone",
    # CopyObject, of an object in a store.
    "copy.described": "the copy has its sequence and description",
    "copy.manifest": "the manifest of the copy is stored",
    "copy.shared": "in the transaction: the bytes count one row more, which is not there",
    # Deletes.
    "object.removed": "in the transaction: the object is gone",
    "delete.each": "in the transaction: one of many is gone",
    # Buckets.
    "bucket.created": "in the transaction: the bucket is there",
    "bucket.deleted": "in the transaction: the bucket is gone, its uploads are not",
    # Every transaction.
    "catalog.begun": "the transaction has begun",
    "catalog.filled": "all writes of the batch are made",
    "catalog.committed": "the batch is committed, and nobody knows",
    "catalog.touched": "the other processes know, whoever asked for the write does not",
    "catalog.replaced": "the catalog was found to be older than its folder, which is not written down",
    # Sweeps.
    "sweep.told": "the store has word of what was discarded and is held, the catalog has not put it off",
    "sweep.deleted": "garbage is deleted, the catalog still lists it",
    "sweep.forgotten": "the catalog has forgotten it",
    "orphans.deleted": "a blob that nothing names is deleted",
    "orphans.walked": "all of them are, and how far the walk came is not written down",
    # Backups of the catalog, and what is made from them.
    "backup.written": "the copy is whole, under no name",
    "backup.verified": "it is checked, and on the disk",
    "backup.named": "it has its name, which is not on the disk yet",
    "restore.copied": "the backup is in the folder, under no name",
    "restore.kept": "the catalog that was there has a second name",
    "restore.replaced": "the backup has taken its place",
    "rebuild.each": "in the transaction: one object is back",
    "rebuild.batch": "some objects are back",
    "rebuild.part": "a part of an open upload is back",
    "rebuild.gone": "what has lost its bytes is gone",
    # Another master key.
    "rotate.made": "the next key lies beside the old one",
    "rotate.each": "in the transaction: a secret is sealed with the next key",
    "rotate.sealed": "all of them are",
    "rotate.kept": "the old key has a second name, under which it stays",
    "rotate.taken": "the next key has taken its place",
    # Scrubs.
    "scrub.begun": "the walk is in the catalog",
    "scrub.found": "in the transaction: the damage is entered, its objects are not marked",
    "scrub.marked": "the damage is committed, and how far the walk came is not",
    "scrub.saved": "how far the walk came is committed",
    "sums.attached": "a blob that had no checksums has some, which are not on the disk yet",
    # Copies in the members of a replicated store.
    "copies.made": "a member has its copy, and the catalog does not know",
    "copies.settled": "in the transaction: repairs that are done are forgotten, the others not put off",
    "copies.filled": "how far a new member is filled is committed",
    "copies.taken": "in the transaction: some rows of a member's own blob are the group's",
    # The first start, and every other.
    "start.folder": "the data folder is there",
    "migrate.changed": "in the transaction: the schema is that of the next version",
    "migrate.committed": "one step of the schema is committed",
    "start.catalog": "the catalog is open",
    "master.written": "the master key is in a temporary file",
    "master.linked": "the master key has its name",
    "start.master": "the master key is there",
    "identity.written": "the identity of the store is in a temporary file",
    "identity.placed": "the identity of the store has its name",
    "start.store": "the catalog knows the store",
    "start.fenced": "uploads that began before this start cannot be published any more",
    "start.admin": "the catalog knows the site admin and a key",
}


def _pass(name: str, /) -> None:
    """Nothing is armed."""


class _Armed:
    """Looks at the order each time: slow, and only in drills."""

    def __init__(self, folder: str) -> None:
        self._order = f"{folder}/armed"
        self._taken = f"{folder}/taken"
        self._here = threading.local()

    def __call__(self, name: str, /) -> None:
        try:
            with open(self._order, encoding="ascii") as file:  # noqa: PTH123 - many times a request
                order = file.read()
        except FileNotFoundError:
            return
        group, _, *path = order.split()
        here = self._here
        if getattr(here, "order", "") != order:
            here.order, here.at = order, 0
        if here.at == len(path) or name != path[here.at]:
            return
        here.at += 1
        if here.at == len(path):
            self._end(int(group))

    def _end(self, group: int) -> None:
        try:
            os.rename(self._order, self._taken)  # noqa: PTH104 - as above
        except FileNotFoundError:
            return  # another process was there first
        if group:
            os.killpg(group, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


_folder = os.environ.get("DOLIUM_CRASHPOINTS", "")

reach: Callable[[str], None] = _Armed(_folder) if _folder else _pass
