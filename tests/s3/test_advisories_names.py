"""Holes that other servers had in names: each test is named after the advisory that it mirrors."""

from pathlib import Path

import pytest

from dolium.catalog.access_keys import Scope
from tests.s3.client import bare, check_refusal, head_of, target, texts
from tests.s3.conftest import Stage
from tests.s3.inside import Inside
from tests.s3.signing import sign_v4
from tests.s3.test_objects import delete_document, delete_many

CLIMBING = [
    "../{other}/k",
    "../../{other}/k",
    "in/../../{other}/k",
    "..%2F{other}%2Fk",
    "%2e%2e/{other}/k",
    "%2e%2e%2f{other}%2fk",
    "..%5C{other}%5Ck",
    "..%252F{other}%252Fk",
    "./../{other}/k",
    "..;/{other}/k",
    "/../{other}/k",
    "//{other}/k",
]


@pytest.mark.parametrize("way", CLIMBING)
def test_advisory_cve_2026_54917_dots_in_a_path_stay_in_the_bucket(
    inside: Inside, own: str, way: str
) -> None:
    """SeaweedFS authorized one bucket and wrote into another."""
    other = f"{own}-other"
    inside.admin.make_bucket(other)
    inside.admin.put(other, "k", b"kept")
    scoped = inside.client(inside.key(inside.person("mary", "manager"), scope=Scope(bucket=own)))
    path = f"/{own}/{way.format(other=other)}"
    assert scoped.ask("PUT", path, body=b"stays here").status == 200
    assert scoped.done("GET", path).body == b"stays here"
    scoped.done("DELETE", path)
    assert inside.admin.get(other, "k") == b"kept"
    assert inside.admin.keys(other) == ["k"]
    assert inside.admin.keys(own) == []


def test_advisory_cve_2026_58372_dots_in_a_batch_stay_in_the_bucket(inside: Inside, own: str) -> None:
    """The same hole again, through the keys in the body of DeleteObjects."""
    other = f"{own}-other"
    inside.admin.make_bucket(other)
    inside.admin.put(other, "k", b"kept")
    scoped = inside.client(
        inside.key(inside.person("mary", "manager"), scope=Scope(bucket=own, prefix="in/"))
    )
    document = delete_document(f"../{other}/k", f"in/../../{other}/k", f"/{other}/k", f"..\\{other}\\k")
    answer = delete_many(scoped, own, document)
    assert texts(answer, "Deleted/Key") == [f"in/../../{other}/k"]  # a key in the prefix that is not there
    assert inside.admin.get(other, "k") == b"kept"


def test_advisory_rustfs_ghsa_pq29_no_name_of_a_client_becomes_a_path(inside: Inside) -> None:
    """join() is not containment, and an archive may hold `../`. Blobs have names of our own making."""
    inside.tenancy("hostile-tenancy")
    client = inside.member("hostile@person", tenancy="hostile-tenancy")
    client.make_bucket("hostile-bucket")
    for key in ("../../../../etc/hostile-key", "/etc/hostile-key", "hostile-key\n", "hostile-key/../.."):
        client.put("hostile-bucket", key, b"x" * 20_000)
        upload = client.begin("hostile-bucket", key)
        client.put_part("hostile-bucket", key, upload, 1, b"part")
    for path in inside.settings.data.rglob("*"):
        assert "hostile" not in str(path.relative_to(inside.settings.data))
    assert not Path("/etc/hostile-key").exists()


def test_advisory_cve_2026_30914_who_decides_and_who_acts_read_the_same_name(
    inside: Inside, own: str
) -> None:
    """SFTPGo normalised a path in the front end and not behind it. Here no one does; and a name is decoded once."""
    inside.admin.put(own, "out/k", b"secret")
    narrow = inside.client(
        inside.key(inside.person("mary", "manager"), scope=Scope(bucket=own, prefix="in/"))
    )
    for path in (
        "in/../out/k",
        "in/%2e%2e/out/k",
        "in/..%2fout%2fk",
        "in//../out/k",
        "in/.%2e/out/k",
        "%69n/../out/k",
    ):
        narrow.refused((404, "NoSuchKey"), "GET", f"/{own}/{path}")
    for path in ("%6fut/k", "out%2Fk", "./out/k", "in%252Fk", "IN/k"):
        narrow.refused((403, "AccessDenied"), "GET", f"/{own}/{path}")
    # The bucket may be encoded too; it is the same bucket, for both.
    encoded = "".join(f"%{ord(char):02X}" for char in own)
    narrow.refused((403, "AccessDenied"), "GET", f"/{encoded}/out/k")
    assert inside.admin.done("GET", f"/{encoded}/out/k").body == b"secret"


