import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from dolium.server import telemetry
from dolium.server.telemetry import RequestLog
from dolium.values import Secret

SCOPE = {
    "method": "GET",
    "raw_path": b'/b/a"\\\xff',
    "query_string": b"X-Amz-Signature=beef",
    "client": ("::1", 5),
}
FACTS = {"id": "A1", "operation": "GetObject", "key_id": "KEY", "code": ""}


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    stream = io.StringIO()
    telemetry.configure("info", stream)
    yield stream
    root.handlers[:] = kept
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def gathered(*requests: tuple[dict[str, Any], int], failures_only: bool = False) -> list[dict[str, Any]]:
    stream = io.StringIO()

    async def run() -> None:
        log = RequestLog(failures_only=failures_only, stream=stream)
        for facts, status in requests:
            log.add(SCOPE, facts, status, 12, 0.0015)
        log.close()

    asyncio.run(run())
    return lines(stream)


def test_an_event_is_a_line_of_json(logs: io.StringIO) -> None:
    logging.getLogger("dolium.x").warning("two\nlines with %s", Secret("hidden"))
    logging.getLogger("dolium.x").debug("not told")
    [line] = lines(logs)
    assert (line["level"], line["logger"], line["event"]) == (
        "warning",
        "dolium.x",
        "two\nlines with Secret(***)",
    )
    assert line["time"].endswith("Z")


def test_a_failure_comes_with_its_traceback_in_one_line(logs: io.StringIO) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("dolium.x").exception("failed")
    [line] = lines(logs)
    assert "ValueError: why" in line["traceback"]


def test_a_request_is_a_line_of_json_without_its_query() -> None:
    [line] = gathered((FACTS, 200))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "event": "request",
        "id": "A1",
        "method": "GET",
        "operation": "GetObject",
        "path": '/b/a"\\\xff',
        "status": 200,
        "code": "",
        "sent": 12,
        "ms": 1.5,
        "key_id": "KEY",
        "peer": "::1",
    }


def test_a_request_that_was_refused_early_has_no_operation() -> None:
    [line] = gathered(({"id": "A1", "code": "AccessDenied"}, 403))
    assert (line["operation"], line["key_id"], line["code"]) == ("", "", "AccessDenied")


def test_failures_alone_when_asked() -> None:
    told = gathered((FACTS, 200), (FACTS, 404), (FACTS, 500), (FACTS, 501), (FACTS, 0), failures_only=True)
    assert [(line["status"], line["level"]) for line in told] == [(500, "error"), (0, "warning")]


def test_lines_are_written_soon_and_in_order() -> None:
    stream = io.StringIO()

    async def run() -> int:
        log = RequestLog(failures_only=False, stream=stream)
        for number in range(5):
            log.add(SCOPE, {"id": str(number)}, 200, 0, 0.0)
        at_once = len(stream.getvalue())
        await asyncio.sleep(0.6)
        assert [line["id"] for line in lines(stream)] == ["0", "1", "2", "3", "4"]
        log.close()
        return at_once

    assert asyncio.run(run()) == 0


def test_lines_have_an_end_and_the_lost_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_MOST_LINES", 3)
    told = gathered(*[(FACTS, 200)] * 5)
    assert [line["event"] for line in told] == ["request"] * 3 + ["request lines dropped"]
    assert told[-1]["count"] == 2


def test_a_reader_that_is_gone_stops_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    async def run() -> None:
        log = RequestLog(failures_only=False, stream=Gone())
        log.add(SCOPE, FACTS, 200, 0, 0.0)
        log.close()

    asyncio.run(run())
