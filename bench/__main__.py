"""`python -m bench`: measure dolium beside its peers and write `bench/RESULTS.md`.

    python -m bench                                everything, listings at 10^4 keys
    python -m bench --full                         listings at 10^4, 10^5 and 10^6 keys
    python -m bench --subjects dolium,rclone --only get-16k-c16,put-4k-c16 --seconds 3 --repeat 1

Exit codes: 0 all figures stand; 1 a figure of dolium failed; 2 wrong arguments; 3 a load generator is absent.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NoReturn

from bench.machine import disk_mb_per_second, facts
from bench.measure import Cell, folder, measure
from bench.report import Result, markdown
from bench.rows import MIB, Row, body, rows
from bench.subjects import PRODUCT, SUBJECTS, Subject
from bench.tools import REPOSITORY, MissingTool, system_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

_RESULTS = REPOSITORY / "bench" / "RESULTS.md"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)  # so that servers and folders are cleaned up
    subjects, wanted = _chosen(parser, options)
    try:
        for tool in ("wrk", "curl", "dd"):
            system_tool(tool)
    except MissingTool as missing:
        _say(str(missing))
        return 3
    result = _run(subjects, wanted, options.seconds, options.repeat)
    text = markdown(result, wanted)
    output = options.output or (None if options.only or options.subjects else _RESULTS)
    if output is not None:
        output.write_text(text)
        _say(f"written to {output.name}")
    else:
        print(text)
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(result), indent=1) + "\n")
    ours = (result.cell(PRODUCT, row.name) for row in wanted)
    return 1 if any(cell is not None and cell.failure for cell in ours) else 0


def _run(subjects: list[Subject], wanted: tuple[Row, ...], seconds: int, repeat: int) -> Result:
    """Each repeat takes the subjects in another order; a subject that cannot be had is left out."""
    cells: dict[str, dict[str, list[Cell]]] = {}
    versions: dict[str, str] = {}
    absent: dict[str, str] = {}
    disk = []
    with folder() as work:
        for turn in range(repeat):
            source = body(work, 256 * MIB)
            disk.append(disk_mb_per_second(source, work))
            shift = turn % len(subjects)
            for subject in subjects[shift:] + subjects[:shift]:
                if subject.name in absent:
                    continue
                try:
                    versions[subject.name] = subject.version()
                    seen = measure(subject, wanted, work, seconds, _say)
                except MissingTool as missing:
                    absent[subject.name] = str(missing)
                    versions.pop(subject.name, None)
                    _say(f"{subject.name} is left out: {missing}")
                    continue
                for name, cell in seen.items():
                    cells.setdefault(subject.name, {}).setdefault(name, []).append(cell)
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return Result(today, facts(), median(disk), seconds, repeat, versions, absent, cells)


def _chosen(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> tuple[list[Subject], tuple[Row, ...]]:
    known = rows(options.sizes or ((4, 5, 6) if options.full else (4,)))
    names = {row.name for row in known}
    for name in options.only or ():
        if name not in names:
            parser.error(f"no such row: {name} (one of {', '.join(sorted(names))})")
    for name in options.subjects or ():
        if name not in SUBJECTS:
            parser.error(f"no such subject: {name} (one of {', '.join(SUBJECTS)})")
    named = options.subjects or [name for name, subject in SUBJECTS.items() if not subject.asked]
    subjects = [SUBJECTS[name] for name in named]
    return subjects, tuple(row for row in known if not options.only or row.name in options.only)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure dolium beside its peers.")
    parser.add_argument("--only", type=_names, metavar="ROW,…", help="these rows; prints instead of writing")
    parser.add_argument("--subjects", type=_names, metavar="A,B", help="these servers; prints as well")
    parser.add_argument("--seconds", type=int, default=5, help="length of one load (default 5)")
    parser.add_argument("--repeat", type=int, default=3, help="runs over all subjects (default 3)")
    parser.add_argument("--full", action="store_true", help="listings at 10^4, 10^5 and 10^6 keys")
    parser.add_argument("--sizes", type=_exponents, metavar="4,7", help="listings at these powers of ten")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the tables here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure here, too")
    return parser


def _names(text: str) -> list[str]:
    return text.split(",")


def _exponents(text: str) -> tuple[int, ...]:
    numbers = tuple(sorted({int(part) for part in text.split(",")}))
    if not all(4 <= number <= 8 for number in numbers):
        raise argparse.ArgumentTypeError("powers from 4 to 8")
    return numbers


def _say(text: str) -> None:
    print(f"{dt.datetime.now().astimezone():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
