"""Where the microseconds go: one row against dolium with one worker, under a sampling profiler.

    python -m bench.profile get-16k-c16                 py-spy: Python functions, self and total time
    python -m bench.profile put-4k-c16 --native         py-spy with the C frames in between
    python -m bench.profile get-16k-c16 --tool perf     perf: C functions and the kernel

Prints what took most of the time, then the rate and the CPU of one request (the profiler slows both).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from bench.measure import fill, folder, live, measure_row
from bench.rows import Bench, Plan, Row, rows
from bench.subjects import PRODUCT, SUBJECTS, dolium_launch
from bench.tools import MissingTool, python_tool, system_tool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.loads import Load
    from bench.server import Running

_RATE = 499  # samples a second; not a divisor of the timers of others


class Profiler(Protocol):
    """How one tool is started on a live server, and what it says afterwards."""

    def command(self, server: Running, seconds: int, out: Path) -> list[str]: ...

    def report(self, out: Path, top: int) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class PySpy:
    """Stacks of the threads that hold the interpreter, in every process: waiting threads look busy otherwise."""

    native: bool

    def command(self, server: Running, seconds: int, out: Path) -> list[str]:
        options = ["--subprocesses", "--rate", str(_RATE), "--duration", str(seconds), "--format", "raw"]
        options += ["--gil", *(["--native"] if self.native else [])]
        return [str(python_tool("py-spy")), "record", *options, "-o", str(out), "-p", str(server.group)]

    def report(self, out: Path, top: int) -> list[str]:
        """Percent of the samples with the function at the top of the stack, and anywhere on it."""
        own: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for line in out.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            frames = [frame.strip() for frame in stack.split(";") if not frame.startswith("process ")]
            if frames:
                own[_function(frames[-1])] += int(count)
                for name in {_function(frame) for frame in frames}:
                    total[name] += int(count)
        samples = sum(own.values()) or 1
        lines = [f"{samples} samples", "  self  total  function"]
        for name, _ in total.most_common(top):
            lines.append(f"{100 * own[name] / samples:5.1f}% {100 * total[name] / samples:5.1f}%  {name}")
        lines += ["", "by self time"]
        lines += [f"{100 * count / samples:5.1f}%  {name}" for name, count in own.most_common(top)]
        return lines


@dataclass(frozen=True, slots=True)
class Perf:
    """The processor's view of the server's processes (cpu-clock: there in virtual machines, too)."""

    def command(self, server: Running, seconds: int, out: Path) -> list[str]:
        pids = ",".join(str(pid) for pid in server.processes())
        options = ["-q", "-e", "cpu-clock", "-F", str(_RATE), "-p", pids, "-o", str(out)]
        return [str(system_tool("perf")), "record", *options, "--", "sleep", str(seconds)]

    def report(self, out: Path, top: int) -> list[str]:
        command = [str(system_tool("perf")), "report", "--stdio", "-i", str(out), "--sort", "dso,symbol"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        lines = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith("#")]
        return lines[:top]


def main(arguments: Sequence[str] | None = None) -> int:
    known = {row.name: row for row in rows((4, 5, 6, 7))}
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Profile one row on dolium.")
    parser.add_argument("row", choices=sorted(known), metavar="ROW", help=", ".join(known))
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--tool", choices=("py-spy", "perf"), default="py-spy")
    parser.add_argument("--native", action="store_true", help="C frames, too (py-spy)")
    parser.add_argument("--top", type=int, default=40, help="lines to print")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    profiler: Profiler = Perf() if options.tool == "perf" else PySpy(options.native)
    row = known[options.row]
    try:
        with folder() as work, folder() as data:
            launch = dolium_launch(data, options.workers)
            if row.objects:
                fill(SUBJECTS[PRODUCT], launch, data, work, row.objects)
            with live(launch, data) as (server, client):
                watched = replace(row, prepare=partial(_watched, row, server, profiler, options.top))
                cell = measure_row(server, Bench(client, work, options.seconds), watched)
    except MissingTool as missing:
        print(missing, file=sys.stderr)
        return 3
    print(f"\n{row.title}: {cell.value:,.0f} {row.unit}, {cell.cpu_us:,.0f} µs CPU each {cell.failure}")
    return 1 if cell.failure else 0


def _watched(row: Row, server: Running, profiler: Profiler, top: int, bench: Bench) -> Plan:
    """The row's own plan, with the profiler beside its load."""
    plan = row.prepare(bench)

    def load() -> Load:
        out = bench.work / "profile"
        sampling = subprocess.Popen(
            profiler.command(server, bench.seconds, out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            seen = plan.load()
            _, said = sampling.communicate(timeout=60)
        finally:
            sampling.kill()
            sampling.wait()
        if not out.exists():
            raise RuntimeError(f"the profiler wrote nothing: {said[-300:]}")
        print("\n".join(profiler.report(out, top)))
        return seen

    return replace(plan, load=load)


def _function(frame: str) -> str:
    """`name (file.py:12)` without the line, so that one function counts once."""
    name, _, place = frame.partition(" (")
    return f"{name} ({place.rpartition(':')[0] or place.rstrip(')')})"


if __name__ == "__main__":
    sys.exit(main())
