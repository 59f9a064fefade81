"""What a reader must know of the machine: no names, no paths, only what changes the figures."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

from bench.tools import REPOSITORY, system_tool

__all__ = ["disk_mb_per_second", "facts"]


def facts() -> dict[str, str]:
    """Name to value, in the order of the report."""
    return {
        "processor": f"{len(os.sched_getaffinity(0))} cores, {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release().split("-")[0],
        "file system": _file_system(REPOSITORY),
        "Python": platform.python_version(),
        "load": f"{_wrk_version()}, {_curl_version()}",
    }


def disk_mb_per_second(source: Path, folder: Path) -> float:
    """dd of `source` with fdatasync: what one durable stream can have of this disk."""
    target = folder / "dd"
    command = [str(system_tool("dd")), f"if={source}", f"of={target}", "bs=1M", "conv=fdatasync"]
    os.sync()
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    target.unlink()
    return source.stat().st_size / 1e6 / seconds


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(path: Path) -> str:
    """The type of the mount with the longest matching path."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    under = [(point, kind) for point, kind in mounts if path.is_relative_to(point)]
    return max(under, key=lambda mount: len(mount[0]), default=("/", "unknown"))[1]


def _wrk_version() -> str:
    done = subprocess.run([str(system_tool("wrk")), "-v"], capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split()[:2])


def _curl_version() -> str:
    done = subprocess.run(
        [str(system_tool("curl")), "--version"], capture_output=True, text=True, check=False
    )
    return " ".join(done.stdout.split()[:2])
