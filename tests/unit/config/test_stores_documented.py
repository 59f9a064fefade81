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
    known = {name for schema in schemas for name in names(schema)} | {
        *GROUPS,
        *LEAVES,
        *BADGES,
        "backends",
        "rules",
    }
    bare = {
        f"{name.rpartition('.')[0]}.{word}" for name in known for word in told if name.endswith(f".{word}")
    }
    prefixed = {name for name in known if re.match(r"transfer\.(upload|download)_", name)}
    assert known - told - bare - prefixed == set()
    sections = {name.partition(".")[0] for name in known if "." in name}
    assert {word for word in told if word.partition(".")[0] in sections and "." in word} - known == set()
