"""Who is not who they say, or says it in a way that nobody understands: one test for each way."""

import dataclasses
import time

import pytest

from tests.s3.client import Refusal, bare, head_of
from tests.s3.conftest import Stage
from tests.s3.signing import UNSIGNED, presign_v2, presign_v4, sign_v2, sign_v4, stamp_of

DENIED = (403, "AccessDenied")
MALFORMED = (400, "AuthorizationHeaderMalformed")
BAD_QUERY = (400, "AuthorizationQueryParametersError")
MISMATCH = (403, "SignatureDoesNotMatch")
UNKNOWN = (403, "InvalidAccessKeyId")
BODY = b"hostile"


def scope(service: str = "s3", terminal: str = "aws4_request", date: str = "") -> str:
    return f"{date or stamp_of(time.time())[:8]}/us-east-1/{service}/{terminal}"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_no_authorization(stage: Stage, method: str) -> None:
    for path in (stage.at("kept"), stage.at(), stage.at("absent"), "/"):
        if (method, path) not in {("HEAD", "/"), ("PUT", "/"), ("DELETE", "/")}:
            stage.checked(stage.client.send(method, path), DENIED, method)


def test_an_absent_bucket_is_nothing_to_a_stranger(stage: Stage) -> None:
    """Strangers cannot find out which buckets there are."""
    for path in ("/no-such-bucket-here", "/no-such-bucket-here/key"):
        stage.checked(stage.client.send("GET", path), DENIED, "GET")


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        ("", DENIED),
        ("Bearer token", (400, "InvalidArgument")),
        ("Basic dXNlcjpwYXNz", (400, "InvalidArgument")),
        ("garbage", (400, "InvalidArgument")),
        ("AWS4-HMAC-SHA512 Credential=a/b/c/d/e", (400, "InvalidRequest")),
        ("AWS4-ECDSA-P256-SHA256 Credential=a, SignedHeaders=host, Signature=0", (400, "InvalidRequest")),
        ("AWS4-HMAC-SHA256", MALFORMED),
        ("AWS4-HMAC-SHA256 ", MALFORMED),
        ("AWS4-HMAC-SHA256 Credential=a", MALFORMED),
        ("AWS4-HMAC-SHA256 Credential=, SignedHeaders=host, Signature=", MALFORMED),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00", MALFORMED),
        ("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00", MALFORMED),
        ("AWS4-HMAC-SHA256 Credential=a/20260101/r/s3/aws4_request, Signature=00", MALFORMED),
        ("AWS4-HMAC-SHA256 Credential=a/20260101/r/s3/aws4_request, SignedHeaders=host", MALFORMED),
        ("AWS", (400, "InvalidArgument")),
        ("AWS nocolon", (400, "InvalidArgument")),
        ("AWS :", (400, "InvalidArgument")),
    ],
)
def test_authorization_garbage(stage: Stage, value: str, refusal: Refusal) -> None:
    headers, _ = sign_v4(stage.client.site, "PUT", stage.at("kept"))
    answer = stage.client.send("PUT", stage.at("kept"), {**headers, "authorization": value}, BODY)
    stage.checked(answer, refusal)


def test_two_authorizations(stage: Stage) -> None:
    headers, _ = sign_v4(stage.client.site, "PUT", stage.at("kept"), {"content-length": "0"})
    twice = head_of("PUT", stage.at("kept"), headers).replace(
        b"\r\n\r\n", b"\r\nauthorization: " + headers["authorization"].encode() + b"\r\n\r\n"
    )
    stage.checked(bare(stage.client.site, twice), (400, "InvalidArgument"))


def test_an_unknown_key(stage: Stage) -> None:
    stranger = dataclasses.replace(stage.client.site, access_key="NOBODY")
    path = stage.at("kept")
    for sent, headers in (
        (path, sign_v4(stranger, "PUT", path)[0]),
        (path, sign_v2(stranger, "PUT", path)),
        (presign_v4(stranger, "PUT", path), {}),
        (presign_v2(stranger, "PUT", path), {}),
    ):
        stage.checked(stage.client.send("PUT", sent, headers, BODY), UNKNOWN)


def test_a_wrong_secret(stage: Stage) -> None:
    liar = dataclasses.replace(stage.client.site, secret_key="wrong")
    path = stage.at("kept")
    for sent, headers in (
        (path, sign_v4(liar, "PUT", path)[0]),
        (path, sign_v2(liar, "PUT", path)),
        (presign_v4(liar, "PUT", path), {}),
        (presign_v2(liar, "PUT", path), {}),
    ):
        stage.checked(stage.client.send("PUT", sent, headers, BODY), MISMATCH)


