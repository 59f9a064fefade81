"""The tables: medians over the repeats, one column for each subject, dolium's ratio to the best peer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from bench.measure import Cell
from bench.subjects import PRODUCT, SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.rows import Row

__all__ = ["Result", "markdown"]


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that one run saw. `cells[subject][row]` has one cell for each repeat."""

    date: str
    machine: dict[str, str]
    disk_mb_per_second: float
    seconds: int
    repeat: int
    versions: dict[str, str]
    absent: dict[str, str]
    cells: dict[str, dict[str, list[Cell]]]

    def cell(self, subject: str, row: str) -> Cell | None:
        """Medians of the repeats; one failed repeat fails the cell."""
        seen = self.cells.get(subject, {}).get(row)
        if not seen:
            return None
        failed = next((cell for cell in seen if cell.failure), None)
        if failed is not None:
            return failed
        tails = [cell.p99_ms for cell in seen if cell.p99_ms is not None]
        return replace(
            seen[0],
            value=median(cell.value for cell in seen),
            p99_ms=median(tails) if tails else None,
            cpu_us=median(cell.cpu_us for cell in seen),
            memory=int(median(cell.memory for cell in seen)),
            largest=int(median(cell.largest for cell in seen)),
        )


def markdown(result: Result, rows: Sequence[Row]) -> str:
    """The whole of RESULTS.md."""
    parts = [
        "# Benchmark results",
        "Made by `make bench`; how to read it and to repeat it: [docs/benchmarks.md](../docs/benchmarks.md).",
        _about(result),
        "## Throughput\n\n" + _throughput(result, rows),
        "## 99th percentile of latency, ms\n\n"
        "For the 64 MiB and 256 MiB rows the slowest of the transfers.\n\n"
        + _table(result, rows, lambda cell: _number(cell.p99_ms) if cell.p99_ms is not None else ""),
        "## CPU of the server, µs for each request\n\n"
        + _table(result, rows, lambda cell: _number(cell.cpu_us)),
        "## Peak memory, MiB\n\n"
        "Resident memory of all processes of the server during the row; in brackets that of the largest "
        "process, where there are several. Pages that processes share count in each.\n\n"
        + _table(result, rows, _memory),
        _flatness(result, rows),
        _failures(result, rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(result: Result) -> str:
    lines = [f"* date: {result.date}"]
    lines += [f"* {name}: {value}" for name, value in result.machine.items()]
    lines.append(f"* disk, `dd conv=fdatasync` of 256 MiB: {result.disk_mb_per_second:,.0f} MB/s")
    lines.append(f"* {result.seconds} s for each figure, {result.repeat} times, the median shown")
    lines += [f"* {name} {result.versions[name]}" for name in _names(result)]
    lines += [f"* {name} was left out: {why}" for name, why in result.absent.items()]
    return "\n".join(lines)


def _throughput(result: Result, rows: Sequence[Row]) -> str:
    """dolium first, then its ratio to the best peer (in bold), then the peers."""
    names = _names(result)
    peers = [name for name in names if name != PRODUCT]
    heads = ["work", *names]
    promise = ["fsynced before 200", *(SUBJECTS[name].durability for name in names)]
    if PRODUCT in names and peers:
        heads.insert(2, "dolium / best peer")
        promise.insert(2, "")
    lines = [promise]
    for row in rows:
        if row.flat:
            continue
        cells = {name: result.cell(name, row.name) for name in names}
        best = _best(row, {name: cells[name] for name in peers})
        line = [f"{row.title}, {row.unit.removeprefix('/s') or 'per s'}"]
        for name in names:
            text = _text(cells[name], lambda cell: _number(cell.value))
            line.append(f"**{text}**" if name == best else text)
        if PRODUCT in names and peers:
            line.insert(2, _ratio(row, cells[PRODUCT], cells[best] if best else None))
        lines.append(line)
    return _markdown_table(heads, lines)


def _best(row: Row, cells: dict[str, Cell | None]) -> str | None:
    good = {name: cell.value for name, cell in cells.items() if cell is not None and not cell.failure}
    if not good:
        return None
    pick = min if row.unit == "s" else max
    return pick(good, key=lambda name: good[name])


def _ratio(row: Row, ours: Cell | None, best: Cell | None) -> str:
    """How many times faster than the best peer (for a row of seconds: its time over ours)."""
    if ours is None or best is None or ours.failure or not ours.value:
        return ""
    ratio = best.value / ours.value if row.unit == "s" else ours.value / best.value
    return f"{ratio:.2f}x"


def _table(result: Result, rows: Sequence[Row], show: Callable[[Cell], str]) -> str:
    names = _names(result)
    lines = [
        [row.title, *(_text(result.cell(name, row.name), show) for name in names)]
        for row in rows
        if not row.flat
    ]
    return _markdown_table(["work", *names], lines)


def _flatness(result: Result, rows: Sequence[Row]) -> str:
    """dolium's CPU for one operation among more and more objects, and the growth from the smallest."""
    filled = [row for row in rows if row.objects and result.cells.get(PRODUCT)]
    if not filled:
        return ""
    kinds = dict.fromkeys(row.name.partition("-")[0] for row in filled)
    sizes = sorted({row.objects for row in filled})
    lines = []
    for kind in kinds:
        cells = {
            row.objects: result.cell(PRODUCT, row.name) for row in filled if row.name.startswith(f"{kind}-")
        }
        known = [
            cell for cell in (cells.get(size) for size in sizes) if cell is not None and not cell.failure
        ]
        growth = f"{known[-1].cpu_us / known[0].cpu_us:.2f}x" if len(known) > 1 and known[0].cpu_us else ""
        shown = [
            _text(cells.get(size), lambda cell: f"{_number(cell.cpu_us)} ({_number(cell.value)}/s)")
            for size in sizes
        ]
        lines.append([{"list": "LIST page", "get": "GET 64 B", "put": "PUT 4 KiB"}[kind], *shown, growth])
    heads = ["operation", *(f"{size:,} objects" for size in sizes), "growth of CPU"]
    return "## dolium: CPU µs of one operation as the catalog grows\n\n" + _markdown_table(heads, lines)


def _failures(result: Result, rows: Sequence[Row]) -> str:
    """Each cause once, with the rows that it spoiled."""
    causes: dict[tuple[str, str], list[str]] = {}
    for name in _names(result):
        for row in rows:
            cell = result.cell(name, row.name)
            if cell is not None and cell.failure:
                causes.setdefault((name, cell.failure), []).append(row.title)
    lines = [f"* {name}: {cause} ({'; '.join(titles)})" for (name, cause), titles in causes.items()]
    return "## What failed\n\n" + "\n".join(lines) if lines else ""


def _names(result: Result) -> list[str]:
    return [name for name in SUBJECTS if name in result.cells]


def _memory(cell: Cell) -> str:
    total = f"{cell.memory / 2**20:,.0f}"
    return total if cell.largest == cell.memory else f"{total} ({cell.largest / 2**20:,.0f})"


def _text(cell: Cell | None, show: Callable[[Cell], str]) -> str:
    if cell is None:
        return ""
    return "failed" if cell.failure else show(cell)


def _number(value: float) -> str:
    return f"{value:,.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _markdown_table(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    rule = ["---", *("--:" for _ in heads[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, rule, *lines))
