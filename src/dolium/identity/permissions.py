"""Two tables: every action that a request can be, and every role that a principal can have.

A face names one `Action` per operation; `identity.decide` holds it against the `Role`. The values are
S3's own names, so that policies and error messages say what people know.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Self

__all__ = ["Action", "Level", "Role"]


class Level(IntEnum):
    """What an action is about, and so which parts of a key's scope narrow it."""

    TENANCY = 0  # no bucket is named
    BUCKET = 1  # a bucket as a whole
    LISTING = 2  # the keys of a bucket that start with a prefix
    OBJECT = 3  # one key


class Action(StrEnum):
    """`writes`: changes something. `level`: see Level."""

    writes: bool
    level: Level

    def __new__(cls, value: str, writes: bool, level: Level) -> Self:  # noqa: FBT001 - the columns of a table
        member = str.__new__(cls, value)
        member._value_ = value
        member.writes = writes
        member.level = level
        return member

    # fmt: off
    LIST_ALL_MY_BUCKETS           = "s3:ListAllMyBuckets",           False, Level.TENANCY
    CREATE_BUCKET                 = "s3:CreateBucket",               True,  Level.BUCKET
    DELETE_BUCKET                 = "s3:DeleteBucket",               True,  Level.BUCKET
    HEAD_BUCKET                   = "s3:HeadBucket",                 False, Level.BUCKET
    GET_BUCKET_LOCATION           = "s3:GetBucketLocation",          False, Level.BUCKET
    GET_BUCKET_SETTINGS           = "s3:GetBucketSettings",          False, Level.BUCKET
    PUT_BUCKET_SETTINGS           = "s3:PutBucketSettings",          True,  Level.BUCKET
    LIST_BUCKET                   = "s3:ListBucket",                 False, Level.LISTING
    LIST_BUCKET_VERSIONS          = "s3:ListBucketVersions",         False, Level.LISTING
    LIST_BUCKET_MULTIPART_UPLOADS = "s3:ListBucketMultipartUploads", False, Level.LISTING
    GET_OBJECT                    = "s3:GetObject",                  False, Level.OBJECT
    GET_OBJECT_ATTRIBUTES         = "s3:GetObjectAttributes",        False, Level.OBJECT
    GET_OBJECT_SETTINGS           = "s3:GetObjectSettings",          False, Level.OBJECT
    PUT_OBJECT                    = "s3:PutObject",                  True,  Level.OBJECT
    PUT_OBJECT_SETTINGS           = "s3:PutObjectSettings",          True,  Level.OBJECT
    DELETE_OBJECT                 = "s3:DeleteObject",               True,  Level.OBJECT
    LIST_MULTIPART_UPLOAD_PARTS   = "s3:ListMultipartUploadParts",   False, Level.OBJECT
    ABORT_MULTIPART_UPLOAD        = "s3:AbortMultipartUpload",       True,  Level.OBJECT
    # fmt: on


class Role(StrEnum):
    """`sees_all`: every bucket of the tenancy, not only own ones. `writes`: may change what it sees."""

    sees_all: bool
    writes: bool

    def __new__(cls, value: str, sees_all: bool, writes: bool) -> Self:  # noqa: FBT001 - the columns of a table
        member = str.__new__(cls, value)
        member._value_ = value
        member.sees_all = sees_all
        member.writes = writes
        return member

    # fmt: off
    MANAGER = "manager", True,  True
    DEPUTY  = "deputy",  True,  True
    MEMBER  = "member",  False, True
    VIEWER  = "viewer",  False, False
    SERVICE = "service", True,  True   # a key of the tenancy itself
    NONE    = "none",    False, False  # suspended, expired, expelled, or anonymous
    # fmt: on