@pytest.mark.parametrize("changed", ["path", "query", "method", "header", "payload", "signature", "date"])
def test_a_changed_request(stage: Stage, changed: str) -> None:
    """What is signed may not be changed on the way."""
    method, path = "PUT", stage.at("kept")
    headers, _ = sign_v4(stage.client.site, method, path, {"x-amz-meta-colour": "red"})
    match changed:
        case "path":
            path = stage.at("other")
        case "query":
            path += "?x-id=PutObject"
        case "method":
            method = "DELETE"
        case "header":
            headers["x-amz-meta-colour"] = "green"
        case "payload":
            headers["x-amz-content-sha256"] = "0" * 64
        case "signature":
            headers["authorization"] = headers["authorization"][:-4] + "beef"
        case "date":
            headers["x-amz-date"] = stamp_of(time.time() - 60)
    stage.checked(stage.client.send(method, path, headers, BODY), MISMATCH)


@pytest.mark.parametrize("changed", ["path", "query", "method", "expires", "signature"])
def test_a_changed_presigned_url(stage: Stage, changed: str) -> None:
    method = "PUT"
    path = presign_v4(stage.client.site, method, stage.at("kept"))
    match changed:
        case "path":
            path = path.replace("kept", "other")
        case "query":
            path += "&x-id=PutObject"
        case "method":
            method = "DELETE"
        case "expires":
            path = path.replace("X-Amz-Expires=600", "X-Amz-Expires=6000")
        case "signature":
            path = path[:-4] + "beef"
    stage.checked(stage.client.send(method, path, {}, BODY), MISMATCH)


@pytest.mark.parametrize(
    "wrong", [scope(service="ec2"), scope(terminal="aws5_request"), scope(date="20200101"), "s3/aws4_request"]
)
def test_a_wrong_scope(stage: Stage, wrong: str) -> None:
    path = stage.at("kept")
    headers, _ = sign_v4(stage.client.site, "PUT", path, scope=wrong)
    stage.checked(stage.client.send("PUT", path, headers, BODY), MALFORMED)
    url = presign_v4(stage.client.site, "PUT", path, scope=wrong)
    stage.checked(stage.client.send("PUT", url, {}, BODY), BAD_QUERY)


def test_any_region_is_fine(stage: Stage) -> None:
    day = stamp_of(time.time())[:8]
    for region in ("US", "", "eu-central-7"):
        headers, _ = sign_v4(
            stage.client.site, "GET", stage.at("kept"), scope=f"{day}/{region}/s3/aws4_request"
        )
        assert stage.client.send("GET", stage.at("kept"), headers).status == 200, region


@pytest.mark.parametrize("date", [None, "yesterday", "20260230T000000Z", "2026-01-01"])
def test_no_date_or_none_that_can_be_read(stage: Stage, date: str | None) -> None:
    headers, _ = sign_v4(stage.client.site, "PUT", stage.at("kept"))
    del headers["x-amz-date"]
    if date is not None:
        headers["x-amz-date"] = date
    stage.checked(stage.client.send("PUT", stage.at("kept"), headers, BODY), DENIED)
    old = sign_v2(stage.client.site, "PUT", stage.at("kept"))
    del old["date"]
    if date is not None:
        old["date"] = date
    stage.checked(stage.client.send("PUT", stage.at("kept"), old, BODY), DENIED)


@pytest.mark.parametrize("seconds", [-1000, 1000])
def test_a_clock_that_is_wrong(stage: Stage, seconds: int) -> None:
    """15 minutes either way."""
    site, path, at = stage.client.site, stage.at("kept"), time.time() + seconds
    for headers in (sign_v4(site, "PUT", path, at=at)[0], sign_v2(site, "PUT", path, at=at)):
        answer = stage.checked(stage.client.send("PUT", path, headers, BODY), (403, "RequestTimeTooSkewed"))
        assert answer.field("MaxAllowedSkewMilliseconds") == "900000"
    nearly = time.time() + seconds * 0.85
    headers, _ = sign_v4(site, "GET", path, at=nearly)
    assert stage.client.send("GET", path, headers).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "x-amz-copy-source",
        "x-amz-meta-colour",
        "x-amz-acl",
        "x-amz-anything",
        "content-md5",
        "X-Amz-Storage-Class",
    ],
)
def test_a_header_that_is_not_signed(stage: Stage, name: str) -> None:
    """Who sits between may not add a header that means something, nor may the holder of a URL."""
    added = {name: f"/{stage.bucket}/kept"}
    path = stage.at("new")
    answer = stage.refused(DENIED, "PUT", path, body=BODY, unsigned=added)
    assert answer.field("HeadersNotSigned") == name.lower()
    url = presign_v4(stage.client.site, "PUT", path)
    answer = stage.checked(stage.client.send("PUT", url, added, BODY), DENIED)
    assert answer.field("HeadersNotSigned") == name.lower()


