"""The process group, as processes: start, balance, restart, reload, drain, and how it ends."""

import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dolium.testing.certificates import make_authority


class Group:
    def __init__(self, folder: Path, options: str, mode: str = "") -> None:
        self._lines: list[str] = []
        self._connections: list[http.client.HTTPConnection] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.server.group", f"ServeOptions({options})", mode],
            cwd=folder, env=os.environ | {"PYTHONPATH": str(Path.cwd())},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def text(self) -> str:
        return "".join(self._lines)

    def told(self, pattern: str, times: int = 1) -> list[str]:
        """What matches in its output, once it is there so often."""
        for _ in range(1000):
            if len(found := re.findall(pattern, self.text)) >= times:
                return found
            time.sleep(0.01)
        raise AssertionError(f"no {pattern!r} in {self.text!r}")

    def ports(self) -> list[int]:
        return [int(port) for port in re.findall(r"://[^ ]+:(\d+)", self.told("ready .*")[0])]

    def get(self, path: str, connection: http.client.HTTPConnection | None = None) -> str:
        """On this connection, or on a new one."""
        chosen = connection or self.connect()
        try:
            chosen.request("GET", path)
            with chosen.getresponse() as found:
                return found.read().decode()
        finally:
            if connection is None:
                chosen.close()

    def pids(self, count: int, context: ssl.SSLContext | None = None) -> set[str]:
        """Who answers on so many connections at once."""
        held = [self.connect(context) for _ in range(count)]
        found = {self.get("/pid", one) for one in held}
        for one in held:
            one.close()
        return found

    def connect(self, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        ports = self.ports()
        if context is None:
            self._connections.append(http.client.HTTPConnection("127.0.0.1", ports[0], timeout=20))
        else:
            secure = http.client.HTTPSConnection("localhost", ports[1], timeout=20, context=context)
            self._connections.append(secure)
        return self._connections[-1]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        code = self.process.wait(30)
        for connection in self._connections:
            connection.close()
        self._reader.join(20)
        return code, self.text


Start = Callable[..., Group]


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Start]:
    made: list[Group] = []

    def start(options: str = "listen=(parse('127.0.0.1:0'),), workers=2", mode: str = "") -> Group:
        made.append(Group(tmp_path, options, mode))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.end()
        assert one.process.stdout is not None
        one.process.stdout.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"


def gone(pid: int) -> bool:
    for _ in range(500):
        with suppress(FileNotFoundError):
            if alive(pid):
                time.sleep(0.02)
                continue
        return True
    return False


def test_connections_are_spread_evenly(group: Start) -> None:
    running = group("listen=(parse('127.0.0.1:0'),), workers=3")
    kept = [running.connect() for _ in range(12)]
    pids = [running.get("/pid", one) for one in kept]
    each = sorted(pids.count(pid) for pid in set(pids))
    assert each in ([4, 4, 4], [3, 4, 5])  # a worker that is slow to wake is passed over


def test_http_and_https_at_once(group: Start, tmp_path: Path) -> None:
    made = make_authority(tmp_path / "tls")
    running = group(
        "listen=(parse('127.0.0.1:0'), parse('https://localhost:0')), workers=2, "
        f"tls_cert=Path({str(made.cert_file)!r}), tls_key=Path({str(made.key_file)!r})"
    )
    context = ssl.create_default_context(cafile=made.ca_file)
    plain = running.pids(4)
    assert len(plain) == 2
    assert running.pids(4, context) == plain

    other = make_authority(tmp_path / "other")
    for old, new in ((made.cert_file, other.cert_file), (made.key_file, other.key_file)):
        old.write_bytes(new.read_bytes())
    running.signal(signal.SIGHUP)
    running.told(r"reload \d+", 2)
    renewed = ssl.create_default_context(cafile=other.ca_file)
    assert running.pids(4, renewed) == plain
    made.key_file.write_text("no key")
    running.signal(signal.SIGHUP)
    running.told("the certificate stays as it is", 2)
    assert running.get("/pid", running.connect(renewed))


def refused(running: Group) -> bool:
    """Whether new connections come to be refused."""
    for _ in range(100):
        try:
            running.get("/pid")
        except ConnectionRefusedError:
            return True
        except (ConnectionResetError, http.client.RemoteDisconnected):
            pass
        time.sleep(0.01)
    return False


