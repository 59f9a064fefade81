"""Every operation, signed in every way, with every kind of payload: what is not expected is refused.

Generated from `s3.route.OPERATIONS`, so an operation that is added is in it. A request may have more than one
thing wrong; any of them may be the one that is told. Whatever is refused leaves every row of the catalog and
every file of the store as it was; whatever is right is served, so that no row of this table is empty.
"""

import base64
import dataclasses
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from dolium.catalog import access_keys
from dolium.catalog.access_keys import Scope
from dolium.s3.route import OPERATIONS, Operation, Target
from dolium.testing.server import Site
from tests.s3.client import Answer, Refusal, check_refusal
from tests.s3.inside import Inside
from tests.s3.requests import STAGE, Scene
from tests.s3.signing import (
    STREAMING,
    STREAMING_TRAILER,
    UNSIGNED,
    UNSIGNED_TRAILER,
    Seed,
    plain_chunks,
    presign_v2,
    presign_v4_seed,
    sha,
    sign_v2,
    sign_v4,
    signed_chunks,
)

DENIED: Refusal = (403, "AccessDenied")
MISMATCH: Refusal = (403, "SignatureDoesNotMatch")
UNKNOWN: Refusal = (403, "InvalidAccessKeyId")
INVALID: Refusal = (400, "InvalidRequest")
ARGUMENT: Refusal = (400, "InvalidArgument")
QUERY: Refusal = (400, "AuthorizationQueryParametersError")

_NO_SEED = Seed(b"", "20260101T000000Z", "20260101/us-east-1/s3/aws4_request", "0" * 64)
_READ_A_BODY = frozenset(
    {"CreateBucket", "DeleteObjects", "PutObject", "UploadPart", "CompleteMultipartUpload"}
)
_STREAM = _READ_A_BODY - {"CreateBucket"}


# Ways to sign ----------------------------------------------------------------------------------------------

Signed = tuple[str, dict[str, str], Seed]
Sign = Callable[[Site, str, str, dict[str, str]], Signed]


