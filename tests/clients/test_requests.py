"""Single requests as they are on the wire: what is refused, what is said, and when a body is asked for."""

import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from dolium.testing.server import Site
from tests.clients.raw import send, signed, target

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def _open(site: Site) -> socket.socket:
    host, port = site.host.split(":")
    plain = socket.create_connection((host, int(port)), timeout=10)
    if not site.secure:
        return plain
    return ssl.create_default_context(cafile=str(site.ca_file)).wrap_socket(plain, server_hostname=host)


def _head(opened: socket.socket) -> bytes:
    """The next status line and its headers."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        byte = opened.recv(1)
        assert byte, received
        received += byte
    return received


def _request(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def test_100_continue_comes_after_the_signature_is_checked(site: Site, s3: "S3Client", bucket: str) -> None:
    path = target(bucket, "k")
    headers = signed(site, "PUT", path, {"Expect": "100-continue", "Content-Length": "5"})
    with _open(site) as opened:
        opened.sendall(_request("PUT", path, headers))
        assert _head(opened).startswith(b"HTTP/1.1 100 ")
        opened.sendall(b"hello")
        assert _head(opened).startswith(b"HTTP/1.1 200 ")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"


def test_a_refused_body_is_never_asked_for(site: Site, bucket: str) -> None:
    """60 GB announced: a wrong signature and an absent bucket are said before a byte of it is sent."""
    enormous = {"Expect": "100-continue", "Content-Length": str(60 * 10**9)}
    path = target(bucket, "k")
    forged = signed(site, "PUT", path, enormous)
    forged["Authorization"] = forged["Authorization"][:-4] + "beef"
    nowhere = target(f"{bucket}-none", "k")
    for place, headers, status in (
        (path, forged, b"403"),
        (nowhere, signed(site, "PUT", nowhere, {**enormous, "Content-Length": "1000"}), b"404"),
        (path, signed(site, "PUT", path, enormous), b"400"),  # more than S3's 5 GiB for one PUT
    ):
        with _open(site) as opened:
            opened.sendall(_request("PUT", place, headers))
            assert _head(opened).split()[1] == status


def test_a_body_cut_short_stores_nothing(site: Site, s3: "S3Client", bucket: str) -> None:
    path = target(bucket, "k")
    with _open(site) as opened:
        opened.sendall(
            _request("PUT", path, signed(site, "PUT", path, {"Content-Length": "1000"})) + b"x" * 400
        )
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_one_connection_serves_many_requests(site: Site, bucket: str) -> None:
    path = target(bucket, "k")
    with _open(site) as opened:
        for n in range(5):
            body = b"x" * n
            opened.sendall(
                _request("PUT", path, signed(site, "PUT", path, {"Content-Length": str(n)})) + body
            )
            assert _head(opened).startswith(b"HTTP/1.1 200 ")
            opened.sendall(_request("HEAD", path, signed(site, "HEAD", path)))
            assert f"content-length: {n}\r\n".encode() in _head(opened).lower()


def test_strangers_are_denied(site: Site, s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"private")
    for method, path in (
        ("GET", target(bucket, "k")),
        ("GET", target(bucket)),
        ("PUT", target(bucket, "k")),
        ("DELETE", target(bucket, "k")),
    ):
        answer = send(site, method, path)
        assert (answer.status, answer.code) == (403, "AccessDenied"), (method, path)
    assert send(site, "HEAD", target(bucket, "k")).status == 403
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"private"


def test_an_unknown_key_and_a_wrong_secret(site: Site, bucket: str) -> None:
    path = target(bucket)
    stranger = Site(site.url, "NOBODY", site.secret_key, site.ca_file)
    answer = send(site, "GET", path, headers=signed(stranger, "GET", path))
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")
    liar = Site(site.url, site.access_key, "wrong", site.ca_file)
    answer = send(site, "GET", path, headers=signed(liar, "GET", path))
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert answer.field("StringToSign").startswith("AWS4-HMAC-SHA256\n")
    assert answer.field("CanonicalRequest").startswith(f"GET\n/{bucket}\n")
    assert site.secret_key not in answer.body.decode()


def test_an_unsigned_amz_header_is_refused(site: Site, s3: "S3Client", bucket: str) -> None:
    """Whoever sits between may add headers, but none that means something."""
    path = target(bucket, "k")
    headers = {**signed(site, "PUT", path), "x-amz-copy-source": f"/{bucket}/other"}
    answer = send(site, "PUT", path, headers=headers, body=b"x")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("query", ["x", "versionid=1", "taggings", "uploads"])
def test_a_mistyped_query_deletes_nothing(site: Site, s3: "S3Client", bucket: str, query: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    path = target(bucket, "k", query)
    answer = send(site, "DELETE", path, headers=signed(site, "DELETE", path))
    assert 400 <= answer.status < 600, answer
    assert answer.status in {400, 405, 501}, answer
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"


def test_get_and_put_bear_what_sdks_add(site: Site, bucket: str) -> None:
    put = target(bucket, "k", "x-id=PutObject")
    assert send(site, "PUT", put, headers=signed(site, "PUT", put), body=b"body").status == 200
    for query in ("x-id=GetObject", "anything=1"):
        get = target(bucket, "k", query)
        assert send(site, "GET", get, headers=signed(site, "GET", get)).body == b"body"


def test_every_answer_has_its_number(site: Site, bucket: str) -> None:
    seen: set[str] = set()
    for method, path in (
        ("GET", target(bucket)),
        ("HEAD", target(bucket, "none")),
        ("GET", target(bucket, "none")),
    ):
        answer = send(site, method, path, headers=signed(site, method, path))
        seen.add(answer.headers["x-amz-request-id"])
        if method == "HEAD":
            assert (answer.status, answer.body) == (404, b"")
        if answer.code:
            assert answer.field("RequestId") == answer.headers["x-amz-request-id"]
            assert answer.field("Key") == "none"
    assert len(seen) == 3


def test_creating_a_bucket_again_and_bad_names(site: Site, bucket: str) -> None:
    path = target(bucket)
    assert send(site, "PUT", path, headers=signed(site, "PUT", path)).status == 200
    for name in ("ab", "UPPER", "under_score", "-dash", "192.168.0.1", "a..b", "a" * 64):
        path = target(name)
        answer = send(site, "PUT", path, headers=signed(site, "PUT", path))
        assert (answer.status, answer.code) == (400, "InvalidBucketName"), name
