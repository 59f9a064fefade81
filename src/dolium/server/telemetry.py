"""Logs as JSON lines on stderr.

Events (`logging`) are written at once. Requests are gathered for a quarter of a second and written by a
thread, so that a slow reader of our stderr holds up no request; their lines carry the request id that the
answer carried, and never a query string, where signatures lie.

    {"time":"2026-01-30T12:00:00.123Z","level":"info","event":"request","id":"A1","method":"GET",
     "operation":"GetObject","path":"/bucket/key","status":200,"code":"","sent":12,"ms":0.4,
     "key_id":"DO…","peer":"127.0.0.1"}
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import Any, TextIO

from dolium.asgi.messages import Scope

__all__ = ["RequestLog", "configure"]

_GATHER_SECONDS = 0.25
_MOST_LINES = 100_000  # waiting; more are dropped and counted, for memory has an end


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _iso(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            "pid": record.process,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (stderr), from `level` on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # The library's own chatter; its warnings still come through.
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _iso(seconds: float) -> str:
    whole = int(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((seconds - whole) * 1000):03d}Z"


def _level(status: int) -> str:
    """An error is ours. A client that left (0), or asked for what is not built (501), is none."""
    return "warning" if status == 0 else "error" if status >= 500 and status != 501 else "info"


class RequestLog:
    """One per event loop."""

    def __init__(self, *, failures_only: bool, stream: TextIO | None = None) -> None:
        self._failures_only = failures_only
        self._stream = stream or sys.stderr
        self._lines: list[str] = []
        self._dropped = 0
        self._writing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._second = (0, "")

    def add(self, scope: Scope, facts: Mapping[str, str], status: int, sent: int, seconds: float) -> None:
        """One request that has ended; `status` 0 if it had no answer."""
        if self._failures_only and (0 < status < 500 or status == 501):
            return
        lines = self._lines
        if len(lines) >= _MOST_LINES:
            self._dropped += 1
            return
        now = time.time()
        second = int(now)
        if second != self._second[0]:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        get = facts.get
        client = scope.get("client")
        # Only the path can hold what JSON must escape: the parser has seen to the method, the socket gave the
        # peer, a key id is plain or it would not have been found, and the rest are words of our own.
        lines.append(
            f'{{"time":"{self._second[1]}.{int((now - second) * 1000):03d}Z",'
            f'"level":"{_level(status)}","event":"request","id":"{get("id", "")}",'
            f'"method":"{scope["method"]}","operation":"{get("operation", "")}",'
            f'"path":{encode_basestring_ascii(scope["raw_path"].decode("latin-1"))},"status":{status},'
            f'"code":"{get("code", "")}","sent":{sent},"ms":{seconds * 1e3:.3f},"key_id":"{get("key_id", "")}",'
            f'"peer":"{client[0] if client else ""}"}}\n'
        )
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._flush)

    def _flush(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        if self._writing is not None and not self._writing.done():
            self._timer = loop.call_later(_GATHER_SECONDS, self._flush)
            return
        self._writing = loop.run_in_executor(None, self._write, self._take())

    def _take(self) -> str:
        lines, self._lines = self._lines, []
        if self._dropped:
            lines.append(
                json.dumps({"level": "warning", "event": "request lines dropped", "count": self._dropped})
                + "\n"
            )
            self._dropped = 0
        return "".join(lines)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return  # whoever read our log is gone; requests go on

    def close(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write(self._take())