def _v4(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    payload = headers.pop("x-amz-content-sha256", "")
    signed, seed = sign_v4(site, method, path, headers, payload or UNSIGNED)
    if not payload:
        del signed["x-amz-content-sha256"]
    return path, signed, seed


def _v4_forged(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    path, signed, seed = _v4(site, method, path, headers)
    return path, {**signed, "authorization": signed["authorization"][:-8] + "deadbeef"}, seed


def _v4_query(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    path, seed = presign_v4_seed(site, method, path, headers)
    return path, headers, seed


def _v4_query_expired(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    path, seed = presign_v4_seed(site, method, path, headers, expires=5, at=time.time() - 10)
    return path, headers, seed


def _v4_query_tampered(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    path, seed = presign_v4_seed(site, method, path, headers)
    return f"{path}&x-id=Another", headers, seed


def _v4_query_algorithm(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    path, seed = presign_v4_seed(site, method, path, headers)
    return path.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), headers, seed


def _v4_query_without(name: str) -> Sign:
    def sign(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
        path, seed = presign_v4_seed(site, method, path, headers)
        route, _, query = path.partition("?")
        kept = [part for part in query.split("&") if not part.startswith(f"{name}=")]
        return f"{route}?{'&'.join(kept)}", headers, seed

    return sign


def _v2(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    return path, sign_v2(site, method, path, headers), _NO_SEED


def _v2_forged(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    return path, {**sign_v2(site, method, path, headers), "date": _now(3)}, _NO_SEED


def _now(seconds: int) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + seconds))


def _v2_query(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    return presign_v2(site, method, path, headers), headers, _NO_SEED


def _v2_query_expired(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    return presign_v2(site, method, path, headers, expires=-5), headers, _NO_SEED


def _v2_query_tampered(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    return presign_v2(site, method, path, {**headers, "x-amz-meta-a": "b"}), headers, _NO_SEED


def _both(site: Site, method: str, path: str, headers: dict[str, str]) -> Signed:
    return _v4(site, method, presign_v4_seed(site, method, path)[0], headers)


def _nobody(_: Site, __: str, path: str, headers: dict[str, str]) -> Signed:
    return path, headers, _NO_SEED


def _says(value: str) -> Sign:
    def sign(_: Site, __: str, path: str, headers: dict[str, str]) -> Signed:
        return path, {**headers, "authorization": value}, _NO_SEED

    return sign


@dataclass(frozen=True, slots=True)
class Way:
    """`key`: whose. `refusal`: what is wrong with it, whatever is asked; `may`: what the key may not do."""

    sign: Sign
    key: str = "admin"
    refusal: Refusal | None = None
    may: Callable[[Operation], bool] = lambda _: True

    def wrongs(self, operation: Operation) -> set[Refusal]:
        found = set() if self.refusal is None else {self.refusal}
        return found if self.may(operation) else found | {DENIED}


def _reads(operation: Operation) -> bool:
    return operation.method in {"GET", "HEAD"}


def _elsewhere(operation: Operation) -> bool:
    return operation.name == "ListBuckets"


def _under_another_prefix(operation: Operation) -> bool:
    """Clients probe a bucket before they use a prefix in it; nothing of its keys is told."""
    lists = operation.name in {"ListObjects", "ListObjectsV2", "ListMultipartUploads"}
    return operation.name == "ListBuckets" or (
        operation.target is Target.BUCKET and _reads(operation) and not lists
    )


WAYS: dict[str, Way] = {
    "nobody": Way(_nobody, refusal=DENIED),
    "v4": Way(_v4),
    "v4 forged": Way(_v4_forged, refusal=MISMATCH),
    "v4 unknown key": Way(_v4, "unknown", UNKNOWN),
    "v4 expired key": Way(_v4, "expired", UNKNOWN),
    "v4 revoked key": Way(_v4, "revoked", UNKNOWN),
    "v4 suspended": Way(_v4, "suspended", DENIED),
    "v4 other tenancy": Way(_v4, "foreigner", DENIED),
    "v4 read-only key": Way(_v4, "read-only", may=_reads),
    "v4 viewer": Way(_v4, "viewer", may=_reads),
    "v4 key for another bucket": Way(_v4, "other bucket", may=_elsewhere),
    "v4 key for another prefix": Way(_v4, "other prefix", may=_under_another_prefix),
    "v4 query": Way(_v4_query),
    "v4 query expired": Way(_v4_query_expired, refusal=DENIED),
    "v4 query tampered": Way(_v4_query_tampered, refusal=MISMATCH),
    "v4 query unknown key": Way(_v4_query, "unknown", UNKNOWN),
    "v4 query read-only key": Way(_v4_query, "read-only", may=_reads),
    "v2": Way(_v2),
    "v2 forged": Way(_v2_forged, refusal=MISMATCH),
    "v2 revoked key": Way(_v2, "revoked", UNKNOWN),
    "v2 query": Way(_v2_query),
    "v2 query expired": Way(_v2_query_expired, refusal=DENIED),
    "v2 query tampered": Way(_v2_query_tampered, refusal=MISMATCH),
    "v4 query of another algorithm": Way(_v4_query_algorithm, refusal=QUERY),
    "v4 query without its life": Way(_v4_query_without("X-Amz-Expires"), refusal=QUERY),
    "header and query": Way(_both, refusal=ARGUMENT),
    "empty": Way(_says(""), refusal=DENIED),
    "basic": Way(_says("Basic YWRtaW46c2VjcmV0"), refusal=ARGUMENT),
    "v4a": Way(_says("AWS4-ECDSA-P256-SHA256 Credential=a/b/c/s3/aws4_request"), refusal=INVALID),
    "unheard of": Way(_says("AWS5-HMAC-SHA256 Credential=a/b/c/s3/aws4_request"), refusal=INVALID),
    "sha512": Way(_says("AWS4-HMAC-SHA512 Credential=a/b/c/s3/aws4_request"), refusal=INVALID),
}


# Kinds of payload ------------------------------------------------------------------------------------------

_TRAILER = "x-amz-checksum-crc32"


def _crc(body: bytes) -> dict[str, str]:
    return {_TRAILER: base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()}


@dataclass(frozen=True, slots=True)
class Payload:
    """`says`: x-amz-content-sha256. `frame`: the body as sent. `wrongs`: what is wrong with it there."""

    says: Callable[[bytes], str]
    frame: Callable[[Seed, bytes], bytes]
    wrongs: Callable[[str, Operation], set[Refusal]]
    chunked: bool = False
    trailer: bool = False


def _as_it_is(_: Seed, body: bytes) -> bytes:
    return body


def _corrupt(framed: bytes) -> bytes:
    before, mark, after = framed.partition(b"chunk-signature=")
    return before + mark + b"0" * 64 + after[64:]


def _fine(_: str, __: Operation) -> set[Refusal]:
    return set()


def _mismatch(_: str, operation: Operation) -> set[Refusal]:
    """Only whoever reads a body can find out; else it is signed, and ignored with the body."""
    return {(400, "XAmzContentSHA256Mismatch")} if operation.name in _READ_A_BODY else set()


def _garbage(way: str, _: Operation) -> set[Refusal]:
    return {ARGUMENT}


def _missing(way: str, _: Operation) -> set[Refusal]:
    header = way == "header and query" or (way.startswith("v4") and not way.startswith("v4 query"))
    return {INVALID} if header else set()


def _streamed(
    forged: Refusal | None = None, *, signed: bool = True, trailer: bool = False
) -> Callable[[str, Operation], set[Refusal]]:
    def wrongs(way: str, operation: Operation) -> set[Refusal]:
        found = {forged} if forged else set()
        if operation.name not in _STREAM:
            found = {INVALID}
        if way.startswith("v2") and signed:
            found.add(ARGUMENT)
        if trailer and operation.name == "CompleteMultipartUpload":
            # Its checksums are of the object; none of the document is announced.
            found.add((400, "MalformedTrailerError"))
        return found

    return wrongs


PAYLOADS: dict[str, Payload] = {
    "hex": Payload(sha, _as_it_is, _fine),
    "wrong hex": Payload(lambda body: sha(body + b"!"), _as_it_is, _mismatch),
    "unsigned": Payload(lambda _: UNSIGNED, _as_it_is, _fine),
    "missing": Payload(lambda _: "", _as_it_is, _missing),
    "garbage": Payload(lambda _: "garbage", _as_it_is, _garbage),
    "chunks of another algorithm": Payload(
        lambda _: "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", lambda seed, body: signed_chunks(seed, [body]), _garbage),
    "chunks": Payload(lambda _: STREAMING, lambda seed, body: signed_chunks(seed, [body]), _streamed(), True),
    "chunks forged": Payload(
        lambda _: STREAMING, lambda seed, body: _corrupt(signed_chunks(seed, [body])), _streamed(MISMATCH), True),
    "chunks and trailer": Payload(
        lambda _: STREAMING_TRAILER, lambda seed, body: signed_chunks(seed, [body], _crc(body)),
        _streamed(trailer=True), True, True),
    "chunks and trailer forged": Payload(
        lambda _: STREAMING_TRAILER, lambda seed, body: _corrupt(signed_chunks(seed, [body], _crc(body))),
        _streamed(MISMATCH, trailer=True), True, True),
    "plain chunks and trailer": Payload(
        lambda _: UNSIGNED_TRAILER, lambda _, body: plain_chunks([body], _crc(body)),
        _streamed(signed=False, trailer=True), True, True),
    "plain chunks and trailer forged": Payload(
        lambda _: UNSIGNED_TRAILER, lambda _, body: plain_chunks([body], _crc(body + b"!")),
        _streamed((400, "BadDigest"), signed=False, trailer=True), True, True),
}  # fmt: skip


# The table -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    inside = Inside(tmp_path_factory.mktemp("table"), hosts=("{tenancy}.example.org",))
    yield Scene(inside)
    inside.close()


@pytest.fixture(scope="module")
def sites(scene: Scene) -> dict[str, Site]:
    """The keys, by what is the matter with them."""
    inside = scene.inside
    admin = inside.admin.site
    manager = inside.person("mary", "manager")
    other = Scope(bucket=STAGE, prefix="elsewhere/")
    revoked = inside.client(inside.key(manager)).site
    inside.write(lambda tx: access_keys.revoke(tx, revoked.access_key))
    suspended = inside.member("sue", "manager").site
    inside.suspend("sue")
    inside.tenancy("abroad")
    found = {
        "admin": admin,
        "unknown": dataclasses.replace(admin, access_key="NOBODYSKEY"),
        "expired": inside.client(inside.key(manager, expires_ms=1)).site,
        "revoked": revoked,
        "suspended": suspended,
        "foreigner": inside.member("fritz", "manager", tenancy="abroad", host="main.example.org").site,
        "read-only": inside.client(inside.key(manager, scope=Scope(read_only=True))).site,
        "viewer": inside.member("vera", "viewer").site,
        "other bucket": inside.client(inside.key(manager, scope=Scope(bucket="elsewhere"))).site,
        "other prefix": inside.client(inside.key(manager, scope=other)).site,
    }
    inside.change_tenancy(sharing="everyone")  # so that the viewer sees the stage
    scene.set()
    return found


def _request(
    scene: Scene, operation: Operation, way: Way, payload: Payload, site: Site
) -> tuple[Answer, str]:
    request = scene.request(operation)
    headers = dict(request.headers)
    if payload.chunked:
        headers["x-amz-decoded-content-length"] = str(len(request.body))
        if payload.trailer and operation.name != "CompleteMultipartUpload":
            headers["x-amz-trailer"] = _TRAILER
    if says := payload.says(request.body):
        headers["x-amz-content-sha256"] = says
    path, signed, seed = way.sign(site, request.method, request.path, headers)
    body = payload.frame(seed, request.body)
    return scene.client.transport(site, request.method, path, headers=signed, body=body), request.method


def _all_denied(answer: Answer) -> bool:
    """Keys of a batch are authorized one by one; each of them may be denied."""
    return answer.status == 200 and b"<Deleted>" not in answer.body and answer.code == "AccessDenied"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_table(scene: Scene, sites: dict[str, Site], operation: Operation, way: str) -> None:
    site = sites[WAYS[way].key]
    for name, payload in PAYLOADS.items():
        wrongs = WAYS[way].wrongs(operation) | payload.wrongs(way, operation)
        answer, method = _request(scene, operation, WAYS[way], payload, site)
        where = f"{operation.name}, {way}, {name}: {answer}"
        if not wrongs:
            # Settings that were never set are 404, each with a code of its own.
            assert answer.status < 300 or (":" in operation.name and answer.status == 404), where
            if not _reads(operation):
                assert scene.inside.dump() != scene.before, where
                scene.set()
            continue
        if not (operation.name == "DeleteObjects" and DENIED in wrongs and _all_denied(answer)):
            told = [wrong for wrong in wrongs if wrong == (answer.status, answer.code or wrong[1])]
            assert told, where
            check_refusal(answer, told[0], method, secret=site.secret_key)
        assert scene.inside.dump() == scene.before, where


def test_the_table_has_every_kind_of_outcome() -> None:
    """It would be worth little if nothing were served, or nothing refused."""
    served = {(o.name, w, p) for o in OPERATIONS for w, way in WAYS.items() for p, payload in PAYLOADS.items()
              if not way.wrongs(o) and not payload.wrongs(w, o)}  # fmt: skip
    assert {name for name, _, _ in served} == {operation.name for operation in OPERATIONS}
    assert {payload for _, _, payload in served} == {name for name in PAYLOADS if "forged" not in name} - {
        "garbage", "chunks of another algorithm"
    }  # fmt: skip
    assert len(served) < len(OPERATIONS) * len(WAYS) * len(PAYLOADS) / 3


_OWN = ("/_health/live", "/_health/ready", "/_metrics")
_NOT_OURS = ("/_", "/_health", "/_health/", "/_health/x", "/_metrics/", "/_metrics/x", "/_Metrics", "/_%6detrics", "/_api/v1/",
             "/_portal/", "//_metrics", "/_health/../_metrics", "/_debug")  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_own_pages(scene: Scene, sites: dict[str, Site], way: str) -> None:
    """They know no signatures: whatever is sent, they are read, by GET and HEAD, and nothing else happens. What is
    beside them is S3's, where no bucket can have such a name.
    """
    site = sites[WAYS[way].key]
    local = site.host.startswith("127.")
    for page in (*_OWN, *_NOT_OURS):
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
            headers = {} if method == "GET" else {"x-amz-content-sha256": STREAMING}
            path, signed, _ = WAYS[way].sign(site, method, page, headers)
            answer = scene.client.transport(site, method, path, headers=signed, body=b"body")
            where = f"{method} {page}, {way}: {answer}"
            assert site.secret_key not in str(answer), where
            if page in _OWN and (local or page != "/_metrics"):
                assert answer.status == (200 if method in {"GET", "HEAD"} else 405), where
                assert answer.body != b"" or method == "HEAD", where
            else:
                assert 400 <= answer.status < 500 or answer.status == 501, where
    assert scene.inside.dump() == scene.before
