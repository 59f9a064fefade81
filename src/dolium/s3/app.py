"""The S3 face as an ASGI app: authenticate, route, authorize, run, respond.

The order is fixed and there is one way through: a handler sees only requests whose signature, operation and
right are settled. Errors become S3's documents here and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from itertools import count

from dolium.asgi.messages import Receive, Scope, Send
from dolium.catalog.buckets import Bucket
from dolium.errors import Denied, DoliumError, Malformed, Overloaded, StoreBusy
from dolium.identity.decide import Resource, decide
from dolium.identity.keys import KeyRing
from dolium.identity.permissions import Role
from dolium.s3.authenticate import Caller, authenticate
from dolium.s3.call import Call, Site
from dolium.s3.codes import fault_of
from dolium.s3.operations.table import HANDLERS
from dolium.s3.respond import error_response
from dolium.s3.route import SIGNING, Operation, Target, route
from dolium.wire.canonical import decode_plus
from dolium.wire.names import Hosts, read_address

__all__ = ["S3App"]

_log = logging.getLogger("dolium.s3")

_NO_ROLE = Role.NONE
_NO_QUERY: dict[str, str] = {}
_MOST_PARAMETERS = 100
_EXPECTED_OWNER = b"x-amz-expected-bucket-owner"


class S3App:
    """One per process. `clock` gives seconds since 1970."""

    eager = True  # the first step of a request needs no task (see server.http)

    def __init__(
        self, site: Site, keys: KeyRing, hosts: Hosts, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._site = site
        self._keys = keys
        self._hosts = hosts
        self._clock = clock
        self._prefix = secrets.token_hex(4).upper()
        self._count = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. The scope's `dolium.request` is filled for whoever logs it."""
        request_id = f"{self._prefix}{next(self._count):08X}"
        facts = scope.get("dolium.request")
        if facts is None:
            facts = scope["dolium.request"] = {}
        facts["id"] = request_id
        method: str = scope["method"]
        load, place = self._site.load, None
        try:
            try:
                call = self._admit(scope, receive, facts)
                place = load.enter(call.principal)
                response = await HANDLERS[call.operation.name](call)
            except asyncio.CancelledError:
                raise
            except DoliumError as error:
                fault = fault_of(error)
                facts["code"] = fault.code
                if fault.status >= 500 and fault.status != 501 and not isinstance(error, Overloaded):
                    # Where a store hangs there are many of these, and where it was waited for tells nothing.
                    trace = None if isinstance(error, StoreBusy) else error
                    _log.error(
                        "request %s failed: %s: %s", request_id, type(error).__name__, error, exc_info=trace
                    )
                response = error_response(fault, method, scope["raw_path"], request_id)
            except Exception as error:  # noqa: BLE001 - the last line: logged once, and nothing of it leaves
                _log.error("request %s failed", request_id, exc_info=error)
                response = error_response(fault_of(error), method, scope["raw_path"], request_id)
            response.headers.append((b"x-amz-request-id", request_id.encode()))
            response.headers.append((b"x-amz-id-2", request_id.encode()))
            await response.send(scope, send)
        finally:
            if place is not None:
                load.leave(place)

    def _admit(self, scope: Scope, receive: Receive, facts: dict[str, str]) -> Call:
        """Everything before the operation itself; `facts` gets what is known, also when it is refused.

        Raises Malformed, Denied, BucketNotFound.
        """
        method, raw_path, raw_query, headers = (
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            scope["headers"],
        )
        host = next((value for name, value in headers if name == b"host"), b"")
        tenancy, bucket_name, key = read_address(raw_path, host, self._hosts)
        host_bucket = self._hosts.read(host)[1]
        caller = authenticate(method, raw_path, raw_query, headers, self._keys, self._clock(), host_bucket)
        facts["key_id"] = caller.principal.key_id
        query = _read_query(raw_query) if raw_query else _NO_QUERY
        target = Target.SERVICE if bucket_name is None else Target.BUCKET if key is None else Target.OBJECT
        hoisted = dict(caller.hoisted) if caller.hoisted else ()
        operation = route(method, target, query, caller.fields, hoisted)
        facts["operation"] = operation.name
        if caller.payload.chunked and not operation.takes_body:
            raise Malformed("InvalidRequest", f"{operation.name} takes no aws-chunked body")
        tenancy_id = self._tenancy(tenancy, caller)
        bucket = self._authorize(operation, caller, tenancy_id, bucket_name, key, query)
        call = Call(
            self._site, scope, operation, caller, tenancy_id, bucket_name or "", bucket, key or "", query,
            [*headers, *caller.hoisted] if caller.hoisted else headers, receive,
        )  # fmt: skip
        if bucket is not None and (_EXPECTED_OWNER in caller.fields or caller.hoisted):
            call.expect_owner(_EXPECTED_OWNER, bucket)
        return call

    def _tenancy(self, named: str | None, caller: Caller) -> int:
        """The tenancy of the host name, else of the access key."""
        if named is None:
            return caller.principal.tenancy_id
        tenancy_id = self._site.service.tenancy_id(named)
        if tenancy_id is None:
            raise Denied("Access Denied")
        return tenancy_id

    def _authorize(
        self,
        operation: Operation,
        caller: Caller,
        tenancy_id: int,
        bucket_name: str | None,
        key: str | None,
        query: dict[str, str],
    ) -> Bucket | None:
        """The bucket, if there is one and the caller may do this with it.

        A bucket that is absent is told to whoever belongs to the tenancy, and to nobody else; nor is anything
        told of buckets that a key is not for.
        """
        principal = caller.principal
        if bucket_name is None or operation.name == "CreateBucket":
            resource = Resource(tenancy_id, bucket_name or "", 0, principal.person_id, "")
            if not decide(principal, operation.action, resource).allowed:
                raise Denied("Access Denied")
            return None
        if (
            principal.role is _NO_ROLE
            or (principal.tenancy_id != tenancy_id and not principal.site_admin)
            or principal.scope_bucket not in (None, bucket_name)
        ):
            raise Denied("Access Denied")
        bucket = self._site.service.bucket(tenancy_id, bucket_name)
        subject = query.get("prefix", "") if key is None else key
        resource = Resource(tenancy_id, bucket.name, bucket.id, bucket.owner_id, subject)
        # The keys of DeleteObjects are in its body: each is authorized there.
        if operation.name != "DeleteObjects" and not decide(principal, operation.action, resource).allowed:
            raise Denied("Access Denied")
        return bucket


def _read_query(raw_query: bytes) -> dict[str, str]:
    """Parameters by name, without those of a signature; the first of a repeated one. Raises Malformed InvalidURI."""
    parts = raw_query.split(b"&", _MOST_PARAMETERS)
    if len(parts) > _MOST_PARAMETERS:
        raise Malformed("InvalidURI", "The request has too many query parameters.")
    found: dict[str, str] = {}
    try:
        for part in parts:
            name, _, value = part.partition(b"=")
            if name and name not in SIGNING:
                found.setdefault(decode_plus(name).decode(), decode_plus(value).decode())
    except UnicodeDecodeError:
        raise Malformed("InvalidURI", "Couldn't parse the specified URI.") from None
    return found
