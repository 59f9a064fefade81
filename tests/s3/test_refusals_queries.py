"""Queries, ranges, conditions and copy sources that cannot be, and operations that are not there."""

from urllib.parse import quote

import pytest

from dolium.s3.route import OPERATIONS, Target
from tests.s3.client import Refusal
from tests.s3.conftest import BODY, Stage

INVALID = (400, "InvalidArgument")
NOT_BUILT = (501, "NotImplemented")
NEW = b"hostile"

# Every sub-resource of the S3 API reference, built here or not.
_NAMES = """
accelerate acl analytics attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle
location logging metadataConfiguration metadataTable metrics notification object-lock ownershipControls policy
policyStatus publicAccessBlock renameObject replication requestPayment restore retention select session tagging
torrent uploads versioning versions website
"""
SUBRESOURCES = _NAMES.split()


@pytest.mark.parametrize("number", ["0", "10001", "-1", "one", "", "1.0", "%201", "9" * 30, "%D9%A1"])
def test_part_numbers(stage: Stage, number: str) -> None:
    upload = stage.at("kept", f"partNumber={number}&uploadId={stage.upload}")
    stage.refused(INVALID, "PUT", upload, body=NEW)
    stage.refused(INVALID, "PUT", upload, {"x-amz-copy-source": f"/{stage.bucket}/kept"})
    stage.refused(INVALID, "GET", stage.at("kept", f"partNumber={number}"))


def test_a_part_number_missing(stage: Stage) -> None:
    stage.refused(INVALID, "PUT", stage.at("kept", f"uploadId={stage.upload}"), body=NEW)


def test_a_part_that_the_object_has_not(stage: Stage) -> None:
    for method in ("GET", "HEAD"):
        stage.refused((416, "InvalidPartNumber"), method, stage.at("kept", "partNumber=2"))


@pytest.mark.parametrize("name", ["max-keys", "max-parts", "max-uploads", "max-buckets"])
@pytest.mark.parametrize("value", ["-1", "abc", "1.5", "9" * 20, "%D9%A1", "1;DROP"])
def test_limits_of_listings(stage: Stage, name: str, value: str) -> None:
    path = {
        "max-keys": stage.at(query="list-type=2&"),
        "max-parts": stage.at("kept", f"uploadId={stage.upload}&"),
        "max-uploads": stage.at(query="uploads&"),
        "max-buckets": "/?",
    }[name]
    answer = stage.refused(INVALID, "GET", f"{path}{name}={value}")
    assert answer.field("ArgumentName") == name
    if name == "max-keys":
        stage.refused(INVALID, "GET", stage.at(query=f"max-keys={value}"))


@pytest.mark.parametrize("token", ["x", "!", "' OR 1=1 --", "Mjk=", "_w==", "Mf8=", "A" * 3000, "ü"])
def test_continuation_tokens(stage: Stage, token: str) -> None:
    stage.refused(INVALID, "GET", stage.at(query=f"list-type=2&continuation-token={quote(token)}"))


def test_an_unknown_encoding(stage: Stage) -> None:
    for query in ("encoding-type=base64", "list-type=2&encoding-type=base64", "uploads&encoding-type=base64"):
        stage.refused(INVALID, "GET", stage.at(query=query))


@pytest.mark.parametrize("value", ["21-", "1000-2000", "-0", "99999999999999999999-"])
def test_ranges_that_hold_nothing(stage: Stage, value: str) -> None:
    if value.startswith("9" * 20):
        # Not a range that can be read, and so none.
        assert stage.client.done("GET", stage.at("kept"), {"range": f"bytes={value}"}).body == BODY
        return
    for method in ("GET", "HEAD"):
        headers = {"range": f"bytes={value}"}
        if value == "-0" and method == "GET":
            # The last 0 bytes: there is no such byte (RFC 9110 §14.1.2).
            stage.refused((416, "InvalidRange"), method, stage.at("kept"), headers)
            continue
        answer = stage.refused((416, "InvalidRange"), method, stage.at("kept"), headers)
        assert answer.headers["content-range"] == f"bytes */{len(BODY)}"


@pytest.mark.parametrize(
    "value", ["bytes=", "bytes=a-b", "bytes=5-2", "bytes=--1", "lines=0-1", "bytes=0-1,4-5", "0-1", "bytes=1"]
)
def test_ranges_that_are_none_are_not_heeded(stage: Stage, value: str) -> None:
    answer = stage.client.done("GET", stage.at("kept"), {"range": value})
    assert (answer.status, answer.body) == (200, BODY)


def test_a_thousand_ranges(stage: Stage) -> None:
    value = "bytes=" + ",".join(f"{n}-{n}" for n in range(1000))
    assert stage.client.done("GET", stage.at("kept"), {"range": value}).body == BODY


