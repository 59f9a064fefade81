"""A group of stores as Galaxy sees it: one object for as long as the process lives, whatever becomes of the stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dolium.config.specs import Quota
from dolium.datasets.maps import QuotaSourceMap, badges_of
from dolium.datasets.store import ObjectStore
from dolium.errors import DatasetNotFound
from dolium.values import Space

if TYPE_CHECKING:
    from dolium.config.specs import GalaxyAttributes, GroupSpec
    from dolium.datasets.concrete import ConcreteStore
    from dolium.datasets.layout import Address, DatasetId
    from dolium.datasets.placing import Branch, Placing
    from dolium.datasets.tree import Tree

__all__ = ["GroupStore"]

T = TypeVar("T")


class GroupStore(ObjectStore):
    """`become` exchanges the tree at once: a call that is under way ends with the one that it began with."""

    def __init__(self, tree: Tree, *, quotas: bool) -> None:
        self._tree = tree  # a method reads it once
        self._quotas = quotas
        self._left: tuple[ConcreteStore, ...] = ()
        self.users_own = False  # whether people may bring stores of their own
        self.watch: Callable[..., bool] | None = None  # see `entry`: whether another tree was taken up

    def become(self, tree: Tree) -> None:
        """Stores that stay are the same objects in both. Those that leave may be in use still: they are closed at
        the shutdown, and one that comes back is taken up again.
        """
        ever = self.ever()
        self._tree = tree
        self._left = tuple(leaf for leaf in ever if leaf not in tree.leaves)

    def ever(self) -> tuple[ConcreteStore, ...]:
        """Every store that there is or was, and that is not closed."""
        return (*self._tree.leaves, *self._left)

    def shutdown(self) -> None:
        for leaf in self.ever():
            leaf.shelf.close()

    # What there is.

    @property
    def spec(self) -> GroupSpec:
        return self._tree.spec

    @property
    def store_id(self) -> str | None:
        return self._tree.spec.id

    @property
    def store_type(self) -> str:
        return self._tree.spec.kind

    @property
    def about(self) -> GalaxyAttributes:
        return self._tree.spec.galaxy

    @property
    def branches(self) -> Sequence[Branch]:
        return self._tree.branches

    @property
    def placing(self) -> Placing:
        return self._tree.placing

    @property
    def backends(self) -> dict[Any, ObjectStore]:
        """The stores of this group: by id in a distributed one, by order in a hierarchy, as in Galaxy."""
        tree = self._tree
        if tree.spec.kind == "distributed":
            return {branch.id: branch.store for branch in tree.branches}
        return {number: branch.store for number, branch in enumerate(tree.branches)}

    def leaves(self) -> Sequence[ConcreteStore]:
        return self._tree.leaves

    def badges(self) -> list[dict[str, Any]]:
        return badges_of(self.about, quotas=self._quotas, cloud=False)

    def space_of(self) -> Space | None:
        found = [space for leaf in self._tree.leaves if (space := leaf.shelf.space()) is not None]
        if not found:
            return None
        return Space(total=sum(one.total for one in found), free=sum(one.free for one in found))

    def to_dict(self) -> dict[str, Any]:
        return self._tree.to_dict()

    def is_private(self, obj: Any) -> bool:
        return self.private if self.store_type == "hierarchical" else super().is_private(obj)

    def object_store_allows_id_selection(self) -> bool:
        return self.users_own or super().object_store_allows_id_selection()

    def object_store_ids_allowing_selection(self) -> list[str]:
        found = []
        for branch in self._tree.branches:
            found += [branch.id] if branch.allow_selection else []
            found += branch.store.object_store_ids_allowing_selection()
        return found

    def get_concrete_store_by_object_store_id(self, object_store_id: str) -> ObjectStore | None:
        tree = self._tree
        return tree.by_id.get(object_store_id) or tree.groups.get(object_store_id)

    def get_quota_source_map(self) -> QuotaSourceMap:
        tree = self._tree
        every = [(store_id, one.about.quota) for store_id, one in tree.groups.items()]
        every += [(one.store_id, one.about.quota) for one in tree.leaves]
        whole = tree.spec.galaxy.quota if tree.spec.kind == "hierarchical" else Quota()
        return QuotaSourceMap(whole, every)

    def explain(self, obj: Any) -> list[str]:
        """Where a new dataset would go, and why, a line for each store."""
        return self._tree.placing.explain(obj)

    # Files of a dataset.

    def _first(self, obj: Any, at: Address, work: Callable[[ConcreteStore, DatasetId, Address], T]) -> T:
        tree = self._tree
        try:
            return tree.first(obj, at, work)
        except DatasetNotFound:
            # It may lie in a store that was added meanwhile, and that whoever wrote it knew already.
            hint = getattr(obj, "object_store_id", None)
            if hint is None or tree.knows(hint) or self.watch is None or not self.watch(now=True):
                raise
        return self._tree.first(obj, at, work)

    def _create(self, obj: Any, at: Address) -> ConcreteStore:
        if self.watch is not None:
            self.watch()
        return self._tree.create(obj, at)

    def _update(self, obj: Any, at: Address, source: str | None, *, create: bool, keep_links: bool) -> None:
        if create and self.watch is not None:
            self.watch()
        self._tree.update(obj, at, source, create=create, keep_links=keep_links)

    def _delete(self, obj: Any, at: Address, *, entire_dir: bool) -> bool:
        return self._tree.delete(obj, at, entire_dir=entire_dir)

    def _home(self, obj: Any, at: Address) -> ConcreteStore:
        return self._tree.home(obj, at)

    def _holder(self, obj: Any) -> ConcreteStore | None:
        return self._tree.holder(obj)
