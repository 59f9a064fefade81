"""Whose buckets are whose: names, owners, sharing, and tenancies that are told apart by host name."""

import dataclasses

import pytest

from dolium.catalog import buckets
from dolium.catalog.database import Transaction
from tests.s3.client import Client, target, texts
from tests.s3.inside import Inside
from tests.s3.signing import presign_v2, presign_v4, sign_v2

DENIED = (403, "AccessDenied")


def names(client: Client, query: str = "") -> list[str]:
    return texts(client.done("GET", f"/{query}"), "Buckets/Bucket/Name")


def test_to_make_ones_own_bucket_again_is_fine(admin: Client, own: str) -> None:
    admin.put(own, "k", b"kept")
    answer = admin.done("PUT", f"/{own}")
    assert (answer.status, answer.headers["location"]) == (200, f"/{own}")
    assert admin.get(own, "k") == b"kept"


def test_anothers_bucket_cannot_be_made(inside: Inside, own: str) -> None:
    ada = inside.member("ada")
    ada.refused((409, "BucketAlreadyExists"), "PUT", f"/{own}")
    inside.admin.put(own, "k", b"kept")
    assert inside.admin.get(own, "k") == b"kept"


def test_a_member_sees_own_buckets_and_a_manager_all(inside: Inside, bucket_name: str) -> None:
    inside.tenancy("library")
    ada, bob, mary, vera = (
        inside.member(name, role, tenancy="library")
        for name, role in (("ada", "member"), ("bob", "member"), ("mary", "manager"), ("vera", "viewer"))
    )
    service = inside.client(inside.key(None, tenancy="library"))
    ada.make_bucket(f"{bucket_name}-a")
    bob.make_bucket(f"{bucket_name}-b")
    service.make_bucket(f"{bucket_name}-s")
    both = [f"{bucket_name}-a", f"{bucket_name}-b", f"{bucket_name}-s"]
    assert names(ada) == both[:1]
    assert names(bob) == both[1:2]
    assert names(mary) == names(service) == both
    assert names(vera) == []
    assert texts(ada.done("GET", "/"), "Owner/DisplayName") == ["Ada"]
    for client in (bob, vera):
        for method, path in (
            ("HEAD", both[0]),
            ("GET", both[0]),
            ("GET", f"{both[0]}/k"),
            ("PUT", f"{both[0]}/k"),
        ):
            client.refused(DENIED, method, f"/{path}")
    mary.put(both[0], "k", b"from above")
    assert ada.get(both[0], "k") == b"from above"

    inside.change_tenancy("library", sharing="everyone")
    assert names(ada) == names(bob) == names(vera) == both
    bob.put(both[0], "k", b"from beside")
    assert vera.get(both[0], "k") == b"from beside"
    # A bucket that is shared with me is not mine.
    bob.refused((409, "BucketAlreadyExists"), "PUT", f"/{both[0]}")
    inside.change_tenancy("library", sharing="owner")
    bob.refused(DENIED, "GET", f"/{both[0]}/k")
    assert names(bob) == both[1:2]


def test_a_viewer_reads_and_writes_nothing(inside: Inside, bucket_name: str) -> None:
    inside.tenancy("archive", sharing="everyone")
    ada = inside.member("ada", tenancy="archive")
    vera = inside.member("vera", "viewer", tenancy="archive")
    ada.make_bucket(bucket_name)
    ada.put(bucket_name, "k", b"kept")
    upload = ada.begin(bucket_name, "k")
    before = inside.dump()
    assert vera.get(bucket_name, "k") == b"kept"
    assert vera.keys(bucket_name) == ["k"]
    for method, path, headers in (
        ("PUT", target(bucket_name, "k"), {}),
        ("PUT", target(bucket_name, "new"), {"x-amz-copy-source": f"/{bucket_name}/k"}),
        ("DELETE", target(bucket_name, "k"), {}),
        ("POST", target(bucket_name, "k", "uploads"), {}),
        ("PUT", target(bucket_name, "k", f"uploadId={upload}&partNumber=1"), {}),
        ("DELETE", target(bucket_name, "k", f"uploadId={upload}"), {}),
        ("DELETE", f"/{bucket_name}", {}),
        ("PUT", f"/{bucket_name}-2", {}),
    ):
        vera.refused(DENIED, method, path, headers)
    assert inside.dump() == before


