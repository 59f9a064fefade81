"""A live server for tests: the real program in its own processes, on free ports, over http and https.

    with LiveServer(folder) as server:
        boto3.client("s3", endpoint_url=server.http.url, aws_access_key_id=server.http.access_key, ...)

The server is ready when `__enter__` returns and drained when `__exit__` does. What it printed is in
`folder/server.log`; a server that does not come up raises `NotReadyError` with the end of that log.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dolium.testing.certificates import HERE, Authority, make_authority

_READY_WITHIN = 30.0  # seconds; a cold start with two workers takes about one
_DRAINED_WITHIN = 20.0
_POLL = 0.05
_LOG_TAIL = 4000


class NotReadyError(Exception):
    """The server ended, or did not answer, before it was ready."""


@dataclass(frozen=True, slots=True)
class Site:
    """One address of a server and what a client needs to use it."""

    url: str
    access_key: str
    secret_key: str
    ca_file: Path | None = None
    region: str = "us-east-1"

    @property
    def host(self) -> str:
        """HOST:PORT, as clients want it that have a switch of their own for https."""
        return self.url.split("://", 1)[1].rstrip("/")

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")


class LiveServer:
    """`python -m dolium serve` over `folder/data`, with a key of its own. Use it as a context manager.

    `program` starts another dolium than the one this runs in. `config` is the text of a configuration file;
    `environment` comes on top of this process's own. `names`: of hosts that its certificate is for too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        access_key: str = "DOLIUMTESTKEY0000001",
        secret_key: str = "dolium/test+secret/for-machines-only=0001",
        program: tuple[str, ...] = (sys.executable, "-m", "dolium"),
        config: str = "",
        environment: Mapping[str, str] | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.log_file = folder / "server.log"
        self._program = program
        self._environment = dict(environment or {})
        self._config = folder / "dolium.yml"
        self._config.write_text(config)
        self._workers = workers
        self._authority: Authority = make_authority(folder / "tls", hosts=(*HERE, *names))
        plain, tls = free_ports(2)
        self.http = Site(f"http://127.0.0.1:{plain}", access_key, secret_key)
        self.https = Site(f"https://127.0.0.1:{tls}", access_key, secret_key, self._authority.ca_file)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        return [
            *(*self._program, "serve"),
            *("--data", str(self.data), "--workers", str(self._workers)),
            *("--config", str(self._config)),
            *("--listen", self.http.host, "--listen", self.https.url),
            *("--tls-cert", str(self._authority.cert_file), "--tls-key", str(self._authority.key_file)),
        ]

    @property
    def pid(self) -> int:
        """The process that was started (its workers are its children)."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        """The processes that answer."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it is ready. Raises NotReadyError; then nothing is left running."""
        environment = dict(os.environ)
        environment["DOLIUM_ACCESS_KEY_ID"] = self.http.access_key
        environment["DOLIUM_SECRET_ACCESS_KEY"] = self.http.secret_key
        environment["PYTHONUNBUFFERED"] = "1"
        environment.update(self._environment)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that kill() reaches the workers too
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> int:
        """Ask it to drain (SIGTERM) and return its exit code; one that does not end in time is killed."""
        process = self._process
        assert process is not None, "the server is not running"
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_DRAINED_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._process = None
        return code

    def kill(self) -> None:
        """End it at once and without mercy, its workers too; none of them is left when this returns."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._await_the_last()

    def kill_parent(self) -> None:
        """End the process that was started, at once; its workers notice, and end what they are doing."""
        process, self._process = self._process, None
        assert process is not None, "the server is not running"
        process.kill()
        process.wait()

    def _await_the_last(self) -> None:
        """Workers hold the lock of the folder until they are gone."""
        lock = self.data / "serve.lock"
        if lock.exists():
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise NotReadyError(f"it ended with code {process.returncode}:\n{self.log()[-_LOG_TAIL:]}")
            if _ready(f"{self.http.url}/_health/ready"):
                return
            time.sleep(_POLL)
        raise NotReadyError(f"no answer within {_READY_WITHIN:.0f} s:\n{self.log()[-_LOG_TAIL:]}")


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago on 127.0.0.1, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
