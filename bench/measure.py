"""One subject, start to end: run its rows on a fresh data folder and note what each cost."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from bench import fills
from bench.client import Client
from bench.rows import BUCKET, Bench, Row, put_all
from bench.server import Running, running
from bench.subjects import PRODUCT, Launch, Subject
from bench.tools import TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.loads import Load

__all__ = ["Cell", "fill", "folder", "live", "measure", "measure_row"]

_BUCKET_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One row on one subject. `value` is in the row's unit; CPU is the server's, for each request.

    `memory` is the sum of the processes' peaks (pages that they share count in each), `largest` the biggest.
    """

    value: float = 0.0
    p99_ms: float | None = None
    cpu_us: float = 0.0
    memory: int = 0
    largest: int = 0
    failure: str = ""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder on the repository's disk, removed at the end (rm: a million entries are quickly gone)."""
    parent = TOOLS / "data"
    parent.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield path
    finally:
        subprocess.run(["rm", "-rf", str(path)], check=False)
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def live(launch: Launch, data: Path) -> Iterator[tuple[Running, Client]]:
    """The server, up, and with the bench's bucket in it."""
    with running(
        launch.command, environment=launch.environment, folder=data, port=launch.port, ready=launch.ready
    ) as server:
        client = Client.at(launch.port)
        _make_bucket(client, BUCKET)
        yield server, client


def measure(
    subject: Subject, wanted: Sequence[Row], work: Path, seconds: int, say: Callable[[str], None]
) -> dict[str, Cell]:
    """All rows of one subject by name. What fails is told in its cell; only MissingTool is raised."""
    mine = [row for row in wanted if subject.name == PRODUCT or not row.flat]
    cells: dict[str, Cell] = {}
    with folder() as data:
        launch = subject.launch(data)  # once: SeaweedFS remembers its ports
        for objects, stage in groupby(sorted(mine, key=lambda row: row.objects), key=lambda row: row.objects):
            named = list(stage)
            try:
                if objects:
                    say(f"{subject.name}: filling {objects:,} objects")
                    fill(subject, launch, data, work, objects)
                with live(launch, data) as (server, client):
                    for row in named:
                        cells[row.name] = measure_row(server, Bench(client, work, seconds), row)
                        say(f"{subject.name}: {row.name} {_short(cells[row.name], row)}")
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                say(f"{subject.name}: {error}")
                for row in named:
                    cells.setdefault(row.name, Cell(failure=_reason(error)))
    return cells


def measure_row(server: Running, bench: Bench, row: Row) -> Cell:
    """Prepare, run the load alone, check; the disk's queue is empty when the load starts."""
    try:
        plan = row.prepare(bench)
        os.sync()
        server.reset_peaks()
        cpu = server.cpu_seconds()
        load = plan.load()
        cpu = server.cpu_seconds() - cpu
        peaks = server.peak_rss()
        failure = load.failure or plan.check()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        return Cell(failure=_reason(error))
    finally:
        _forget_lists(bench.work)
    if server.process.poll() is not None:
        failure = f"the server ended: {server.tail()[-200:]}"
    cell = Cell(memory=sum(peaks), largest=max(peaks, default=0), failure=failure)
    if not load.requests or not load.seconds:
        return replace(cell, failure=failure or "nothing was done")
    return replace(cell, value=_value(load, row.unit), p99_ms=load.p99_ms, cpu_us=cpu / load.requests * 1e6)


def _value(load: Load, unit: str) -> float:
    if unit == "s":
        return load.seconds
    return (load.moved / 1e6 if unit == "MB/s" else load.requests) / load.seconds


def fill(subject: Subject, launch: Launch, data: Path, work: Path, count: int) -> None:
    """A bucket with `count` objects: directly where the subject knows a way, else through S3."""
    bucket = fills.bucket(count)
    with live(launch, data) as (_, client):
        _make_bucket(client, bucket)
        client.put(bucket, fills.TEMPLATE_KEY, fills.TEMPLATE_BODY)
        if subject.fill is None:
            body = work / "template"
            body.write_bytes(fills.TEMPLATE_BODY)
            put_all(Bench(client, work, seconds=0), bucket, [fills.key(n) for n in range(count)], body)
    if subject.fill is not None:
        subject.fill(data, bucket, count)
    os.sync()


def _make_bucket(client: Client, bucket: str) -> None:
    """Some servers answer before they can write (SeaweedFS waits for its volumes): asked until it works."""
    deadline = time.monotonic() + _BUCKET_SECONDS
    while True:
        try:
            if client.send(client.signer.signed("HEAD", f"/{bucket}")).status != 200:
                client.make_bucket(bucket)
            client.put(bucket, "zz/ready", b"ready")
        except (RuntimeError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _forget_lists(work: Path) -> None:
    for path in work.iterdir():
        if not path.name.startswith("body-"):
            path.unlink()


def _reason(error: Exception) -> str:
    text = str(error).replace(str(TOOLS), "")
    return " ".join(text.split())[:300] or type(error).__name__


def _short(cell: Cell, row: Row) -> str:
    if cell.failure:
        return f"FAILED: {cell.failure}"
    return f"{cell.value:,.1f} {row.unit}, {cell.cpu_us:,.0f} µs CPU each, {cell.memory >> 20} MiB"
