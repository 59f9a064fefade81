"""Put, get, head and delete: what is kept, what is given back, and what becomes of the bytes that are gone."""

import base64
import hashlib
import time

import pytest

from tests.s3.client import Answer, Client, target, texts
from tests.s3.inside import Inside
from tests.s3.signing import presign_v4, sign_v4

LARGE = bytes(range(256)) * 400  # 100 KiB: a file of its own
LARGER = LARGE[::-1] * 2
SOME_KEYS = [
    "a",
    "a/",
    "a/b",
    "a//b",
    "/",
    "//",
    "/a",
    "..",
    "../..",
    "a/../b",
    ".",
    "./a",
    "%2e%2e",
    "%2F",
    "a+b",
    "a b",
    " ",
    "a?b",
    "a#b",
    "a&b=c",
    "tab\tline\nreturn\r",
    "\x01\x02\x1f\x7f",
    "ü",
    "u\u0308",
    "\U0001f980",
    "\u202eright to left",
    "\ufffe\uffff",
    "CON",
    "trailing.",
    "trailing ",
    "back\\slash",
    ".dolium-store.json",
    "k" * 1024,
    "ü" * 512,
    "/".join(["d"] * 512),
    "Case",
    "case",
]


def delete_document(*keys: str, quiet: bool = False, inner: str = "") -> bytes:
    listed = "".join(
        f"<Object><Key>{key.replace('&', '&amp;').replace('<', '&lt;')}</Key>{inner}</Object>" for key in keys
    )
    return f"<Delete><Quiet>{str(quiet).lower()}</Quiet>{listed}</Delete>".encode()


def delete_many(client: Client, bucket: str, document: bytes) -> Answer:
    md5 = base64.b64encode(hashlib.md5(document).digest()).decode()
    return client.done("POST", f"/{bucket}?delete", {"content-md5": md5}, document)


