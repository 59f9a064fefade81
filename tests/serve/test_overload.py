"""Too much of everything, against real processes: others work on, memory has an end, and nothing half is stored."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from dolium.catalog.sqlite import SqliteDatabase
from dolium.identity.credentials import add_key, generate
from dolium.identity.keys import open_sealer
from dolium.testing.checker import check
from dolium.testing.server import LiveServer, Site
from tests.drills.wire import Wire
from tests.s3.client import Client, bare, head_of
from tests.s3.signing import sign_v4, signed_chunks
from tests.serve.test_live import dolium

SLOW_DOWN = (503, "SlowDown")
LARGE = 200_000  # beyond what lies in the catalog


def connect(site: Site, *, receive_buffer: int = 0) -> socket.socket:
    host, port = site.host.split(":")
    opened = socket.socket()
    if receive_buffer:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    opened.settimeout(20)
    opened.connect((host, int(port)))
    return opened


def begin_put(site: Site, path: str, length: int = LARGE, **more: str) -> socket.socket:
    """A PUT of which the head is sent."""
    headers, _ = sign_v4(site, "PUT", path, {"content-length": str(length), **more})
    opened = connect(site)
    opened.sendall(head_of("PUT", path, headers))
    return opened


def status_line(opened: socket.socket) -> bytes:
    data = b""
    while b"\r\n" not in data:
        piece = opened.recv(4096)
        assert piece, data
        data += piece
    return data.split(b"\r\n", 1)[0]


def another_key(server: LiveServer, *of: str) -> Site:
    issued = json.loads(dolium(server.data, "key", "issue", *of, "--json").stdout)
    return replace(server.http, access_key=issued["access_key"], secret_key=issued["secret_key"])


def until(ask: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One worker with few places."""
    config = "limits: {requests: 6, requests_per_person: 4}\n"
    with LiveServer(tmp_path_factory.mktemp("narrow"), workers=1, config=config) as server:
        Client(server.http).make_bucket("mine")
        yield server


def test_one_person_leaves_places_for_others(narrow: LiveServer) -> None:
    """With whatever keys; and whoever asks whether it lives is answered when it is full."""
    admin, second = Client(narrow.http), Client(another_key(narrow, "--person", "admin"))
    service = Client(another_key(narrow, "--service"))
    slow = [begin_put(narrow.http, f"/mine/slow-{n}") for n in range(4)]
    until(lambda: admin.ask("GET", "/").status == 503)
    for client in (admin, second):
        answer = client.ask("GET", "/mine?list-type=2")
        assert ((answer.status, answer.code), answer.headers["retry-after"]) == (SLOW_DOWN, "2")
    assert service.ask("GET", "/mine?list-type=2").status == 200
    slow += [begin_put(service.site, f"/mine/slow-{n}") for n in range(4, 6)]
    until(lambda: service.ask("GET", "/").status == 503)
    answer = service.ask("GET", "/mine?list-type=2")
    assert ((answer.status, answer.code), answer.headers["retry-after"]) == (SLOW_DOWN, "1")
    assert service.send("GET", "/_health/live").status == 200
    assert service.send("GET", "/_health/ready").status == 200
    assert service.send("PUT", "/_health/ready").status == 503
    for opened in slow:
        opened.sendall(b"x" * LARGE)
        assert status_line(opened) == b"HTTP/1.1 200 OK"
        opened.close()
    until(lambda: admin.ask("GET", "/").status == 200)
    assert len(admin.keys("mine")) == 6
    assert '"level":"error"' not in narrow.log().replace(" ", "").split("SlowDown")[0]


