"""Uploads in parts: Complete moves no bytes and may be repeated, and what is left over is swept."""

import hashlib
import json
from base64 import b64encode
from urllib.parse import quote

import pytest

from tests.conftest import Sites
from tests.s3.client import Client, complete_document, target, texts
from tests.s3.inside import Inside

MIB5 = bytes(range(256)) * (5 * 2**12)
GONE = (404, "NoSuchUpload")


def etag_of(*parts: bytes) -> str:
    whole = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
    return f'"{whole}-{len(parts)}"'


def sizes(inside: Inside) -> list[int]:
    return sorted(path.stat().st_size for path in inside.files())


def upload_of(client: Client, bucket: str, key: str, *parts: bytes) -> tuple[str, dict[int, str]]:
    upload = client.begin(bucket, key)
    return upload, {n: client.put_part(bucket, key, upload, n, part) for n, part in enumerate(parts, 1)}


def test_complete_moves_no_bytes(inside: Inside, admin: Client, own: str) -> None:
    upload, parts = upload_of(admin, own, "k", MIB5, b"end")
    before = {path: path.stat().st_ino for path in inside.files()}
    answer = admin.complete(own, "k", upload, parts)
    assert answer.field("ETag") == etag_of(MIB5, b"end")
    after = {path: path.stat().st_ino for path in inside.files()}
    assert before.items() <= after.items()
    (manifest,) = after.keys() - before.keys()
    assert manifest.stat().st_size < 2000
    assert admin.get(own, "k") == MIB5 + b"end"


def test_the_manifest_names_the_parts(inside: Inside, admin: Client, own: str) -> None:
    """Enough to find the object again from the store alone."""
    upload, parts = upload_of(admin, own, "the/key", MIB5, b"end")
    before = set(inside.files())
    admin.complete(own, "the/key", upload, parts)
    (manifest,) = set(inside.files()) - before
    said = json.loads(manifest.read_bytes())
    assert (said["object"]["bucket"], said["object"]["key"]) == (own, "the/key")
    assert [part[:3] for part in said["parts"]] == [[1, len(MIB5), parts[1]], [2, 3, parts[2]]]
    for part in said["parts"]:
        assert (inside.settings.store_root / part[4]) in before


def test_complete_may_be_repeated(inside: Inside, admin: Client, own: str) -> None:
    """A client that lost the answer asks again; nothing changes, whatever parts it names then."""
    upload, parts = upload_of(admin, own, "k", b"part")
    first = admin.complete(own, "k", upload, parts)
    inside.sweep()
    before = inside.dump()
    for _ in range(2):
        again = admin.complete(own, "k", upload, parts)
        assert (again.status, again.body) == (200, first.body)
    assert inside.dump() == before
    # But the upload is no longer open.
    path = target(own, "k", f"uploadId={upload}")
    admin.refused(GONE, "PUT", f"{path}&partNumber=2", {}, b"late")
    admin.refused(GONE, "DELETE", path)
    admin.refused(GONE, "GET", path)
    assert admin.get(own, "k") == b"part"


def test_complete_repeated_when_the_object_is_gone(inside: Inside, admin: Client, own: str) -> None:
    upload, parts = upload_of(admin, own, "k", b"part")
    assert admin.complete(own, "k", upload, parts).status == 200
    admin.done("DELETE", target(own, "k"))
    answer = admin.complete(own, "k", upload, parts)
    assert (answer.status, answer.code) == GONE
    assert not admin.has(own, "k")


def test_completing_in_two_places_at_once(inside: Inside, admin: Client, own: str) -> None:
    upload, parts = upload_of(admin, own, "k", b"part")
    files = len(inside.files())
    path = target(own, "k", f"uploadId={upload}")
    answers = [admin.complete(own, "k", upload, parts) for _ in range(3)]
    assert {answer.body for answer in answers} == {answers[0].body}
    inside.sweep()
    assert len(inside.files()) == files + 1
    assert admin.ask("GET", path).code == "NoSuchUpload"


def test_parts_that_are_not_chosen_are_swept(inside: Inside, admin: Client, own: str) -> None:
    upload, parts = upload_of(admin, own, "k", MIB5, b"2" * 77_777, b"three")
    del parts[2]
    assert admin.complete(own, "k", upload, parts).field("ETag") == etag_of(MIB5, b"three")
    assert 77_777 in sizes(inside)
    inside.sweep()
    assert 77_777 not in sizes(inside)
    assert admin.get(own, "k") == MIB5 + b"three"


