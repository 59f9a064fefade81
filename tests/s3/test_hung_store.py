"""A store that hangs or is slow: its own requests get 503 in time, all others go on as if nothing were."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dolium.stores.leaves import syscalls
from dolium.stores.leaves.disk import Disk
from dolium.testing.checker import check
from tests.s3.client import Answer, Client, target
from tests.s3.inside import Inside
from tests.s3.signing import UNSIGNED, sign_v4

FILE = os.urandom(100_000)
DEADLINE = 1
BUCKET = "cmip"


class Hanging:
    """Calls of the disk leaf that wait until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._gate = threading.Event()
        self._names: set[str] = set()
        self.seconds: float | None = None

    def hang(self, name: str) -> None:
        real: Callable[..., Any] = getattr(syscalls, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                self._gate.wait(self.seconds)
            return real(*arguments, **options)

        self._patch.setattr(syscalls, name, call)

    def let_go(self) -> None:
        self._gate.set()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    hanging = Hanging(monkeypatch)
    yield hanging
    hanging.let_go()


@pytest.fixture
def inside(tmp_path: Path, hanging: Hanging) -> Iterator[Inside]:
    inside = Inside(tmp_path, store_deadline=DEADLINE, garbage_grace=0)
    inside.admin.make_bucket(BUCKET)
    inside.admin.put(BUCKET, "small", b"in the catalog")
    inside.admin.put(BUCKET, "file", FILE)
    yield inside
    hanging.let_go()
    inside.close()


def settle(inside: Inside) -> None:
    """Until the threads that were lost have come back."""
    lanes = inside.wired.bridge._lanes
    inside.wait_until(lambda: not any(lane.busy for lane in lanes.values()))


def request(
    client: Client, method: str, key: str, body: bytes = b""
) -> tuple[Client, str, str, dict[str, str], bytes]:
    return (
        client,
        method,
        target(BUCKET, key),
        sign_v4(client.site, method, target(BUCKET, key), {}, UNSIGNED)[0],
        body,
    )


def slow_down(answer: Answer) -> None:
    assert answer.status == 503
    assert b"<Code>SlowDown</Code>" in answer.body
    assert int(answer.headers["retry-after"]) > 0
    for word in (b"fsync", b"errno", b"/store", b"store default", b"Traceback"):
        assert word not in answer.body


@pytest.mark.parametrize("call", ["create", "write", "fsync", "rename"])
def test_an_upload_gets_503_in_time_and_leaves_nothing(inside: Inside, hanging: Hanging, call: str) -> None:
    hanging.hang(call)
    began = time.monotonic()
    slow_down(inside.admin.ask("PUT", target(BUCKET, "new"), body=FILE))
    assert DEADLINE * 0.9 < time.monotonic() - began < DEADLINE + 3
    assert not inside.admin.has(BUCKET, "new")
    hanging.let_go()
    settle(inside)
    assert not inside.admin.has(BUCKET, "new"), "what was refused does not come later"
    inside.admin.put(BUCKET, "new", FILE)
    assert inside.admin.get(BUCKET, "new") == FILE
    inside.sweep()
    report = check(inside.settings.data)
    assert report.problems == []
    assert report.leftovers == []


def test_what_was_refused_does_not_come_over_what_was_done_since(inside: Inside, hanging: Hanging) -> None:
    hanging.hang("fsync")
    slow_down(inside.admin.ask("PUT", target(BUCKET, "small"), body=FILE))
    inside.admin.put(BUCKET, "small", b"newer")
    slow_down(inside.admin.ask("PUT", target(BUCKET, "gone"), body=FILE))
    inside.admin.done("DELETE", target(BUCKET, "gone"))
    hanging.let_go()
    settle(inside)
    assert inside.admin.get(BUCKET, "small") == b"newer"
    assert not inside.admin.has(BUCKET, "gone")
    assert check(inside.settings.data).problems == []


def test_parts_copies_and_completions_get_503_and_can_be_sent_again(inside: Inside, hanging: Hanging) -> None:
    admin = inside.admin
    upload = admin.begin(BUCKET, "parts")
    etag = admin.put_part(BUCKET, "parts", upload, 1, FILE)
    with pytest.MonkeyPatch.context() as patched:
        hanging = Hanging(patched)
        hanging.hang("fsync")
        copy = {"x-amz-copy-source": f"/{BUCKET}/file"}
        place = f"{target(BUCKET, 'parts')}?partNumber=1&uploadId={upload}"
        slow_down(admin.ask("PUT", place, body=FILE[::-1]))
        slow_down(admin.ask("PUT", place, copy))
        slow_down(admin.ask("PUT", target(BUCKET, "copy"), copy))
        slow_down(admin.complete(BUCKET, "parts", upload, {1: etag}))
        hanging.let_go()
        settle(inside)
    assert not admin.has(BUCKET, "copy")
    assert not admin.has(BUCKET, "parts")
    admin.complete(BUCKET, "parts", upload, {1: etag})
    assert admin.get(BUCKET, "parts") == FILE
    admin.done("PUT", target(BUCKET, "copy"), copy)
    assert admin.get(BUCKET, "copy") == FILE
    inside.sweep()
    report = check(inside.settings.data)
    assert report.problems == []
    assert report.leftovers == []


def test_other_work_goes_on_and_threads_are_bounded(inside: Inside, hanging: Hanging) -> None:
    """Forty uploads hang; whatever needs no thread of their store is answered as ever."""
    hanging.hang("fsync")
    before = threading.active_count()
    admin = inside.admin
    hung = [request(admin, "PUT", f"hung{n}", FILE) for n in range(40)]
    others = [
        request(admin, "PUT", "other", b"small"),
        request(admin, "GET", "small"),
        request(admin, "GET", "file"),
    ]
    others += [request(admin, "DELETE", "absent"), request(admin, "GET", "")]
    most = 0.0

    async def look() -> None:
        nonlocal most
        for n in range(30):
            began = time.monotonic()
            answer = await inside.answer(*others[n % len(others)])
            assert answer.status < 300, answer
            most = max(most, time.monotonic() - began)
            await asyncio.sleep(0.02)

    began = time.monotonic()
    answers = inside.while_waiting(hung, look)
    assert time.monotonic() - began < DEADLINE + 4
    for answer in answers:
        slow_down(answer)
    assert most < 0.3
    assert threading.active_count() - before <= 8 + 2  # of the store; and those that hash
    began = time.monotonic()
    slow_down(admin.ask("PUT", target(BUCKET, "one more"), body=FILE))
    assert time.monotonic() - began < 0.3, "it is known by now that nobody comes back"
    ready = admin.send("GET", "/_health/ready")
    assert ready.status == 503
    assert b"does not answer" in ready.body
    hanging.let_go()
    settle(inside)
    admin.put(BUCKET, "one more", FILE)
    assert admin.send("GET", "/_health/ready").status == 200


def test_a_slow_store_delays_nobody_else(inside: Inside, hanging: Hanging) -> None:
    hanging.seconds = 0.2
    hanging.hang("create")
    admin = inside.admin
    slow = [request(admin, "PUT", f"slow{n}", FILE) for n in range(16)]
    most = 0.0

    async def look() -> None:
        nonlocal most
        for _ in range(10):
            began = time.monotonic()
            assert (await inside.answer(*request(admin, "GET", "small"))).status == 200
            most = max(most, time.monotonic() - began)
            await asyncio.sleep(0.02)

    assert {answer.status for answer in inside.while_waiting(slow, look)} == {200}
    assert most < 0.15


def test_reads_of_a_store_that_may_hang_get_503_in_time(
    inside: Inside, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a network file system: nothing of it is opened on the event loop."""
    [disk] = inside.service.stores.values()
    assert isinstance(disk, Disk)
    monkeypatch.setattr(disk, "local", False)
    hanging.hang("open_beneath")
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    slow_down(inside.admin.ask("GET", target(BUCKET, "file")))
    assert inside.admin.get(BUCKET, "small") == b"in the catalog"
    hanging.let_go()
    settle(inside)
    assert inside.admin.get(BUCKET, "file") == FILE
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
