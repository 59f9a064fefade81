"""What decides over a signature, a digest or a token is `hmac.compare_digest`: the time it takes tells nothing.

Shown by turning it round: with a comparison that always says yes every forgery passes, and with one that always
says no nothing right does. So there is no second comparison beside it that could leak.
"""

import hmac
from collections.abc import Iterator

import pytest

from dolium.values import Secret
from tests.s3.client import Answer, Client, target
from tests.s3.inside import Inside
from tests.s3.signing import (
    STREAMING,
    STREAMING_TRAILER,
    presign_v2,
    presign_v4,
    sha,
    sign_v2,
    sign_v4,
    signed_chunks,
)

TRAILER = "x-amz-checksum-crc32"
ZEROS = "0" * 64


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    inside = Inside(tmp_path_factory.mktemp("guarded"), metrics="token", metrics_token=Secret("the-token"))
    inside.admin.make_bucket("box")
    inside.admin.put("box", "k", b"x")
    yield inside
    inside.close()


def header(client: Client, *, right: bool) -> Answer:
    signed, seed = sign_v4(client.site, "GET", "/box/k")
    if not right:
        signed["authorization"] = signed["authorization"].replace(seed.signature, ZEROS)
    return client.send("GET", "/box/k", signed)


def query(client: Client, *, right: bool) -> Answer:
    url = presign_v4(client.site, "GET", "/box/k")
    return client.send("GET", url if right else url.rpartition("=")[0] + "=" + ZEROS)


def version_2(client: Client, *, right: bool) -> Answer:
    signed = sign_v2(client.site, "GET", "/box/k")
    if not right:
        signed["authorization"] = signed["authorization"].partition(":")[0] + ":" + "A" * 27 + "="
    return client.send("GET", "/box/k", signed)


def version_2_query(client: Client, *, right: bool) -> Answer:
    url = presign_v2(client.site, "GET", "/box/k")
    return client.send("GET", url if right else url.rpartition("=")[0] + "=" + "A" * 27 + "%3D")


def _chunks(client: Client, says: str, trailers: dict[str, str] | None, *, forge: int | None) -> Answer:
    """`forge`: which of the signatures is wrong."""
    headers = {"x-amz-decoded-content-length": "3"} | ({"x-amz-trailer": TRAILER} if trailers else {})
    signed, seed = sign_v4(client.site, "PUT", "/box/chunks", headers, says)
    parts = signed_chunks(seed, [b"abc"], trailers).split(b"ignature")
    if forge is not None:
        parts[forge + 1] = parts[forge + 1][:1] + ZEROS.encode() + parts[forge + 1][65:]
    return client.send("PUT", "/box/chunks", signed, b"ignature".join(parts))


def chunk(client: Client, *, right: bool) -> Answer:
    return _chunks(client, STREAMING, None, forge=None if right else 0)


def trailer(client: Client, *, right: bool) -> Answer:
    return _chunks(client, STREAMING_TRAILER, {TRAILER: "NSRBwg=="}, forge=None if right else 2)


def digest(client: Client, *, right: bool) -> Answer:
    return client.ask("PUT", target("box", "digest"), body=b"abc", payload=sha(b"abc" if right else b"abd"))


def token(client: Client, *, right: bool) -> Answer:
    return client.send(
        "GET", "/_metrics", {"authorization": f"Bearer {'the-token' if right else 'no-token-at'}"}
    )


WAYS = (header, query, version_2, version_2_query, chunk, trailer, digest, token)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_compare_digest_decides(guarded: Inside, monkeypatch: pytest.MonkeyPatch, way: object) -> None:
    assert callable(way)
    assert way(guarded.admin, right=True).status == 200
    assert way(guarded.admin, right=False).status in {400, 403}
    for verdict in (True, False):
        calls: list[int] = []

        def compare(one: object, other: object, calls: list[int] = calls, verdict: bool = verdict) -> bool:
            calls.append(1)
            return verdict

        with monkeypatch.context() as patch:
            patch.setattr(hmac, "compare_digest", compare)
            answer = way(guarded.admin, right=not verdict)
        assert calls
        assert (answer.status == 200) is verdict, answer
