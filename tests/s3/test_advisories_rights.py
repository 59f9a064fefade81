"""Holes that other servers had in what one may do: each test is named after the advisory that it mirrors."""

import pytest

from dolium.catalog import access_keys
from dolium.catalog.access_keys import Scope
from dolium.catalog.database import Transaction
from dolium.errors import Malformed
from dolium.identity.credentials import from_environment
from tests.s3.client import Client, check_refusal, complete_document, target
from tests.s3.inside import Inside
from tests.s3.test_advisories_signing import writes

DENIED = (403, "AccessDenied")
UNKNOWN = (403, "InvalidAccessKeyId")
BODY = b"hostile"


def test_advisory_cve_2025_62506_a_key_never_exceeds_its_person(inside: Inside, own: str) -> None:
    """MinIO: a restricted account could make an unrestricted child. A scope only narrows what a role gives."""
    inside.admin.put(own, "k", b"kept")
    viewer = inside.person("vic", "viewer")
    for scope in (Scope(), Scope(bucket=own), Scope(bucket=own, prefix="k")):
        vic = inside.client(inside.key(viewer, scope=scope))
        for method in ("PUT", "DELETE"):
            vic.refused(DENIED, method, target(own, "k"))
    inside.person("vic", "member")
    member = inside.client(inside.key(viewer, scope=Scope(bucket=own)))
    member.refused(DENIED, "GET", target(own, "k"))


def test_advisory_cve_2023_25812_no_header_bypasses_a_denial(inside: Inside, own: str) -> None:
    """MinIO: x-amz-bypass-governance-retention went around an explicit Deny."""
    inside.admin.put(own, "k", b"kept")
    inside.change_tenancy(sharing="everyone")
    viewer = inside.member("vera", "viewer")
    reader = inside.client(inside.key(inside.person("mary", "manager"), scope=Scope(read_only=True)))
    bypass = {
        "x-amz-bypass-governance-retention": "true",
        "x-amz-mfa": "1 2",
        "x-amz-confirm-remove-self-bucket-access": "true",
    }
    for client in (viewer, reader):
        client.refused(DENIED, "DELETE", target(own, "k"), bypass)
        client.refused(DENIED, "PUT", target(own, "k"), bypass, BODY)
    inside.change_tenancy()
    assert inside.admin.get(own, "k") == b"kept"


@pytest.mark.parametrize("route", ["object", "part"])
def test_advisory_cve_2026_39360_a_copied_part_is_a_read(
    inside: Inside, own: str, bucket_name: str, route: str
) -> None:
    """RustFS: UploadPartCopy did not ask whether its source may be read."""
    inside.admin.put(own, "secret", b"not for ada")
    ada = inside.member("ada")
    mine = f"{bucket_name}-mine"
    ada.make_bucket(mine)
    path = target(mine, "k")
    if route == "part":
        path += f"?partNumber=1&uploadId={ada.begin(mine, 'k')}"
    before = inside.dump()
    for extra in ({}, {"x-amz-copy-source-range": "bytes=0-1"}):
        ada.refused(DENIED, "PUT", path, {"x-amz-copy-source": f"/{own}/secret", **extra})
    assert inside.dump() == before


def test_advisory_versitygw_d6d6cc8_a_copy_source_is_read_once(
    inside: Inside, own: str, bucket_name: str
) -> None:
    """Parsed twice, differently: what was authorized was not what was read."""
    mine = f"{bucket_name}-mine"
    ada = inside.member("ada")
    ada.make_bucket(mine)
    inside.admin.put(own, "secret", b"not for ada")
    before = inside.dump()
    for source in (
        f"{mine}/../{own}/secret",
        f"/{mine}%2F..%2F{own}%2Fsecret",
        f"//{own}/secret",
        f"/{mine}/k?versionId=null&/{own}/secret",
        f"/{own}%2Fsecret",
        f"/%2F{own}/secret",
        f"/{mine}/%252e%252e/{own}/secret",
    ):
        answer = ada.ask("PUT", target(mine, "k"), {"x-amz-copy-source": source})
        assert answer.status in {400, 403, 404}, (source, answer)
        assert inside.dump() == before


