"""What an access key opens: its scope on every operation, and the end of it the moment it ends."""

import time

import pytest

from dolium.catalog import access_keys, people, tenancies
from dolium.catalog.access_keys import Scope
from tests.s3.client import Client, target, texts
from tests.s3.inside import Inside
from tests.s3.test_objects import delete_document, delete_many

DENIED = (403, "AccessDenied")
UNKNOWN = (403, "InvalidAccessKeyId")


@pytest.fixture
def narrow(inside: Inside, own: str) -> Client:
    """A key for everything under `in/` of one bucket."""
    return inside.client(inside.key(inside.person("mary", "manager"), scope=Scope(bucket=own, prefix="in/")))


def test_a_prefix(inside: Inside, admin: Client, narrow: Client, own: str) -> None:
    for key in ("in/k", "out/k", "in", "inn/k"):
        admin.put(own, key, b"x")
    assert narrow.get(own, "in/k") == b"x"
    narrow.put(own, "in/new", b"y")
    for key in ("out/k", "in", "inn/k", "", "/in/k"):
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            if key:
                narrow.refused(DENIED, method, target(own, key))
                narrow.refused(DENIED, method, target(own, key, "x-id=1"))
    narrow.refused((404, "NoSuchKey"), "GET", target(own, "in/../out/k"))
    narrow.refused((404, "NoSuchKey"), "GET", f"/{own}/in/%2e%2e/out/k")


def test_a_prefix_in_listings(admin: Client, narrow: Client, own: str) -> None:
    for key in ("in/a", "in/b/c", "out/k"):
        admin.put(own, key, b"x")
        admin.begin(own, key)
    for query in (
        "list-type=2",
        "",
        "uploads",
        "list-type=2&prefix=i",
        "prefix=out/",
        "uploads&prefix=in",
        "delimiter=/",
    ):
        narrow.refused(DENIED, "GET", f"/{own}?{query}")
    assert narrow.keys(own, "list-type=2&prefix=in/") == ["in/a", "in/b/c"]
    assert narrow.keys(own, "prefix=in/b&marker=out") == []
    assert narrow.keys(own, "list-type=2&prefix=in/&start-after=a") == ["in/a", "in/b/c"]
    uploads = narrow.done("GET", f"/{own}?uploads&prefix=in/")
    assert texts(uploads, "Upload/Key") == ["in/a", "in/b/c"]
    # Of a parameter that is repeated the first counts, for the decision and for the answer.
    assert narrow.keys(own, "list-type=2&prefix=in/&prefix=out/") == ["in/a", "in/b/c"]
    narrow.refused(DENIED, "GET", f"/{own}?list-type=2&prefix=out/&prefix=in/")


def test_a_prefix_in_batches(inside: Inside, admin: Client, narrow: Client, own: str) -> None:
    for key in ("in/k", "out/k", "in/../out"):
        admin.put(own, key, b"x")
    answer = delete_many(narrow, own, delete_document("in/k", "out/k", "in/../out", "out/never"))
    assert texts(answer, "Deleted/Key") == ["in/k", "in/../out"]
    assert texts(answer, "Error/Key") == ["out/k", "out/never"]
    assert set(texts(answer, "Error/Code")) == {"AccessDenied"}
    assert admin.keys(own) == ["out/k"]


def test_a_prefix_in_uploads(admin: Client, narrow: Client, own: str) -> None:
    outside = admin.begin(own, "out/k")
    for method, query in (
        ("POST", "uploads"),
        ("PUT", f"uploadId={outside}&partNumber=1"),
        ("GET", f"uploadId={outside}"),
        ("DELETE", f"uploadId={outside}"),
        ("POST", f"uploadId={outside}"),
    ):
        narrow.refused(DENIED, method, target(own, "out/k", query))
    # An id of an upload outside does not help with a key inside.
    for method, query in (("PUT", f"uploadId={outside}&partNumber=1"), ("DELETE", f"uploadId={outside}")):
        narrow.refused((404, "NoSuchUpload"), method, target(own, "in/k", query))
    upload = narrow.begin(own, "in/k")
    part = narrow.put_part(own, "in/k", upload, 1, b"part")
    assert narrow.complete(own, "in/k", upload, {1: part}).status == 200


