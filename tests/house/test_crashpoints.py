"""Every crash point is in the table, stands in one place, and has a drill that ends there."""

import ast
import subprocess
import sys
import timeit
from collections import Counter
from pathlib import Path

import dolium
from dolium.crashpoints import POINTS, reach
from tests.drills.points import (
    AFTER_A_RESTORE,
    AT_A_START,
    IN_A_BACKUP,
    IN_A_REBUILD,
    IN_A_RESTORE,
    IN_A_ROTATION,
    IN_A_SCRUB,
    IN_A_SWEEP,
    OF_COPIES,
    UNDER_LOAD,
    WHILE_HOLDING,
)

SOURCE = Path(dolium.__file__).parent


def _reached() -> Counter[str]:
    """The names in calls of `reach`, wherever they stand."""
    names: Counter[str] = Counter()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach":
                [argument] = node.args
                name = argument.value if isinstance(argument, ast.Constant) else None
                assert isinstance(name, str), f"{file}: a point is named by a plain string"
                names[name] += 1
    return names


def test_every_point_is_in_the_table_and_stands_in_one_place() -> None:
    assert _reached() == Counter(dict.fromkeys(POINTS, 1))


def test_every_point_has_a_drill_that_ends_there() -> None:
    paths = [path for paths in UNDER_LOAD.values() for path in paths]
    ends = {path[-1] for path in paths} | {*AT_A_START, *IN_A_SWEEP, *AFTER_A_RESTORE, *WHILE_HOLDING}
    ends |= {*IN_A_BACKUP, *IN_A_RESTORE, *IN_A_REBUILD, *IN_A_ROTATION, *IN_A_SCRUB, *OF_COPIES}
    assert ends == POINTS.keys()
    assert {name for path in paths for name in path} <= POINTS.keys()


def test_a_point_costs_next_to_nothing_in_a_service() -> None:
    reach("put.stored")
    assert min(timeit.repeat(lambda: reach("put.stored"), number=10_000, repeat=5)) / 10_000 < 2e-6


def test_it_ends_where_it_is_told_to_and_nowhere_else(tmp_path: Path) -> None:
    program = (
        "from dolium.crashpoints import reach\n"
        "for name in ('put.stored', 'disk.named', 'put.received', 'disk.named'):\n"
        "    reach(name)\n"
        "    print(name, flush=True)\n"
    )

    def run() -> tuple[int, list[str]]:
        done = subprocess.run(
            [sys.executable, "-c", program], env={"DOLIUM_CRASHPOINTS": str(tmp_path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.split()

    everything = ["put.stored", "disk.named", "put.received", "disk.named"]
    assert run() == (0, everything)
    (tmp_path / "armed").write_text("0 1 put.received disk.named\n")
    assert run() == (-9, everything[:3])
    assert (tmp_path / "taken").exists()
    assert run() == (0, everything)