def test_advisory_cve_2026_30915_names_of_people_are_in_no_path(inside: Inside) -> None:
    """SFTPGo put a user's name into a path. Names here are records; only numbers and random ids name files."""
    inside.tenancy("peculiar-tenancy")
    client = inside.member("peculiar.person@example.org", tenancy="peculiar-tenancy")
    client.make_bucket("peculiar-bucket")
    client.put("peculiar-bucket", "k", b"x" * 20_000)
    names = [str(path.relative_to(inside.settings.data)) for path in inside.settings.data.rglob("*")]
    assert not [name for name in names if "peculiar" in name]


def test_advisory_cve_2018_1000516_what_clients_say_is_escaped(stage: Stage) -> None:
    """Galaxy rendered names as markup. Errors and listings hold text, and no browser takes them for HTML."""
    markup = "<script>alert(1)</script>&\"'"
    for answer in (
        stage.refused((404, "NoSuchKey"), "GET", stage.at(markup)),
        stage.refused((400, "InvalidArgument"), "GET", stage.at(query="max-keys=%3Cscript%3E")),
        stage.refused((404, "NoSuchUpload"), "GET", stage.at("kept", "uploadId=%3Cscript%3E")),
        stage.refused((501, "NotImplemented"), "DELETE", stage.at("kept", "%3Cscript%3E")),
    ):
        assert b"<script" not in answer.body
        assert answer.headers["content-type"] == "application/xml"


def test_advisory_cve_2022_47950_documents_name_no_files(stage: Stage) -> None:
    """Swift's XML reader opened files for whoever asked (OSSA-2023-001)."""
    for system in ("file:///etc/passwd", "/etc/passwd", "http://127.0.0.1:1/"):
        document = (
            f'<!DOCTYPE Delete [<!ENTITY file SYSTEM "{system}"><!ENTITY % more SYSTEM "{system}">%more;]>'
            "<Delete><Object><Key>&file;</Key></Object></Delete>"
        ).encode()
        for method, path, root in (
            ("POST", stage.at("kept", f"uploadId={stage.upload}"), b"CompleteMultipartUpload"),
            ("PUT", f"/{stage.bucket}-new", b"CreateBucketConfiguration"),
        ):
            body = document.replace(b"Delete", root)
            answer = stage.refused((400, "MalformedXML"), method, path, body=body)
            assert b"root:" not in answer.body


def test_advisory_swift_dlo_no_header_makes_an_object_of_other_objects(inside: Inside, own: str) -> None:
    """A manifest could name what its writer may not read. No header of an object leads to another."""
    inside.admin.put(own, "secret", b"secret")
    ada = inside.member("ada")
    ada.make_bucket(f"{own}-mine")
    headers = {
        "x-object-manifest": f"{own}/secret",
        "x-symlink-target": f"{own}/secret",
        "x-amz-meta-x-object-manifest": f"{own}/secret",
        "x-amz-website-redirect-location": f"/{own}/secret",
    }
    ada.done("PUT", target(f"{own}-mine", "k"), headers, b"itself")
    answer = ada.done("GET", target(f"{own}-mine", "k"))
    assert (answer.status, answer.body) == (200, b"itself")
    ada.done("PUT", target(f"{own}-mine", "parts", "x-id=1"), {}, b'[{"path": "/secret"}]')
    ada.refused(
        (501, "NotImplemented"), "PUT", target(f"{own}-mine", "parts", "multipart-manifest=put"), {}, b"[]"
    )


