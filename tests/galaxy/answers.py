"""What Galaxy answers, faults and all, and what ours is to answer: two small models for the differential test.

Each is told what lies on the disks before a call, and says the answer and what is written or removed. A difference
between the two stores is excused only where each did exactly what its model says.
"""

import posixpath
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from dolium.datasets.layout import Address, disk_path, folders


@dataclass(frozen=True)
class Call:
    """`said`: which file; `how`: what else is said."""

    name: str
    number: int
    said: dict[str, Any]
    how: dict[str, Any] = field(default_factory=dict)

    @property
    def is_main(self) -> bool:
        return not self.said


@dataclass(frozen=True)
class Node:
    """A store of the configuration. `id` of a disk is also its folder."""

    kind: str
    id: str = ""
    children: tuple["Node", ...] = ()

    def disks(self) -> list[str]:
        return [self.id] if self.kind == "disk" else [one for child in self.children for one in child.disks()]


@dataclass
class Sight:
    """What lies there, and what a dataset is known by and said to be in."""

    files: dict[str, bytes]
    folders: set[str]
    ids: dict[int, str | None]
    uuids: dict[int, UUID]
    by_uuid: bool
    old_style: bool
    is_galaxys: bool

    def new_path(self, disk: str, call: Call, said: dict[str, Any] | None = None) -> str:
        said = call.said if said is None else said
        dataset: Any = str(self.uuids[call.number]) if self.by_uuid else call.number
        base = "jobs" if said.get("base_dir") == "job_work" else disk
        return f"{base}/{disk_path(dataset, Address(**said))}"

    def path(self, disk: str, call: Call, said: dict[str, Any] | None = None) -> str | None:
        """Where the file or folder is; None if there is none."""
        new = self.new_path(disk, call, said)
        said = call.said if said is None else said
        places = [new]
        if self.old_style:
            base = "jobs" if said.get("base_dir") == "job_work" else disk
            name = said.get("alt_name") or new.rsplit("/", 1)[1]
            name = "" if said.get("dir_only") else posixpath.normpath(name)
            old = [part for part in (said.get("extra_dir"), name) if part]
            if old or self.is_galaxys:  # which takes the whole store for the folder of a dataset
                places = ["/".join([base, *old]), new]
        return next((one for one in places if one in self.files or one in self.folders), None)

    def outside(self, disk: str, call: Call, *, old: bool = False) -> str:
        """Where Galaxy looks for what ours refuses."""
        dataset: Any = str(self.uuids[call.number]) if self.by_uuid else call.number
        spread = () if old else folders(dataset)
        folder = posixpath.join("/", disk, *spread, call.said.get("extra_dir", ""))
        name = "" if call.said.get("dir_only") else call.said.get("alt_name") or f"dataset_{dataset}.dat"
        return posixpath.normpath(posixpath.join(folder, name))


@dataclass
class Outcome:
    """`changes`: the bytes that a file has afterwards; None: it is gone."""

    answer: Any
    changes: dict[str, bytes | None] = field(default_factory=dict)


class Galaxys:
    """Galaxy 26.1."""

    absent: ClassVar[dict[str, Any]] = {
        "exists": False, "size": 0, "empty": True, "get_data": "not found", "get_filename": "not found",
        "in place": "not found", "delete": False, "update": "not found",
    }  # fmt: skip

    def __init__(self, root: Node, sight: Sight) -> None:
        self._root = root
        self._sight = sight
        self._changes: dict[str, bytes | None] = {}

    def outcome(self, call: Call) -> Outcome:
        hint = self._sight.ids[call.number]
        match call.name:
            case "construct_path":
                answer: Any = f"F/{self._sight.new_path(self._first(self._root, hint), call)}"
            case "create":
                self._create(self._root, call, hint)
                answer = None
            case "update":
                if call.how["create"]:
                    self._create(self._root, call, hint)
                answer = self._ask(self._root, call, hint)
            case _:
                answer = self._ask(self._root, call, hint)
        return Outcome(answer, self._changes)

    def taken(self, call: Call) -> Outcome:
        """Of what ours refuses: a path in the root of a store, beside it, or anywhere."""
        hint = self._sight.ids[call.number]
        if call.name == "construct_path":
            path = self._sight.outside(self._first(self._root, hint), call)
            return Outcome(path if path.startswith("/etc") else f"F{path}")
        known = {*self._sight.files, *self._sight.folders, "."}
        named = [disk for disk in self._root.disks() if disk == hint and self._root.kind == "distributed"]
        paths = [
            self._sight.outside(disk, call, old=old)
            for disk in named or self._root.disks()
            for old in {False, self._sight.old_style}
        ]
        return Outcome(any(one.strip("/") in known or Path(one).exists() for one in paths))

    def _first(self, node: Node, hint: str | None) -> str:
        if node.kind == "disk":
            return node.id
        named = [one for one in node.children if node.kind == "distributed" and one.id == hint]
        return self._first((*named, *node.children)[0], hint)

    def _create(self, node: Node, call: Call, hint: str | None) -> None:
        disk = self._first(node, hint)
        path = self._sight.new_path(disk, call)
        if self._sight.path(disk, call) is None and not call.said.get("dir_only"):
            self._sight.files[path] = b""
            self._changes[path] = b""

    def _has(self, node: Node, call: Call, hint: str | None) -> bool:
        if node.kind == "disk":
            return self._sight.path(node.id, call) is not None
        if node.kind == "distributed" and hint is not None:
            return any(one.id == hint and self._has(one, call, hint) for one in node.children)
        return any(self._has(one, call, hint) for one in node.children)

    def _ask(self, node: Node, call: Call, hint: str | None) -> Any:
        if node.kind == "disk":
            return self._ask_disk(node.id, call)
        if node.kind == "distributed" and hint is not None:
            named = [one for one in node.children if one.id == hint]
            return self._ask(named[0], call, hint) if named else self.absent[call.name]
        having = [one for one in node.children if self._has(one, call, hint)]
        return self._ask(having[0], call, hint) if having else self.absent[call.name]

    def _ask_disk(self, disk: str, call: Call) -> Any:
        path = self._sight.path(disk, call)
        if path is None:
            return {**self.absent, "delete": "not found", "update": None}[call.name]
        return done(self._sight, path, call, self._changes, of_folder={"delete": False, "get_data": "system"})