def test_host_that_is_not_signed(stage: Stage) -> None:
    headers, _ = sign_v4(stage.client.site, "GET", stage.at("kept"))
    headers["authorization"] = headers["authorization"].replace("SignedHeaders=host;", "SignedHeaders=")
    stage.checked(stage.client.send("GET", stage.at("kept"), headers), DENIED, "GET")


def test_version_2_signs_every_amz_header(stage: Stage) -> None:
    path = stage.at("new")
    added = {"x-amz-copy-source": f"/{stage.bucket}/kept"}
    headers = {**sign_v2(stage.client.site, "PUT", path), **added}
    stage.checked(stage.client.send("PUT", path, headers, BODY), MISMATCH)
    url = presign_v2(stage.client.site, "PUT", path)
    stage.checked(stage.client.send("PUT", url, added, BODY), MISMATCH)


def test_a_presigned_url_that_has_expired(stage: Stage) -> None:
    site, path = stage.client.site, stage.at("kept")
    for url in (
        presign_v4(site, "GET", path, expires=10, at=time.time() - 20),
        presign_v4(site, "GET", path, expires=0),
        presign_v2(site, "GET", path, expires=-10),
    ):
        answer = stage.checked(stage.client.send("GET", url), DENIED, "GET")
        assert answer.field("Message") == "Request has expired"


@pytest.mark.parametrize("expires", ["-1", "604801", "soon", "", "1e3", "9" * 30])
def test_a_life_that_cannot_be(stage: Stage, expires: str) -> None:
    url = presign_v4(stage.client.site, "GET", stage.at("kept"), expires=expires)
    stage.checked(stage.client.send("GET", url), BAD_QUERY, "GET")


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"])
def test_a_presigned_url_with_a_part_missing(stage: Stage, name: str) -> None:
    route, _, query = presign_v4(stage.client.site, "PUT", stage.at("kept")).partition("?")
    rest = "&".join(part for part in query.split("&") if not part.startswith(f"X-Amz-{name}="))
    stage.checked(stage.client.send("PUT", f"{route}?{rest}", {}, BODY), BAD_QUERY)


def test_both_kinds_of_authorization(stage: Stage) -> None:
    site, path = stage.client.site, stage.at("kept")
    for url in (presign_v4(site, "PUT", path), presign_v2(site, "PUT", path)):
        headers, _ = sign_v4(site, "PUT", url)
        stage.checked(stage.client.send("PUT", url, headers, BODY), (400, "InvalidArgument"))


def test_a_signature_tells_what_was_signed_and_no_secret(stage: Stage) -> None:
    liar = dataclasses.replace(stage.client.site, secret_key="wrong")
    headers, _ = sign_v4(liar, "GET", stage.at("kept"), payload=UNSIGNED)
    answer = stage.checked(stage.client.send("GET", stage.at("kept"), headers), MISMATCH, "GET")
    assert answer.field("CanonicalRequest").startswith(f"GET\n{stage.at('kept')}\n\nhost:")
    assert answer.field("StringToSign").startswith("AWS4-HMAC-SHA256\n")
    assert answer.field("SignatureProvided") in headers["authorization"]


def test_a_link_that_works_once(stage: Stage) -> None:
    """A link may be used as often as one likes while it lives. Signed with If-None-Match, only the first writes."""
    client, path = stage.client, stage.at("once")
    once = {"if-none-match": "*"}
    url = presign_v4(client.site, "PUT", path, once)
    stage.checked(client.send("PUT", url, body=BODY), (403, "SignatureDoesNotMatch"))
    assert client.send("PUT", url, once, b"first").status == 200
    stage.checked(client.send("PUT", url, once, b"second"), (412, "PreconditionFailed"))
    assert client.get(stage.bucket, "once") == b"first"
    client.done("DELETE", path)


@pytest.mark.parametrize("expires", [1, 604_800])
def test_the_shortest_and_the_longest_life(stage: Stage, expires: int) -> None:
    url = presign_v4(stage.client.site, "GET", stage.at("kept"), expires=expires)
    assert stage.client.send("GET", url).status == 200
