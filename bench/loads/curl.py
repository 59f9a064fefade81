"""curl: a few long streams."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.loads import Load
from bench.tools import system_tool

if TYPE_CHECKING:
    from pathlib import Path

    from bench.client import Request

__all__ = ["Curl"]

_STREAM_SECONDS = 300
_FORMAT = "%{http_code} %{time_total} %{size_download} %{size_upload}\\n"


@dataclass(frozen=True, slots=True)
class Curl:
    """Each of `streams` is one curl on one connection that does its requests one after the other.

    With `upload`, its file is the body of each. `payload` is what each request must move.
    """

    url: str
    streams: tuple[tuple[Request, ...], ...]
    payload: int
    upload: Path | None = None

    def run(self) -> Load:
        began = time.monotonic()
        running = [
            subprocess.Popen(self._command(stream), stdout=subprocess.PIPE, text=True)
            for stream in self.streams
        ]
        try:
            printed = [process.communicate(timeout=_STREAM_SECONDS + 10)[0] for process in running]
        finally:
            for process in running:
                process.kill()
                process.wait()
        seconds = time.monotonic() - began
        return self._judge([line.split() for text in printed for line in text.splitlines()], seconds)

    def _command(self, stream: tuple[Request, ...]) -> list[str]:
        command = [str(system_tool("curl")), "-s", "-w", _FORMAT, "--max-time", str(_STREAM_SECONDS)]
        if self.upload is not None:
            command += ["-H", "Expect:"]
        for request in stream:
            if self.upload is not None:
                command += ["-T", str(self.upload)]
            command += ["-o", "/dev/null", self.url + request.target]
        return command

    def _judge(self, lines: list[list[str]], seconds: float) -> Load:
        wanted = sum(len(stream) for stream in self.streams)
        moved = 3 if self.upload is not None else 2
        good = [line for line in lines if line[0] == "200" and int(line[moved]) == self.payload]
        failure = "" if len(good) == wanted else f"{wanted - len(good)} of {wanted} streams failed"
        times = sorted(float(line[1]) for line in lines)
        slowest = times[-1] * 1000 if times else None
        return Load(wanted, len(good) * self.payload, seconds, slowest, failure)
