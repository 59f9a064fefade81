"""May this principal do this? One pure function, asked on every request.

What a role gives, in the tenancy of the key (DESIGN §7):

    manager, deputy, service key   every bucket of the tenancy
    member                         own buckets; every bucket where sharing is `everyone`
    viewer                         the same buckets as a member, to read
    suspended, expired, anonymous  nothing

The scope of a key (read-only, one bucket, a prefix in it) only ever narrows that. A site admin is a
manager of every tenancy, but makes buckets only in the tenancy of the key.
"""

from __future__ import annotations

from typing import NamedTuple

from dolium.identity.permissions import Action, Level, Role
from dolium.identity.principal import Principal

__all__ = ["Decision", "Resource", "decide", "sees"]


class Resource(NamedTuple):
    """What the action is about. A tuple, since one is made for every request.

    `bucket` "": the tenancy itself. `key`: the object, or the prefix that a listing asks for. `owner_id`
    None: the tenancy owns the bucket.
    """

    tenancy_id: int
    bucket: str = ""
    bucket_id: int = 0
    owner_id: int | None = None
    key: str = ""


class Decision(NamedTuple):
    """`reason` is for logs and for whoever administers the tenancy, not for the caller."""

    allowed: bool
    reason: str


# Looked up once: a member of an enum costs more than a global.
_NO_ROLE, _CREATE_BUCKET = Role.NONE, Action.CREATE_BUCKET
_TENANCY, _BUCKET = Level.TENANCY, Level.BUCKET

_ALLOWED = Decision(True, "")
_NOBODY = Decision(False, "anonymous, suspended, or no longer a member of the tenancy")
_OTHER_TENANCY = Decision(False, "the access key belongs to another tenancy")
_VIEWER = Decision(False, "a viewer may only read")
_READ_ONLY = Decision(False, "the access key is read-only")
_OTHER_BUCKET = Decision(False, "the access key is for another bucket")
_OTHER_PREFIX = Decision(False, "the access key is for another prefix")
_PREFIX_ONLY = Decision(False, "the access key is for a prefix, not for the bucket")
_NOT_OWNER = Decision(False, "the bucket belongs to another member")


def decide(principal: Principal, action: Action, resource: Resource) -> Decision:
    """The first rule that refuses, or yes."""
    role = principal.role
    if role is _NO_ROLE:
        return _NOBODY
    if principal.tenancy_id != resource.tenancy_id and (not principal.site_admin or action is _CREATE_BUCKET):
        return _OTHER_TENANCY
    if action.writes:
        if principal.read_only:
            return _READ_ONLY
        if not role.writes:
            return _VIEWER
    level = action.level
    if principal.scope_bucket is not None and level is not _TENANCY:
        refusal = _outside(principal, action, resource, level)
        if refusal is not None:
            return refusal
    if (
        level is _TENANCY
        or action is _CREATE_BUCKET
        or role.sees_all
        or principal.sharing == "everyone"
        or (resource.owner_id is not None and resource.owner_id == principal.person_id)
    ):
        return _ALLOWED
    return _NOT_OWNER


def _outside(principal: Principal, action: Action, resource: Resource, level: Level) -> Decision | None:
    """What the bucket and prefix of a key's scope refuse."""
    if resource.bucket != principal.scope_bucket or resource.tenancy_id != principal.tenancy_id:
        return _OTHER_BUCKET
    prefix = principal.scope_prefix
    if not prefix:
        return None
    if level is _BUCKET:
        # Clients probe the bucket before they use a key in it; reading its settings tells of no object.
        return _PREFIX_ONLY if action.writes else None
    return None if resource.key.startswith(prefix) else _OTHER_PREFIX


def sees(principal: Principal, resource: Resource) -> bool:
    """Whether a listing of buckets shows this one."""
    return decide(principal, Action.HEAD_BUCKET, resource).allowed
