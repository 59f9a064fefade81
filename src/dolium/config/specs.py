"""What a configuration of stores says: a frozen tree, complete, without I/O.

    StoresSpec            the whole: a root, and rules that place new data
    └── GroupSpec         hierarchical | distributed | replicated
        └── Child         a store in a group: weight, limits, state
            └── LeafSpec  disk | s3 | azure_blob | gcs | openstack_swift | webdav

Whatever Galaxy's file says is in it; nothing is lost between XML, YAML and this tree. Two specs are equal if they
mean the same, wherever they stood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from dolium.values import Secret

__all__ = [
    "GALAXY_DEFAULTS",
    "Badge",
    "CacheDir",
    "CacheSpec",
    "Child",
    "Credential",
    "ExtraDir",
    "GalaxyAttributes",
    "GalaxyDefaults",
    "GroupKind",
    "GroupSpec",
    "LeafSpec",
    "Notice",
    "Place",
    "Quota",
    "RuleSpec",
    "Shard",
    "State",
    "StoresSpec",
    "When",
]

GroupKind = Literal["hierarchical", "distributed", "replicated"]
State = Literal["online", "read-only", "draining", "offline"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands; `line` is 0 when it was not read from a file."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that was read and is odd: what it is taken to mean, and where it stands."""

    message: str
    place: Place

    def __str__(self) -> str:
        return f"{self.place.file}:{self.place.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class GalaxyDefaults:
    """What `galaxy.yml` says, for values that the file of stores leaves open. The defaults are Galaxy's own.

    `cache_size` is in gigabytes, -1 for no limit; `cache_monitor_interval` in seconds.
    """

    file_path: Path = Path("database/objects")
    new_file_path: Path = Path("database/tmp")
    jobs_directory: Path = Path("database/jobs_directory")
    cache_path: Path = Path("database/object_store_cache")
    cache_size: float = -1
    cache_monitor_driver: str = "auto"
    cache_monitor_interval: int = 600
    store_by: str = "id"
    check_old_style: bool = False
    enable_quotas: bool = False
    umask: int = 0o77
    gid: int = -1


GALAXY_DEFAULTS: Final = GalaxyDefaults()


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret or a user name as the file has it.

    `reference`: `env:NAME` or `file:PATH`; empty if the value itself stands in the file. `value` is None only in a
    spec that was read without resolving. `public`: a name that may be shown.
    """

    reference: str
    value: Secret | None
    public: bool = False

    @property
    def shown(self) -> str:
        if self.reference:
            return self.reference
        return self.value.reveal() if self.public and self.value is not None else "***"


@dataclass(frozen=True, slots=True)
class Badge:
    """What an administrator says of a store, for people who choose one."""

    type: str
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """`source`: label of the quota that data here counts for (None: the person's own); not `enabled`: for none."""

    source: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ExtraDir:
    """A further folder of a store: `job_work` or `temp`."""

    type: str
    path: Path


@dataclass(frozen=True, slots=True)
class GalaxyAttributes:
    """What Galaxy says of a store beyond where it is. Of a group, only name, description, private and quota.

    `direct_download`: people may be sent to the service itself for a dataset, by a signed URL.
    `files_dir` is None and `extra_dirs` are absent where the file leaves them to `GalaxyDefaults`.
    """

    type_as_written: str
    store_by: str = "id"
    name: str | None = None
    description: str | None = None
    private: bool = False
    quota: Quota = Quota()
    badges: tuple[Badge, ...] = ()
    device: str | None = None
    object_expires_after_days: int | None = None
    direct_download: bool = False
    extra_dirs: tuple[ExtraDir, ...] = ()
    files_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class CacheDir:
    """One of several folders of a cache, as the file has it. `size` is in gigabytes; None: the size of the cache."""

    path: Path
    weight: int = 1
    size: float | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """A folder of a cache, and its share by `weight` of what is kept (0: nothing new). `size_bytes` None: no limit."""

    path: Path
    weight: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """The local cache of a remote store, in one or several folders.

    `written`: the file asks for one. Galaxy always keeps one, since its jobs need paths; a service need not.
    """

    shards: tuple[Shard, ...]
    monitor: str = "auto"
    monitor_interval: int = 600
    cache_updated_data: bool = True
    enable_monitor: bool = False
    written: bool = True


@dataclass(frozen=True, slots=True)
class LeafSpec:
    """A store without children.

    `kind` and `options` are those of `stores.registry` (secrets as `Credential`: see `leaf_options`). `written` has
    every key of Galaxy's schema that the file sets, typed. `named`: the file gives the id; else it comes from where
    the store is, so that it stays when stores are added.
    """

    kind: str
    id: str
    options: Mapping[str, object]
    galaxy: GalaxyAttributes
    cache: CacheSpec | None
    written: Mapping[str, object]
    named: bool
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class Child:
    """A store in a group.

    `weight` counts in a distributed group (0: only what asks for this store). `max_percent`, `max_bytes`: no new
    data above that; None for no limit of its own. `allow_selection`: people may choose it.
    """

    spec: LeafSpec | GroupSpec
    weight: float = 1
    max_percent: float | None = None
    max_bytes: int | None = None
    allow_selection: bool = False
    state: State = "online"


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A store of stores. Children stand in order: of a hierarchy, the first takes new data.

    `search_for_missing`: an object of which no store is recorded is searched in all. `max_percent`: the limit of
    children that have none. `write_quorum`: copies that must be written (replicated; None: all).
    """

    kind: GroupKind
    id: str | None
    children: tuple[Child, ...]
    galaxy: GalaxyAttributes
    search_for_missing: bool = True
    max_percent: float | None = None
    write_quorum: int | None = None
    place: Place = field(compare=False, default=Place("", 0))


StoreSpec: TypeAlias = LeafSpec | GroupSpec


@dataclass(frozen=True, slots=True)
class When:
    """A condition on new data. What is empty does not matter; the rest must all hold.

    Of several values one must fit, whole; a content type also by its first half, `image/`, and a `prefix` is the
    beginning of a key. `size_from` <= size < `size_below`. `person` and `group` are Galaxy's user and group in the
    library.
    """

    tenancy: tuple[str, ...] = ()
    person: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    bucket: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    content_type: tuple[str, ...] = ()
    storage_class: tuple[str, ...] = ()
    size_from: int = 0
    size_below: int | None = None


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """New data that fits `when` goes to `store`, a store or group of the tree. The first rule that fits decides.

    `only`: nowhere else if that cannot take it.
    """

    when: When
    store: str
    only: bool = True
    place: Place = field(compare=False, default=Place("", 0))


@dataclass(frozen=True, slots=True)
class StoresSpec:
    """A whole configuration of stores."""

    root: LeafSpec | GroupSpec
    rules: tuple[RuleSpec, ...] = ()

    def leaves(self) -> Iterator[LeafSpec]:
        """Every leaf, in the order in which they stand."""
        return (spec for spec in _walk(self.root) if isinstance(spec, LeafSpec))

    def find(self, store_id: str) -> LeafSpec | GroupSpec | None:
        """The store or group of this id."""
        return next((spec for spec in _walk(self.root) if spec.id == store_id), None)


def _walk(spec: LeafSpec | GroupSpec) -> Iterator[LeafSpec | GroupSpec]:
    yield spec
    if isinstance(spec, GroupSpec):
        for child in spec.children:
            yield from _walk(child.spec)
