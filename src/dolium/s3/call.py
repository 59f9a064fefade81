"""One request on its way through an operation: who, what, and everything needed to do it."""

from __future__ import annotations

from dataclasses import dataclass

from dolium.asgi.bridge import Bridge
from dolium.asgi.messages import Headers, Receive, Scope
from dolium.catalog.buckets import Bucket
from dolium.errors import Denied
from dolium.identity.decide import Resource, decide
from dolium.identity.directory import Directory
from dolium.identity.permissions import Action
from dolium.identity.principal import Principal
from dolium.objects.service import ObjectService
from dolium.s3.authenticate import Caller
from dolium.s3.load import Load
from dolium.s3.route import Operation

__all__ = ["Call", "Site"]


@dataclass(frozen=True, slots=True)
class Site:
    """What all requests of a process share."""

    service: ObjectService
    bridge: Bridge
    directory: Directory
    region: str
    load: Load


@dataclass(slots=True)
class Call:
    """`headers`: with those that a presigned URL carries. `tenancy_id`: of the host, else of the key."""

    site: Site
    scope: Scope
    operation: Operation
    caller: Caller
    tenancy_id: int
    bucket_name: str
    bucket: Bucket | None
    key: str
    query: dict[str, str]
    headers: Headers
    receive: Receive

    @property
    def principal(self) -> Principal:
        return self.caller.principal

    @property
    def fields(self) -> dict[bytes, bytes]:
        return self.caller.fields

    @property
    def found(self) -> Bucket:
        """The bucket; operations on buckets and objects are reached only with one."""
        assert self.bucket is not None
        return self.bucket

    @property
    def url(self) -> str:
        """What was asked for, without its query: the address of the object, however it was addressed."""
        host, path = self.fields.get(b"host", b""), self.scope["raw_path"]
        return f"{self.scope.get('scheme', 'http')}://{host.decode('latin-1')}{path.decode('latin-1')}"

    def header(self, name: bytes) -> str | None:
        """A header, or the parameter of a presigned URL that stands for it."""
        value = self.caller.fields.get(name)
        if value is None and self.caller.hoisted:
            value = next((text for hoisted, text in self.caller.hoisted if hoisted == name), None)
        return None if value is None else value.decode("latin-1")

    def authorize(self, action: Action, bucket: Bucket, key: str = "") -> None:
        """Raises Denied. For what the route has not checked already: the source of a copy, keys of a batch."""
        resource = Resource(bucket.tenancy_id, bucket.name, bucket.id, bucket.owner_id, key)
        if not decide(self.caller.principal, action, resource).allowed:
            raise Denied("Access Denied")

    def expect_owner(self, name: bytes, bucket: Bucket) -> None:
        """Raises Denied if a header says that the bucket belongs to somebody else than it does."""
        expected = self.header(name)
        if expected is not None:
            owner = self.site.directory.owner(bucket.tenancy_id, bucket.owner_id)
            if expected != owner.canonical_id:
                raise Denied("Access Denied")

    def quota(self) -> int | None:
        """Bytes that the tenancy may hold; None without a limit."""
        return self.site.service.quota(self.found.tenancy_id)
