"""Every setting stands in `docs/configuration.md`, and nothing stands there that is none."""

import re
from pathlib import Path

from dolium.config.native import _KEYS

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_every_key_is_documented_and_no_other() -> None:
    known = {
        name if isinstance(spec, tuple) else f"{name}.{key}"
        for name, spec in _KEYS.items()
        for key in ([""] if isinstance(spec, tuple) else spec)
    }
    table = PAGE.read_text().split("## Environment")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == known
