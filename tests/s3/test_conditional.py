"""Conditional writes: atomic, one winner, and every spelling of a tag."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.s3.client import Answer, Client, target
from tests.s3.inside import Inside

THREADS = 16
LARGE = b"l" * 100_000


def at_once(client: Client, ask: Callable[[Client, int], Answer]) -> list[Answer]:
    """Sixteen threads, each on a connection of its own, let loose together."""
    gate = Barrier(THREADS)

    def one(number: int) -> Answer:
        gate.wait()
        return ask(client, number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def body_of(number: int, size: int) -> bytes:
    return f"{number:06}".encode() * (size // 6)


@pytest.mark.parametrize("size", [60, 60_000], ids=["inline", "file"])
@pytest.mark.parametrize("turn", range(5))
def test_one_of_sixteen_creates(client: Client, bucket: str, size: int, turn: int) -> None:
    """Over the two workers of a live server."""
    answers = at_once(
        client,
        lambda client, number: client.ask(
            "PUT", target(bucket, "k"), {"if-none-match": "*"}, body_of(number, size)
        ),
    )
    assert sorted(answer.status for answer in answers) == [200] + [412] * (THREADS - 1)
    (winner,) = [number for number, answer in enumerate(answers) if answer.status == 200]
    assert client.get(bucket, "k") == body_of(winner, size)
    assert client.keys(bucket) == ["k"]


def test_one_of_sixteen_replaces(client: Client, bucket: str) -> None:
    etag = client.put(bucket, "k", b"before").headers["etag"]
    answers = at_once(
        client,
        lambda client, number: client.ask(
            "PUT", target(bucket, "k"), {"if-match": etag}, body_of(number, 60)
        ),
    )
    assert sorted(answer.status for answer in answers) == [200] + [412] * (THREADS - 1)


def test_one_of_sixteen_deletes(client: Client, bucket: str) -> None:
    etag = client.put(bucket, "k", b"before").headers["etag"]
    answers = at_once(client, lambda client, _: client.ask("DELETE", target(bucket, "k"), {"if-match": etag}))
    assert sorted(answer.status for answer in answers) == [204] + [404] * (THREADS - 1)


def test_one_of_sixteen_copies(client: Client, bucket: str) -> None:
    client.put(bucket, "source", LARGE)
    headers = {"if-none-match": "*", "x-amz-copy-source": f"/{bucket}/source"}
    answers = at_once(client, lambda client, _: client.ask("PUT", target(bucket, "k"), headers))
    assert sorted(answer.status for answer in answers) == [200] + [412] * (THREADS - 1)
    assert client.get(bucket, "k") == LARGE


def test_one_of_sixteen_completes(client: Client, bucket: str) -> None:
    """Sixteen uploads of one key; only one of them may make it."""
    uploads = [client.begin(bucket, "k") for _ in range(THREADS)]
    parts = [client.put_part(bucket, "k", upload, 1, body_of(n, 60)) for n, upload in enumerate(uploads)]
    answers = at_once(
        client,
        lambda client, n: client.complete(bucket, "k", uploads[n], {1: parts[n]}, if_none_match="*"),
    )
    assert sorted(answer.status for answer in answers) == [200] + [412] * (THREADS - 1)
    (winner,) = [number for number, answer in enumerate(answers) if answer.status == 200]
    assert client.get(bucket, "k") == body_of(winner, 60)
    # Who lost may try again without the condition.
    loser = (winner + 1) % THREADS
    assert client.complete(bucket, "k", uploads[loser], {1: parts[loser]}).status == 200
    assert client.get(bucket, "k") == body_of(loser, 60)


def test_sixteen_complete_one_upload(client: Client, bucket: str) -> None:
    """The same upload, as a client does that lost the answer: all are told the same."""
    upload = client.begin(bucket, "k")
    part = client.put_part(bucket, "k", upload, 1, b"part")
    answers = at_once(client, lambda client, _: client.complete(bucket, "k", upload, {1: part}))
    assert {(answer.status, answer.body) for answer in answers} == {(200, answers[0].body)}
    assert client.get(bucket, "k") == b"part"


def test_sixteen_make_one_bucket(client: Client, bucket_name: str) -> None:
    answers = at_once(client, lambda client, _: client.ask("PUT", f"/{bucket_name}"))
    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize("quoted", ['"{}"', "{}", '"0123", "{}"', '"0123","{}","4567"', "*", '  "{}"  '])
@pytest.mark.parametrize("route", ["put", "copy", "delete", "complete"])
def test_tags_that_match(admin: Client, own: str, quoted: str, route: str) -> None:
    etag = admin.put(own, "k", b"before").headers["etag"].strip('"')
    assert write(admin, own, route, {"if-match": quoted.format(etag)}).status in {200, 204}
    assert write(admin, own, "put", {"if-none-match": '"0123"'}).status == 200


@pytest.mark.parametrize("quoted", ['"0123"', "0123", 'W/"{}"', '""', ""])
@pytest.mark.parametrize("route", ["put", "copy", "delete", "complete"])
def test_tags_that_do_not(inside: Inside, admin: Client, own: str, quoted: str, route: str) -> None:
    """A weak tag names no bytes, so it cannot be written over."""
    etag = admin.put(own, "k", b"before").headers["etag"].strip('"')
    answer = write(admin, own, route, {"if-match": quoted.format(etag)})
    assert (answer.status, answer.code) == (412, "PreconditionFailed"), answer
    assert answer.field("Condition") == "If-Match"
    assert admin.get(own, "k") == b"before"


@pytest.mark.parametrize("route", ["put", "copy", "delete", "complete"])
def test_none_match_with_a_tag(admin: Client, own: str, route: str) -> None:
    etag = admin.put(own, "k", b"before").headers["etag"]
    assert write(admin, own, route, {"if-none-match": etag}).status == 412
    assert write(admin, own, route, {"if-none-match": '"0123"'}).status in {200, 204}


def test_both_conditions(admin: Client, own: str) -> None:
    etag = admin.put(own, "k", b"before").headers["etag"]
    assert write(admin, own, "put", {"if-match": etag, "if-none-match": "*"}).status == 412
    assert write(admin, own, "put", {"if-match": etag, "if-none-match": '"0123"'}).status == 200


@pytest.mark.parametrize("body", [b"small", LARGE], ids=["inline", "file"])
def test_reads(admin: Client, own: str, body: bytes) -> None:
    etag = admin.put(own, "k", body).headers["etag"]
    past, future = "Fri, 01 Jan 2010 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    for headers, status in (
        ({"if-match": etag}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"0123"'}, 412),
        ({"if-none-match": etag}, 304),
        ({"if-none-match": f"W/{etag}"}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"0123"'}, 200),
        ({"if-modified-since": past}, 200),
        ({"if-modified-since": future}, 304),
        ({"if-unmodified-since": past}, 412),
        ({"if-unmodified-since": future}, 200),
        ({"if-modified-since": "never"}, 200),
        ({"if-match": etag, "if-unmodified-since": past}, 200),
        ({"if-none-match": '"0123"', "if-modified-since": future}, 200),
        ({"if-match": '"0123"', "if-none-match": etag}, 412),
    ):
        for method in ("GET", "HEAD"):
            answer = admin.ask(method, target(own, "k"), headers)
            assert answer.status == status, headers
            if status == 304:
                assert (answer.body, answer.headers["etag"]) == (b"", etag)
                assert "content-length" not in answer.headers or answer.headers["content-length"] == str(
                    len(body)
                )
    assert admin.ask("GET", target(own, "k"), {"if-none-match": "*", "range": "bytes=0-0"}).status == 304
    assert admin.ask("GET", target(own, "k"), {"if-match": etag, "range": "bytes=0-0"}).status == 206
    assert admin.ask("GET", target(own, "never"), {"if-none-match": "*"}).status == 404


def test_the_rest_of_a_download(admin: Client, own: str) -> None:
    """If-Range: another part only of the same object; of another one, all of it."""
    etag = admin.put(own, "k", b"0123456789").headers["etag"]
    modified = admin.done("HEAD", target(own, "k")).headers["last-modified"]
    for value, status, body in (
        (etag, 206, b"56789"),
        (modified, 206, b"56789"),
        ('"0123"', 200, b"0123456789"),
        (f"W/{etag}", 200, b"0123456789"),
        ("Fri, 01 Jan 2010 00:00:00 GMT", 200, b"0123456789"),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 200, b"0123456789"),
        ("nonsense", 200, b"0123456789"),
        ("", 200, b"0123456789"),
    ):
        answer = admin.ask("GET", target(own, "k"), {"range": "bytes=5-", "if-range": value})
        assert (answer.status, answer.body) == (status, body), value
    assert admin.ask("GET", target(own, "k"), {"if-range": '"0123"'}).status == 200


@pytest.mark.parametrize("route", ["put", "copy", "delete", "complete"])
@pytest.mark.parametrize("name", ["if-unmodified-since", "if-modified-since", "content-range"])
def test_conditions_that_are_not_built(admin: Client, own: str, name: str, route: str) -> None:
    """As on AWS. Ignored, they would overwrite what the caller meant to keep."""
    admin.put(own, "k", b"before")
    value = "bytes 0-4/10" if name == "content-range" else "Fri, 01 Jan 2010 00:00:00 GMT"
    answer = write(admin, own, route, {name: value})
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert admin.get(own, "k") == b"before"


def write(client: Client, bucket: str, route: str, headers: dict[str, str]) -> Answer:
    """One of the four writes to the key `k`."""
    path = target(bucket, "k")
    match route:
        case "put":
            return client.ask("PUT", path, headers, b"after")
        case "copy":
            client.put(bucket, "source", b"after")
            return client.ask("PUT", path, {**headers, "x-amz-copy-source": f"/{bucket}/source"})
        case "delete":
            return client.ask("DELETE", path, headers)
    upload = client.begin(bucket, "k")
    part = client.put_part(bucket, "k", upload, 1, b"after")
    named = {name.replace("-", "_"): value for name, value in headers.items()}
    return client.complete(bucket, "k", upload, {1: part}, **named)
