"""Names that cannot be, and headers that are too large or would break an answer."""

import pytest

from tests.s3.client import Refusal, bare, head_of
from tests.s3.conftest import Stage
from tests.s3.signing import presign_v4, sign_v4

INVALID_URI = (400, "InvalidURI")
INVALID_ARGUMENT = (400, "InvalidArgument")
TOO_LONG = (400, "KeyTooLongError")
BODY = b"hostile"


@pytest.mark.parametrize("key", ["k" * 1025, "ü" * 513, "a/" * 513, "%2e" * 1025])
def test_a_key_of_more_than_1024_bytes(stage: Stage, key: str) -> None:
    path = stage.at(key) if "%" not in key else f"/{stage.bucket}/{key}"
    for method in ("PUT", "GET", "HEAD", "DELETE"):
        stage.refused(TOO_LONG, method, path, body=BODY if method == "PUT" else b"")
    stage.refused(TOO_LONG, "POST", path + "?uploads")


def test_a_copy_from_a_key_that_is_too_long(stage: Stage) -> None:
    stage.refused(TOO_LONG, "PUT", stage.at("new"), {"x-amz-copy-source": f"/{stage.bucket}/{'k' * 1025}"})


@pytest.mark.parametrize(
    ("encoded", "refusal"),
    [
        ("a%00b", INVALID_ARGUMENT),
        ("%00", INVALID_ARGUMENT),
        ("a%FF", INVALID_URI),
        ("%C3", INVALID_URI),
        ("%C0%AE", INVALID_URI),  # an overlong dot
        ("%ED%A0%80", INVALID_URI),  # a lone surrogate
        ("a%", INVALID_URI),
        ("a%4", INVALID_URI),
        ("a%zz", INVALID_URI),
    ],
)
def test_a_key_that_is_no_text(stage: Stage, encoded: str, refusal: Refusal) -> None:
    """Signed over the bytes of the path as they are, as clients do that encode no better."""
    for method in ("PUT", "GET", "DELETE"):
        path = f"/{stage.bucket}/{encoded}"
        stage.refused(refusal, method, path, body=BODY if method == "PUT" else b"")


def test_a_query_that_is_no_text(stage: Stage) -> None:
    for query in ("prefix=%FF", "prefix=%ED%A0%80", "%FF=1"):
        stage.refused(INVALID_URI, "GET", stage.at(query=query))


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Upper",
        "under_score",
        "-dash",
        "dash-",
        ".dot",
        "dot.",
        "a..b",
        "a.-b",
        "192.168.0.1",
        "xn--punycode",
        "sthree-own",
        "name-s3alias",
        "name--ol-s3",
        "with%20space",
        "new%0Aline",
        "%2e%2e",
        "%C3%BC%C3%BC%C3%BC",
        "_health",
        "_portal",
    ],
)
def test_a_bucket_name_that_cannot_be(stage: Stage, name: str) -> None:
    stage.refused((400, "InvalidBucketName"), "PUT", f"/{name}")


def test_metadata_above_2_kib(stage: Stage) -> None:
    refusal = (400, "MetadataTooLarge")
    large = {"x-amz-meta-a": "v" * 1500, "x-amz-meta-b": "v" * 600}
    stage.refused(refusal, "PUT", stage.at("kept"), large, BODY)
    stage.refused(refusal, "POST", stage.at("new", "uploads"), large)
    copy = {**large, "x-amz-copy-source": f"/{stage.bucket}/kept", "x-amz-metadata-directive": "REPLACE"}
    stage.refused(refusal, "PUT", stage.at("new"), copy)


def test_headers_above_the_limit(stage: Stage) -> None:
    """Refused where they are read, before anything is known of the request."""
    headers, _ = sign_v4(stage.client.site, "PUT", stage.at("kept"), {"content-length": "0"})
    for large in ({"x-padding": "p" * 20_000}, {f"x-padding-{n}": "p" for n in range(1000)}):
        answer = bare(stage.client.site, head_of("PUT", stage.at("kept"), {**headers, **large}))
        assert answer.status in {400, 431}, answer


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\r\nx-amz-meta-b: c", "a\0b"])
def test_line_breaks_in_metadata(stage: Stage, value: str) -> None:
    """As a header they cannot be sent; a presigned URL can carry them."""
    url = presign_v4(stage.client.site, "PUT", stage.at("kept"), parameters={"x-amz-meta-a": value})
    stage.checked(stage.client.send("PUT", url, {}, BODY), INVALID_ARGUMENT)


@pytest.mark.parametrize("name", ["content-type", "content-disposition", "cache-control", "expires"])
def test_line_breaks_in_overridden_headers(stage: Stage, name: str) -> None:
    path = stage.at("kept", f"response-{name}=a%0D%0AX-Evil:%20b")
    answer = stage.refused(INVALID_ARGUMENT, "GET", path)
    assert "x-evil" not in answer.headers


def test_overrides_are_for_whoever_signs(stage: Stage) -> None:
    """AWS says InvalidRequest; a stranger may not read here at all, which comes first."""
    answer = stage.client.send("GET", stage.at("kept", "response-content-type=text/html"))
    stage.checked(answer, (403, "AccessDenied"), "GET")


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"x-amz-storage-class": "PAPER"}, (400, "InvalidStorageClass")),
        ({"x-amz-storage-class": ""}, (400, "InvalidStorageClass")),
        ({"x-amz-website-redirect-location": "javascript:alert(1)"}, (400, "InvalidRedirectLocation")),
        ({"x-amz-acl": "everybody"}, INVALID_ARGUMENT),
        ({"x-amz-meta-": "nameless"}, INVALID_ARGUMENT),
    ],
)
def test_headers_that_s3_does_not_know(stage: Stage, headers: dict[str, str], refusal: Refusal) -> None:
    stage.refused(refusal, "PUT", stage.at("kept"), headers, BODY)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-acl": "public-read"},
        {"x-amz-grant-read": "id=anyone"},
        {"x-amz-tagging": "a=b"},
        {"x-amz-server-side-encryption": "AES256"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
        {"x-amz-object-lock-mode": "GOVERNANCE"},
        {"x-amz-object-lock-legal-hold": "ON"},
        {"x-amz-write-offset-bytes": "0"},
    ],
    ids=lambda headers: next(iter(headers)),
)
@pytest.mark.parametrize("route", ["object", "copy", "upload"])
def test_what_is_not_built_is_not_ignored(stage: Stage, headers: dict[str, str], route: str) -> None:
    """Who asks for encryption or a lock must not be told that all went well."""
    match route:
        case "object":
            stage.refused((501, "NotImplemented"), "PUT", stage.at("kept"), headers, BODY)
        case "copy":
            copy = {**headers, "x-amz-copy-source": f"/{stage.bucket}/kept"}
            stage.refused((501, "NotImplemented"), "PUT", stage.at("new"), copy)
        case _:
            stage.refused((501, "NotImplemented"), "POST", stage.at("new", "uploads"), headers)
