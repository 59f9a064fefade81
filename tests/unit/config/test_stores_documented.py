"""Every key of a file of stores stands in `docs/stores.md`."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dolium.config.galaxy_rules import _WHEN
from dolium.config.galaxy_schema import BADGES, CHILD, GROUPS, LEAVES, ROOT

PAGE = Path(__file__).parents[3] / "docs" / "stores.md"


def names(schema: Mapping[str, Any]) -> Iterator[str]:
    for key, value in schema.items():
        if isinstance(value, Mapping) and key != "quota":
            yield from (f"{key}.{name}" for name in value)
        else:
            yield key


def test_every_key_is_documented_and_no_other() -> None:
    text = re.sub(r"^```.*?^```", "", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    told = set(re.findall(r"`([^`]+)`", text))
    schemas = [ROOT, CHILD, *GROUPS.values(), *(leaf.keys for leaf in LEAVES.values()), {"when": _WHEN}]
    rows = {
        name
        for cell in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", cell)
    }
    known = {name for schema in schemas for name in names(schema)} | {*GROUPS, *LEAVES, "backends", "rules"}
    plain = {name for name in known if "." not in name}
    assert plain - rows == set()
    assert set(BADGES) - told == set()
    # Of a section also by the bare name, where its row speaks of it; directions of transfer by the bare option.
    bare = {name for name in known if name.rpartition(".")[2] in told or f"`{name}`" in text}
    directions = {name for name in known if re.match(r"transfer\.(upload|download)_", name)}
    assert known - plain - bare - directions == set()
    sections = {name.partition(".")[0] for name in known if "." in name}
    assert {word for word in rows if "." in word and word.partition(".")[0] in sections} - known == set()
    assert {word for word in rows if "." not in word} - plain == {"store", "only", "when"}