@pytest.mark.parametrize("wrong", ["secret", "key", "bucket", "quota", "size", "nobody"])
def test_no_body_is_asked_for_in_vain(narrow: LiveServer, wrong: str) -> None:
    """Expect: 100-continue, and a refusal that was certain from the head."""
    site, path, length = narrow.http, "/mine/expected", 1_000_000_000
    if wrong == "secret":
        site = replace(site, secret_key="another")
    elif wrong == "key":
        site = replace(site, access_key="NOBODYSKEY")
    elif wrong == "bucket":
        path = "/absent/expected"
    elif wrong == "quota":
        assert dolium(narrow.data, "tenancy", "set", "main", "--quota", "10 MB").returncode == 0
    elif wrong == "size":
        length = 6 << 30
    headers, _ = sign_v4(site, "PUT", path, {"content-length": str(length), "expect": "100-continue"})
    if wrong == "nobody":
        del headers["authorization"]
    answer = bare(site, head_of("PUT", path, headers))
    expected = {
        "secret": (403, "SignatureDoesNotMatch"),
        "key": (403, "InvalidAccessKeyId"),
        "bucket": (404, "NoSuchBucket"),
        "quota": (403, "QuotaExceeded"),
        "size": (400, "EntityTooLarge"),
        "nobody": (403, "AccessDenied"),
    }[wrong]
    assert ((answer.status, answer.code), answer.headers["connection"]) == (expected, "close")
    if wrong == "quota":
        assert dolium(narrow.data, "tenancy", "set", "main", "--quota", "none").returncode == 0
        with begin_put(narrow.http, path, 10, expect="100-continue") as opened:
            assert status_line(opened) == b"HTTP/1.1 100 Continue"


def test_nothing_half_is_stored(tmp_path: Path) -> None:
    """Bodies that are cut short, that are not as long as they say, and whose last signature is wrong."""
    with LiveServer(tmp_path, workers=1) as server:
        site = server.http
        client = Client(site)
        client.make_bucket("half")
        client.put("half", "kept", b"what was there before")
        upload = client.begin("half", "kept")
        for size in (3000, LARGE):
            body = b"x" * size
            for path in ("/half/kept", f"/half/kept?partNumber=1&uploadId={upload}", "/half/fresh"):
                for reset in (False, True):
                    opened = begin_put(site, path, size)
                    opened.sendall(body[:-1])
                    if reset:
                        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    opened.close()
                for length in (size - 1, size + 1):
                    headers, seed = sign_v4(
                        site, "PUT", path, {"x-amz-decoded-content-length": str(length)},
                        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                    )  # fmt: skip
                    answer = client.send("PUT", path, headers, signed_chunks(seed, [body]))
                    assert (answer.status, answer.code) == (400, "IncompleteBody")
                for last in (0, 1):  # the last piece of the data, and the chunk of nothing behind it
                    headers, seed = sign_v4(
                        site, "PUT", path, {"x-amz-decoded-content-length": str(size)},
                        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                    )  # fmt: skip
                    pieces = [body] if size < 8192 else [body[:100_000], body[100_000:]]
                    before, mark, after = _before_last(signed_chunks(seed, pieces), skip=1 - last)
                    answer = client.send("PUT", path, headers, before + mark + b"0" * 64 + after[64:])
                    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
        assert client.keys("half") == ["kept"]
        assert client.get("half", "kept") == b"what was there before"
        parts = client.done("GET", f"/half/kept?uploadId={upload}").body
        assert b"<Part>" not in parts
    report = check(server.data)
    assert report.problems == []
    assert report.leftovers == []


def _before_last(framed: bytes, *, skip: int) -> tuple[bytes, bytes, bytes]:
    mark = b"chunk-signature="
    at = len(framed)
    for _ in range(skip + 1):
        at = framed.rindex(mark, 0, at)
    return framed[:at], mark, framed[at + len(mark) :]