def test_a_range_of_nothing(stage: Stage) -> None:
    empty = f"{stage.bucket}-empty"
    stage.client.make_bucket(empty)
    stage.client.put(empty, "nothing")
    for value in ("bytes=0-0", "bytes=-1", "bytes=0-"):
        stage.refused((416, "InvalidRange"), "GET", f"/{empty}/nothing", {"range": value})


def test_a_range_and_a_part(stage: Stage) -> None:
    path = stage.at("kept", "partNumber=1")
    stage.refused((400, "InvalidRequest"), "GET", path, {"range": "bytes=0-1"})


@pytest.mark.parametrize(
    ("headers", "key", "refusal"),
    [
        ({"if-match": '"0123"'}, "kept", (412, "PreconditionFailed")),
        ({"if-none-match": "*"}, "kept", (412, "PreconditionFailed")),
        ({"if-match": "*"}, "absent", (404, "NoSuchKey")),
        ({"if-match": '"0123"'}, "absent", (404, "NoSuchKey")),
    ],
)
@pytest.mark.parametrize("route", ["put", "copy", "complete", "delete"])
def test_conditions_that_do_not_hold(
    stage: Stage, headers: dict[str, str], key: str, refusal: Refusal, route: str
) -> None:
    match route:
        case "put":
            stage.refused(refusal, "PUT", stage.at(key), headers, NEW)
        case "copy":
            copy = {
                **headers,
                "x-amz-copy-source": f"/{stage.bucket}/kept",
                "x-amz-metadata-directive": "REPLACE",
            }
            stage.refused(refusal, "PUT", stage.at(key), copy)
        case "delete":
            stage.refused(refusal, "DELETE", stage.at(key), headers)
        case _:
            upload = stage.client.begin(stage.bucket, key)
            part = stage.client.put_part(stage.bucket, key, upload, 1, b"x")
            answer = stage.client.complete(
                stage.bucket, key, upload, {1: part}, **{n.replace("-", "_"): v for n, v in headers.items()}
            )
            stage.checked(answer, refusal, "POST")
            stage.client.done("DELETE", stage.at(key, f"uploadId={upload}"))


@pytest.mark.parametrize(
    "source",
    [
        "",
        "/",
        "bucket",
        "/bucket",
        "/bucket/",
        "//",
        "bucket?versionId=1",
        "/bucket/key?versionId=",
        "%FF/%FF",
        "/b/%FF",
    ],
)
@pytest.mark.parametrize("route", ["copy", "part"])
def test_copy_sources_that_are_none(stage: Stage, source: str, route: str) -> None:
    path = stage.at("new") if route == "copy" else stage.at("kept", f"partNumber=1&uploadId={stage.upload}")
    stage.refused(INVALID, "PUT", path, {"x-amz-copy-source": source})


def test_copy_sources_that_are_absent(stage: Stage) -> None:
    for source, refusal in (
        (f"/{stage.bucket}/absent", (404, "NoSuchKey")),
        (f"/{stage.bucket}-none/kept", (404, "NoSuchBucket")),
        (f"/{stage.bucket}/kept?versionId=1", (404, "NoSuchVersion")),
        (f"/{stage.bucket}/../kept", (404, "NoSuchKey")),
        (f"/{stage.bucket}/%2e%2e/{stage.bucket}/kept", (404, "NoSuchKey")),
    ):
        for path in (stage.at("new"), stage.at("kept", f"partNumber=1&uploadId={stage.upload}")):
            stage.refused(refusal, "PUT", path, {"x-amz-copy-source": source})


def test_a_copy_onto_itself_that_changes_nothing(stage: Stage) -> None:
    source = {"x-amz-copy-source": f"/{stage.bucket}/kept"}
    stage.refused((400, "InvalidRequest"), "PUT", stage.at("kept"), source)
    unknown = {**source, "x-amz-metadata-directive": "MERGE"}
    stage.refused(INVALID, "PUT", stage.at("new"), unknown)


@pytest.mark.parametrize(
    "span", ["bytes=0-", "bytes=-5", "0-5", "bytes=5-0", "bytes=a-b", "bytes=0-1,2-3", ""]
)
def test_ranges_of_copy_sources(stage: Stage, span: str) -> None:
    path = stage.at("kept", f"partNumber=1&uploadId={stage.upload}")
    source = {"x-amz-copy-source": f"/{stage.bucket}/kept", "x-amz-copy-source-range": span}
    stage.refused(INVALID, "PUT", path, source)


def test_a_range_behind_the_copy_source(stage: Stage) -> None:
    path = stage.at("kept", f"partNumber=1&uploadId={stage.upload}")
    source = {"x-amz-copy-source": f"/{stage.bucket}/kept", "x-amz-copy-source-range": "bytes=10-21"}
    stage.refused((416, "InvalidRange"), "PUT", path, source)