def test_a_bucket(inside: Inside, admin: Client, own: str) -> None:
    admin.make_bucket(f"{own}-other")
    admin.put(f"{own}-other", "k", b"x")
    one = inside.client(inside.key(inside.person("mary", "manager"), scope=Scope(bucket=own)))
    one.put(own, "k", b"y")
    assert texts(one.done("GET", "/"), "Buckets/Bucket/Name") == [own]
    for method, path in (
        ("GET", f"/{own}-other"),
        ("HEAD", f"/{own}-other"),
        ("GET", f"/{own}-other/k"),
        ("PUT", f"/{own}-other/k"),
        ("DELETE", f"/{own}-other/k"),
        ("DELETE", f"/{own}-other"),
        ("PUT", f"/{own}-new"),
    ):
        one.refused(DENIED, method, path)
    one.refused(DENIED, "POST", f"/{own}-other?delete", {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
    # Nor does it find out which others there are.
    one.refused(DENIED, "GET", f"/{own}-never")
    assert admin.has(f"{own}-other", "k")
    copied = {"x-amz-copy-source": f"/{own}-other/k"}
    one.refused(DENIED, "PUT", target(own, "new"), copied)


def test_reading_only(inside: Inside, admin: Client, own: str) -> None:
    admin.put(own, "k", b"x")
    reader = inside.client(inside.key(inside.person("mary", "manager"), scope=Scope(read_only=True)))
    assert reader.get(own, "k") == b"x"
    before = inside.dump()
    for method, path in (
        ("PUT", f"/{own}/k"),
        ("DELETE", f"/{own}/k"),
        ("POST", f"/{own}/k?uploads"),
        ("DELETE", f"/{own}"),
        ("PUT", f"/{own}-new"),
    ):
        reader.refused(DENIED, method, path)
    answer = delete_many(reader, own, delete_document("k"))
    assert texts(answer, "Error/Code") == ["AccessDenied"]
    assert inside.dump() == before


def test_a_revoked_key_ends_at_once(inside: Inside, own: str) -> None:
    mary = inside.client(inside.key(inside.person("mary", "manager")))
    mary.put(own, "k", b"x")
    inside.write(lambda tx: access_keys.revoke(tx, mary.site.access_key))
    mary.refused(UNKNOWN, "GET", target(own, "k"))
    mary.refused(UNKNOWN, "PUT", target(own, "k"), {}, b"y")
    assert inside.admin.get(own, "k") == b"x"


def test_a_key_expires_by_itself(inside: Inside, own: str) -> None:
    soon = time.time() * 1000 + 1500
    mary = inside.client(inside.key(inside.person("mary", "manager"), expires_ms=int(soon)))
    mary.done("GET", f"/{own}")
    time.sleep(max(0.0, soon / 1000 - time.time()) + 0.05)
    answer = mary.refused(UNKNOWN, "GET", f"/{own}")
    assert "expired" in answer.field("Message")


def test_only_a_holder_is_told_that_a_key_has_expired(inside: Inside) -> None:
    """Whoever cannot sign with it learns what a wrong signature always tells."""
    credentials = inside.key(inside.person("mary", "manager"), expires_ms=1)
    holder = inside.client(credentials)
    guesser = inside.client(type(credentials)(credentials.key_id, inside.key(None).secret))
    holder.refused(UNKNOWN, "GET", "/")
    guesser.refused((403, "SignatureDoesNotMatch"), "GET", "/")


def test_standing_ends_at_once(inside: Inside, own: str) -> None:
    """Suspension, a lower role, the end of a membership: from the next request on."""
    inside.change_tenancy(sharing="everyone")
    dora = inside.member("dora")
    dora.put(own, "k", b"x")
    number = inside.person("dora", "viewer")
    dora.refused(DENIED, "PUT", target(own, "k"), {}, b"y")
    assert dora.get(own, "k") == b"x"
    inside.write(lambda tx: people.set_suspended(tx, number, suspended=True))
    dora.refused(DENIED, "GET", target(own, "k"))
    dora.refused(DENIED, "GET", f"/{own}-never")
    inside.write(lambda tx: people.set_suspended(tx, number, suspended=False))
    assert dora.get(own, "k") == b"x"
    inside.write(lambda tx: tenancies.expel(tx, inside.tenancy_id(), number))
    dora.refused(UNKNOWN, "GET", target(own, "k"))
    inside.change_tenancy()


def test_a_key_is_no_more_than_its_person(inside: Inside, own: str) -> None:
    """A scope narrows; a key for a bucket that its person may not see opens nothing."""
    inside.change_tenancy()
    inside.admin.put(own, "k", b"x")
    ada = inside.client(inside.key(inside.person("ada"), scope=Scope(bucket=own)))
    for method in ("GET", "PUT", "DELETE"):
        ada.refused(DENIED, method, target(own, "k"))