def test_advisory_cve_2026_88018_no_keys_let_nobody_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    """rclone served everybody when it was given no credentials."""
    inside = Inside(tmp_path_factory.mktemp("keyless"))
    try:
        inside.admin.make_bucket("bucket")

        def forget(tx: Transaction) -> None:
            tx.run("DELETE FROM access_keys")
            tx.touch()

        inside.write(forget)
        for method, path in (("GET", "/"), ("GET", "/bucket"), ("PUT", "/bucket/k"), ("DELETE", "/bucket")):
            answer = inside.admin.send(method, path)
            check_refusal(answer, DENIED, method, secret=inside.admin.site.secret_key)
            inside.admin.refused(UNKNOWN, method, path)
    finally:
        inside.close()


@pytest.mark.parametrize("secret", ["", "short"])
def test_advisory_cve_2026_45039_an_empty_secret_is_none(inside: Inside, secret: str) -> None:
    """RustFS fell back to a default secret. Here a key without a real secret cannot be made."""
    with pytest.raises(Malformed):
        from_environment({"DOLIUM_ACCESS_KEY_ID": "SOMEKEY", "DOLIUM_SECRET_ACCESS_KEY": ""})
    with pytest.raises(Malformed):
        inside.import_key("SOMEKEY", secret)
    assert access_keys.find(inside.service.database, "SOMEKEY") is None
    answer = inside.client_of("SOMEKEY", secret).ask("GET", "/")
    assert (answer.status, answer.code) == UNKNOWN


def test_advisory_cve_2026_21862_forwarded_addresses_are_not_believed(inside: Inside) -> None:
    """RustFS took X-Forwarded-For for the address of the peer. /_metrics is for this machine only."""
    for name in ("x-forwarded-for", "x-real-ip", "forwarded", "client-ip"):
        claimed = {name: "for=127.0.0.1" if name == "forwarded" else "127.0.0.1"}
        answer = inside.from_afar("GET", "/_metrics", claimed)
        assert answer.status == 403, name
        assert b"dolium_" not in answer.body


def test_advisory_cve_2026_46685_no_origin_is_let_in(inside: Inside, admin: Client, own: str) -> None:
    """RustFS reflected the Origin with credentials. No page of a browser is told that it may read an answer."""
    admin.put(own, "k", b"x")
    origin = {"origin": "https://evil.example.org", "access-control-request-method": "GET"}
    for method in ("GET", "HEAD", "OPTIONS", "PUT"):
        for answer in (
            admin.ask(method, target(own, "k"), origin),
            admin.send(method, target(own, "k"), origin),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_advisory_cve_2026_55183_a_web_page_cannot_drive_the_service(
    inside: Inside, admin: Client, own: str
) -> None:
    """rclone-manager: a page could send simple requests to a daemon on localhost. All here must be signed."""
    admin.put(own, "k", b"x")
    before = inside.dump()
    page = {"origin": "https://evil.example.org", "content-type": "text/plain", "cookie": "session=1"}
    for method, path in (
        ("POST", target(own, query="delete")),
        ("POST", target(own, "k", "uploads")),
        ("GET", target(own, "k")),
        ("POST", target(own, "k", "uploadId=1")),
    ):
        check_refusal(admin.send(method, path, page, BODY), DENIED, method, secret=admin.site.secret_key)
    assert inside.dump() == before


def test_advisory_cve_2016_7031_listing_needs_a_right_of_its_own(inside: Inside, own: str) -> None:
    """Ceph listed a bucket to strangers. Reading one key of it lists nothing, either."""
    inside.admin.put(own, "in/k", b"x")
    narrow = inside.client(
        inside.key(inside.person("mary", "manager"), scope=Scope(bucket=own, prefix="in/k"))
    )
    assert narrow.get(own, "in/k") == b"x"
    for query in ("", "?list-type=2", "?uploads", "?list-type=2&prefix=in/"):
        narrow.refused(DENIED, "GET", f"/{own}{query}")
        check_refusal(
            inside.admin.send("GET", f"/{own}{query}"), DENIED, "GET", secret=narrow.site.secret_key
        )


def test_advisory_cve_2024_42351_shared_data_is_not_everybodys_to_change(inside: Inside, own: str) -> None:
    """Galaxy: public data sets could be tampered with. Whoever may only look may not touch, on any route."""
    inside.admin.put(own, "kept", b"kept")
    upload = inside.admin.begin(own, "kept")
    inside.change_tenancy(sharing="everyone")
    viewer = inside.member("vera", "viewer")
    before = inside.dump()
    for method, path, headers in writes(own, upload):
        answer = viewer.ask(method, path, headers, complete_document({1: "0"}), payload="UNSIGNED-PAYLOAD")
        assert answer.status in {400, 403, 501}, (path, answer)
    assert inside.dump() == before
    inside.change_tenancy()
