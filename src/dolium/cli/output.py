"""Tables for people, JSON lines for scripts: every listing is one JSON object per line with `--json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["moment", "printable", "show", "show_all", "size_text"]

Record = Mapping[str, Any]


def show_all(records: Sequence[Record], *, as_json: bool, columns: Sequence[str]) -> None:
    """Print records: all fields of each as a line of JSON, or the named columns as a table."""
    if as_json:
        for record in records:
            print(json.dumps(record, ensure_ascii=False))
        return
    rows = [[name.upper().replace("_", " ") for name in columns]]
    rows += [[_cell(record[name]) for name in columns] for record in records]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show(record: Record, *, as_json: bool) -> None:
    """Print one record: as a JSON object, or a field a line."""
    if as_json:
        print(json.dumps(record, ensure_ascii=False))
        return
    width = max(len(name) for name in record)
    for name, value in record.items():
        print(f"{name.replace('_', ' ').ljust(width)}  {_cell(value)}".rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_cell(one) for one in value) or "-"
    return printable(str(value))


def printable(text: str) -> str:
    """A name that a person chose must not move the cursor of whoever lists it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def moment(ms: int | None) -> str | None:
    """A time as ISO 8601 in UTC, to the second."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def size_text(size: int | None) -> str:
    """Bytes as people read them."""
    if size is None:
        return "-"
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} PiB"