def test_500_slow_connections_hurt_nobody(tmp_path: Path) -> None:
    """Half of them half heads, half of them bodies at a byte a second, of the same person as the others' requests."""
    with LiveServer(tmp_path) as server, ExitStack() as opened:
        site = server.http
        Client(site).make_bucket("busy")
        heads = [opened.enter_context(connect(site)) for _ in range(250)]
        for one in heads:
            one.sendall(b"GET /busy HTTP/1.1\r\nHost: s\r\nX: ")
        bodies = [opened.enter_context(begin_put(site, f"/busy/slow-{n}")) for n in range(250)]
        over = threading.Event()
        took: list[float] = []
        wrong: list[object] = []
        workers = [threading.Thread(target=_work, args=(site, n, over, took, wrong)) for n in range(4)]
        for worker in workers:
            worker.start()
        for _ in range(3):
            for slow in bodies:
                slow.sendall(b"x")
            for slow in heads:
                slow.sendall(b"x")
            over.wait(1)
        over.set()
        for worker in workers:
            worker.join()
        assert wrong == []
        took.sort()
        assert len(took) > 200
        assert took[len(took) * 99 // 100] < 0.5, f"p99 of {len(took)} requests"
        assert not [key for key in Client(site).keys("busy") if key.startswith("slow")]
    report = check(server.data)
    assert report.problems == []
    assert report.temporaries == []


def _work(site: Site, number: int, over: threading.Event, took: list[float], wrong: list[object]) -> None:
    """What a person does, on one connection."""
    wire = Wire(site)
    at = 0
    while not over.is_set():
        at += 1
        key = f"/busy/{number}-{at % 10}"
        for method, path, body in (
            ("PUT", key, b"x" * (2000 if at % 4 else LARGE)),
            ("GET", key, b""),
            ("GET", "/busy?list-type=2&max-keys=50", b""),
        ):
            began = time.monotonic()
            try:
                answer = wire.ask(method, path, body=body)
            except Exception as error:  # noqa: BLE001 - told below
                wrong.append(error)
                return
            took.append(time.monotonic() - began)
            if answer.status != 200:
                wrong.append(answer)
                return
    wire.close()


def _memory(server: LiveServer) -> int:
    """MiB that are resident in the one worker."""
    (pid,) = server.workers
    line = next(
        one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS")
    )
    return int(line.split()[1]) >> 10


def test_many_slow_uploads_do_not_fill_the_memory(tmp_path: Path) -> None:
    """Each of them stops just before its next megabyte would be written."""
    with LiveServer(tmp_path, workers=1) as server, ExitStack() as opened:
        site = server.http
        Client(site).make_bucket("slow")
        before = _memory(server)
        uploads = [opened.enter_context(begin_put(site, f"/slow/{n}", 4 << 20)) for n in range(400)]
        piece = b"x" * 250_000
        for _ in range(4):
            for one in uploads:
                one.sendall(piece)
        assert Client(site).ask("GET", "/slow?list-type=2").status == 200
        grown = _memory(server) - before
        assert grown < 250, f"{grown} MiB: nearly 400 were sent"


def test_many_listings_that_nobody_reads_do_not_fill_the_memory(tmp_path: Path) -> None:
    with LiveServer(tmp_path, workers=1) as server, ExitStack() as opened:
        site = server.http
        client = Client(site)
        client.make_bucket("long")
        wire = Wire(site)
        for n in range(300):
            assert wire.ask("PUT", f"/long/{'%C3%A4' * 450}{n:04d}").status == 200
        wire.close()
        before = _memory(server)
        path = "/long?encoding-type=url&list-type=2"
        headers, _ = sign_v4(site, "GET", path)
        for _ in range(150):
            one = opened.enter_context(connect(site, receive_buffer=4096))
            one.sendall(head_of("GET", path, headers))
        answer = client.ask("GET", path)
        assert answer.status == 200
        assert len(answer.body) > 800_000
        grown = _memory(server) - before
        assert grown < 100, f"{grown} MiB: 150 answers of nearly a megabyte wait"


def test_keys_that_end_are_refused_in_every_worker_at_once(tmp_path: Path) -> None:
    """On connections that are open, in both of two workers, from the first request after the end."""
    with LiveServer(tmp_path, workers=2) as server:
        revoked = another_key(server, "--service")
        expiring, ends = generate(), time.time() + 2.5
        database = SqliteDatabase(server.data)
        try:
            sealer = open_sealer(database, server.data, None)
            enter = partial(add_key, tenancy_id=1, person_id=None, expires_ms=int(ends * 1000))
            database.write(lambda tx: enter(tx, sealer, expiring))
        finally:
            database.close()
        soon = replace(server.http, access_key=expiring.key_id, secret_key=expiring.secret.reveal())
        wires = [Wire(site) for site in (revoked, soon) for _ in range(6)]
        assert [wire.ask("GET", "/").status for wire in wires] == [200] * 12
        busy = [int(line.split()[-1]) for pid in server.workers for line in _sockets(pid)]
        assert len(server.workers) == 2
        assert min(busy) >= 3, "the connections are spread"
        assert dolium(server.data, "key", "revoke", revoked.access_key).returncode == 0
        assert [wire.ask("GET", "/").code for wire in wires[:6]] == ["InvalidAccessKeyId"] * 6
        time.sleep(max(0.0, ends - time.time()) + 0.05)
        assert [wire.ask("GET", "/").code for wire in wires[6:]] == ["InvalidAccessKeyId"] * 6
        for wire in wires:
            wire.close()


def _sockets(pid: int) -> list[str]:
    """`pid number-of-sockets`."""
    names = [one.readlink().name for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()]
    return [f"{pid} {sum(name.startswith('socket:') for name in names)}"]
