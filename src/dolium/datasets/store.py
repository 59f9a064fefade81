"""The object store as Galaxy knows it: one store, or a tree of them, with Galaxy's methods and keywords.

    store = build_object_store(file=Path("object_store_conf.xml"))
    store.create(dataset)                       # dataset.object_store_id says where it went
    store.update_from_file(dataset, file_name="/tmp/output")
    store.get_filename(dataset)                 # "/data2/000/dataset_24.dat"
    with store.open(dataset, range=ByteRange(0, 1023)) as reader: ...

Any object will do that has an `id`, a `uuid` where the store goes by it, and an `object_store_id` that can be set. That
one is a hint in every topology: its store is asked first, and when it is wrong the others are, and it is put right.

Errors are those of `dolium.errors`: DatasetNotFound, DatasetInvalid, and StoreUnavailable, which is never said as "not
found": nobody deletes a record because a disk was not mounted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack

from dolium.datasets.layout import Address
from dolium.datasets.maps import DeviceSourceMap, QuotaSourceMap, StoreModel, is_users_own
from dolium.datasets.replicated import ReplicatedShelf
from dolium.datasets.streams import DataStream
from dolium.errors import DatasetNotFound, RangeNotSatisfiable
from dolium.values import ByteRange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dolium.config.specs import GalaxyAttributes
    from dolium.datasets.concrete import ConcreteStore
    from dolium.datasets.layout import DatasetId, Where, WhereFile
    from dolium.datasets.replica_repair import Repaired
    from dolium.datasets.shelf import CacheTarget
    from dolium.stores.contract import BlobReader
    from dolium.values import Space

__all__ = ["ObjectStore"]

T = TypeVar("T")

_URL_SECONDS: Final = 3600
_MAIN: Final = Address()


class ObjectStore(ABC):
    """What `ConcreteStore` and `GroupStore` have in common: Galaxy's interface, over a few questions of their own."""

    if TYPE_CHECKING:

        @property
        def store_type(self) -> str: ...
        @property
        def about(self) -> GalaxyAttributes: ...
        @property
        def store_id(self) -> str | None: ...

    # Files of a dataset, by Galaxy's words (`layout.Where`).

    def exists(self, obj: Any, **where: Unpack[Where]) -> bool:
        at = Address(**where)
        try:
            self._first(obj, at, _size)
        except DatasetNotFound:
            return False
        return True

    def construct_path(self, obj: Any, *, in_cache: bool = False, **where: Unpack[Where]) -> str:
        """Where the file is, or else would be: a path, or the key in a remote store. `in_cache`: always a path."""
        at = Address(**where)
        leaf = self._home(obj, at)
        return leaf.shelf.construct(leaf.dataset_id(obj), at, local=in_cache)

    def create(self, obj: Any, **where: Unpack[Where]) -> ConcreteStore:
        """An empty file in the store that takes it, which is returned; one that is there stays as it is.

        A store that refuses is passed over for the next; one that was asked for by its id only for its like.
        """
        at = Address(**where)
        return self._create(obj, at)

    def empty(self, obj: Any, **where: Unpack[WhereFile]) -> bool:
        """Raises DatasetNotFound."""
        at = Address.of_file(**where)
        return self._first(obj, at, _size) == 0

    def size(self, obj: Any, **where: Unpack[WhereFile]) -> int:
        """0 if there is nothing."""
        at = Address.of_file(**where)
        try:
            return self._first(obj, at, _size)
        except DatasetNotFound:
            return 0

    def delete(self, obj: Any, entire_dir: bool = False, **where: Unpack[Where]) -> bool:
        """Of every store that has it, so that no older copy comes back. False if there was nothing.

        `entire_dir`: the folder that `extra_dir` or `obj_dir` names, with all in it.
        """
        at = Address(**where)
        return self._delete(obj, at, entire_dir=entire_dir)

    def get_data(self, obj: Any, start: int = 0, count: int = -1, **where: Unpack[WhereFile]) -> bytes:
        """`count` bytes from `start` on, fewer at the end; all if `count` is negative. Raises DatasetNotFound."""
        at = Address.of_file(**where)
        if count == 0:
            self._first(obj, at, _size)
            return b""
        wanted = ByteRange(start, None if count < 0 else start + count - 1) if start or count > 0 else None
        try:
            with self._first(obj, at, _opened(wanted)) as reader:
                return reader.read()
        except RangeNotSatisfiable:
            return b""

    def open(
        self,
        obj: Any,
        *,
        range: ByteRange | None = None,  # noqa: A002 - as in the contract of stores
        **where: Unpack[WhereFile],
    ) -> BlobReader:
        """The bytes as a stream, or a part of them, without a local copy. Raises DatasetNotFound,
        RangeNotSatisfiable.
        """
        at = Address.of_file(**where)
        return self._first(obj, at, _opened(range))

    def get_filename(self, obj: Any, *, sync_cache: bool = True, **where: Unpack[Where]) -> str:
        """A real file of this machine with the bytes. Raises DatasetNotFound."""
        at = Address(**where)
        return self._first(obj, at, _path if sync_cache else _place)

    def update_from_file(
        self,
        obj: Any,
        *,
        file_name: str | None = None,
        create: bool = False,
        preserve_symlinks: bool = False,
        **where: Unpack[WhereFile],
    ) -> None:
        """The bytes of `file_name`, whole or not at all; when it returns, the store has them.

        Without `file_name`: what was written to the path from `get_filename`. Raises DatasetNotFound unless `create`.
        """
        at = Address.of_file(**where)
        source = None if file_name is None else str(file_name)
        self._update(obj, at, source, create=create, keep_links=preserve_symlinks)

    def get_object_url(self, obj: Any, **where: Unpack[WhereFile]) -> str | None:
        """A URL by which whoever has it reads the file for an hour; None if the store has none.

        It asks nobody's rights: who calls this has.
        """
        at = Address.of_file(**where)
        try:
            return self._first(obj, at, _url)
        except DatasetNotFound:
            return None

    def get_direct_download_url(
        self, obj: Any, content_disposition: str | None = None, content_type: str | None = None
    ) -> str | None:
        """A URL to send a client to for the bytes of the dataset, for an hour; None unless its store has
        `enable_direct_download` and signs URLs.

        The answer there has these headers, where the service can be asked for them. It asks nobody's rights.
        """

        def url(leaf: ConcreteStore, dataset: DatasetId, at: Address) -> str | None:
            _size(leaf, dataset, at)
            if not leaf.about.direct_download:
                return None
            return leaf.shelf.url(
                dataset,
                at,
                _URL_SECONDS,
                disposition=content_disposition or "",
                media_type=content_type or "",
            )

        try:
            return self._first(obj, _MAIN, url)
        except DatasetNotFound:
            return None

    def get_data_stream(self, obj: Any) -> DataStream | None:
        """The bytes of the dataset as they come from a remote store, while a copy is kept in the cache, if it fits and
        all of it is read. None where `get_filename` costs no more: on a disk, in the cache, without bytes; and where
        there is no dataset.
        """

        def stream(leaf: ConcreteStore, dataset: DatasetId, at: Address) -> DataStream | None:
            if not _size(leaf, dataset, at) or leaf.shelf.at_hand(dataset, at):
                return None
            return DataStream(leaf.shelf.open(dataset, at, None))

        try:
            return self._first(obj, _MAIN, stream)
        except DatasetNotFound:
            return None

    def repair(self, obj: Any, *, right: str = "", **where: Unpack[Where]) -> Repaired | None:
        """Make the copies of a file equal again, in the replicated store that has it (`replica_repair.repaired`), or
        those of all files in a folder; None if the store that has it keeps no copies. `right`: the member whose copy is
        the right one, where people know better. Raises DatasetNotFound, StoreUnavailable.
        """
        at = Address(**where)
        return self._first(obj, at, _repaired(right))

    # The store that has a dataset. None, [] or False where nothing is known yet.

    def get_concrete_store_name(self, obj: Any) -> str | None:
        leaf = self._holder(obj)
        return leaf.about.name if leaf else None

    def get_concrete_store_description_markdown(self, obj: Any) -> str | None:
        leaf = self._holder(obj)
        return leaf.about.description if leaf else None

    def get_concrete_store_badges(self, obj: Any) -> list[dict[str, Any]]:
        leaf = self._holder(obj)
        return leaf.badges() if leaf else []

    def get_store_by(self, obj: Any, **_ignored: Any) -> str | None:
        leaf = self._holder(obj)
        return leaf.store_by if leaf else None

    def is_private(self, obj: Any) -> bool:
        leaf = self._holder(obj)
        return leaf.private if leaf else False

    # All stores.

    @property
    def private(self) -> bool:
        return self.about.private

    def object_store_ids(self, private: bool | None = None) -> list[str]:
        return [one.store_id for one in self.leaves() if private is None or one.private is private]

    def object_store_allows_id_selection(self) -> bool:
        return bool(self.object_store_ids_allowing_selection())

    def validate_selected_object_store_id(self, user: Any, object_store_id: str | None) -> str | None:
        """None if this person may choose the store, else why not."""
        if not object_store_id:
            return None
        if not self.object_store_allows_id_selection():
            return "The current configuration doesn't allow selecting preferred object stores."
        if is_users_own(object_store_id):
            if not user:
                return "Supplied object store id is not accessible"
            own = {str(one.uuid) for one in getattr(user, "object_stores", ())}
            found = object_store_id.split("://", 1)[1] in own
            return None if found else "Supplied object store id was not found"
        if object_store_id not in self.object_store_ids_allowing_selection():
            return "Supplied object store id is not an allowed object store selection"
        return None

    def object_store_ids_allowing_selection(self) -> list[str]:
        return []

    def get_concrete_store_by_object_store_id(self, object_store_id: str) -> ObjectStore | None:
        """Also a group, where one of that id is; None if there is none."""
        return next((one for one in self.leaves() if one.store_id == object_store_id), None)

    def get_store_usage_percent(self) -> float:
        """Of all that is known of; 0 if nothing is."""
        found = [space for leaf in self.leaves() if (space := leaf.shelf.space()) is not None]
        total = sum(space.total for space in found)
        return 100.0 * (total - sum(space.free for space in found)) / total if total else 0.0

    def get_quota_source_map(self) -> QuotaSourceMap:
        return QuotaSourceMap(self.about.quota, [(one.store_id, one.about.quota) for one in self.leaves()])

    def get_device_source_map(self) -> DeviceSourceMap:
        whole = self.about.device
        return DeviceSourceMap(whole, [(one.store_id, one.about.device) for one in self.leaves()])

    def cache_targets(self) -> list[CacheTarget]:
        """The folders of caches, one that several stores share once."""
        found = [target for leaf in self.leaves() for target in leaf.shelf.cache_targets()]
        return list({target[0]: target for target in found}.values())

    def to_model(self, object_store_id: str | None) -> StoreModel:
        about = self.about
        return StoreModel(
            object_store_id=object_store_id,
            private=about.private,
            name=about.name,
            description=about.description,
            quota=about.quota,
            badges=self.badges(),
            device=about.device,
            object_expires_after_days=about.object_expires_after_days,
            enable_direct_download=about.direct_download,
        )

    def start(self) -> None:
        """Begin what runs beside calls. After a fork, in each process."""
        for leaf in self.leaves():
            leaf.shelf.start()

    def shutdown(self) -> None:
        for leaf in self.leaves():
            leaf.shelf.close()

    def soft_shutdown(self) -> None:  # noqa: B027 - nothing to do is right for most
        """No more calls will begin; those under way end as they would."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """All that it takes to build the same store in another process. Secrets that the configuration has as
        references stay references; a literal one is in it, with a warning.
        """

    # What a single store and a group answer each in its way.

    @abstractmethod
    def leaves(self) -> Sequence[ConcreteStore]:
        """Every store without children, in the order in which they are searched."""

    @abstractmethod
    def badges(self) -> list[dict[str, Any]]: ...

    @abstractmethod
    def space_of(self) -> Space | None: ...

    @abstractmethod
    def _first(self, obj: Any, at: Address, work: Callable[[ConcreteStore, DatasetId, Address], T]) -> T:
        """What `work` says of the first store that has the file. Raises DatasetNotFound, StoreUnavailable."""

    @abstractmethod
    def _create(self, obj: Any, at: Address) -> ConcreteStore: ...

    @abstractmethod
    def _update(
        self, obj: Any, at: Address, source: str | None, *, create: bool, keep_links: bool
    ) -> None: ...

    @abstractmethod
    def _delete(self, obj: Any, at: Address, *, entire_dir: bool) -> bool: ...

    @abstractmethod
    def _home(self, obj: Any, at: Address) -> ConcreteStore:
        """Where the file is, or else would go."""

    @abstractmethod
    def _holder(self, obj: Any) -> ConcreteStore | None:
        """Who has the dataset; None if nobody."""


def _size(leaf: ConcreteStore, dataset: DatasetId, at: Address) -> int:
    found = leaf.shelf.size(dataset, at)
    if found is None:
        raise DatasetNotFound("no such dataset in the store")
    return found


def _path(leaf: ConcreteStore, dataset: DatasetId, at: Address) -> str:
    return leaf.shelf.path(dataset, at)


def _place(leaf: ConcreteStore, dataset: DatasetId, at: Address) -> str:
    return leaf.shelf.path(dataset, at, fetch=False)


def _url(leaf: ConcreteStore, dataset: DatasetId, at: Address) -> str | None:
    _size(leaf, dataset, at)
    return leaf.shelf.url(dataset, at, _URL_SECONDS)


def _repaired(right: str) -> Callable[[ConcreteStore, DatasetId, Address], Repaired | None]:
    def repair(leaf: ConcreteStore, dataset: DatasetId, at: Address) -> Repaired | None:
        shelf = leaf.shelf
        if isinstance(shelf, ReplicatedShelf):
            return shelf.repair(dataset, at, right=right)
        _size(leaf, dataset, at)
        return None

    return repair


def _opened(wanted: ByteRange | None) -> Callable[[ConcreteStore, DatasetId, Address], BlobReader]:
    return lambda leaf, dataset, at: leaf.shelf.open(dataset, at, wanted)
