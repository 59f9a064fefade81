"""The tables of docs/galaxy.md and docs/galaxy-tests.md: what they say is tested is tested."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / name for name in ("galaxy.md", "galaxy-tests.md")]


def _cells(page: Path) -> list[str]:
    """The last cell of every row in which there is a test."""
    rows = re.findall(r"^\|(.*)\|$", page.read_text(), re.MULTILINE)
    return [cell for row in rows if "test_" in (cell := row.rpartition("|")[2])]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page: Path) -> None:
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "src" / "dolium" / "testing").rglob("*.py")]
    there = {
        name for file in files for name in re.findall(r"^ *def (test_\w+)\(", file.read_text(), re.MULTILINE)
    }
    names = {file.name for file in files}
    told = [name for cell in _cells(page) for name in re.findall(r"`(?:\S*/)?(test_[\w.]+)`", cell)]
    assert len(told) > 20
    assert [name for name in told if name not in there and name not in names] == []