def test_pages_of_buckets(inside: Inside, bucket_name: str) -> None:
    """Those of others do not count, however many there are before one's own."""
    inside.tenancy("crowd")
    manager, lone = inside.person("mary", "manager", tenancy="crowd"), inside.person("lone", tenancy="crowd")
    number = inside.tenancy_id("crowd")
    many = [f"a-{n:05d}" for n in range(2500)]

    def fill(tx: Transaction) -> None:
        for name in many:
            buckets.create(tx, number, name, manager)

    inside.write(fill)
    ada = inside.client(inside.key(lone, tenancy="crowd"))
    own = [f"{letter}-{bucket_name}" for letter in "xyz"]
    for name in own:
        ada.make_bucket(name)
    assert names(ada) == own
    mary = inside.client(inside.key(manager, tenancy="crowd"))
    assert names(mary) == many + own
    found, token = [], ""
    for _ in range(4):
        answer = mary.done("GET", f"/?max-buckets=1000{token and f'&continuation-token={token}'}")
        found += texts(answer, "Buckets/Bucket/Name")
        token = answer.field("ContinuationToken")
        if not token:
            break
    assert found == many + own
    assert names(mary, "?prefix=a-0249&max-buckets=3") == ["a-02490", "a-02491", "a-02492"]


def test_what_is_said_of_a_bucket(admin: Client, own: str) -> None:
    assert admin.done("GET", f"/{own}?location").field("LocationConstraint") == ""
    location = admin.done("GET", f"/{own}?location").body
    assert b">eu-test-1</LocationConstraint>" in location
    assert admin.done("HEAD", f"/{own}").headers["x-amz-bucket-region"] == "eu-test-1"
    assert b"<VersioningConfiguration" in admin.done("GET", f"/{own}?versioning").body
    assert admin.done("GET", f"/{own}?requestPayment").field("Payer") == "BucketOwner"
    assert admin.done("GET", f"/{own}?acl").field("Permission") == "FULL_CONTROL"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("cors", "NoSuchCORSConfiguration"),
        ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
        ("ownershipControls", "OwnershipControlsNotFoundError"),
        ("policy", "NoSuchBucketPolicy"),
        ("policyStatus", "NoSuchBucketPolicy"),
        ("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("tagging", "NoSuchTagSet"),
        ("website", "NoSuchWebsiteConfiguration"),
    ],
)
def test_what_was_never_set(admin: Client, own: str, name: str, code: str) -> None:
    admin.refused((404, code), "GET", f"/{own}?{name}")


def test_a_bucket_is_made_with_what_clients_say(admin: Client, bucket_name: str) -> None:
    anywhere = (
        b'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<LocationConstraint>mars-north-1</LocationConstraint></CreateBucketConfiguration>"
    )
    admin.done("PUT", f"/{bucket_name}", {"x-amz-acl": "private"}, anywhere)
    admin.refused((501, "NotImplemented"), "PUT", f"/{bucket_name}-2", {"x-amz-acl": "public-read"})
    lock = {"x-amz-bucket-object-lock-enabled": "true"}
    admin.refused((501, "NotImplemented"), "PUT", f"/{bucket_name}-2", lock)
    assert f"{bucket_name}-2" not in names(admin)


def test_the_owner_that_is_expected(inside: Inside, admin: Client, own: str) -> None:
    """A request that says whose the bucket is does nothing to the bucket of somebody else."""
    admin.put(own, "k", b"x")
    owner = admin.done("GET", f"/{own}?acl").field("ID")
    right, wrong = {"x-amz-expected-bucket-owner": owner}, {"x-amz-expected-bucket-owner": "111122223333"}
    assert admin.done("GET", target(own, "k"), right).body == b"x"
    for method, path in (
        ("GET", target(own, "k")),
        ("PUT", target(own, "k")),
        ("DELETE", target(own, "k")),
        ("HEAD", f"/{own}"),
    ):
        admin.refused(DENIED, method, path, wrong)
    source = {"x-amz-copy-source": f"/{own}/k"}
    said = "x-amz-source-expected-bucket-owner"
    admin.refused(DENIED, "PUT", target(own, "copy"), {**source, said: "111122223333"})
    admin.done("PUT", target(own, "copy"), {**source, said: owner})


def test_a_deleted_bucket_takes_its_uploads_with_it(inside: Inside, admin: Client, own: str) -> None:
    files = inside.files()
    upload = admin.begin(own, "k")
    admin.put_part(own, "k", upload, 1, b"part")
    assert len(inside.files()) == len(files) + 1
    admin.put(own, "k", b"object")
    admin.refused((409, "BucketNotEmpty"), "DELETE", f"/{own}")
    admin.done("DELETE", target(own, "k"))
    admin.done("DELETE", f"/{own}")
    inside.sweep()
    assert inside.files() == files
    admin.make_bucket(own)
    admin.refused((404, "NoSuchUpload"), "GET", target(own, "k", f"uploadId={upload}"))
    assert admin.keys(own) == []
    admin.refused((404, "NoSuchKey"), "GET", target(own, "k"))


