"""ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation."""

from __future__ import annotations

from dolium.asgi.messages import Response
from dolium.catalog.buckets import Bucket
from dolium.errors import AlreadyExists, Malformed
from dolium.identity.decide import Resource, sees
from dolium.objects import buckets
from dolium.s3.body import read_document
from dolium.s3.call import Call
from dolium.s3.demands import refuse_unbuilt
from dolium.s3.operations.objects import int_of
from dolium.s3.respond import empty, xml
from dolium.wire.documents import read_location
from dolium.wire.names import check_bucket_name
from dolium.wire.render import ListedBucket, list_buckets_result, location_result

__all__ = ["create", "delete", "head", "list_buckets", "location"]

_PAGE = 1000


async def list_buckets(call: Call) -> Response:
    """The buckets of the tenancy that the caller may see."""
    query, principal = call.query, call.principal
    limit = int_of("max-buckets", query.get("max-buckets", "10000"), 1, 10_000)
    # Whoever sees own buckets only is not made to wait for those of all others.
    sees_others = principal.role.sees_all or principal.sharing == "everyone"
    visible: list[Bucket] = []
    after, more = query.get("continuation-token", ""), True
    while more and len(visible) <= limit:
        found = buckets.listing(
            call.site.service,
            call.tenancy_id,
            owner_id=None if sees_others else principal.person_id,
            prefix=query.get("prefix", ""),
            after=after,
            limit=_PAGE,
        )
        visible += [
            bucket
            for bucket in found
            if sees(principal, Resource(bucket.tenancy_id, bucket.name, bucket.id, bucket.owner_id))
        ]
        if more := len(found) == _PAGE:
            after = found[-1].name
    owner = call.site.directory.owner(call.tenancy_id, principal.person_id)
    listed = [ListedBucket(bucket.name, bucket.created_ms, call.site.region) for bucket in visible[:limit]]
    token = visible[limit - 1].name if len(visible) > limit else None
    return xml(list_buckets_result(owner, listed, prefix=query.get("prefix"), token=token))


async def create(call: Call) -> Response:
    """Make a bucket; to make one's own again is fine."""
    name = check_bucket_name(call.bucket_name)
    refuse_unbuilt(call)
    if (call.header(b"x-amz-bucket-object-lock-enabled") or "false").lower() != "false":
        raise Malformed("NotImplemented", Header="x-amz-bucket-object-lock-enabled")
    if call.fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in call.fields:
        # Any location is fine: s3cmd and others send what their configuration says.
        read_location(await read_document(call))
    owner_id = call.principal.person_id
    try:
        await call.site.bridge.settle(buckets.create(call.site.service, call.tenancy_id, name, owner_id))
    except AlreadyExists as error:
        if not error.own:
            raise
    return empty(200, [(b"location", b"/" + name.encode("ascii"))])


async def head(call: Call) -> Response:
    """Whether the bucket is there."""
    return empty(200, [(b"x-amz-bucket-region", call.site.region.encode("ascii"))])


async def delete(call: Call) -> Response:
    """Delete the bucket, which must be empty; its open uploads go with it."""
    await call.site.bridge.settle(buckets.delete(call.site.service, call.found))
    return empty()


async def location(call: Call) -> Response:
    """The region; us-east-1 is told as none."""
    region = call.site.region
    return xml(location_result(None if region == "us-east-1" else region))
