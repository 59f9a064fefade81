"""The stores of a group as they are at one moment: where a dataset is found, and where a new one goes. Never changes.

* Found: the store that `object_store_id` names is asked first, then all in order; a wrong id is put right. What one
  store that is down might have is StoreUnavailable, never "not found".
* New data: the first that takes it in a hierarchy, drawn by weight in a distributed group, by a rule before both. One
  that refuses is passed over. A store that is asked for by its id is replaced only by its like: as private, of the same
  quota and device.
* One dataset, one place: what exists anywhere is not created again, and is updated where it is. Where that store
  takes no more it moves, and the old copy is deleted after the new one is safe. Deletes are made in every store.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dolium.datasets.concrete import ConcreteStore, remember
from dolium.datasets.layout import Address
from dolium.datasets.maps import is_users_own
from dolium.datasets.placing import Branch, Placing
from dolium.errors import DatasetNotFound, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from dolium.stores.composites.placement import State

if TYPE_CHECKING:
    from dolium.config.specs import GroupSpec
    from dolium.datasets.layout import DatasetId
    from dolium.datasets.store import ObjectStore
    from dolium.stores.composites.placement import Rule

__all__ = ["Tree"]

T = TypeVar("T")

_REFUSALS = (StoreUnavailable, StoreFull, StoreReadOnly)
_MAIN = Address()


class Tree:
    """`rules` are the root's. `describe` gives what `to_dict` says."""

    def __init__(
        self,
        spec: GroupSpec,
        branches: Sequence[Branch],
        *,
        describe: Callable[[Tree], dict[str, Any]],
        rules: Sequence[Rule] = (),
    ) -> None:
        self.spec = spec
        self._describe = describe
        self.branches = tuple(branches)
        self.leaves = tuple(leaf for branch in branches for leaf in branch.store.leaves())
        self.by_id = {leaf.store_id: leaf for leaf in self.leaves}
        self.groups = {one.store_id: one for one in _groups(branches) if one.store_id is not None}
        self.placing = Placing(branches, rules, None if spec.kind == "hierarchical" else random.random)

    def to_dict(self) -> dict[str, Any]:
        return self._describe(self)

    def knows(self, store_id: str | None) -> bool:
        return store_id in self.by_id or store_id in self.groups

    # Where a dataset is.

    def first(self, obj: Any, at: Address, work: Callable[[ConcreteStore, DatasetId, Address], T]) -> T:
        hint = getattr(obj, "object_store_id", None)
        down: StoreUnavailable | None = None
        first = self.by_id.get(hint) if hint is not None else None
        if first is not None:
            try:
                if first.state is State.OFFLINE:
                    first.require()
                return work(first, first.dataset_id(obj), at)
            except DatasetNotFound:
                pass
            except StoreUnavailable as error:
                down = error
        for leaf in self._others(hint, first):
            try:
                if leaf.state is State.OFFLINE:
                    leaf.require()
                found = work(leaf, leaf.dataset_id(obj), at)
            except DatasetNotFound:
                continue
            except StoreUnavailable as error:
                down = down or error
                continue
            remember(obj, leaf.store_id, keep=first is not None and not at.is_main)
            return found
        if down is not None:
            raise StoreUnavailable(down.store_id, f"{down.message}; it might have the dataset") from down
        if is_users_own(hint) and first is None:
            raise StoreUnavailable(str(hint), "the store of a person is not known here")
        raise DatasetNotFound(f"{type(obj).__name__} {getattr(obj, 'id', '')} is in none of the stores")

    def _others(self, hint: str | None, first: ConcreteStore | None) -> Sequence[ConcreteStore]:
        """Whom to ask after the one that was named: those of the group that was, before all."""
        if not self.spec.search_for_missing and hint is None:
            return ()
        group = self.groups.get(hint) if hint is not None else None
        if group is not None:
            own = group.leaves()
            return (*own, *(leaf for leaf in self.leaves if leaf not in own))
        return self.leaves if first is None else [leaf for leaf in self.leaves if leaf is not first]

    def holder(self, obj: Any) -> ConcreteStore | None:
        try:
            return self.first(obj, _MAIN, _who)
        except DatasetNotFound:
            return self.by_id.get(getattr(obj, "object_store_id", None) or "")

    def home(self, obj: Any, at: Address) -> ConcreteStore:
        named = self.by_id.get(getattr(obj, "object_store_id", None) or "")
        if named is not None:
            return named
        for where in (at, _MAIN):
            try:
                return self.first(obj, where, _who)
            except (DatasetNotFound, StoreUnavailable):
                continue
        return self.leaves[0]

    def _existing(self, obj: Any, at: Address) -> ConcreteStore | None:
        """Who has the file. Raises StoreUnavailable if the store that the object names cannot say."""
        try:
            return self.first(obj, at, _who)
        except DatasetNotFound:
            return None
        except StoreUnavailable as error:
            named = getattr(obj, "object_store_id", None)
            if named is not None and error.store_id == named:
                raise
            return None  # a new one: it is not kept from being written by a store that is down

    # Where a dataset goes.

    def create(self, obj: Any, at: Address) -> ConcreteStore:
        found = self._existing(obj, at)
        if found is not None:
            return found

        def create(leaf: ConcreteStore) -> None:
            leaf.shelf.create(leaf.dataset_id(obj), at)

        return self._written(obj, at, create)

    def update(self, obj: Any, at: Address, source: str | None, *, create: bool, keep_links: bool) -> None:
        found = self._existing(obj, at)
        if found is None and not create:
            self.first(obj, at, _who)  # says why
        if found is not None:
            found.require(writing=True)
            if found.state is not State.DRAINING:
                try:
                    self._update_in(found, obj, at, source, create=False, keep_links=keep_links)
                    return
                except StoreFull:
                    if len(self.leaves) == 1 or source is None:
                        raise

        def update(leaf: ConcreteStore) -> None:
            self._update_in(leaf, obj, at, source, create=True, keep_links=keep_links)

        if found is not None and source is None:
            self._update_in(found, obj, at, None, create=False, keep_links=keep_links)
            return
        self._written(obj, at, update, instead_of=found)
        if found is not None:
            found.shelf.delete(found.dataset_id(obj), at, entire_dir=False)

    def _update_in(
        self,
        leaf: ConcreteStore,
        obj: Any,
        at: Address,
        source: str | None,
        *,
        create: bool,
        keep_links: bool,
    ) -> None:
        dataset = leaf.dataset_id(obj)
        leaf.attempt(lambda: leaf.shelf.update(dataset, at, source, create=create, keep_links=keep_links))

    def _written(
        self,
        obj: Any,
        at: Address,
        write: Callable[[ConcreteStore], None],
        instead_of: ConcreteStore | None = None,
    ) -> ConcreteStore:
        """Write in the first store that takes it. Raises what the last one said."""
        if not at.is_main and instead_of is None:
            self._look_for_main(obj)
        refused: StoreError | None = None
        for leaf in self.placing.order(obj):
            if leaf is instead_of:
                continue
            try:
                leaf.attempt(lambda leaf=leaf: write(leaf))  # type: ignore[misc]
            except _REFUSALS as error:
                refused = error
                continue
            remember(obj, leaf.store_id, keep=not at.is_main and self._is_known(obj))
            return leaf
        raise refused or StoreFull("no store takes the dataset")

    def _look_for_main(self, obj: Any) -> None:
        """A file beside a dataset goes where the dataset is."""
        if not self._is_known(obj):
            try:
                self.first(obj, _MAIN, _who)
            except (DatasetNotFound, StoreUnavailable):
                return

    def _is_known(self, obj: Any) -> bool:
        return getattr(obj, "object_store_id", None) in self.by_id

    def delete(self, obj: Any, at: Address, *, entire_dir: bool) -> bool:
        holders: list[ConcreteStore] = []
        down: StoreUnavailable | None = None
        named = getattr(obj, "object_store_id", None)
        named_is_down = False
        for leaf in self.leaves:
            try:
                leaf.require()
                if leaf.shelf.size(leaf.dataset_id(obj), at) is not None:
                    leaf.require(writing=True)  # before anything is deleted elsewhere
                    holders.append(leaf)
            except StoreUnavailable as error:
                named_is_down = named_is_down or leaf.store_id == named
                down = down or error
        if down is not None and (not holders or named_is_down):
            raise StoreUnavailable(down.store_id, f"{down.message}; it might have the dataset") from down
        deleted = [leaf.shelf.delete(leaf.dataset_id(obj), at, entire_dir=entire_dir) for leaf in holders]
        return any(deleted)


def _who(leaf: ConcreteStore, dataset: DatasetId, at: Address) -> ConcreteStore:
    if leaf.shelf.size(dataset, at) is None:
        raise DatasetNotFound("no such dataset in the store")
    return leaf


def _groups(branches: Sequence[Branch]) -> Iterator[ObjectStore]:
    """Every group below, from above to below."""
    for branch in branches:
        below: Sequence[Branch] | None = getattr(branch.store, "branches", None)
        if below is not None:
            yield branch.store
            yield from _groups(below)