def test_advisory_cve_2024_47866_an_empty_copy_source(stage: Stage) -> None:
    """Ceph crashed on it, versitygw panicked (422b5a7)."""
    for source in ("", " ", "/", "//", "?", "?versionId=", "%", "%zz/%zz"):
        answer = stage.client.ask("PUT", stage.at("new"), {"x-amz-copy-source": source})
        assert answer.status in {400, 404}, (source, answer)
        check_refusal(answer, (answer.status, answer.code), "PUT", secret=stage.client.site.secret_key)


@pytest.mark.parametrize(
    "path", ["/", "//", "///", "/?", "/??", "/?&", "/?=", "/%2F", "/%00", "/.", "/..", "/%", "/?%"]
)
def test_advisory_cve_2022_3854_an_address_of_nothing(stage: Stage, path: str) -> None:
    """Ceph crashed on a URL without a bucket. Whatever the target is, it has an answer, and no 5xx."""
    site = stage.client.site
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"):
        headers, _ = sign_v4(site, method, path, {"content-length": "0"})
        answer = bare(site, head_of(method, path, {**headers, "connection": "close"}))
        assert answer.status < 500 or answer.status == 501, (method, path, answer)
        answer = bare(
            site, head_of(method, path, {"host": site.host, "content-length": "0", "connection": "close"})
        )
        assert answer.status < 500 or answer.status == 501, (method, path, answer)


@pytest.mark.parametrize("injected", ["a%0D%0AX-Evil: b", "a%0AX-Evil: b", "a%0DX-Evil: b", "a%00b"])
def test_advisory_cve_2021_3524_no_header_is_split(stage: Stage, injected: str) -> None:
    """Ceph let a line break into a header of its answers."""
    encoded = injected.replace(" ", "%20").replace(":", "%3A")
    for name in (
        "content-type",
        "content-disposition",
        "content-language",
        "cache-control",
        "expires",
        "content-encoding",
    ):
        answer = stage.refused(
            (400, "InvalidArgument"), "GET", stage.at("kept", f"response-{name}={encoded}")
        )
        assert "x-evil" not in answer.headers
    for path in (
        stage.at("kept", f"versionId={encoded}"),
        stage.at("kept", f"uploadId={encoded}"),
        f"/{encoded}",
    ):
        answer = stage.client.ask("GET", path)
        assert answer.status in {400, 404}
        assert "x-evil" not in answer.headers


@pytest.mark.parametrize(
    "name",
    [
        "x-amz-version-id",
        "x-amz-delete-marker",
        "x-amz-replication-status",
        "x-amz-mp-parts-count",
        "x-amz-checksum-type",
        "x-minio-replication-actual-object-size",
        "x-minio-internal-server-side-encryption-iv",
        "x-dolium-owner",
        "x-seaweedfs-extended",
        "x-rgw-admin",
        "etag",
        "last-modified",
        "x-accel-redirect",
    ],
)
def test_advisory_cve_2026_34204_headers_of_our_own_cannot_be_sent(
    inside: Inside, own: str, name: str
) -> None:
    """MinIO kept internal headers of a client (so did SeaweedFS #9120). Only what is S3's to keep is kept."""
    inside.admin.done("PUT", target(own, "k"), {name: "hostile"}, b"x")
    for method in ("GET", "HEAD"):
        answer = inside.admin.done(method, target(own, "k"), {"x-amz-checksum-mode": "ENABLED"})
        assert "hostile" not in answer.headers.values()
    plain = inside.admin.done("PUT", target(own, "plain"), {}, b"x").headers["etag"]
    assert inside.admin.done("HEAD", target(own, "k")).headers["etag"] == plain


def test_advisory_rustfs_ghsa_x298_encryption_is_not_pretended(inside: Inside, own: str) -> None:
    """An object flagged as encrypted lay in plain bytes. Who asks for encryption is refused, not humoured."""
    before = inside.dump()
    for name, value in (
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-server-side-encryption-customer-key", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
        ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
    ):
        for path in (target(own, "k"), target(own, "k", "uploads")):
            method = "POST" if path.endswith("uploads") else "PUT"
            inside.admin.refused((501, "NotImplemented"), method, path, {name: value}, b"secret")
    assert inside.dump() == before