def test_sigterm_finishes_what_is_begun(group: Start) -> None:
    running = group()
    idle, busy = running.connect(), running.connect()
    assert running.get("/pid", idle)
    busy.request("GET", "/slow")
    time.sleep(0.2)
    running.signal(signal.SIGTERM)
    running.told(r"drain \d+", 2)
    assert refused(running)
    with busy.getresponse() as found:
        assert found.read()
    code, text = running.end()
    assert (code, len(re.findall(r"shutdown \d+", text))) == (0, 2)


def test_the_drain_has_an_end(group: Start) -> None:
    running = group("listen=(parse('127.0.0.1:0'),), drain=0.2")
    busy = running.connect()
    busy.request("GET", "/slow")
    time.sleep(0.2)
    running.signal(signal.SIGTERM)
    with pytest.raises(ConnectionResetError):
        busy.getresponse()
    code, text = running.end()
    assert (code, "1 connections are cut off" in text) == (0, True)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(group: Start, second: signal.Signals) -> None:
    running = group("listen=(parse('127.0.0.1:0'),), settle=60")
    running.get("/pid")
    running.signal(signal.SIGINT)
    running.told(r"drain \d+")
    assert running.get("/ready") == "draining"  # not ready, and still there
    started = time.monotonic()
    running.signal(second)
    code, text = running.end()
    assert (code, "shutdown" in text) == (0, True)
    assert time.monotonic() - started < 3


def test_a_worker_that_dies_is_replaced(group: Start) -> None:
    running = group()
    before = running.pids(4)
    os.kill(int(min(before)), signal.SIGKILL)
    running.told("was killed by SIGKILL after")
    for _ in range(200):
        now = running.pids(4)
        if len(now) == 2:
            break
        time.sleep(0.02)
    assert len(now - before) == len(before - now) == 1
    with suppress(http.client.RemoteDisconnected, ConnectionResetError):
        running.get("/die")
    running.told("ended with code 9 after")
    assert running.get("/pid")


def test_workers_that_cannot_start_again_are_started_more_slowly(group: Start) -> None:
    running = group("listen=(parse('127.0.0.1:0'),), workers=1", "flaky")
    running.ports()
    with suppress(http.client.RemoteDisconnected, ConnectionResetError):
        running.get("/die")
    delays = running.told(r"ended with code \d after .*again in (\d\.\d) s", 3)
    assert delays[:3] == ["0.1", "0.2", "0.4"]


@pytest.mark.parametrize(
    ("mode", "words"),
    [("refuses", "ConfigError: the data folder is somebody else's"),
     ("breaks", "DoliumError: LookupError: unforeseen"),
     ("exits", "DoliumError: a worker ended with code 7")],
)  # fmt: skip
def test_a_start_that_fails_is_told_and_nothing_stays(group: Start, mode: str, words: str) -> None:
    code, text = group(mode=mode).end()
    assert code == 5
    assert text.splitlines()[-1] == words
    assert "ready" not in text


def test_a_port_in_use_is_told(group: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, text = group(f"listen=(parse('127.0.0.1:{port}'),)").end()
    assert (code, text) == (
        5,
        f"ConfigError: cannot listen on http://127.0.0.1:{port}: Address already in use\n",
    )


def test_https_without_a_certificate_is_told(group: Start) -> None:
    code, text = group("listen=(parse('https://127.0.0.1:0'),)").end()
    assert (code, text) == (5, "ConfigError: to listen on https, give a certificate and its key\n")


def test_workers_end_when_their_parent_is_killed(group: Start) -> None:
    running = group()
    pids = {int(pid) for pid in running.pids(4)}
    assert len(pids) == 2
    running.signal(signal.SIGKILL)
    assert all(gone(pid) for pid in pids)
    assert len(running.told(r"shutdown \d+", 2)) == 2


def test_one_signal_to_the_whole_terminal_is_one_signal(group: Start) -> None:
    """Ctrl-C goes to the parent and to all workers; they must not take it for a second one."""
    running = group()
    busy = running.connect()
    busy.request("GET", "/slow")
    time.sleep(0.2)
    for pid in running.pids(4):
        os.kill(int(pid), signal.SIGINT)
    running.signal(signal.SIGINT)
    with busy.getresponse() as found:
        assert found.read()
    assert running.end()[0] == 0
