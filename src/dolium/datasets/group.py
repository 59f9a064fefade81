"""Stores in a hierarchy, or by weight: where a dataset is found, and where a new one goes.

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
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dolium.config.specs import Quota
from dolium.datasets.concrete import ConcreteStore, remember
from dolium.datasets.layout import Address
from dolium.datasets.maps import QuotaSourceMap, badges_of, is_users_own
from dolium.datasets.placing import Branch, Placing
from dolium.datasets.store import ObjectStore
from dolium.errors import DatasetNotFound, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from dolium.stores.composites.placement import State
from dolium.values import Space

if TYPE_CHECKING:
    from dolium.config.specs import GroupSpec
    from dolium.datasets.layout import DatasetId
    from dolium.stores.composites.placement import Rule

__all__ = ["GroupStore"]

T = TypeVar("T")

_REFUSALS = (StoreUnavailable, StoreFull, StoreReadOnly)
_MAIN = Address()


class GroupStore(ObjectStore):
    """`rules` are the root's. What it consists of is exchanged by `become` while calls go on: each finds a store among
    the old ones or the new ones, and those that stay are in both.
    """

    def __init__(
        self,
        spec: GroupSpec,
        branches: Sequence[Branch],
        *,
        describe: Callable[[GroupStore], dict[str, Any]],
        quotas: bool,
        rules: Sequence[Rule] = (),
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._describe = describe
        self._quotas = quotas
        self._draw = draw
        self.users_own = False  # whether people may bring stores of their own
        self.watch: Callable[[], None] | None = None  # looks whether the configuration has changed
        self._set(spec, tuple(branches), tuple(rules))

    def _set(self, spec: GroupSpec, branches: tuple[Branch, ...], rules: tuple[Rule, ...]) -> None:
        self.spec = spec
        self.store_id = spec.id
        self.store_type = spec.kind
        self.about = spec.galaxy
        self.branches = branches
        self.rules = rules
        self._leaves = tuple(leaf for branch in branches for leaf in branch.store.leaves())
        self._by_id = {leaf.store_id: leaf for leaf in self._leaves}
        self._groups = {one.store_id: one for one in self.groups() if one.store_id is not None}
        self.placing = Placing(branches, rules, None if spec.kind == "hierarchical" else self._draw)

    def become(self, other: GroupStore) -> None:
        """Another tree from now on. Stores that stay the same are the same objects in both."""
        self._describe, self._quotas = other._describe, other._quotas
        self._set(other.spec, other.branches, other.rules)

    def groups(self) -> list[GroupStore]:
        """Every group below this one."""
        found = []
        for branch in self.branches:
            if isinstance(branch.store, GroupStore):
                found += [branch.store, *branch.store.groups()]
        return found

    # What there is.

    @property
    def backends(self) -> dict[Any, ObjectStore]:
        """The stores of this group: by id in a distributed one, by order in a hierarchy, as in Galaxy."""
        if self.spec.kind == "distributed":
            return {branch.id: branch.store for branch in self.branches}
        return {number: branch.store for number, branch in enumerate(self.branches)}

    def leaves(self) -> Sequence[ConcreteStore]:
        return self._leaves

    def badges(self) -> list[dict[str, Any]]:
        return badges_of(self.about, quotas=self._quotas, cloud=False)

    def space_of(self) -> Space | None:
        found = [space for leaf in self._leaves if (space := leaf.shelf.space()) is not None]
        if not found:
            return None
        return Space(total=sum(one.total for one in found), free=sum(one.free for one in found))

    def to_dict(self) -> dict[str, Any]:
        return self._describe(self)

    def is_private(self, obj: Any) -> bool:
        return self.private if self.spec.kind == "hierarchical" else super().is_private(obj)

    def object_store_allows_id_selection(self) -> bool:
        return self.users_own or super().object_store_allows_id_selection()

    def object_store_ids_allowing_selection(self) -> list[str]:
        found = []
        for branch in self.branches:
            found += [branch.id] if branch.allow_selection else []
            found += branch.store.object_store_ids_allowing_selection()
        return found

    def get_concrete_store_by_object_store_id(self, object_store_id: str) -> ObjectStore | None:
        return self._by_id.get(object_store_id) or self._groups.get(object_store_id)

    def get_quota_source_map(self) -> QuotaSourceMap:
        every = [(store_id, one.about.quota) for store_id, one in self._groups.items()]
        every += [(one.store_id, one.about.quota) for one in self._leaves]
        return QuotaSourceMap(self._whole_quota(), every)

    def _whole_quota(self) -> Quota:
        return self.about.quota if self.spec.kind == "hierarchical" else Quota()

    def explain(self, obj: Any) -> list[str]:
        """Where a new dataset would go, and why, a line for each store."""
        return self.placing.explain(obj)

    # Where a dataset is.

    def _first(self, obj: Any, at: Address, work: Callable[[ConcreteStore, DatasetId, Address], T]) -> T:
        hint = getattr(obj, "object_store_id", None)
        down: StoreUnavailable | None = None
        first = self._by_id.get(hint) if hint is not None else None
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
        group = self._groups.get(hint) if hint is not None else None
        if group is not None:
            own = group.leaves()
            return (*own, *(leaf for leaf in self._leaves if leaf not in own))
        return self._leaves if first is None else [leaf for leaf in self._leaves if leaf is not first]

    def _holder(self, obj: Any) -> ConcreteStore | None:
        try:
            return self._first(obj, _MAIN, _who)
        except DatasetNotFound:
            return self._by_id.get(getattr(obj, "object_store_id", None) or "")

    def _home(self, obj: Any, at: Address) -> ConcreteStore:
        named = self._by_id.get(getattr(obj, "object_store_id", None) or "")
        if named is not None:
            return named
        for where in (at, _MAIN):
            try:
                return self._first(obj, where, _who)
            except (DatasetNotFound, StoreUnavailable):
                continue
        return self._leaves[0]

    def _existing(self, obj: Any, at: Address) -> ConcreteStore | None:
        """Who has the file. Raises StoreUnavailable if the store that the object names cannot say."""
        try:
            return self._first(obj, at, _who)
        except DatasetNotFound:
            return None
        except StoreUnavailable as error:
            named = getattr(obj, "object_store_id", None)
            if named is not None and error.store_id == named:
                raise
            return None  # a new one: it is not kept from being written by a store that is down

    # Where a dataset goes.

    def _create(self, obj: Any, at: Address) -> ConcreteStore:
        if self.watch is not None:
            self.watch()
        found = self._existing(obj, at)
        if found is not None:
            return found

        def create(leaf: ConcreteStore) -> None:
            leaf.shelf.create(leaf.dataset_id(obj), at)

        return self._written(obj, at, create)

    def _update(self, obj: Any, at: Address, source: str | None, *, create: bool, keep_links: bool) -> None:
        if create and self.watch is not None:
            self.watch()
        found = self._existing(obj, at)
        if found is None and not create:
            self._first(obj, at, _who)  # says why
        if found is not None:
            found.require(writing=True)
            if found.state is not State.DRAINING:
                try:
                    self._update_in(found, obj, at, source, create=False, keep_links=keep_links)
                    return
                except StoreFull:
                    if len(self._leaves) == 1 or source is None:
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
                self._first(obj, _MAIN, _who)
            except (DatasetNotFound, StoreUnavailable):
                return

    def _is_known(self, obj: Any) -> bool:
        return getattr(obj, "object_store_id", None) in self._by_id

    def _delete(self, obj: Any, at: Address, *, entire_dir: bool) -> bool:
        holders: list[ConcreteStore] = []
        down: StoreUnavailable | None = None
        for leaf in self._leaves:
            try:
                leaf.require()
                if leaf.shelf.size(leaf.dataset_id(obj), at) is not None:
                    leaf.require(writing=True)  # before anything is deleted elsewhere
                    holders.append(leaf)
            except StoreUnavailable as error:
                down = down or error
        named = getattr(obj, "object_store_id", None)
        if down is not None and (not holders or named == down.store_id):
            raise StoreUnavailable(down.store_id, f"{down.message}; it might have the dataset") from down
        deleted = [leaf.shelf.delete(leaf.dataset_id(obj), at, entire_dir=entire_dir) for leaf in holders]
        return any(deleted)


def _who(leaf: ConcreteStore, dataset: DatasetId, at: Address) -> ConcreteStore:
    if leaf.shelf.size(dataset, at) is None:
        raise DatasetNotFound("no such dataset in the store")
    return leaf