def test_a_part_that_is_replaced_is_swept(inside: Inside, admin: Client, own: str) -> None:
    upload = admin.begin(own, "k")
    admin.put_part(own, "k", upload, 1, b"1" * 88_888)
    etag = admin.put_part(own, "k", upload, 1, b"second")
    assert 88_888 in sizes(inside)
    inside.sweep()
    assert 88_888 not in sizes(inside)
    assert admin.complete(own, "k", upload, {1: etag}).status == 200
    assert admin.get(own, "k") == b"second"


def test_an_abort_is_swept(inside: Inside, admin: Client, own: str) -> None:
    before = inside.dump()
    upload, _ = upload_of(admin, own, "k", b"one", b"two")
    assert admin.done("DELETE", target(own, "k", f"uploadId={upload}")).status == 204
    inside.sweep()
    assert inside.dump() == before
    admin.refused(GONE, "DELETE", target(own, "k", f"uploadId={upload}"))


def test_a_replaced_multipart_object_is_swept(inside: Inside, admin: Client, own: str) -> None:
    files = inside.files()
    upload, parts = upload_of(admin, own, "k", MIB5, b"end")
    admin.complete(own, "k", upload, parts)
    admin.put(own, "k", b"small")
    inside.sweep()
    assert inside.files() == files
    assert inside.service.database.all("SELECT 1 FROM parts p JOIN uploads u ON u.id = p.upload WHERE u.upload_id = $1", upload) == []  # fmt: skip
    assert admin.get(own, "k") == b"small"


