"""Files that are checked on their way out: exactly these bytes, or an error, or a broken connection."""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dolium.asgi.messages import GUARDED, Message
from dolium.errors import BlobCorrupt
from dolium.server.http import files
from tests.unit.server.http.conftest import Serve
from tests.unit.server.http.live import get
from tests.unit.server.http.test_files import disk, head, sends

__all__ = ["disk"]

BLOCK = 4096
DATA = random.Random(2).randbytes((3 << 20) + 77)


class Guard:
    """Knows the bytes themselves."""

    block = BLOCK
    size = len(DATA)

    def check(self, offset: int, data: bytearray | memoryview, /) -> None:
        assert offset % BLOCK == 0
        assert len(data) % BLOCK == 0 or offset + len(data) == len(DATA)
        if bytes(data) != DATA[offset : offset + len(data)]:
            raise BlobCorrupt("not these")

    def failed(self, error: OSError, /) -> None:
        raise error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "file"
    found.write_bytes(DATA)
    return found


def part(offset: int, count: int) -> Callable[[int], Message]:
    return lambda descriptor: {
        "type": "http.response.zerocopysend", "file": descriptor, "offset": offset, "count": count,
        "more_body": False, GUARDED: Guard(),
    }  # fmt: skip


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    ("offset", "count"),
    [(0, len(DATA)), (0, 1), (4095, 2), (5, 131_072), (1_000_001, 1_500_003), (len(DATA) - 1, 1)],
)
def test_exactly_these_bytes(
    secure: bool, offset: int, count: int, disk: str, path: Path, serve: Serve, tls: object
) -> None:
    peer = serve(sends(path, head(count), part(offset, count)), tls=tls if secure else None).peer()
    for _ in range(3):
        assert peer.send(get()).answer().body == DATA[offset : offset + count]


def test_a_slow_client_gets_all_of_it(path: Path, serve: Serve) -> None:
    live = serve(sends(path, head(len(DATA)), part(0, len(DATA))))
    peer = live.peer(receive_buffer=65536).send(get())
    time.sleep(0.2)
    assert peer.answer().body == DATA


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("at", [0, 2 << 20, len(DATA) - 1])
def test_what_is_wrong_is_not_sent(secure: bool, at: int, path: Path, serve: Serve, tls: object) -> None:
    wrong = bytearray(DATA)
    wrong[at] ^= 1
    path.write_bytes(wrong)
    peer = serve(sends(path, head(len(DATA)), part(0, len(DATA))), tls=tls if secure else None).peer()
    peer.send(get())
    if at == 0:
        assert peer.answer().status == 500, "nothing of the answer had left"
        return
    data = b""
    try:
        data, how = peer.rest()
        assert how != "eof" or secure
    except OSError:
        pass
    body = data.partition(b"\r\n\r\n")[2]
    assert DATA.startswith(body)
    assert len(body) <= at


def test_the_bytes_that_leave_are_those_that_were_checked(
    path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone changes the file between the check and the send, again and again."""
    checked = threading.Event()
    real = Guard.check

    def check(self: Guard, offset: int, data: bytearray | memoryview, /) -> None:
        real(self, offset, data)
        checked.set()
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(bytes(len(data)))

    monkeypatch.setattr(Guard, "check", check)
    monkeypatch.setattr(files, "_CHECKED", 64 << 10)
    live = serve(sends(path, head(len(DATA)), part(0, len(DATA))))
    assert live.ask(get()).body == DATA
    assert checked.is_set()
