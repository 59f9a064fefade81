"""A `StoresSpec` for people and for scripts: drawn, told in words, and as JSON with secrets masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Final

from dolium.config.specs import Child, Credential, GroupSpec, LeafSpec, Shard, StoresSpec, When

__all__ = ["as_json", "draw", "explain", "size_words"]

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size_words(size: int) -> str:
    """Bytes in the largest unit that keeps them whole, or nearly."""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.4g} {_UNITS[unit]}"


def draw(spec: StoresSpec) -> list[str]:
    """The tree, a line for every store."""
    return list(_draw(spec.root, "", "", ""))


def _draw(spec: LeafSpec | GroupSpec, first: str, rest: str, note: str) -> Iterator[str]:
    if isinstance(spec, LeafSpec):
        yield f"{first}{spec.id}: {_where(spec)}{note}"
        return
    yield f"{first}{spec.id + ': ' if spec.id else ''}{spec.kind}{note}"
    for at, child in enumerate(spec.children):
        last = at == len(spec.children) - 1
        branch, below = ("└── ", "    ") if last else ("├── ", "│   ")
        yield from _draw(child.spec, rest + branch, rest + below, _notes(spec, child, at))


def _where(spec: LeafSpec) -> str:
    options, kind = spec.options, spec.galaxy.type_as_written
    if spec.kind == "disk":
        return f"{kind} {options['root']}"
    place = next((_shown(options[name]) for name in ("bucket", "container", "url") if name in options), "")
    at = next(
        (_shown(options[name]) for name in ("endpoint", "account_url", "auth_url") if options.get(name)), ""
    )
    prefix = f"/{options['prefix']}" if "prefix" in options else ""
    folders = spec.cache.shards if spec.cache is not None and spec.cache.written else ()
    cache = f", cache {' and '.join(str(one.path) for one in folders)}" if folders else ""
    return f"{kind} {place}{prefix}{' at ' + at if at else ''}{cache}"


def _notes(group: GroupSpec, child: Child, at: int) -> str:
    notes = []
    if group.kind == "hierarchical":
        notes.append("new data" if at == 0 else f"searched {_ordinal(at + 1)}")
    elif group.kind == "distributed":
        notes.append(
            f"{_share(group, child):.3g} % of new data" if child.weight else "no new data unless asked for"
        )
    if child.state != "online":
        notes.append(child.state)
    if child.spec.galaxy.private and group.kind != "hierarchical":
        notes.append("private")
    return f"  [{', '.join(notes)}]" if notes else ""


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _share(group: GroupSpec, child: Child) -> float:
    open_ = [one.weight for one in group.children if one.state == "online"]
    total = sum(open_)
    return 100 * child.weight / total if total and child.state == "online" else 0.0


def _name(spec: LeafSpec | GroupSpec) -> str:
    if spec.id:
        return spec.id
    assert isinstance(spec, GroupSpec)
    return f"the {spec.kind} group of {', '.join(_name(child.spec) for child in spec.children)}"


def explain(spec: StoresSpec) -> list[str]:
    """What happens to new data, where reads look, what limits there are: a sentence a line."""
    lines = [
        f"New data with {_when_words(rule.when)} goes to {rule.store}{', and nowhere else' if rule.only else ''}."
        for rule in spec.rules
    ]
    lines += _new_data("All other new data" if spec.rules else "New data", spec.root)
    lines += _reads(spec.root)
    for group in _groups(spec.root):
        lines += _limits(group)
    chosen = [
        _name(child.spec) for group in _groups(spec.root) for child in group.children if child.allow_selection
    ]
    if chosen:
        lines.append(f"People may choose: {', '.join(chosen)}.")
    labels = [
        f"{leaf.id} for {leaf.galaxy.quota.source}" for leaf in spec.leaves() if leaf.galaxy.quota.source
    ]
    labels += [f"{leaf.id} for no quota" for leaf in spec.leaves() if not leaf.galaxy.quota.enabled]
    if labels:
        lines.append(f"Counted apart: {', '.join(labels)}.")
    for leaf in spec.leaves():
        if leaf.cache is not None and leaf.cache.written:
            lines.append(f"{leaf.id} keeps copies in {_cache_words(leaf.cache.shards)}.")
    sent = [leaf.id for leaf in spec.leaves() if leaf.galaxy.direct_download and leaf.kind != "disk"]
    if sent:
        lines.append(f"Downloads may go past Galaxy, straight from {', '.join(sent)}.")
    return lines


def _cache_words(shards: Sequence[Shard]) -> str:
    total = sum(one.weight for one in shards)
    words = []
    for one in shards:
        share = "" if len(shards) == 1 else f" {100 * one.weight / total:.3g} %,"
        most = "without limit" if one.size_bytes is None else f"up to {size_words(one.size_bytes)}"
        words.append(f"{one.path},{share} {most}")
    return "; ".join(words)


def _groups(spec: LeafSpec | GroupSpec) -> Iterator[GroupSpec]:
    if isinstance(spec, GroupSpec):
        yield spec
        for child in spec.children:
            yield from _groups(child.spec)


def _new_data(what: str, spec: LeafSpec | GroupSpec) -> list[str]:
    if isinstance(spec, LeafSpec):
        return [f"{what} goes to {spec.id}."]
    nested = [child.spec for child in spec.children if isinstance(child.spec, GroupSpec)]
    if spec.kind == "hierarchical":
        names = [_name(child.spec) for child in spec.children if child.state == "online"]
        if not names:
            return [f"{what} has nowhere to go: no store is online."]
        others = f"; when that takes none, to the next of {', '.join(names[1:])}" if names[1:] else ""
        lines = [f"{what} goes to {names[0]}{others}."]
    elif spec.kind == "replicated":
        quorum = spec.write_quorum or len(spec.children)
        names = [_name(child.spec) for child in spec.children]
        lines = [f"{what} goes to each of {', '.join(names)}, and is written when {quorum} have it."]
    else:
        shares = [
            f"{_name(child.spec)} {_share(spec, child):.3g} %"
            for child in spec.children
            if _share(spec, child)
        ]
        lines = [f"{what} is spread by weight: {', '.join(shares)}."]
        if not shares:
            none = "is online" if any(child.weight for child in spec.children) else "has a weight"
            lines = [f"{what} has nowhere to go: no store {none}."]
        closed = [_name(child.spec) for child in spec.children if not child.weight]
        if closed:
            lines.append(f"Only when asked for, new data goes to {', '.join(closed)}.")
    for group in nested:
        lines += _new_data(f"What comes to {_name(group)}", group)
    return lines


def _reads(root: LeafSpec | GroupSpec) -> list[str]:
    if isinstance(root, LeafSpec):
        return [f"Reads look in {root.id}."]
    names = [leaf.id for leaf in StoresSpec(root).leaves()]
    if not root.search_for_missing:
        return [
            "Reads look in the store that is recorded for an object, and nowhere else (search_for_missing)."
        ]
    return [
        f"Reads look in the store that is recorded for an object; if none is, in {', '.join(names)}, in this order."
    ]


def _limits(group: GroupSpec) -> list[str]:
    lines = []
    for child in group.children:
        percent = child.max_percent if child.max_percent is not None else group.max_percent
        limits = [] if percent is None else [f"{percent:g} % full"]
        limits += [] if child.max_bytes is None else [f"{size_words(child.max_bytes)} of data"]
        if limits:
            lines.append(f"{_name(child.spec)} takes no new data above {' or '.join(limits)}.")
    return lines


def _when_words(when: When) -> str:
    parts = []
    for name, values in asdict(when).items():
        if isinstance(values, tuple) and values:
            parts.append(f"{name.replace('_', ' ')} {' or '.join(values)}")
    if when.size_from:
        parts.append(f"size from {size_words(when.size_from)}")
    if when.size_below is not None:
        parts.append(f"size below {size_words(when.size_below)}")
    return ", ".join(parts) or "anything"


def as_json(spec: StoresSpec) -> dict[str, Any]:
    """The whole spec as JSON has it; secrets are masked."""
    found: dict[str, Any] = {"root": _json(spec.root), "rules": _json(spec.rules)}
    return found


def _json(value: Any) -> Any:
    if isinstance(value, Credential):
        return value.shown
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value):
        names = [
            name
            for name in value.__dataclass_fields__
            if name != "written" or not isinstance(value, LeafSpec)
        ]
        return {name: _json(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {key: _json(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_json(one) for one in value]
    return value


def _shown(value: object) -> str:
    return value.shown if isinstance(value, Credential) else str(value)