@pytest.mark.parametrize("attributes", ["", "Everything", "ETag,Everything", "etag", ",", "ETag;Checksum"])
def test_attributes_that_are_none(stage: Stage, attributes: str) -> None:
    headers = {"x-amz-object-attributes": attributes}
    stage.refused(INVALID, "GET", stage.at("kept", "attributes"), headers)
    stage.refused(INVALID, "GET", stage.at("kept", "attributes"))


BUILT = {(op.method, op.target, op.subresource) for op in OPERATIONS}


@pytest.mark.parametrize("name", SUBRESOURCES)
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "HEAD", "GET"])
def test_a_subresource_that_is_not_built(stage: Stage, method: str, name: str) -> None:
    """Never the operation without it: `DELETE key?retention` deletes no object."""
    for path, target in ((stage.at("kept", name), Target.OBJECT), (stage.at(query=name), Target.BUCKET)):
        if (method, target, name) not in BUILT:
            body = NEW if method in {"PUT", "POST"} else b""
            stage.refused(NOT_BUILT, method, path, body=body)


@pytest.mark.parametrize(
    "query", ["x", "versionid=1", "taggings", "Acl", "uploadid=1", "delete%20", "%00", "prefix=a"]
)
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_query_that_is_mistyped(stage: Stage, method: str, query: str) -> None:
    for path in (stage.at("kept", query), stage.at(query=query)):
        if method == "POST":
            answer = stage.client.ask(method, path, body=NEW)
            assert answer.status in {405, 501}, answer
        else:
            stage.refused(NOT_BUILT, method, path, body=NEW if method == "PUT" else b"")


def test_headers_in_a_query_that_signs_nothing(stage: Stage) -> None:
    """Parameters stand for headers in presigned URLs only."""
    for name in ("x-amz-copy-source", "x-amz-meta-a", "x-amz-acl"):
        stage.refused(NOT_BUILT, "PUT", stage.at("kept", f"{name}=private"), body=NEW)


@pytest.mark.parametrize(
    ("method", "place", "allowed"),
    [
        ("POST", "object", "DELETE, GET, HEAD, PUT"),
        ("PATCH", "object", "DELETE, GET, HEAD, PUT"),
        ("PATCH", "bucket", "DELETE, GET, HEAD, PUT"),
        ("TRACE", "bucket", "DELETE, GET, HEAD, PUT"),
        ("PROPFIND", "object", "DELETE, GET, HEAD, PUT"),
        ("PUT", "service", "GET"),
        ("DELETE", "service", "GET"),
        ("POST", "service", "GET"),
        ("HEAD", "service", "GET"),
    ],
)
def test_a_wrong_verb(stage: Stage, method: str, place: str, allowed: str) -> None:
    path = {"object": stage.at("kept"), "bucket": stage.at(), "service": "/"}[place]
    answer = stage.refused((405, "MethodNotAllowed"), method, path)
    assert answer.headers["allow"] == allowed


def test_a_form_is_not_taken(stage: Stage) -> None:
    """POST Object is not built, whoever sends it, and a form is not a way around the signature."""
    form = {"content-type": "multipart/form-data; boundary=b"}
    body = b'--b\r\ncontent-disposition: form-data; name="key"\r\n\r\nkept\r\n--b--\r\n'
    stage.refused(NOT_BUILT, "POST", stage.at(), form, body)
    stage.checked(stage.client.send("POST", stage.at(), form, body), NOT_BUILT, "POST")
    stage.checked(stage.client.send("POST", stage.at("kept"), form, body), (405, "MethodNotAllowed"), "POST")
    for path in (
        stage.at(query="delete"),
        stage.at("kept", f"uploadId={stage.upload}"),
        stage.at("new", "uploads"),
    ):
        stage.checked(stage.client.send("POST", path, form, body), (403, "AccessDenied"), "POST")


def test_versions_that_are_not_there(stage: Stage) -> None:
    refusal = (404, "NoSuchVersion")
    for query in ("versionId=1", "versionId=", "versionId=..%2F"):
        stage.refused(refusal, "GET", stage.at("kept", query))
        stage.refused(refusal, "HEAD", stage.at("kept", query))
        stage.refused(refusal, "DELETE", stage.at("kept", query))


def test_what_is_not_there(stage: Stage) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        stage.refused(
            (404, "NoSuchBucket"), method, f"/{stage.bucket}-none/kept", body=NEW if method == "PUT" else b""
        )
    for method in ("GET", "HEAD", "DELETE"):
        stage.refused((404, "NoSuchBucket"), method, f"/{stage.bucket}-none")
    for method in ("GET", "HEAD"):
        stage.refused((404, "NoSuchKey"), method, stage.at("absent"))
    answer = stage.refused((404, "NoSuchKey"), "GET", stage.at("\x01<&>ü"))
    assert answer.field("Resource") == stage.at("\x01<&>ü")


def test_a_bucket_that_is_not_empty(stage: Stage) -> None:
    stage.refused((409, "BucketNotEmpty"), "DELETE", stage.at())
