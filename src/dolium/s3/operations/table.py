"""Operation -> handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dolium.asgi.messages import Response
from dolium.s3.call import Call
from dolium.s3.operations import attributes, buckets, copies, listing, multipart, objects, probes
from dolium.s3.route import OPERATIONS, Target

__all__ = ["HANDLERS"]

Handler = Callable[[Call], Awaitable[Response]]

HANDLERS: dict[str, Handler] = {
    "ListBuckets": buckets.list_buckets,
    "CreateBucket": buckets.create,
    "HeadBucket": buckets.head,
    "DeleteBucket": buckets.delete,
    "GetBucketLocation": buckets.location,
    "ListObjects": listing.list_v1,
    "ListObjectsV2": listing.list_v2,
    "ListMultipartUploads": multipart.list_uploads,
    "DeleteObjects": objects.delete_objects,
    "GetObject": objects.get_object,
    "HeadObject": objects.head_object,
    "GetObjectAttributes": attributes.get_attributes,
    "PutObject": objects.put_object,
    "CopyObject": copies.copy_object,
    "DeleteObject": objects.delete_object,
    "CreateMultipartUpload": multipart.create,
    "UploadPart": multipart.upload_part,
    "UploadPartCopy": copies.upload_part_copy,
    "CompleteMultipartUpload": multipart.complete,
    "AbortMultipartUpload": multipart.abort,
    "ListParts": multipart.list_parts,
    **{
        operation.name: probes.bucket_setting if operation.target is Target.BUCKET else probes.object_setting
        for operation in OPERATIONS
        if ":" in operation.name
    },
}