class Ours:
    """As docs/galaxy.md has it."""

    absent: ClassVar[dict[str, Any]] = {**Galaxys.absent, "empty": "not found"}

    def __init__(self, root: Node, sight: Sight) -> None:
        self._root = root
        self._disks = root.disks()
        self._sight = sight
        self._changes: dict[str, bytes | None] = {}

    def outcome(self, call: Call) -> Outcome:
        having = self._having(call)
        match call.name:
            case "construct_path":
                answer: Any = f"F/{self._sight.new_path(self._home(call), call)}"
            case "create":
                answer = None
                if not having and not call.said.get("dir_only"):
                    self._changes[self._sight.new_path(self._target(call), call)] = b""
            case "update" if not having and call.how["create"]:
                answer = None
                self._changes[self._sight.new_path(self._target(call), call)] = call.how["text"].encode()
            case "delete" if having:
                every = [self._delete(disk, call) for disk in having]
                answer = every[0]
            case _ if having:
                path = self._sight.path(having[0], call)
                assert path is not None
                of_folder = {"get_data": "" if call.how.get("count") == 0 else "conflict"}
                answer = done(self._sight, path, call, self._changes, of_folder=of_folder)
            case _:
                answer = self.absent[call.name]
        return Outcome(answer, self._changes)

    def _having(self, call: Call, said: dict[str, Any] | None = None) -> list[str]:
        """The disks that have the file, the one that the dataset is said to be in first."""
        hint = self._sight.ids[call.number]
        order = sorted(self._disks, key=lambda one: one != hint)
        return [one for one in order if self._sight.path(one, call, said) is not None]

    def _home(self, call: Call) -> str:
        hint = self._sight.ids[call.number]
        if hint in self._disks:
            return str(hint)
        return [*self._having(call), *self._having(call, {}), *self._disks][0]

    def _target(self, call: Call) -> str:
        """Of what is new. A file beside a dataset goes where that is."""
        hint = self._sight.ids[call.number]
        if hint in self._disks:
            return str(hint)
        return [*self._having(call, {}), *self._disks][0]

    def _delete(self, disk: str, call: Call) -> Any:
        path = self._sight.path(disk, call)
        assert path is not None
        return done(self._sight, path, call, self._changes, of_folder={"delete": "conflict"})


def done(
    sight: Sight, path: str, call: Call, changes: dict[str, bytes | None], *, of_folder: dict[str, Any]
) -> Any:
    """The answer for what is there, where the two agree; of a folder they may not."""
    is_folder = path in sight.folders
    data = b"" if is_folder else sight.files[path]
    match call.name:
        case "exists":
            return True
        case "get_filename":
            return f"F/{path}"
        case "in place":
            changes[path] = call.how["text"].encode()
            return f"F/{path}"
        case "delete" if is_folder and call.how.get("entire_dir"):
            changes.update((one, None) for one in sight.files if one.startswith(f"{path}/"))
            return True
        case "delete" | "get_data" if is_folder:
            return of_folder[call.name]
        case "delete":
            changes[path] = None
            return True
        case "update":
            changes[path] = call.how["text"].encode()
            return None
        case "size":
            return len(data)
        case "empty":
            return not data
    start, count = call.how.get("start", 0), call.how.get("count", -1)
    return data[start:].decode() if count < 0 else data[start : start + count].decode()
