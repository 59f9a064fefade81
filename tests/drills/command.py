"""The program as a command, in a process of its own that may be killed at a crash point."""

import os
import subprocess
import sys
from pathlib import Path

from dolium.testing.crashes import Crashes

__all__ = ["KILLED", "dolium", "killed"]

KILLED = -9


def dolium(data: Path, *arguments: str, crashes: Crashes | None = None) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DOLIUM_")}
    return subprocess.run(
        [sys.executable, "-m", "dolium", *arguments, "--data", str(data)],
        capture_output=True, text=True, check=False, timeout=60,
        env={**plain, **(crashes.environment if crashes is not None else {})},
    )  # fmt: skip


def killed(data: Path, crashes: Crashes, path: tuple[str, ...], *arguments: str) -> None:
    """Run a command that must kill itself there."""
    crashes.arm(*path)
    done = dolium(data, *arguments, crashes=crashes)
    assert (done.returncode, crashes.struck) == (KILLED, True), done
    crashes.disarm()