@pytest.mark.parametrize(
    "span", [(0, 0), (5 * 2**20 - 1, 5 * 2**20), (5 * 2**20, 5 * 2**20 + 2), (100, 5 * 2**20 + 5)]
)
def test_ranges_across_parts(admin: Client, own: str, span: tuple[int, int]) -> None:
    whole = MIB5 + b"middle"
    upload, parts = upload_of(admin, own, "k", MIB5, b"middle")
    admin.complete(own, "k", upload, parts)
    first, last = span
    answer = admin.done("GET", target(own, "k"), {"range": f"bytes={first}-{last}"})
    assert (answer.status, answer.body) == (206, whole[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"


def test_one_part_of_an_object(admin: Client, own: str) -> None:
    upload, parts = upload_of(admin, own, "k", MIB5, b"end")
    admin.complete(own, "k", upload, parts)
    answer = admin.done("GET", target(own, "k", "partNumber=2"))
    assert (answer.status, answer.body) == (206, b"end")
    assert answer.headers["x-amz-mp-parts-count"] == "2"
    assert answer.headers["content-range"] == f"bytes {len(MIB5)}-{len(MIB5) + 2}/{len(MIB5) + 3}"
    head = admin.done("HEAD", target(own, "k", "partNumber=1"))
    assert head.headers["content-length"] == str(len(MIB5))


def test_part_numbers_may_have_gaps(admin: Client, own: str) -> None:
    upload = admin.begin(own, "k")
    parts = {n: admin.put_part(own, "k", upload, n, body) for n, body in ((7, MIB5), (10_000, b"end"))}
    assert admin.complete(own, "k", upload, parts).status == 200
    assert admin.get(own, "k") == MIB5 + b"end"


def test_the_size_of_the_whole(admin: Client, own: str) -> None:
    """`x-amz-mp-object-size`; objects in parts may be larger than nine digits say."""
    upload, parts = upload_of(admin, own, "k", b"part")
    for wrong in ("5", "3", str(5 * 2**40)):
        answer = admin.complete(own, "k", upload, parts, x_amz_mp_object_size=wrong)
        assert (answer.status, answer.code) == (400, "InvalidRequest"), wrong
    answer = admin.complete(own, "k", upload, parts, x_amz_mp_object_size="many")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert admin.complete(own, "k", upload, parts, x_amz_mp_object_size="4").status == 200


def test_the_object_is_what_was_said_when_it_began(admin: Client, own: str) -> None:
    upload = admin.begin(
        own, "k", content_type="text/plain", x_amz_meta_colour="blue", x_amz_storage_class="GLACIER"
    )
    part = admin.put_part(own, "k", upload, 1, b"part")
    assert admin.complete(own, "k", upload, {1: part}, x_amz_meta_late="ignored").status == 200
    headers = admin.done("HEAD", target(own, "k")).headers
    assert headers["content-type"] == "text/plain"
    assert headers["x-amz-meta-colour"] == "blue"
    assert headers["x-amz-storage-class"] == "GLACIER"
    assert "x-amz-meta-late" not in headers


def test_parts_copied_from_objects(inside: Inside, admin: Client, own: str) -> None:
    admin.put(own, "source", MIB5)
    upload = admin.begin(own, "k")
    etags = {}
    for number, span in ((1, None), (2, "bytes=1-3")):
        headers = {"x-amz-copy-source": f"/{own}/source"}
        if span is not None:
            headers["x-amz-copy-source-range"] = span
        path = target(own, "k", f"partNumber={number}&uploadId={upload}")
        etags[number] = admin.done("PUT", path, headers).field("ETag").strip('"')
    admin.done("DELETE", target(own, "source"))
    inside.sweep()
    assert admin.complete(own, "k", upload, etags).field("ETag") == etag_of(MIB5, MIB5[1:4])
    assert admin.get(own, "k") == MIB5 + MIB5[1:4]


def test_pages_of_parts(admin: Client, own: str) -> None:
    upload = admin.begin(own, "k")
    for number in (1, 2, 5, 9):
        admin.put_part(own, "k", upload, number, b"x" * number)
    path = target(own, "k", f"uploadId={upload}")
    found, marker = [], "0"
    for _ in range(5):
        answer = admin.done("GET", f"{path}&max-parts=2&part-number-marker={marker}")
        found += texts(answer, "Part/PartNumber")
        marker = answer.field("NextPartNumberMarker")
        if answer.field("IsTruncated") == "false":
            break
    assert found == ["1", "2", "5", "9"]
    whole = admin.done("GET", path)
    assert texts(whole, "Part/Size") == ["1", "2", "5", "9"]
    assert whole.field("StorageClass") == "STANDARD"


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_pages_of_uploads(admin: Client, own: str, size: int) -> None:
    begun = [(key, admin.begin(own, key)) for key in ("a", "a", "b/1", "b/2", "c", "c")]
    plain, folded = [], []
    for delimiter in ("", "/"):
        found, prefixes, markers = [], [], ""
        for _ in range(10):
            answer = admin.done(
                "GET", f"/{own}?uploads&max-uploads={size}{delimiter and '&delimiter=/'}{markers}"
            )
            found += list(zip(texts(answer, "Upload/Key"), texts(answer, "Upload/UploadId"), strict=True))
            prefixes += texts(answer, "CommonPrefixes/Prefix")
            if answer.field("IsTruncated") == "false":
                break
            key, upload = answer.field("NextKeyMarker"), answer.field("NextUploadIdMarker")
            markers = f"&key-marker={quote(key, safe='')}&upload-id-marker={upload}"
        if delimiter:
            folded = [(found, prefixes)]
        else:
            plain = found
    assert plain == begun
    assert folded == [([one for one in begun if "/" not in one[0]], ["b/"])]
    prefixed = admin.done("GET", f"/{own}?uploads&prefix=b/&key-marker=b/1")
    assert texts(prefixed, "Upload/Key") == ["b/2"]


def test_uploads_do_not_show_as_objects(admin: Client, own: str) -> None:
    upload_of(admin, own, "k", b"part")
    assert admin.keys(own) == []
    assert not admin.has(own, "k")
    admin.put(own, "k", b"an object beside it")
    assert admin.keys(own) == ["k"]


def test_a_part_belongs_to_its_upload(admin: Client, own: str) -> None:
    """Two uploads of one key keep apart."""
    one, parts = upload_of(admin, own, "k", b"one")
    other, _ = upload_of(admin, own, "k", b"other")
    answer = admin.complete(own, "k", other, parts)
    assert (answer.status, answer.code) == (400, "InvalidPart")
    assert admin.complete(own, "k", one, parts).status == 200
    assert admin.get(own, "k") == b"one"


def test_the_location_is_the_address_of_the_object(admin: Client, own: str, sites: Sites) -> None:
    for key in ("k", "a b/ü&"):
        upload, parts = upload_of(admin, own, key, b"part")
        answer = admin.complete(own, key, upload, parts)
        assert answer.field("Location") == admin.site.url + target(own, key)
    secure = Client(sites.https)
    secure.make_bucket(own)
    upload, parts = upload_of(secure, own, "k", b"part")
    assert secure.complete(own, "k", upload, parts).field("Location") == f"{sites.https.url}/{own}/k"


def test_a_document_with_a_digest(admin: Client, own: str) -> None:
    upload, parts = upload_of(admin, own, "k", b"part")
    document = complete_document(parts)
    path = target(own, "k", f"uploadId={upload}")
    admin.refused((400, "BadDigest"), "POST", path, {"content-md5": b64encode(bytes(16)).decode()}, document)
    right = b64encode(hashlib.md5(document).digest()).decode()
    assert admin.done("POST", path, {"content-md5": right}, document).status == 200