# Tenancies by host name ------------------------------------------------------------------------------------


def test_buckets_of_one_name_in_two_tenancies(inside: Inside, bucket_name: str) -> None:
    for tenancy in ("north", "south"):
        inside.tenancy(tenancy)
    here, there = (
        inside.member(name, tenancy=tenancy, host=f"{tenancy}.example.org:8443")
        for name, tenancy in (("nora", "north"), ("sol", "south"))
    )
    for client, body in ((here, b"north"), (there, b"south")):
        client.make_bucket(bucket_name)
        client.put(bucket_name, "k", body)
    assert (here.get(bucket_name, "k"), there.get(bucket_name, "k")) == (b"north", b"south")
    assert names(here) == names(there) == [bucket_name]
    here.done("DELETE", target(bucket_name, "k"))
    assert there.get(bucket_name, "k") == b"south"


def test_a_key_opens_its_own_tenancy_only(inside: Inside, bucket_name: str) -> None:
    for tenancy in ("east", "west"):
        inside.tenancy(tenancy, sharing="everyone")
    east = inside.member("ed", "manager", tenancy="east", host="east.example.org")
    west = inside.member("wes", "manager", tenancy="west", host="west.example.org")
    west.make_bucket(bucket_name)
    west.put(bucket_name, "k", b"of the west")
    before = inside.dump()
    lost = Client(dataclasses.replace(east.site, url="http://west.example.org"), east.transport)
    for method, path in (
        ("GET", "/"),
        ("PUT", f"/{bucket_name}-2"),
        ("GET", f"/{bucket_name}"),
        ("GET", f"/{bucket_name}/k"),
        ("PUT", f"/{bucket_name}/k"),
        ("GET", f"/{bucket_name}-absent"),
    ):
        lost.refused(DENIED, method, path)
    # Nor through its own door: there the name means another bucket, which is not there.
    east.refused((404, "NoSuchBucket"), "GET", f"/{bucket_name}/k")
    assert inside.dump() == before


def test_a_host_of_no_tenancy(inside: Inside) -> None:
    ada = inside.member("ada", host="nobodys.example.org")
    ada.refused(DENIED, "GET", "/")
    ada.refused(DENIED, "PUT", "/some-bucket")


def test_the_site_admin_in_another_tenancy(inside: Inside, bucket_name: str) -> None:
    """A manager of every tenancy, who makes buckets in the one of the key."""
    inside.tenancy("visited")
    ada = inside.member("ada", tenancy="visited", host="visited.example.org")
    ada.make_bucket(bucket_name)
    ada.put(bucket_name, "k", b"visited")
    admin = Client(dataclasses.replace(inside.admin.site, url="http://visited.example.org"), ada.transport)
    assert admin.get(bucket_name, "k") == b"visited"
    assert names(admin) == [bucket_name]
    admin.refused(DENIED, "PUT", f"/{bucket_name}-2")


def test_the_bucket_in_the_host_name(inside: Inside, bucket_name: str) -> None:
    """Host-style addresses, signed in every way."""
    inside.tenancy("styled")
    ada = inside.member("ada", tenancy="styled", host="styled.example.org")
    ada.make_bucket(bucket_name)
    ada.put(bucket_name, "a/k", b"styled")
    site = dataclasses.replace(ada.site, url=f"http://{bucket_name}.Styled.example.org:9000")
    styled = Client(site, ada.transport)
    assert styled.done("GET", "/a/k").body == b"styled"
    assert texts(styled.done("GET", "/?list-type=2"), "Contents/Key") == ["a/k"]
    assert styled.send("GET", presign_v4(site, "GET", "/a/k")).body == b"styled"
    assert styled.done("PUT", "/_metrics", body=b"a key like any other").status == 200
    assert styled.done("GET", "/_metrics").body == b"a key like any other"
    plain = sign_v2(site, "GET", f"/{bucket_name}/a/k")  # version 2 signs the bucket, wherever it stands
    assert styled.send("GET", "/a/k", plain).body == b"styled"
    _, _, query = presign_v2(site, "GET", f"/{bucket_name}/a/k").partition("?")
    assert styled.send("GET", f"/a/k?{query}").body == b"styled"
