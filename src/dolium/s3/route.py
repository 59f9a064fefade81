"""Which operation a request is: one table.

GET and HEAD ignore parameters that name no sub-resource. PUT, POST and DELETE refuse every parameter that
is not in the table, so that a mistyped `DELETE key?x` deletes nothing. A sub-resource of S3 that is not
built answers NotImplemented; nothing falls through to another operation.

Parameters of a presigned URL that stand for headers select as headers do: a URL that was signed for a copy
never writes an empty object instead.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import IntEnum

from dolium.errors import Malformed
from dolium.identity.permissions import Action

__all__ = ["OPERATIONS", "SIGNING", "Operation", "Target", "route"]


class Target(IntEnum):
    """What the path names."""

    SERVICE = 0
    BUCKET = 1
    OBJECT = 2


@dataclass(frozen=True, slots=True)
class Operation:
    """`subresource`: the parameter that selects it. `queries`: further parameters it takes. `copies`: it is
    selected by the header x-amz-copy-source. `takes_body`: a body may be aws-chunked.
    """

    name: str
    method: str
    target: Target
    action: Action
    subresource: str = ""
    queries: frozenset[str] = frozenset()
    copies: bool = False
    takes_body: bool = False


def _operation(
    name: str,
    method: str,
    target: Target,
    action: Action,
    subresource: str = "",
    queries: str = "",
    **flags: bool,
) -> Operation:
    return Operation(name, method, target, action, subresource, frozenset(queries.split()), **flags)


_S, _B, _O = Target.SERVICE, Target.BUCKET, Target.OBJECT
_RESPONSE = (
    "response-content-type response-content-language response-expires response-cache-control "
    "response-content-disposition response-content-encoding"
)

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    _operation("ListBuckets", "GET", _S, Action.LIST_ALL_MY_BUCKETS, "", "prefix max-buckets continuation-token"),
    _operation("CreateBucket", "PUT", _B, Action.CREATE_BUCKET),
    _operation("HeadBucket", "HEAD", _B, Action.HEAD_BUCKET),
    _operation("DeleteBucket", "DELETE", _B, Action.DELETE_BUCKET),
    _operation("GetBucketLocation", "GET", _B, Action.GET_BUCKET_LOCATION, "location"),
    _operation("ListObjects", "GET", _B, Action.LIST_BUCKET, "", "prefix delimiter marker max-keys encoding-type"),
    _operation("ListObjectsV2", "GET", _B, Action.LIST_BUCKET, "list-type",
               "prefix delimiter start-after continuation-token max-keys encoding-type fetch-owner"),
    _operation("ListMultipartUploads", "GET", _B, Action.LIST_BUCKET_MULTIPART_UPLOADS, "uploads",
               "prefix delimiter key-marker upload-id-marker max-uploads encoding-type"),
    _operation("DeleteObjects", "POST", _B, Action.DELETE_OBJECT, "delete", takes_body=True),
    _operation("GetObject", "GET", _O, Action.GET_OBJECT, "", f"versionId partNumber {_RESPONSE}"),
    _operation("HeadObject", "HEAD", _O, Action.GET_OBJECT, "", f"versionId partNumber {_RESPONSE}"),
    _operation("GetObjectAttributes", "GET", _O, Action.GET_OBJECT_ATTRIBUTES, "attributes", "versionId"),
    _operation("PutObject", "PUT", _O, Action.PUT_OBJECT, takes_body=True),
    _operation("CopyObject", "PUT", _O, Action.PUT_OBJECT, copies=True),
    _operation("DeleteObject", "DELETE", _O, Action.DELETE_OBJECT, "", "versionId"),
    _operation("CreateMultipartUpload", "POST", _O, Action.PUT_OBJECT, "uploads"),
    _operation("UploadPart", "PUT", _O, Action.PUT_OBJECT, "uploadId", "partNumber", takes_body=True),
    _operation("UploadPartCopy", "PUT", _O, Action.PUT_OBJECT, "uploadId", "partNumber", copies=True),
    _operation("CompleteMultipartUpload", "POST", _O, Action.PUT_OBJECT, "uploadId", takes_body=True),
    _operation("AbortMultipartUpload", "DELETE", _O, Action.ABORT_MULTIPART_UPLOAD, "uploadId"),
    _operation("ListParts", "GET", _O, Action.LIST_MULTIPART_UPLOAD_PARTS, "uploadId",
               "max-parts part-number-marker encoding-type"),
    *(_operation(f"GetBucket:{name}", "GET", _B, Action.GET_BUCKET_SETTINGS, name) for name in (
        "accelerate", "acl", "cors", "encryption", "lifecycle", "logging", "notification", "object-lock",
        "ownershipControls", "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment",
        "tagging", "versioning", "website",
    )),
    *(_operation(f"GetObject:{name}", "GET", _O, Action.GET_OBJECT_SETTINGS, name, "versionId") for name in (
        "acl", "legal-hold", "retention", "tagging",
    )),
)
# fmt: on

# Parameters that select an operation somewhere in S3, built here or not.
_SUBRESOURCES = frozenset(
    [
        "accelerate",
        "acl",
        "analytics",
        "attributes",
        "cors",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "list-type",
        "location",
        "logging",
        "metadataConfiguration",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "renameObject",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "select-type",
        "session",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versioning",
        "versions",
        "website",
        "append",
        "position",
    ]
)
# Parameters of signatures, and the name that SDKs give their calls: they say nothing of the operation.
SIGNING = frozenset(
    b"X-Amz-Algorithm X-Amz-Credential X-Amz-Date X-Amz-Expires X-Amz-SignedHeaders X-Amz-Signature "
    b"X-Amz-Security-Token X-Amz-Content-Sha256 AWSAccessKeyId Signature Expires x-id".split()
)
_TABLE = {(op.method, op.target, op.subresource, op.copies): op for op in OPERATIONS}
# What S3 has without a sub-resource and is not here: forms of browsers, and the question before a cross-origin request.
_UNBUILT = frozenset([("POST", Target.BUCKET), ("OPTIONS", Target.BUCKET), ("OPTIONS", Target.OBJECT)])


def route(
    method: str,
    target: Target,
    query: Mapping[str, str],
    fields: Container[bytes],
    hoisted: Container[bytes] = (),
) -> Operation:
    """The operation. `query` without `SIGNING`; `fields` and `hoisted`: names of the headers, and of parameters
    that stand for some.

    Raises Malformed: NotImplemented, MethodNotAllowed, InvalidArgument.
    """
    copies = method == "PUT" and (b"x-amz-copy-source" in fields or b"x-amz-copy-source" in hoisted)
    if not query:
        return _find(method, target, "", copies)
    selecting = [name for name in query if name in _SUBRESOURCES]
    if len(selecting) > 1:
        raise Malformed("InvalidArgument", f"Conflicting query string parameters: {', '.join(selecting)}")
    subresource = selecting[0] if selecting else ""
    if subresource == "list-type" and query[subresource] != "2":
        subresource = ""
    operation = _find(method, target, subresource, copies)
    if method not in ("GET", "HEAD"):
        for name in query:
            if name != subresource and name not in operation.queries and name.lower().encode() not in hoisted:
                raise Malformed(
                    "NotImplemented", f"The query parameter {name!r} is not known to {operation.name}"
                )
    return operation


def _find(method: str, target: Target, subresource: str, copies: bool) -> Operation:  # noqa: FBT001 - a column of the table
    operation = _TABLE.get((method, target, subresource, copies))
    if operation is not None:
        return operation
    if copies:
        raise Malformed(
            "InvalidArgument", "x-amz-copy-source is not for this operation", ArgumentName="x-amz-copy-source"
        )
    if subresource or (method, target) in _UNBUILT:
        raise Malformed("NotImplemented")
    allowed = ", ".join(
        sorted({op.method for op in OPERATIONS if op.target is target and not op.subresource})
    )
    raise Malformed("MethodNotAllowed", Method=method, ResourceType=target.name, AllowedMethods=allowed)
