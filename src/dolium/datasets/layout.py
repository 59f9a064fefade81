"""Where Galaxy keeps a dataset: from an id and the words of a call to a path below a base. Pure.

    folders(24)                                             ("000",)
    folders("135ee48a-4f51-470c-ae2f-ce8bd78799e6")         ("1", "3", "5")
    disk_path(24, Address())                                "000/dataset_24.dat"
    disk_path(24, Address(extra_dir="dataset_24_files", alt_name="a/b.txt"))
                                                            "000/dataset_24_files/a/b.txt"

Bit for bit Galaxy's paths, so that its trees are ours. What could leave the base is DatasetInvalid: ids, folders and
names that are absolute, have `..` or NUL in them, or name the folder itself. Nothing here looks at the disk: symbolic
links below the base are followed, as in Galaxy, whose administrators make them on purpose.
"""

from __future__ import annotations

import posixpath
import re
import uuid
from dataclasses import dataclass
from typing import Final, TypedDict

from dolium.errors import DatasetInvalid

__all__ = ["Address", "DatasetId", "Where", "WhereFile", "disk_path", "folders", "remote_key"]

DatasetId = int | str | uuid.UUID

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
"""A segment that needs no closer look."""


class WhereFile(TypedDict, total=False):
    """The words of a call that is about a file, as in `Address`."""

    base_dir: str | None
    extra_dir: str | None
    extra_dir_at_root: bool
    alt_name: str | None
    obj_dir: bool


class Where(WhereFile, total=False):
    """The words of a call that may be about a folder."""

    dir_only: bool


@dataclass(frozen=True, slots=True)
class Address:
    """Which file of a dataset is meant, in Galaxy's words.

    `base_dir`: below a further folder of the store, `job_work` or `temp`. `dir_only`: the folder that the file is in.
    `extra_dir`: a folder of the dataset's own, in front of all if `extra_dir_at_root`. `alt_name`: instead of
    `dataset_<id>.dat`. `obj_dir`: in a folder named by the id.
    """

    base_dir: str | None = None
    dir_only: bool = False
    extra_dir: str | None = None
    extra_dir_at_root: bool = False
    alt_name: str | None = None
    obj_dir: bool = False

    @classmethod
    def of_file(
        cls,
        *,
        base_dir: str | None = None,
        extra_dir: str | None = None,
        extra_dir_at_root: bool = False,
        alt_name: str | None = None,
        obj_dir: bool = False,
    ) -> Address:
        """Of no folder."""
        return cls(base_dir, False, extra_dir, extra_dir_at_root, alt_name, obj_dir)

    @property
    def is_main(self) -> bool:
        """The dataset itself, and not a file beside it."""
        return not (self.base_dir or self.dir_only or self.extra_dir or self.alt_name or self.obj_dir)


def folders(dataset: DatasetId) -> tuple[str, ...]:
    """The folders that an id is spread over. Raises DatasetInvalid."""
    name = str(dataset)
    if type(dataset) is not int and not _ID.fullmatch(name):
        raise DatasetInvalid(f"{name!r} is no id of a dataset")
    length = len(name)
    if length < 4:
        return ("000",)
    if type(dataset) is not int and _is_uuid(name):
        return tuple(name[:3])
    # A length that three divides gets three zeros more; so it is, and so it stays.
    padded = "0" * (3 - length % 3) + name
    return tuple(padded[at : at + 3] for at in range(0, len(padded) - 3, 3))


def disk_path(dataset: DatasetId, at: Address) -> str:
    """Relative to the base, as a store on a disk has it. Raises DatasetInvalid."""
    parts = [*folders(dataset)]
    if at.obj_dir:
        parts.append(str(dataset))
    if at.extra_dir:
        extra = _checked_folder(at.extra_dir)
        parts = [extra, *parts] if at.extra_dir_at_root else [*parts, extra]
    name = _checked_name(at.alt_name) if at.alt_name else f"dataset_{dataset}.dat"
    if not at.dir_only:
        parts.append(name)
    return "/".join(parts)


def remote_key(dataset: DatasetId, at: Address) -> str:
    """The key that Galaxy's remote stores use: there the folder of `obj_dir` comes behind `extra_dir`, and a folder
    ends in a slash. Raises DatasetInvalid.
    """
    parts = [*folders(dataset)]
    if at.extra_dir:
        extra = _checked_folder(at.extra_dir)
        parts = [extra, *parts] if at.extra_dir_at_root else [*parts, extra]
    if at.obj_dir:
        parts.append(str(dataset))
    name = _checked_name(at.alt_name) if at.alt_name else f"dataset_{dataset}.dat"
    if at.base_dir:
        return "/".join(parts)  # of a folder on this machine: Galaxy drops the name there
    return "/".join((*parts, "" if at.dir_only else name))


def _is_uuid(name: str) -> bool:
    try:
        uuid.UUID(name)
    except ValueError:
        return False
    return True


def _checked_folder(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    if name != posixpath.normpath(name):
        raise DatasetInvalid(f"extra_dir {name!r} is not in its plain form, {posixpath.normpath(name)!r}")
    return _confined("extra_dir", name)


def _checked_name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else _confined("alt_name", posixpath.normpath(name))


def _confined(word: str, name: str) -> str:
    """A normal path that stays below, and is not the folder itself."""
    if name.startswith("/") or name == "." or name.partition("/")[0] == ".." or "\0" in name:
        raise DatasetInvalid(f"{word} {name!r} is outside of the folder of the dataset")
    return name
