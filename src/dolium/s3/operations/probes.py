"""Sub-resources that clients ask for without being told: S3's own answer for "never set".

s3cmd info, mc stat, rclone and the SDKs ask for them (docs/clients.md); a 500 or 501 makes some of them
retry for minutes or give up.
"""

from __future__ import annotations

from dolium.asgi.messages import Response
from dolium.errors import Malformed
from dolium.s3.call import Call
from dolium.s3.operations.objects import find_version
from dolium.s3.respond import xml
from dolium.wire.render import acl_result, empty_document, request_payment_result

__all__ = ["bucket_setting", "object_setting"]

# Sub-resource -> the code and words for a bucket where it was never set.
_NEVER_SET = {
    "cors": ("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
    "encryption": (
        "ServerSideEncryptionConfigurationNotFoundError",
        "The server side encryption configuration was not found",
    ),
    "lifecycle": ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    "object-lock": (
        "ObjectLockConfigurationNotFoundError",
        "Object Lock configuration does not exist for this bucket",
    ),
    "ownershipControls": ("OwnershipControlsNotFoundError", "The bucket ownership controls were not found"),
    "policy": ("NoSuchBucketPolicy", "The bucket policy does not exist"),
    "policyStatus": ("NoSuchBucketPolicy", "The bucket policy does not exist"),
    "publicAccessBlock": (
        "NoSuchPublicAccessBlockConfiguration",
        "The public access block configuration was not found",
    ),
    "replication": ("ReplicationConfigurationNotFoundError", "The replication configuration was not found"),
    "tagging": ("NoSuchTagSet", "The TagSet does not exist"),
    "website": ("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"),
}
# Sub-resource -> the root of the empty document that S3 answers.
_EMPTY = {
    "accelerate": "AccelerateConfiguration",
    "logging": "BucketLoggingStatus",
    "notification": "NotificationConfiguration",
    "versioning": "VersioningConfiguration",
}


async def bucket_setting(call: Call) -> Response:
    """GetBucketVersioning, GetBucketPolicy and their like."""
    name = call.operation.subresource
    if name == "acl":
        return xml(acl_result(call.site.directory.owner(call.tenancy_id, call.found.owner_id)))
    if name == "requestPayment":
        return xml(request_payment_result())
    root = _EMPTY.get(name)
    if root is not None:
        return xml(empty_document(root))
    code, message = _NEVER_SET[name]
    raise Malformed(code, message, BucketName=call.found.name)


async def object_setting(call: Call) -> Response:
    """GetObjectAcl, GetObjectTagging, and object lock, which no object has."""
    row = find_version(call, call.key, call.query.get("versionId"), with_body=False)
    name = call.operation.subresource
    if name == "acl":
        return xml(acl_result(call.site.directory.owner(call.tenancy_id, row.owner_id)))
    if name == "tagging":
        return xml(empty_document("Tagging", "TagSet"))
    raise Malformed(
        "NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration"
    )
