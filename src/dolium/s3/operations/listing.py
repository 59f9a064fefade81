"""ListObjects, version 1 and 2."""

from __future__ import annotations

import base64
import binascii

from dolium.asgi.messages import Response
from dolium.catalog.listing import Entry, Page, list_objects
from dolium.errors import Malformed
from dolium.s3.call import Call
from dolium.s3.respond import kept_headers, xml
from dolium.wire.render import ListedObject, ListingV1, ListingV2, list_v1_result, list_v2_result

__all__ = ["encoding_of", "limit_of", "list_v1", "list_v2"]

_MOST = 1000


def limit_of(call: Call, name: str) -> int:
    """`max-keys` and its like: at most 1,000 whatever is asked for. Raises Malformed InvalidArgument."""
    text = call.query.get(name)
    if text is None or text == "":
        return _MOST
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > 0x7FFFFFFF:
        raise Malformed(
            "InvalidArgument", f"Provided {name} not an integer or within integer range",
            ArgumentName=name, ArgumentValue=text,
        )  # fmt: skip
    return min(int(text), _MOST)


def encoding_of(call: Call) -> bool:
    """Whether names are to be percent-encoded. Raises Malformed InvalidArgument."""
    text = call.query.get("encoding-type", "")
    if text not in ("", "url"):
        raise Malformed(
            "InvalidArgument", "Invalid Encoding Method specified in Request",
            ArgumentName="encoding-type", ArgumentValue=text,
        )  # fmt: skip
    return text == "url"


def _page(call: Call, after: str, limit: int) -> Page:
    query = call.query
    with call.site.service.database.reading() as read:
        return list_objects(
            read,
            call.found.id,
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            after=after,
            limit=limit,
        )


def _listed(call: Call, entries: list[Entry], *, with_owner: bool) -> list[ListedObject]:
    owners = {}
    if with_owner:
        owner = call.site.directory.owner
        owners = {number: owner(call.tenancy_id, number) for number in {entry.owner_id for entry in entries}}
    owner_of = owners.get
    found: list[ListedObject] = []
    add = found.append
    # A thousand times per page: every call and every unpacking counts.
    for key, size, etag, checksum, modified_ms, owner_id, headers, _ in entries:
        algorithm = kind = ""
        if checksum:
            algorithm, kind, _ = checksum.split(" ", 2)
        storage_class = _storage_class(headers) if "x-amz-storage-class" in headers else "STANDARD"
        add(ListedObject(key, size, etag, modified_ms, storage_class, owner_of(owner_id), algorithm, kind))
    return found


def _storage_class(headers: str) -> str:
    return dict(kept_headers(headers)).get(b"x-amz-storage-class", b"STANDARD").decode("ascii")


async def list_v1(call: Call) -> Response:
    """By marker; the owner of every object is told."""
    query = call.query
    limit, encoding = limit_of(call, "max-keys"), encoding_of(call)
    page = _page(call, query.get("marker", ""), limit)
    listing = ListingV1(
        bucket=call.found.name,
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        limit=limit,
        encoding=encoding,
        truncated=page.next_after is not None,
        objects=_listed(call, page.entries, with_owner=True),
        prefixes=page.prefixes,
        marker=query.get("marker", ""),
        next_marker=page.next_after or "",
    )
    return xml(list_v1_result(listing))


async def list_v2(call: Call) -> Response:
    """By continuation token, or after a key."""
    query = call.query
    limit, encoding = limit_of(call, "max-keys"), encoding_of(call)
    token = query.get("continuation-token")
    after = _from_token(token) if token else query.get("start-after", "")
    page = _page(call, after, limit)
    listing = ListingV2(
        bucket=call.found.name,
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        limit=limit,
        encoding=encoding,
        truncated=page.next_after is not None,
        objects=_listed(call, page.entries, with_owner=query.get("fetch-owner") == "true"),
        prefixes=page.prefixes,
        token=token,
        next_token=_to_token(page.next_after) if page.next_after is not None else None,
        start_after=query.get("start-after"),
    )
    return xml(list_v2_result(listing))


def _to_token(key: str) -> str:
    """Opaque to clients; a key behind which to go on, nothing more."""
    return base64.urlsafe_b64encode(b"1" + key.encode()).decode("ascii")


def _from_token(token: str) -> str:
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        if raw[:1] == b"1":
            return raw[1:].decode()
    except (ValueError, binascii.Error):
        pass
    raise Malformed(
        "InvalidArgument", "The continuation token provided is incorrect",
        ArgumentName="continuation-token", ArgumentValue=token,
    )  # fmt: skip
