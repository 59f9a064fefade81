"""One server under test, in a process group of its own: started, watched through /proc, and always ended."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Running", "free_ports", "running"]

_TICK = os.sysconf("SC_CLK_TCK")
_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Running:
    """A live server; `group` is its process group."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def group(self) -> int:
        return self.process.pid

    def cpu_seconds(self) -> float:
        """User and system time of every process of the group, ended and reaped children included."""
        ticks = sum(sum(int(field) for field in stat[11:15]) for stat in self._stats().values())
        return ticks / _TICK

    def processes(self) -> list[int]:
        return sorted(self._stats())

    def reset_peaks(self) -> None:
        """Forget the peak memory so far (proc(5), clear_refs 5), so that the next row has its own."""
        for pid in self.processes():
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_rss(self) -> tuple[int, ...]:
        """Peak resident bytes of each process since `reset_peaks`, largest first."""
        peaks: list[int] = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                kib = status.partition("VmHWM:")[2].split(maxsplit=1)[:1]
                peaks.extend(int(number) * 1024 for number in kib)
        return tuple(sorted(peaks, reverse=True))

    def tail(self) -> str:
        """The end of what the server printed, for a message."""
        return self.log.read_bytes()[-1500:].decode(errors="replace")

    def _stats(self) -> dict[int, list[str]]:
        """pid to the fields of /proc/PID/stat after the name (so utime is [11], pgrp is [2])."""
        found = {}
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{entry.name}/stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.group and fields[0] != "Z":
                    found[int(entry.name)] = fields
        return found


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    port: int,
    ready: str,
) -> Iterator[Running]:
    """Start, wait until `ready` (a path) answers anything below 500 (some have no health page), and end the whole group at the end.

    Raises RuntimeError with the server's last words if it ends or stays silent.
    """
    log = folder / "server.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    server = Running(process, log)
    try:
        _wait_ready(server, port, ready)
        yield server
    finally:
        _stop(process)


def _wait_ready(server: Running, port: int, ready: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended with {server.process.returncode}: {server.tail()}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", ready)
            if connection.getresponse().status < 500:
                return
        connection.close()
        time.sleep(0.1)
    raise RuntimeError(f"the server was not ready in {_READY_SECONDS:.0f} s: {server.tail()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the group, then SIGKILL to whatever of it is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that are free, and so is each one's neighbour at +10000 (SeaweedFS takes it
    for gRPC); all below those that the kernel gives to clients."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(12000, 22000)
        if port not in found and _is_free(port) and _is_free(port + 10000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
