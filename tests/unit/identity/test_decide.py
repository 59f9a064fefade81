"""Every role against every kind of action, and every way in which a key narrows."""

from dataclasses import replace

import pytest

from dolium.identity.decide import Resource, decide, sees
from dolium.identity.permissions import Action, Level, Role
from dolium.identity.principal import ANONYMOUS, Principal

ME, OTHER = 7, 8
HERE, ELSEWHERE = 1, 2


def principal(role: Role = Role.MEMBER, **changes: object) -> Principal:
    person = None if role is Role.SERVICE else ME
    made = Principal(HERE, "t", "owner", person, "me", "canonical", "Me", role, False, "KEY")
    return replace(made, **changes)  # type: ignore[arg-type]


def bucket(owner: int | None = ME, *, name: str = "data", tenancy: int = HERE, key: str = "") -> Resource:
    return Resource(tenancy, name, 3, owner, key)


READS = [action for action in Action if not action.writes]
WRITES = [action for action in Action if action.writes]
IN_BUCKET = [
    action for action in Action if action.level is not Level.TENANCY and action != Action.CREATE_BUCKET
]


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("role", [Role.MANAGER, Role.DEPUTY, Role.SERVICE])
@pytest.mark.parametrize("owner", [ME, OTHER, None])
def test_managers_and_service_keys_may_all(role: Role, action: Action, owner: int | None) -> None:
    assert decide(principal(role), action, bucket(owner)).allowed


@pytest.mark.parametrize("action", Action)
def test_a_member_may_all_with_own_buckets(action: Action) -> None:
    assert decide(principal(), action, bucket(ME)).allowed


@pytest.mark.parametrize("action", IN_BUCKET)
@pytest.mark.parametrize("owner", [OTHER, None])
def test_a_member_has_nothing_in_the_buckets_of_others(action: Action, owner: int | None) -> None:
    decision = decide(principal(), action, bucket(owner))
    assert not decision.allowed
    assert decision.reason == "the bucket belongs to another member"


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("owner", [OTHER, None])
def test_where_all_is_shared_a_member_may_all(action: Action, owner: int | None) -> None:
    assert decide(principal(sharing="everyone"), action, bucket(owner)).allowed


@pytest.mark.parametrize("sharing", ["owner", "everyone"])
def test_a_viewer_reads_and_never_writes(sharing: str) -> None:
    viewer = principal(Role.VIEWER, sharing=sharing)
    assert all(decide(viewer, action, bucket(ME)).allowed for action in READS)
    assert not any(decide(viewer, action, bucket(ME)).allowed for action in WRITES)
    assert decide(viewer, Action.GET_OBJECT, bucket(OTHER)).allowed == (sharing == "everyone")


@pytest.mark.parametrize("action", Action)
def test_the_anonymous_and_the_suspended_have_nothing(action: Action) -> None:
    nobody = principal(Role.NONE, sharing="everyone", site_admin=True)
    for who in (ANONYMOUS, nobody):
        assert not decide(who, action, bucket(ME)).allowed
    assert not decide(ANONYMOUS, action, Resource(0)).allowed


def test_a_bucket_without_owner_is_not_that_of_a_principal_without_person() -> None:
    nobodys = principal(person_id=None)
    assert not decide(nobodys, Action.GET_OBJECT, bucket(None)).allowed


@pytest.mark.parametrize("action", Action)
def test_a_key_opens_nothing_of_another_tenancy(action: Action) -> None:
    for role in Role:
        assert not decide(principal(role, sharing="everyone"), action, bucket(ME, tenancy=ELSEWHERE)).allowed


@pytest.mark.parametrize("action", Action)
def test_a_site_admin_is_over_all_but_makes_buckets_at_home(action: Action) -> None:
    admin = principal(Role.MANAGER, site_admin=True)
    allowed = decide(admin, action, bucket(OTHER, tenancy=ELSEWHERE)).allowed
    assert allowed == (action is not Action.CREATE_BUCKET)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.NONE])
def test_a_read_only_key_never_writes(role: Role) -> None:
    narrowed = principal(role, read_only=True)
    assert not any(decide(narrowed, action, bucket(ME)).allowed for action in WRITES)
    assert all(decide(narrowed, action, bucket(ME)).allowed for action in READS)


@pytest.mark.parametrize("action", [action for action in Action if action.level is not Level.TENANCY])
def test_a_key_for_a_bucket_stays_in_it(action: Action) -> None:
    narrowed = principal(Role.MANAGER, scope_bucket="data")
    assert decide(narrowed, action, bucket(ME)).allowed
    assert not decide(narrowed, action, bucket(ME, name="other")).allowed
    admin = replace(narrowed, site_admin=True)
    assert not decide(admin, action, bucket(ME, tenancy=ELSEWHERE)).allowed


@pytest.mark.parametrize(
    "action", [action for action in Action if action.level in {Level.OBJECT, Level.LISTING}]
)
@pytest.mark.parametrize(
    ("key", "allowed"),
    [("runs/1/a", True), ("runs/1/", True), ("runs/1", False), ("runs/10", False), ("", False)],
)
def test_a_key_for_a_prefix_stays_under_it(action: Action, key: str, *, allowed: bool) -> None:
    narrowed = principal(scope_bucket="data", scope_prefix="runs/1/")
    assert decide(narrowed, action, bucket(ME, key=key)).allowed == allowed


def test_a_key_for_a_prefix_may_probe_its_bucket_and_not_change_it() -> None:
    narrowed = principal(scope_bucket="data", scope_prefix="runs/")
    for action in Action:
        if action.level is Level.BUCKET:
            assert decide(narrowed, action, bucket(ME)).allowed == (not action.writes)


def test_a_scope_never_widens() -> None:
    narrowed = principal(scope_bucket="data", scope_prefix="runs/")
    assert not decide(narrowed, Action.GET_OBJECT, bucket(OTHER, key="runs/1")).allowed
    viewer = replace(narrowed, role=Role.VIEWER)
    assert not decide(viewer, Action.PUT_OBJECT, bucket(ME, key="runs/1")).allowed


def test_a_listing_of_buckets_shows_what_is_in_reach() -> None:
    member = principal()
    assert sees(member, bucket(ME))
    assert not sees(member, bucket(OTHER))
    assert sees(principal(Role.DEPUTY), bucket(OTHER))
    narrowed = principal(Role.MANAGER, scope_bucket="data")
    assert decide(narrowed, Action.LIST_ALL_MY_BUCKETS, Resource(HERE)).allowed
    assert [name for name in ("data", "other") if sees(narrowed, bucket(ME, name=name))] == ["data"]