@pytest.mark.parametrize("size", [10, 30_000], ids=["inline", "file"])
def test_every_key_is_just_a_key(inside: Inside, admin: Client, own: str, size: int) -> None:
    """None of them is a path, none is another one, whatever a file system would make of them."""
    bodies = {key: hashlib.sha256(key.encode()).digest() * (size // 32 + 1) for key in SOME_KEYS}
    for key, body in bodies.items():
        admin.put(own, key, body)
    for key, body in bodies.items():
        assert admin.get(own, key) == body, key
        assert admin.done("HEAD", target(own, key)).headers["content-length"] == str(len(body))
    listed = texts(admin.done("GET", f"/{own}?list-type=2&encoding-type=url"), "Contents/Key")
    assert listed == [target("", key)[2:] for key in sorted(bodies, key=str.encode)]
    for key in SOME_KEYS:
        admin.done("DELETE", target(own, key))
        assert not admin.has(own, key)
    assert admin.keys(own) == []
    assert str(inside.settings.data) not in "".join(SOME_KEYS)
    assert not (inside.settings.data.parent / "b").exists()


def test_a_key_is_decoded_once(admin: Client, own: str) -> None:
    admin.done("PUT", f"/{own}/a%252Fb", body=b"with an escape in its name")
    assert admin.get(own, "a%2Fb") == b"with an escape in its name"
    assert not admin.has(own, "a/b")
    admin.done("PUT", f"/{own}/c%2Fd", body=b"an escaped slash is a slash")
    assert admin.get(own, "c/d") == b"an escaped slash is a slash"
    admin.done("PUT", f"/{own}/e+f", body=b"a plus is a plus")
    assert admin.get(own, "e+f") == b"a plus is a plus"
    assert not admin.has(own, "e f")


def test_what_sdks_add_is_not_heeded(admin: Client, own: str) -> None:
    admin.done("PUT", f"/{own}/k?x-id=PutObject", body=b"body")
    for query in ("x-id=GetObject", "anything", "a=b&c=d", "X=%C3%BC", "prefix=a", "max-keys=0"):
        assert admin.done("GET", f"/{own}/k?{query}").body == b"body"
    assert admin.done("DELETE", f"/{own}/k?x-id=DeleteObject").status == 204
    assert not admin.has(own, "k")


def test_headers_and_metadata_come_back(admin: Client, own: str) -> None:
    stored = {
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "max-age=60",
        "content-disposition": 'attachment; filename="a.txt"',
        "content-language": "de, en",
        "expires": "Thu, 01 Dec 2033 16:00:00 GMT",
        "x-amz-website-redirect-location": "/elsewhere",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-meta-upper": "As It Stands",
        "x-amz-meta-utf8": "grün".encode().decode("latin-1"),
        "x-amz-meta-latin": "gr\xfcn",
        "x-amz-meta-empty": "",
        "x-amz-meta-list": "a,b, c",
    }
    admin.done("PUT", target(own, "k"), {**stored, "content-encoding": "gzip,aws-chunked"}, b"body")
    head, got = admin.done("HEAD", target(own, "k")), admin.done("GET", target(own, "k"))
    assert {name: head.headers.get(name) for name in stored} == stored
    assert head.headers["content-encoding"] == "gzip"
    same = {
        name: value for name, value in head.headers.items() if name not in {"x-amz-request-id", "x-amz-id-2"}
    }
    assert {name: got.headers[name] for name in same} == same
    admin.put(own, "k", b"")
    plain = admin.done("HEAD", target(own, "k")).headers
    assert plain["content-type"] == "binary/octet-stream"
    assert not [
        name for name in plain if name.startswith("x-amz-meta-") or name in {"cache-control", "expires"}
    ]


def test_overridden_headers(admin: Client, own: str) -> None:
    admin.put(own, "k", b"body", content_type="text/plain", cache_control="no-store")
    query = "&".join(
        f"response-{name}={value}"
        for name, value in {
            "content-type": "image%2Fpng",
            "content-language": "en",
            "expires": "never",
            "cache-control": "max-age%3D1",
            "content-disposition": "inline",
            "content-encoding": "identity",
        }.items()
    )
    for method in ("GET", "HEAD"):
        headers = admin.done(method, target(own, "k", query)).headers
        assert headers["content-type"] == "image/png"
        assert headers["cache-control"] == "max-age=1"
        assert headers["content-disposition"] == "inline"
        assert headers["content-encoding"] == "identity"
    assert admin.done("GET", target(own, "k")).headers["content-type"] == "text/plain"


def test_deleting_what_is_not_there(admin: Client, own: str) -> None:
    assert admin.done("DELETE", target(own, "never")).status == 204
    assert admin.done("DELETE", target(own, "never", "versionId=null")).status == 204


# Many at once ----------------------------------------------------------------------------------------------


def test_delete_many(admin: Client, own: str) -> None:
    for key in ("a", "a/b", "c & d", "kept"):
        admin.put(own, key, b"x")
    answer = delete_many(admin, own, delete_document("a", "a/b", "c & d", "never", "a"))
    assert texts(answer, "Deleted/Key") == ["a", "a/b", "c & d", "never", "a"]
    assert texts(answer, "Error/Key") == []
    assert admin.keys(own) == ["kept"]


def test_delete_many_quietly(admin: Client, own: str) -> None:
    admin.put(own, "a", b"x")
    document = delete_document("a", "never", quiet=True)
    answer = delete_many(admin, own, document)
    assert (texts(answer, "Deleted"), texts(answer, "Error")) == ([], [])
    assert admin.keys(own) == []


def test_a_thousand_at_once(admin: Client, own: str) -> None:
    for number in range(5):
        admin.put(own, f"k{number}", b"x")
    answer = delete_many(admin, own, delete_document(*(f"k{number}" for number in range(1000))))
    assert len(texts(answer, "Deleted/Key")) == 1000
    assert admin.keys(own) == []


def test_delete_many_on_conditions(admin: Client, own: str) -> None:
    """Each is deleted only if it is what the caller believes."""
    body = b"twelve bytes"
    etag = admin.put(own, "k", body).headers["etag"]
    modified = admin.done("HEAD", target(own, "k")).headers["last-modified"]
    for inner in (
        "<ETag>0123</ETag>",
        "<Size>13</Size>",
        "<LastModifiedTime>2001-01-01T00:00:00.000Z</LastModifiedTime>",
        "<LastModifiedTime>Mon, 01 Jan 2001 00:00:00 GMT</LastModifiedTime>",
        f"<ETag>{etag}</ETag><Size>13</Size>",
    ):
        answer = delete_many(admin, own, delete_document("k", inner=inner))
        assert texts(answer, "Error/Code") == ["PreconditionFailed"], inner
    assert admin.get(own, "k") == body
    absent = delete_many(admin, own, delete_document("never", inner=f"<ETag>{etag}</ETag>"))
    assert texts(absent, "Error/Code") == ["NoSuchKey"]
    version = delete_many(admin, own, delete_document("k", inner="<VersionId>v1</VersionId>"))
    assert texts(version, "Error/Code") == ["NoSuchVersion"]
    inner = f"<ETag>{etag}</ETag><Size>12</Size><LastModifiedTime>{modified}</LastModifiedTime><VersionId>null</VersionId>"
    assert texts(delete_many(admin, own, delete_document("k", inner=inner)), "Deleted/Key") == ["k"]


def test_delete_one_on_conditions(admin: Client, own: str) -> None:
    admin.put(own, "k", b"twelve bytes")
    failed = (412, "PreconditionFailed")
    for name, value in (
        ("if-match", '"0123"'),
        ("x-amz-if-match-size", "13"),
        ("x-amz-if-match-last-modified-time", "Mon, 01 Jan 2001 00:00:00 GMT"),
    ):
        admin.refused(failed, "DELETE", target(own, "k"), {name: value})
    for name in ("x-amz-if-match-size", "x-amz-if-match-last-modified-time"):
        admin.refused((400, "InvalidArgument"), "DELETE", target(own, "k"), {name: "soon"})
    admin.done("DELETE", target(own, "k"), {"x-amz-if-match-size": "12"})
    assert not admin.has(own, "k")


def test_documents_that_are_not_as_long_as_was_said(admin: Client, own: str) -> None:
    admin.put(own, "k", b"kept")
    document = delete_document("k")
    md5 = {"content-md5": base64.b64encode(hashlib.md5(document).digest()).decode()}
    for length in (len(document) + 1, len(document) - 1):
        wrong = {**md5, "content-length": str(length)}
        admin.refused((400, "IncompleteBody"), "POST", f"/{own}?delete", wrong, document)
    endless = {**md5, "transfer-encoding": "chunked"}
    refusal = (400, "MaxMessageLengthExceeded")
    admin.refused(refusal, "POST", f"/{own}?delete", endless, b" " * (4 * 2**20) + document)
    assert admin.get(own, "k") == b"kept"
    admin.done("POST", f"/{own}?delete", endless, document)
    assert not admin.has(own, "k")


# The bytes in the store ------------------------------------------------------------------------------------


def test_small_objects_lie_in_the_catalog(inside: Inside, admin: Client, own: str) -> None:
    files = inside.files()
    admin.put(own, "k", b"x" * 16_384)
    assert inside.files() == files
    admin.put(own, "k", b"x" * 16_385)
    assert len(inside.files()) == len(files) + 1


def test_replaced_and_deleted_bytes_are_swept(inside: Inside, admin: Client, own: str) -> None:
    files = inside.files()
    admin.put(own, "k", LARGE)
    admin.put(own, "k", LARGER)
    assert len(inside.files()) == len(files) + 2
    inside.sweep()
    assert len(inside.files()) == len(files) + 1
    assert admin.get(own, "k") == LARGER
    admin.put(own, "k", b"now inline")
    inside.sweep()
    assert inside.files() == files
    admin.put(own, "k", LARGE)
    admin.done("DELETE", target(own, "k"))
    inside.sweep()
    assert inside.files() == files
    admin.put(own, "k", LARGE)
    delete_many(admin, own, delete_document("k"))
    inside.sweep()
    assert inside.files() == files


def test_nothing_is_swept_before_its_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whoever began to read the old object may go on for the grace."""
    inside = Inside(tmp_path_factory.mktemp("grace"), garbage_grace=10)
    try:
        inside.admin.make_bucket("bucket")
        for body in (LARGE, LARGER):
            inside.admin.put("bucket", "k", body)
        assert inside.sweep(after_ms=9_000) == 0
        assert len(inside.files()) == 2
        assert inside.sweep(after_ms=11_000) == 1
        assert inside.admin.get("bucket", "k") == LARGER
    finally:
        inside.close()


@pytest.mark.parametrize("way", ["digest", "short", "condition", "quota"])
def test_a_put_that_fails_leaves_no_bytes(inside: Inside, admin: Client, own: str, way: str) -> None:
    admin.put(own, "k", b"kept")
    before = inside.dump()
    path = target(own, "k")
    match way:
        case "digest":
            admin.refused((400, "BadDigest"), "PUT", path, {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, LARGE)
        case "short":
            headers = {"content-length": str(len(LARGE) + 1)}
            admin.refused((400, "IncompleteBody"), "PUT", path, headers, LARGE)
        case "condition":
            admin.refused((412, "PreconditionFailed"), "PUT", path, {"if-none-match": "*"}, LARGE)
        case _:
            inside.change_tenancy(quota_bytes=1)
            before = inside.dump()
            admin.refused((403, "QuotaExceeded"), "PUT", path, {}, LARGE)
    inside.sweep()
    assert inside.dump() == before
    inside.change_tenancy()
    assert admin.get(own, "k") == b"kept"


def test_a_body_of_unknown_length(admin: Client, own: str) -> None:
    """Transfer-Encoding: chunked, which the HTTP server has undone."""
    for body in (b"", b"small", LARGE):
        admin.done("PUT", target(own, "k"), {"transfer-encoding": "chunked"}, body)
        assert admin.get(own, "k") == body


def test_the_newest_write_is_read(admin: Client, own: str) -> None:
    seen = []
    for number in range(20):
        body = str(number).encode() * (1 + number % 2 * 20_000)
        admin.put(own, "k", body)
        assert admin.get(own, "k") == body
        modified = admin.done("HEAD", target(own, "k")).headers["last-modified"]
        seen.append(time.mktime(time.strptime(modified, "%a, %d %b %Y %H:%M:%S GMT")))
    assert seen == sorted(seen)


# Presigned -------------------------------------------------------------------------------------------------


def test_a_url_that_was_signed_for_a_copy_copies(admin: Client, own: str) -> None:
    """Some SDKs put headers into the query; then no empty object may come of it."""
    admin.put(own, "source", b"copied")
    url = presign_v4(admin.site, "PUT", target(own, "k"), parameters={"x-amz-copy-source": f"/{own}/source"})
    answer = admin.send("PUT", url)
    assert (answer.status, answer.field("ETag")) == (200, f'"{hashlib.md5(b"copied").hexdigest()}"')
    assert admin.get(own, "k") == b"copied"


def test_metadata_in_a_presigned_query(admin: Client, own: str) -> None:
    url = presign_v4(admin.site, "PUT", target(own, "k"), parameters={"x-amz-meta-colour": "blue"})
    assert admin.send("PUT", url, body=b"x").status == 200
    assert admin.done("HEAD", target(own, "k")).headers["x-amz-meta-colour"] == "blue"


def test_a_body_that_a_presigned_url_does_not_sign_is_still_verified(admin: Client, own: str) -> None:
    url = presign_v4(admin.site, "PUT", target(own, "k"))
    wrong = {"x-amz-content-sha256": "0" * 64}
    answer = admin.send("PUT", url, wrong, b"x")
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert not admin.has(own, "k")


def test_a_presigned_url_may_be_used_again(admin: Client, own: str) -> None:
    """As on AWS. Whoever wants one use only signs If-None-Match too."""
    url = presign_v4(admin.site, "PUT", target(own, "k"))
    assert [admin.send("PUT", url, body=body).status for body in (b"1", b"2")] == [200, 200]
    once = {"if-none-match": "*"}
    url = presign_v4(admin.site, "PUT", target(own, "once"), once)
    assert [admin.send("PUT", url, once, b"x").status for _ in range(2)] == [200, 412]


def test_two_clients_of_one_site_sign_for_themselves(inside: Inside, own: str) -> None:
    """A signature belongs to its key: another key id beside it is a mismatch, not another caller."""
    mary = inside.member("mary", "manager").site
    headers, _ = sign_v4(mary, "GET", f"/{own}")
    headers["authorization"] = headers["authorization"].replace(mary.access_key, inside.admin.site.access_key)
    answer = inside.admin.send("GET", f"/{own}", headers)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
