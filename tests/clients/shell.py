"""Running a client as a person would: in a home directory of its own, with nothing of ours around it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PLACES = (_ROOT / ".tools" / "bin", Path(sys.executable).parent)
_HOW = {
    "s3cmd": "install the package s3cmd of your distribution",
    "mc": "`make tools` builds it where Go is installed",
}


def tool(name: str) -> Path:
    """The program `name` from `.tools/bin`, from the environment's `bin`, or from PATH; else the test skips."""
    for place in _PLACES:
        if os.access(place / name, os.X_OK):
            return place / name
    if found := shutil.which(name):
        return Path(found)
    pytest.skip(f"{name} is not here: {_HOW.get(name, '`make test` installs it')}")


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs commands in `home`; a command that fails fails the test with all it printed."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(
        self, *command: str | Path, stdin: str | None = None, expect: int | None = 0, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run `command`; `expect` is the exit code it must have (None: any)."""
        done = subprocess.run(
            [str(tool(str(command[0]))), *map(str, command[1:])],
            cwd=self.home,
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "LANG": "C.UTF-8",
                "TERM": "dumb",
                **self.environment,
            },
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        said = f"{' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert expect is None or done.returncode == expect, said
        return done

    def write(self, name: str, content: str | bytes) -> Path:
        """A file in `home`, its folders made."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path
