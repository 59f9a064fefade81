"""The rows of the table: what each does, as data, and how it is made ready.

A row is prepared (objects written, requests signed, one answer checked, a second of warm-up), then its load
runs alone while the server's CPU and memory are watched, then what it wrote is looked at.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import count as counting
from typing import TYPE_CHECKING

from bench import fills
from bench.client import UNSIGNED, Client, Request
from bench.loads.curl import Curl
from bench.loads.head import Head
from bench.loads.wrk import Wrk, write_requests
from bench.loads.zarr_chunks import run as run_zarr
from bench.tools import python_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.loads import Load

__all__ = ["BUCKET", "MIB", "Bench", "Plan", "Row", "body", "put_all", "rows"]

KIB, MIB = 1024, 1024 * 1024
BUCKET = "bench"
_PUTS_PER_SECOND = 12_000  # no server here writes more; a list that is used up ends its run early
_PAGE = 1000
_SLOW_PAGE = 120  # seconds
_run_numbers = counting()


def body(work: Path, size: int) -> Path:
    """A file of `size` bytes that no server can compress; the same in every run."""
    path = work / f"body-{size}"
    if not path.exists():
        source = random.Random(size)
        with path.open("wb") as file:
            for start in range(0, size, MIB):
                file.write(source.randbytes(min(MIB, size - start)))
    return path


@dataclass(frozen=True, slots=True)
class Bench:
    """One live server and where the load keeps its files."""

    client: Client
    work: Path
    seconds: int

    def file(self, name: str) -> Path:
        return self.work / f"{name}-{next(_run_numbers)}"

    def body(self, size: int) -> Path:
        return body(self.work, size)


@dataclass(frozen=True, slots=True)
class Plan:
    """`load` is what is measured; `check` looks at what it left and returns what is wrong, or nothing."""

    load: Callable[[], Load]
    check: Callable[[], str] = lambda: ""


@dataclass(frozen=True, slots=True)
class Row:
    """`unit` is `/s`, `MB/s` or `s`. A row with `objects` runs on a bucket filled with that many (fills.py).

    `flat` rows are dolium's alone: they ask whether the cost of an operation grows with the catalog.
    """

    name: str
    title: str
    unit: str
    prepare: Callable[[Bench], Plan]
    objects: int = 0
    flat: bool = False


def rows(exponents: tuple[int, ...]) -> tuple[Row, ...]:
    """Every row, those on filled buckets once for each power of ten in `exponents`."""
    return (
        Row("get-16k-c16", "16 KiB GET, 16 connections", "/s", partial(_get, 16 * KIB, 16)),
        Row("get-16k-c64", "16 KiB GET, 64 connections", "/s", partial(_get, 16 * KIB, 64)),
        Row(
            "get-16k-header", "16 KiB GET, 16, signed header", "/s", partial(_get, 16 * KIB, 16, header=True)
        ),
        Row("get-20k-c16", "20 KiB GET, 16 connections", "/s", partial(_get, 20 * KIB, 16)),
        Row("range-4k-c16", "4 KiB of a 64 MiB object, 16", "/s", _range),
        Row("put-4k-c16", "4 KiB PUT, 16 connections", "/s", partial(_put, 4 * KIB, 16)),
        Row("put-4k-c64", "4 KiB PUT, 64 connections", "/s", partial(_put, 4 * KIB, 64)),
        Row("put-4k-sha-c16", "4 KiB PUT, 16, signed SHA-256", "/s", partial(_put, 4 * KIB, 16, sha=True)),
        Row("put-4k-sha-c64", "4 KiB PUT, 64, signed SHA-256", "/s", partial(_put, 4 * KIB, 64, sha=True)),
        Row("get-1m", "1 MiB GET, 16 connections", "MB/s", partial(_get, MIB, 16)),
        Row("put-1m", "1 MiB PUT, 16 connections", "MB/s", partial(_put, MIB, 16)),
        Row("get-64m", "64 MiB GET, 4 connections", "MB/s", _get_large),
        Row("put-256m", "256 MiB PUT, one stream", "MB/s", _put_large),
        Row("head-missing", "HEAD of an absent key, 16", "/s", _head_missing),
        Row("get-missing", "GET of an absent key, 16", "/s", _get_missing),
        Row("delete", "DELETE of a 4 KiB object, 16", "/s", _delete),
        Row("to-zarr", "to_zarr, 1,000 chunks of 4 KiB", "s", partial(_zarr, "write")),
        Row("open-zarr", "open_zarr of the same, all read", "s", partial(_zarr, "read")),
        *(row for exponent in exponents for row in _filled_rows(exponent)),
    )


def _filled_rows(exponent: int) -> tuple[Row, ...]:
    total = 10**exponent
    suffix, among = f"1e{exponent}", f"among {total:,}"
    lists, gets, puts = (partial(step, total) for step in (_list, _flat_get, _flat_put))
    return (
        Row(f"list-{suffix}", f"LIST page of 1,000, 4, {among} keys", "/s", lists, total),
        Row(f"get-{suffix}", f"64 B GET, 16, {among} objects", "/s", gets, total, flat=True),
        Row(f"put-{suffix}", f"4 KiB PUT, 16, {among} objects", "/s", puts, total, flat=True),
    )


def _checked(client: Client, request: Request, expect: int, size: int | None = None) -> None:
    """One answer before the load, so that a fast wrong one is not measured. Raises RuntimeError."""
    answer = client.send(request)
    if answer.status != expect:
        raise RuntimeError(f"{request.method} answered {answer.status}: {answer.body[:200]!r}")
    if size is not None and len(answer.body) != size:
        raise RuntimeError(f"{request.method} answered {len(answer.body)} bytes, not {size}")


def _around(bench: Bench, requests: list[Request], connections: int, payload: int, expect: int = 200) -> Plan:
    """The same requests round and round, in a shuffled order, after a second of warm-up."""
    random.Random(1).shuffle(requests)
    path = write_requests(bench.file("round"), requests)
    wrk = Wrk(bench.client.url, path, connections, bench.seconds, payload, expect=expect)
    replace(wrk, seconds=1).run()
    return Plan(wrk.run)


def put_all(bench: Bench, bucket: str, keys: list[str], body: Path) -> None:
    """Write objects through wrk as fast as the server takes them, each once. Raises RuntimeError."""
    requests = [bench.client.signer.presigned("PUT", f"/{bucket}/{key}") for key in keys]
    path = write_requests(bench.file("fill"), requests)
    limit = 60 + len(keys) // 100
    load = Wrk(bench.client.url, path, 16, limit, 0, body, once=True, threads=1).run()
    if load.failure:
        raise RuntimeError(f"filling: {load.failure}")
    for request_key in keys[-16:]:  # the last ones may have been under way when the run ended
        bench.client.put(bucket, request_key, body.read_bytes())


def _get(size: int, connections: int, bench: Bench, *, header: bool = False) -> Plan:
    client, total = bench.client, 1000 if size < MIB else 64
    keys = [f"get/{size}/{number:06d}" for number in range(total)]
    if client.send(client.signer.presigned("HEAD", f"/{BUCKET}/{keys[-1]}")).status != 200:
        put_all(bench, BUCKET, keys, bench.body(size))
        for number in range(0, total, max(1, total // 50)):
            _checked(client, client.signer.presigned("GET", f"/{BUCKET}/{keys[number]}"), 200, size)
    sign = partial(client.signer.signed, payload=UNSIGNED) if header else client.signer.presigned
    requests = [sign("GET", f"/{BUCKET}/{key}") for key in keys]
    _checked(client, requests[0], 200, size)
    return _around(bench, requests, connections, size)


def _put(size: int, connections: int, bench: Bench, *, sha: bool = False) -> Plan:
    body, run = bench.body(size), next(_run_numbers)
    rate = _PUTS_PER_SECOND if size < MIB else _PUTS_PER_SECOND // 8
    keys = [f"put/{run}/{number % 256:02x}/{number:07d}" for number in range(rate * bench.seconds)]
    return _put_plan(bench, BUCKET, keys, connections, body, sha=sha)


def _put_plan(
    bench: Bench, bucket: str, keys: list[str], connections: int, body: Path, *, sha: bool = False
) -> Plan:
    """Each key once; afterwards some of the first ones are read back and compared."""
    client, content = bench.client, body.read_bytes()
    payload = hashlib.sha256(content).hexdigest()
    sign = partial(client.signer.signed, payload=payload) if sha else client.signer.presigned
    requests = [sign("PUT", f"/{bucket}/{key}") for key in keys]
    path = write_requests(bench.file("put"), requests)
    wrk = Wrk(client.url, path, connections, bench.seconds, len(content), body, once=True)

    def check() -> str:
        wrong = [key for key in keys[:20] if client.get(bucket, key) != content]
        return f"{len(wrong)} of 20 objects differ" if wrong else ""

    return Plan(wrk.run, check)


def _get_large(bench: Bench) -> Plan:
    size, streams = 64 * MIB, 4
    client, body = bench.client, bench.body(64 * MIB)
    keys = [f"large/{number}" for number in range(streams)]
    for key in keys:
        client.put(BUCKET, key, body.read_bytes())
    requests = [client.signer.presigned("GET", f"/{BUCKET}/{key}") for key in keys]
    once = Curl(client.url, tuple((request,) for request in requests), size).run()
    again = max(2, min(64, round(bench.seconds / max(once.seconds, 0.01))))
    return Plan(Curl(client.url, tuple((request,) * again for request in requests), size).run)


def _range(bench: Bench) -> Plan:
    """From a thousand places of four objects."""
    client, size, count = bench.client, 64 * MIB, 4 * KIB
    keys = [f"ranged/{number}" for number in range(4)]
    for key in keys:
        client.put(BUCKET, key, bench.body(size).read_bytes())
    source = random.Random(4)
    requests = []
    for number in range(1000):
        start = source.randrange(size - count)
        request = client.signer.presigned("GET", f"/{BUCKET}/{keys[number % 4]}")
        ranged = ("Range", f"bytes={start}-{start + count - 1}")
        requests.append(replace(request, headers=(*request.headers, ranged)))
    _checked(client, requests[0], 206, count)
    return _around(bench, requests, 16, count, expect=206)


def _put_large(bench: Bench) -> Plan:
    size, client = 256 * MIB, bench.client
    upload, run = bench.body(size), next(_run_numbers)
    keys = [f"huge/{run}/{number}" for number in range(max(3, min(8, bench.seconds)))]
    requests = tuple(client.signer.presigned("PUT", f"/{BUCKET}/{key}") for key in keys)

    def check() -> str:
        same = client.get(BUCKET, keys[-1]) == upload.read_bytes()
        for key in keys:
            client.send(client.signer.presigned("DELETE", f"/{BUCKET}/{key}"))
        return "" if same else "the object differs"

    return Plan(Curl(client.url, (requests,), size, upload).run, check)


def _head_missing(bench: Bench) -> Plan:
    client = bench.client
    requests = [client.signer.presigned("HEAD", f"/{BUCKET}/absent/{number:04d}") for number in range(1000)]
    _checked(client, requests[0], 404)
    Head(client.port, tuple(requests), 16, 1).run()
    return Plan(Head(client.port, tuple(requests), 16, bench.seconds).run)


def _get_missing(bench: Bench) -> Plan:
    client = bench.client
    requests = [client.signer.presigned("GET", f"/{BUCKET}/absent/{number:04d}") for number in range(1000)]
    _checked(client, requests[0], 404)
    return _around(bench, requests, 16, 0, expect=404)


def _delete(bench: Bench) -> Plan:
    client, run = bench.client, next(_run_numbers)
    keys = [
        f"gone/{run}/{number % 256:02x}/{number:07d}" for number in range(min(20_000, 4000 * bench.seconds))
    ]
    put_all(bench, BUCKET, keys, bench.body(4 * KIB))
    requests = [client.signer.presigned("DELETE", f"/{BUCKET}/{key}") for key in keys]
    wrk = Wrk(client.url, write_requests(bench.file("delete"), requests), 16, bench.seconds, 0, once=True)

    def check() -> str:
        left = [
            key
            for key in keys[:20]
            if client.send(client.signer.presigned("HEAD", f"/{BUCKET}/{key}")).status != 404
        ]
        return f"{len(left)} of 20 objects are still there" if left else ""

    return Plan(wrk.run, check)


def _list(total: int, bench: Bench) -> Plan:
    client, bucket = bench.client, fills.bucket(total)
    starts = range(0, total - _PAGE + 1, _PAGE)
    chosen = random.Random(2).sample(starts, min(len(starts), 200))
    requests = []
    for start in chosen:
        after = (("start-after", fills.key(start - 1)),) if start else ()
        query = (("list-type", "2"), ("max-keys", str(_PAGE)), *after)
        requests.append(client.signer.presigned("GET", f"/{bucket}", query))
    for start, request in list(zip(chosen, requests, strict=True))[:3]:
        began = time.monotonic()
        page = client.send(request, timeout=_SLOW_PAGE).body
        took = time.monotonic() - began
        first, last = (f"<Key>{fills.key(number)}</Key>".encode() for number in (start, start + _PAGE - 1))
        if page.count(b"<Key>") != _PAGE or first not in page or last not in page:
            raise RuntimeError(f"a page after key {start - 1} is wrong: {page[:300]!r}")
    # A server that walks the whole bucket for each page still gets a few of them done.
    seconds = max(bench.seconds, min(_SLOW_PAGE, math.ceil(10 * took)))
    return _around(replace(bench, seconds=seconds), requests, 4, 0)


def _flat_get(total: int, bench: Bench) -> Plan:
    client, bucket = bench.client, fills.bucket(total)
    chosen = random.Random(3).sample(range(total), min(total, 50_000))
    requests = [client.signer.presigned("GET", f"/{bucket}/{fills.key(number)}") for number in chosen]
    size = len(fills.TEMPLATE_BODY)
    for request in requests[:20]:
        _checked(client, request, 200, size)
    return _around(bench, requests, 16, size)


def _flat_put(total: int, bench: Bench) -> Plan:
    places = random.Random(next(_run_numbers))
    amount = _PUTS_PER_SECOND * bench.seconds
    keys = [f"{fills.key(places.randrange(total))}/new{number:07d}" for number in range(amount)]
    return _put_plan(bench, fills.bucket(total), keys, 16, bench.body(4 * KIB))


def _zarr(mode: str, bench: Bench) -> Plan:
    """Reading goes over what it first writes itself."""
    python, path = str(python_tool("python")), f"{BUCKET}/zarr-{next(_run_numbers)}"
    program = partial(run_zarr, python, endpoint=bench.client.url, path=path, chunks=1000)
    if mode == "read":
        written = program(mode="write")
        if written.failure:
            raise RuntimeError(written.failure)
    return Plan(partial(program, mode=mode))
