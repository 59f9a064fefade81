"""`http.response.zerocopysend`: bytes of a file, from memory or a disk, plain or over TLS."""

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from dolium.asgi.messages import Message, Receive, Scope, Send
from dolium.server.http import files
from tests.unit.server.http.conftest import Serve
from tests.unit.server.http.live import get, piece, request, start

DATA = random.Random(1).randbytes(9 << 20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "file"
    found.write_bytes(DATA)
    return found


def sends(path: Path, *sent: Callable[[int], Message]) -> object:
    """An app that opens the file and sends messages made from its descriptor."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            for one in sent:
                await send(one(descriptor))
        finally:
            os.close(descriptor)

    return app


def head(length: int | None) -> Callable[[int], Message]:
    return lambda _: start() if length is None else start((b"content-length", b"%d" % length))


def part(offset: int | None, count: int | None, *, more: bool = False) -> Callable[[int], Message]:
    def made(descriptor: int) -> Message:
        message: Message = {"type": "http.response.zerocopysend", "file": descriptor, "more_body": more}
        if offset is not None:
            message["offset"] = offset
        if count is not None:
            message["count"] = count
        return message

    return made


@pytest.fixture(params=["cached", "cold", "half-cold"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the kernel says that it has the pages at hand."""
    if request.param == "cached":
        return "cached"
    cold = [request.param == "cold"]
    real = os.preadv

    def preadv(descriptor: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        if flags == os.RWF_NOWAIT:
            if cold[0] or offset & (1 << 20):
                raise BlockingIOError
        elif threading.current_thread().name.startswith("files-") is False:
            raise AssertionError("waits for a disk on the loop")
        return real(descriptor, buffers, offset, flags)

    monkeypatch.setattr(os, "preadv", preadv)
    return str(request.param)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    ("offset", "count"), [(0, len(DATA)), (1, 100), (5, 131_072), (7, 131_073), (3_000_000, 2_500_001)]
)
def test_exactly_these_bytes(
    secure: bool, offset: int, count: int, disk: str, path: Path, serve: Serve, tls: object
) -> None:
    live = serve(sends(path, head(count), part(offset, count)), tls=tls if secure else None)
    peer = live.peer()
    for _ in range(3):
        assert peer.send(get()).answer().body == DATA[offset : offset + count]


@pytest.mark.parametrize("secure", [False, True])
def test_among_other_pieces_with_and_without_a_length(
    secure: bool, path: Path, serve: Serve, tls: object
) -> None:
    parts = [
        lambda _: piece(b"<", more=True), part(0, 10, more=True), part(0, 0, more=True),
        part(100, 1_000_000, more=True), lambda _: piece(b">"),
    ]  # fmt: skip
    whole = b"<" + DATA[:10] + DATA[100:1_000_100] + b">"
    for length in (len(whole), None):
        live = serve(sends(path, head(length), *parts), tls=tls if secure else None)
        peer = live.peer()
        for _ in range(2):
            assert peer.send(get()).answer().body == whole


def test_offset_and_count_may_be_left_out(path: Path, serve: Serve) -> None:
    assert serve(sends(path, head(len(DATA)), part(None, None))).ask(get()).body == DATA
    assert serve(sends(path, head(len(DATA) - 9), part(9, None))).ask(get()).body == DATA[9:]


def test_head_sends_nothing_of_it(path: Path, serve: Serve) -> None:
    peer = serve(sends(path, head(len(DATA)), part(0, len(DATA)))).peer().send(request("HEAD", "/") * 2)
    for _ in range(2):
        assert peer.answer(head=True).get(b"content-length") == b"%d" % len(DATA)
    assert peer.silent()


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    ("offset", "count"), [(len(DATA) - 50, 100), (len(DATA) - 50, 1_000_000), (0, len(DATA) + 1)]
)
def test_a_file_that_is_shorter_breaks_the_connection(
    secure: bool, offset: int, count: int, disk: str, path: Path, serve: Serve, tls: object,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    for length in (count, None):
        caplog.clear()
        live = serve(sends(path, head(length), part(offset, count)), tls=tls if secure else None)
        if count == 100:  # read before anything has left
            assert live.ask(get()).status == 500
            continue
        try:
            data, how = live.peer().send(get()).rest()
        except OSError as error:  # ssl tells a missing end its own way
            data, how = b"", type(error).__name__
        live.settle()
        assert how != "eof" or secure
        assert len(data.partition(b"\r\n\r\n")[2]) < count
        assert not data.endswith(b"\r\n0\r\n\r\n")
        assert [one for one in caplog.records if one.levelno == logging.ERROR]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_client_that_goes_leaves_nothing_behind(
    path: Path, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    live = serve(sends(path, head(len(DATA) * 20), *[part(0, len(DATA), more=True)] * 20))
    before = open_files()
    for _ in range(5):
        peer = live.peer(receive_buffer=4096).send(get())
        peer.take(10_000)
        peer.close()
    for _ in range(100):
        if not live.server.running and open_files() <= before:
            break
        time.sleep(0.02)
    assert live.server.running == 0
    assert open_files() <= before
    assert not caplog.records


def test_a_slow_client_gets_all_of_it(path: Path, serve: Serve) -> None:
    peer = serve(sends(path, head(len(DATA)), part(0, len(DATA)))).peer(receive_buffer=65536).send(get())
    time.sleep(0.3)
    assert peer.answer().body == DATA


def test_one_that_hangs_holds_up_no_other_device(
    path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads are kept per device; here the device of a descriptor is told by a table."""
    other = path.with_name("other")
    other.write_bytes(DATA)
    hang = threading.Event()
    devices = {path.stat().st_ino: 1, other.stat().st_ino: 2}
    real_fstat, real_sendfile = os.fstat, os.sendfile

    def fstat(descriptor: int) -> object:
        real = real_fstat(descriptor)
        fields = {name: getattr(real, name) for name in dir(real) if name.startswith("st_")}
        return SimpleNamespace(**(fields | {"st_dev": devices.get(real.st_ino, 3)}))

    def sendfile(out: int, descriptor: int, offset: int, count: int) -> int:
        if real_fstat(descriptor).st_ino == path.stat().st_ino:
            hang.wait(10)
        return real_sendfile(out, descriptor, offset, count)

    monkeypatch.setattr(files._Sending, "_cached", lambda *_: False)
    monkeypatch.setattr(os, "fstat", fstat)
    monkeypatch.setattr(os, "sendfile", sendfile)
    hung = serve(sends(path, head(len(DATA)), part(0, len(DATA))))
    peers = [hung.peer().send(get()) for _ in range(20)]
    live = serve(sends(other, head(len(DATA)), part(0, len(DATA))))
    assert live.ask(get()).body == DATA
    hang.set()
    assert all(peer.answer().body == DATA for peer in peers)


def test_a_thread_that_comes_late_sends_nothing_of_another_file(
    path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client goes while a disk is waited for, and its descriptors are given to others."""
    hang = threading.Event()
    asked: list[int] = []
    real_sendfile = os.sendfile

    def sendfile(out: int, descriptor: int, offset: int, count: int) -> int:
        hang.wait(10)
        asked.append(os.fstat(descriptor).st_ino)
        return real_sendfile(out, descriptor, offset, count)

    monkeypatch.setattr(files._Sending, "_cached", lambda *_: False)
    monkeypatch.setattr(os, "sendfile", sendfile)
    live = serve(sends(path, head(len(DATA)), part(0, len(DATA))))
    peer = live.peer().send(get())
    live.settle(1)
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    live.settle(0)
    other = path.with_name("other")
    other.write_bytes(DATA)
    taken = [os.open(other, os.O_RDONLY) for _ in range(32)]
    hang.set()
    for _ in range(100):
        if asked:
            break
        time.sleep(0.02)
    for descriptor in taken:
        os.close(descriptor)
    assert asked == [path.stat().st_ino]


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("count", [1000, len(DATA)])
def test_a_disk_that_does_not_answer_ends_the_answer_in_time(
    secure: bool, count: int, path: Path, serve: Serve, tls: object, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    hang = threading.Event()
    real_sendfile, real_preadv = os.sendfile, os.preadv

    def sendfile(*arguments: int) -> int:
        hang.wait(10)
        return real_sendfile(*arguments)

    def preadv(descriptor: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        if flags == os.RWF_NOWAIT:
            raise BlockingIOError
        hang.wait(10)
        return real_preadv(descriptor, buffers, offset, flags)

    monkeypatch.setattr(os, "sendfile", sendfile)
    monkeypatch.setattr(os, "preadv", preadv)
    chosen = tls if secure else None
    live = serve(sends(path, head(count), part(0, count)), tls=chosen, disk_deadline=0.3)
    before = open_files()
    peers = [live.peer() for _ in range(12)]  # more than there are threads
    began = time.monotonic()
    for peer in peers:
        peer.send(get())
    for peer in peers:
        if count == 1000:  # nothing has left yet
            assert peer.answer().status == 500
            continue
        try:
            data, _ = peer.rest()
        except OSError:  # ssl tells a missing end its own way
            data = b""
        assert not data.partition(b"\r\n\r\n")[2]
    assert time.monotonic() - began < 5
    live.settle(0)
    assert any("did not answer in time" in str(one.exc_info and one.exc_info[1]) for one in caplog.records)
    hang.set()
    for peer in peers:
        peer.close()
    for _ in range(200):
        if open_files() <= before:
            break
        time.sleep(0.02)
    assert open_files() <= before


def test_advisory_cve_2016_0738_a_client_that_stops_reading_frees_its_file(
    tmp_path: Path, serve: Serve
) -> None:
    """Swift kept what it read from for clients that had gone. Here the deadline closes connection and file."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    live = serve(sends(path, head(64 << 20), part(0, 64 << 20)), patience=0.3)
    before = descriptors_of(path)
    peers = [live.peer(receive_buffer=65536).send(get()) for _ in range(3)]
    live.settle(3)
    assert descriptors_of(path) > before
    live.settle(0)
    assert not live.server.connections
    assert descriptors_of(path) == before == 0
    assert [peer.rest()[1] for peer in peers] == ["reset"] * 3


def descriptors_of(path: Path) -> int:
    links = (one for one in Path("/proc/self/fd").iterdir() if one.is_symlink())
    return sum(str(one.readlink()) == str(path) for one in links)
