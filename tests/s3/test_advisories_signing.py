"""Holes that other servers had in who may ask: each test is named after the advisory that it mirrors."""

import dataclasses
import time

import pytest

from tests.s3.client import Client, check_refusal, target
from tests.s3.inside import Inside
from tests.s3.signing import (
    UNSIGNED_TRAILER,
    plain_chunks,
    presign_v2,
    presign_v4,
    sign_v2,
    sign_v4,
    stamp_of,
)

DENIED = (403, "AccessDenied")
MISMATCH = (403, "SignatureDoesNotMatch")
UNKNOWN = (403, "InvalidAccessKeyId")
BODY = b"hostile"


@pytest.fixture
def upload(admin: Client, own: str) -> str:
    """An object `kept` and an open upload of it, with a part."""
    admin.put(own, "kept", b"kept")
    upload = admin.begin(own, "kept")
    admin.put_part(own, "kept", upload, 1, b"part")
    return upload


def writes(bucket: str, upload: str) -> list[tuple[str, str, dict[str, str]]]:
    """Every route that takes or makes bytes."""
    return [
        ("PUT", target(bucket, "kept"), {}),
        ("PUT", target(bucket, "kept", f"partNumber=1&uploadId={upload}"), {}),
        ("PUT", target(bucket, "copy"), {"x-amz-copy-source": f"/{bucket}/kept"}),
        (
            "PUT",
            target(bucket, "kept", f"partNumber=1&uploadId={upload}"),
            {"x-amz-copy-source": f"/{bucket}/kept"},
        ),
        ("POST", target(bucket, "kept", f"uploadId={upload}"), {}),
        ("POST", target(bucket, "kept", "uploads"), {}),
        ("POST", target(bucket, query="delete"), {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}),
        ("PUT", f"/{bucket}-new", {}),
        ("POST", target(bucket), {}),
        ("PUT", target(bucket, "kept", "extract"), {"x-amz-meta-snowball-auto-extract": "true"}),
    ]


@pytest.mark.parametrize(
    "credentials", ["none", "fake header", "fake query", "unknown key", "fake version 2"]
)
def test_advisory_cve_2026_40344_unsigned_trailers_need_a_signature(
    inside: Inside, admin: Client, own: str, upload: str, credentials: str
) -> None:
    """MinIO: one handler of three did not know the new kind of payload, and let it through unverified."""
    liar = dataclasses.replace(admin.site, secret_key="wrong")
    nobody = dataclasses.replace(liar, access_key="NOBODY")
    before = inside.dump()
    for method, path, headers in writes(own, upload):
        said = {
            **headers,
            "x-amz-content-sha256": UNSIGNED_TRAILER,
            "x-amz-decoded-content-length": str(len(BODY)),
        }
        match credentials:
            case "none":
                sent, signed = path, said
            case "fake header":
                sent, signed = path, sign_v4(liar, method, path, said, UNSIGNED_TRAILER)[0]
            case "fake query":
                sent, signed = presign_v4(liar, method, path, said), said
            case "unknown key":
                sent, signed = path, sign_v4(nobody, method, path, said, UNSIGNED_TRAILER)[0]
            case _:
                sent, signed = path, sign_v2(liar, method, path, said)
        answer = admin.send(method, sent, signed, plain_chunks([BODY]))
        assert answer.status in {400, 403, 501}, (path, answer)
        assert inside.dump() == before


def test_advisory_cve_2026_97731_an_unsigned_copy_source_copies_nothing(
    inside: Inside, admin: Client, own: str
) -> None:
    """MinIO: the holder of a presigned PUT could read whatever its signer could."""
    admin.put(own, "secret", b"of the signer")
    before = inside.dump()
    source = {"x-amz-copy-source": f"/{own}/secret"}
    path = target(own, "drop")
    for url, refusal in (
        (presign_v4(admin.site, "PUT", path), DENIED),
        (presign_v2(admin.site, "PUT", path), MISMATCH),
        (f"{presign_v4(admin.site, 'PUT', path)}&x-amz-copy-source=/{own}/secret", MISMATCH),
        (f"{presign_v2(admin.site, 'PUT', path)}&x-amz-copy-source=/{own}/secret", MISMATCH),
        (f"{presign_v2(admin.site, 'PUT', path)}&%78-amz-copy-source=/{own}/secret", MISMATCH),
    ):
        sent = source if "copy-source" not in url else {}
        check_refusal(admin.send("PUT", url, sent), refusal, "PUT", secret=admin.site.secret_key)
        assert inside.dump() == before


def test_advisory_cve_2026_97731_a_header_beside_its_signed_parameter(
    inside: Inside, admin: Client, own: str
) -> None:
    """Of two copy sources only one is signed; the other must not be the one that is heeded."""
    admin.put(own, "public", b"meant")
    admin.put(own, "secret", b"not meant")
    before = inside.dump()
    other = {"x-amz-copy-source": f"/{own}/secret"}
    meant = {"x-amz-copy-source": f"/{own}/public"}
    four = presign_v4(admin.site, "PUT", target(own, "drop"), parameters=meant)
    two = presign_v2(admin.site, "PUT", target(own, "drop"), meant) + f"&x-amz-copy-source=/{own}/public"
    for url in (four, two):
        check_refusal(admin.send("PUT", url, other), DENIED, "PUT", secret=admin.site.secret_key)
        assert inside.dump() == before


