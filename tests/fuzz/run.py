"""Fuzz with atheris: all targets one after the other, or one of them.

    python -m tests.fuzz.run --seconds 60              # in all, shared by the targets
    python -m tests.fuzz.run --seconds 600 --jobs 2 chunked http

Inputs that lead somewhere new are kept in `.fuzz/<target>` for the next time; one that breaks a target is saved there
as `crash-…`, and belongs into `tests/fuzz/found/<target>/` when it is mended. Exit code 1: something was found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_CORPUS = _ROOT / ".fuzz"
_FOUND = Path(__file__).parent / "found"


def _fuzz(name: str, seconds: int) -> bool:
    """Run one target in a process of its own; whether it held."""
    folder = _CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "tests.fuzz.run", "--in-process", name, str(folder), str(_FOUND / name),
        f"-max_total_time={seconds}", f"-artifact_prefix={folder}/", f"-max_len={512 if name == 'configuration' else 4096}", "-timeout=10", "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]  # fmt: skip
    (_FOUND / name).mkdir(exist_ok=True)
    done = subprocess.run(
        command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=seconds + 120
    )
    said = done.stdout + done.stderr
    runs = next((line.split()[-1] for line in said.splitlines() if "number_of_executed_units" in line), "?")
    print(f"{name}: {runs} inputs, {'held' if done.returncode == 0 else 'BROKEN'}", flush=True)
    if done.returncode:
        broken = said.find("=== Uncaught Python exception")
        print(said[broken:][:4000] if broken >= 0 else said[-4000:], flush=True)
    return done.returncode == 0


def _in_process(name: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["dolium.wire", "dolium.config", "dolium.server.http"]):
        from tests.fuzz.targets import SEEDS, TARGETS
    folder = Path(arguments[0])
    for index, seed in enumerate(SEEDS[name]):
        (folder / f"seed-{index}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


def main() -> int:
    """Exit code 1 if a target was broken."""
    if sys.argv[1:2] == ["--in-process"]:
        _in_process(sys.argv[2], sys.argv[3:])
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for all of them together (default: 60)")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time (default: 1)")
    args = parser.parse_args()
    chosen = args.targets or list(TARGETS)
    if unknown := [name for name in chosen if name not in TARGETS]:
        parser.error(f"no such target: {', '.join(unknown)}")
    each = max(1, args.seconds * args.jobs // len(chosen))
    with ThreadPoolExecutor(args.jobs) as pool:
        held = list(pool.map(lambda name: _fuzz(name, each), chosen))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
