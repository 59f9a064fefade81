"""The programs that the benchmark needs, found or installed under `.tools/` (which git ignores).

    .tools/venv     bench/requirements.txt: rclone, SeaweedFS, py-spy, xarray, zarr, s3fs
    .tools/bin      MinIO and versitygw, built by `go install` where Go is there
    wrk, curl, dd   the system's (Debian: apt-get install wrk curl)

`python -m bench.tools` installs everything and says what is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "GO_MODULES",
    "REPOSITORY",
    "TOOLS",
    "MissingTool",
    "go_tool",
    "install",
    "python_tool",
    "system_tool",
]

REPOSITORY = Path(__file__).resolve().parent.parent
TOOLS = REPOSITORY / ".tools"
_VENV = TOOLS / "venv"
_REQUIREMENTS = REPOSITORY / "bench" / "requirements.txt"


class MissingTool(RuntimeError):  # a fact to act on, like StopIteration
    """A program is not there and cannot be installed; the text says what to do."""


@dataclass(frozen=True, slots=True)
class GoModule:
    """A command of the Go module proxy; `version` is what `go install` is asked for."""

    package: str
    version: str


GO_MODULES = {
    "minio": GoModule("github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c"),
    "versitygw": GoModule("github.com/versity/versitygw/cmd/versitygw", "v1.8.0"),
}


def system_tool(name: str) -> Path:
    """Raises MissingTool."""
    found = shutil.which(name)
    if found is None:
        raise MissingTool(f"{name} is not installed (Debian: apt-get install {name})")
    return Path(found)


def python_tool(name: str) -> Path:
    """A program of bench/requirements.txt; installs the environment on first use. Raises MissingTool."""
    program = _VENV / "bin" / name
    if not program.exists():
        _install_venv()
    if not program.exists():
        raise MissingTool(f"{name} is not in bench/requirements.txt or has no build for this machine")
    return program


def go_tool(name: str) -> Path:
    """A command of GO_MODULES; builds it on first use. Raises MissingTool where Go is absent."""
    program = TOOLS / "bin" / name
    if not program.exists():
        _go_install(GO_MODULES[name], program)
    return program


def _install_venv() -> None:
    if not (_VENV / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(_VENV)], check=True)
    command = [str(_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(_REQUIREMENTS)]
    if subprocess.run(command, check=False).returncode != 0:
        raise MissingTool("pip could not install bench/requirements.txt")


def _go_install(module: GoModule, program: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise MissingTool("Go is not installed")
    program.parent.mkdir(parents=True, exist_ok=True)
    print(f"building {module.package} {module.version} (some minutes, once)", file=sys.stderr)
    command = [go, "install", f"{module.package}@{module.version}"]
    done = subprocess.run(command, env={**os.environ, "GOBIN": str(program.parent)}, check=False)
    if done.returncode != 0 or not program.exists():
        raise MissingTool(f"go install {module.package}@{module.version} failed")


def install() -> list[str]:
    """Install all there is to install; returns what is missing, one sentence each."""
    missing = []
    for find, names in (
        (system_tool, ("wrk", "curl", "dd")),
        (python_tool, ("rclone", "weed", "py-spy")),
        (go_tool, tuple(GO_MODULES)),
    ):
        for name in names:
            try:
                find(name)
            except MissingTool as absent:
                missing.append(str(absent))
    return missing


if __name__ == "__main__":
    lacks = install()
    print("\n".join(lacks) or "everything the benchmark needs is installed")
    sys.exit(1 if lacks else 0)