@pytest.mark.parametrize(
    "algorithm", ["none", "AWS4-HMAC-SHA1", "AWS4-HMAC-MD5", "HS256", "", "aws4-hmac-sha256"]
)
def test_advisory_cve_2024_48916_no_algorithm_of_the_callers_choice(
    inside: Inside, admin: Client, own: str, algorithm: str
) -> None:
    """Ceph took JWTs with alg "none", MinIO confused algorithms (CVE-2026-33322): one is taken, by name."""
    path = target(own, "k")
    headers, _ = sign_v4(admin.site, "PUT", path)
    headers["authorization"] = headers["authorization"].replace("AWS4-HMAC-SHA256", algorithm, 1)
    url = presign_v4(admin.site, "PUT", path).replace("AWS4-HMAC-SHA256", algorithm)
    before = inside.dump()
    for sent, signed in ((path, headers), (url, {})):
        assert admin.send("PUT", sent, signed, BODY).status in {400, 403}
    assert inside.dump() == before


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=b", "application/x-www-form-urlencoded", "text/plain"]
)
def test_advisory_seaweedfs_7912_a_content_type_is_no_authorization(
    inside: Inside, admin: Client, own: str, upload: str, kind: str
) -> None:
    """Any POST with a form was taken for a POST policy, which is verified elsewhere: that is, nowhere."""
    form = b'--b\r\ncontent-disposition: form-data; name="key"\r\n\r\nkept\r\n--b--\r\n'
    before = inside.dump()
    for method, path, headers in writes(own, upload):
        answer = admin.send(method, path, {**headers, "content-type": kind}, form)
        assert answer.status in {403, 405, 501}, (path, answer)
    assert inside.dump() == before


def test_advisory_cve_2026_27607_a_form_names_no_bucket(inside: Inside, admin: Client, own: str) -> None:
    """RustFS and Ceph (CVE-2023-43040) let the fields of a POST form write elsewhere; here no form is taken."""
    form = {"content-type": "multipart/form-data; boundary=b"}
    fields = "".join(
        f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in {"bucket": own, "key": "k", "policy": "e30=", "file": "x"}.items()
    )
    before = inside.dump()
    admin.refused((501, "NotImplemented"), "POST", target(own), form, f"{fields}--b--\r\n".encode())
    assert inside.dump() == before


def test_advisory_cve_2023_28434_a_policy_in_a_form_grants_nothing(
    inside: Inside, admin: Client, own: str
) -> None:
    """MinIO: signed fields of a form escalated. A policy document in fields or headers means nothing here."""
    path = target(own, "k")
    before = inside.dump()
    policy = "policy=eyJleHBpcmF0aW9uIjoiMjA5OS0wMS0wMVQwMDowMDowMFoiLCJjb25kaXRpb25zIjpbXX0="
    for method in ("PUT", "POST", "GET"):
        answer = admin.send(method, f"{path}?{policy}", {"x-amz-policy": policy}, BODY)
        assert answer.status in {403, 405, 501}
    assert inside.dump() == before


def test_advisory_cve_2025_65073_a_signature_is_for_one_request(
    inside: Inside, admin: Client, own: str
) -> None:
    """Keystone turned any presigned signature into a token. Here it opens what was signed, and nothing else."""
    admin.put(own, "shared", b"shared")
    admin.put(own, "other", b"other")
    url = presign_v4(admin.site, "GET", target(own, "shared"))
    assert admin.send("GET", url).body == b"shared"
    route, _, query = url.partition("?")
    signature = query.rpartition("=")[2]
    stamp = stamp_of(time.time())
    before = inside.dump()
    header = (
        f"AWS4-HMAC-SHA256 Credential={admin.site.access_key}/{stamp[:8]}/us-east-1/s3/aws4_request, "
        f"SignedHeaders=host, Signature={signature}"
    )
    for method, path, headers in (
        ("GET", f"{target(own, 'other')}?{query}", {}),
        ("HEAD", url, {}),
        ("DELETE", url, {}),
        ("GET", f"{target(own)}?{query}", {}),
        ("GET", f"{url}&versionId=null", {}),
        ("GET", f"{url}&response-content-type=text%2Fhtml", {}),
        (
            "GET",
            route,
            {"authorization": header, "x-amz-date": stamp, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"},
        ),
    ):
        assert admin.send(method, path, headers).status == 403, (method, path)
    old = presign_v2(admin.site, "GET", target(own, "shared"))
    assert admin.send("GET", old).body == b"shared"
    for more in ("acl", "%61cl", "uploads", "response-content-type=text%2Fhtml", "response%2Dcontent-type=text%2Fhtml",
                 "versionId=1", "partNumber=1", "%70artNumber=1", "attributes"):  # fmt: skip
        assert admin.send("GET", f"{old}&{more}").status == 403, more
    assert inside.dump() == before
