"""wrk over a list of signed requests."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.loads import Load
from bench.tools import system_tool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.client import Request

__all__ = ["Wrk", "write_requests"]

_SCRIPT = Path(__file__).with_name("wrk.lua")
_GRACE_SECONDS = 60


def write_requests(path: Path, requests: Iterable[Request]) -> Path:
    with path.open("w") as file:
        file.writelines(request.line() + "\n" for request in requests)
    return path


@dataclass(frozen=True, slots=True)
class Wrk:
    """One run. `once`: no line is sent twice; the run ends early when they are used up.

    `expect` is 200 (any 2xx) or 404; an answer of another kind fails the run, as does any error of a socket.
    """

    url: str
    requests: Path
    connections: int
    seconds: int
    payload: int
    body: Path | None = None
    once: bool = False
    expect: int = 200
    timeout: int = 60
    threads: int = 2

    def run(self) -> Load:
        threads = min(self.threads, self.connections)
        out = self.requests.with_suffix(".json")
        out.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "BENCH_REQUESTS": str(self.requests),
            "BENCH_BODY": str(self.body or ""),
            "BENCH_THREADS": str(threads),
            "BENCH_ONCE": "1" if self.once else "0",
            "BENCH_OUT": str(out),
        }
        size = [f"-t{threads}", f"-c{self.connections}", f"-d{self.seconds}s", f"--timeout={self.timeout}s"]
        done = subprocess.run(
            [str(system_tool("wrk")), *size, "-s", str(_SCRIPT), self.url],
            env=environment,
            capture_output=True,
            text=True,
            timeout=self.seconds + self.timeout + _GRACE_SECONDS,
            check=False,
        )
        if not out.exists():
            return Load(0, 0, 0.0, failure=f"wrk: {done.stdout[-300:]}{done.stderr[-300:]}")
        return self._judge(json.loads(out.read_text()))

    def _judge(self, seen: dict[str, int]) -> Load:
        requests = seen["requests"]
        wrong = seen["status"] if self.expect < 400 else requests - seen["status"]
        causes = [(wrong, f"answers not {self.expect}")]
        causes += [(seen[kind], f"{kind} errors") for kind in ("connect", "read", "write", "timeout")]
        failure = ", ".join(f"{count} {what}" for count, what in causes if count)
        if not requests:
            failure = failure or "no answer in time"
        return Load(
            requests, requests * self.payload, seen["microseconds"] / 1e6, seen["p99_us"] / 1000, failure
        )
