"""One store of the configuration, as Galaxy sees it: what is said of it, and the shelf where its files lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dolium.datasets.maps import badges_of, is_users_own
from dolium.datasets.store import ObjectStore
from dolium.errors import DatasetInvalid, DatasetNotFound, StoreReadOnly, StoreUnavailable
from dolium.stores.composites.breaker import Breaker
from dolium.stores.composites.placement import State

if TYPE_CHECKING:
    from dolium.config.specs import GalaxyAttributes, GroupSpec, LeafSpec
    from dolium.datasets.layout import Address, DatasetId
    from dolium.datasets.shelf import Shelf
    from dolium.values import Space

__all__ = ["ConcreteStore", "remember"]

T = TypeVar("T")


class ConcreteStore(ObjectStore):
    """One leaf, or the copies of a replicated group. `describe` gives what `to_dict` says; `quotas`: Galaxy counts them at all. `state` may be changed any time."""

    store_id: str
    store_type: str
    about: GalaxyAttributes

    def __init__(
        self,
        spec: LeafSpec | GroupSpec,
        shelf: Shelf,
        *,
        describe: Callable[[], dict[str, Any]],
        quotas: bool,
    ) -> None:
        assert spec.id is not None, "a store has an id"
        self.spec = spec
        self.store_id = spec.id
        self.store_type = spec.galaxy.type_as_written
        self.store_by = spec.galaxy.store_by
        self.about = spec.galaxy
        self.shelf = shelf
        self.state = State.ONLINE
        self.breaker = Breaker()
        self._describe = describe
        self._quotas = quotas

    def dataset_id(self, obj: Any) -> DatasetId:
        """What the store knows the object by. Jobs have no uuid, and go by their id everywhere."""
        name = self.store_by if hasattr(obj, self.store_by) else "id"
        found: DatasetId | None = getattr(obj, name)
        if found is None and hasattr(obj, "flush"):
            obj.flush()
            found = getattr(obj, name)
        if found is None:
            raise DatasetInvalid(
                f"the {name} of {type(obj).__name__} is not set, by which {self.store_id} keeps it"
            )
        return found

    def require(self, *, writing: bool = False) -> None:
        """Raises StoreUnavailable or StoreReadOnly, by the state that an operator has given it."""
        if self.state is State.OFFLINE:
            raise StoreUnavailable(self.store_id, f"{self.store_id} is offline")
        if writing and self.state is State.READ_ONLY:
            raise StoreReadOnly(f"{self.store_id} is read-only")

    def attempt(self, work: Callable[[], T]) -> T:
        """A write; whether the store is down is remembered for where new data goes."""
        try:
            found = work()
        except StoreUnavailable as error:
            if error.store_id == self.store_id:  # and not one of several copies, without which it goes on
                self.breaker.failed()
            raise
        self.breaker.answered()
        return found

    def badges(self) -> list[dict[str, Any]]:
        return badges_of(self.about, quotas=self._quotas, cloud=self.store_type == "cloud")

    def to_dict(self) -> dict[str, Any]:
        return self._describe()

    def leaves(self) -> Sequence[ConcreteStore]:
        return (self,)

    def space_of(self) -> Space | None:
        return self.shelf.space()

    def _first(self, obj: Any, at: Address, work: Callable[[ConcreteStore, DatasetId, Address], T]) -> T:
        if self.state is State.OFFLINE:
            self.require()
        try:
            found = work(self, self.dataset_id(obj), at)
        except DatasetNotFound:
            if is_users_own(hint := getattr(obj, "object_store_id", None)):
                raise StoreUnavailable(str(hint), "the store of a person is not known here") from None
            raise
        remember(obj, self.store_id, keep=not at.is_main)
        return found

    def _create(self, obj: Any, at: Address) -> ConcreteStore:
        self.require(writing=True)
        if self.state is State.DRAINING:
            raise StoreReadOnly(f"{self.store_id} is draining")
        self.attempt(lambda: self.shelf.create(self.dataset_id(obj), at))
        remember(obj, self.store_id, keep=not at.is_main)
        return self

    def _update(self, obj: Any, at: Address, source: str | None, *, create: bool, keep_links: bool) -> None:
        self.require(writing=True)
        dataset = self.dataset_id(obj)
        self.attempt(lambda: self.shelf.update(dataset, at, source, create=create, keep_links=keep_links))
        remember(obj, self.store_id, keep=not at.is_main)

    def _delete(self, obj: Any, at: Address, *, entire_dir: bool) -> bool:
        self.require(writing=True)
        return self.shelf.delete(self.dataset_id(obj), at, entire_dir=entire_dir)

    def _home(self, obj: Any, at: Address) -> ConcreteStore:  # noqa: ARG002 - there is but one
        return self

    def _holder(self, obj: Any) -> ConcreteStore | None:  # noqa: ARG002 - there is but one
        return self


def remember(obj: Any, store_id: str, *, keep: bool = False) -> None:
    """Say in the object where it is. `keep`: not if it says something already. What names a person's own store keeps
    that, and rows that cannot be set stay as they are.
    """
    known: str | None = getattr(obj, "object_store_id", None)
    if known == store_id or (known is not None and (keep or is_users_own(known))):
        return
    try:
        obj.object_store_id = store_id
    except AttributeError:
        return
