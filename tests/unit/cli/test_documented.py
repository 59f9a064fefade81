"""`docs/cli.md` says what the program takes: `python -m tests.unit.cli.test_documented` writes it anew."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from dolium.cli.main import EXIT_CODES, parser

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
_HEAD = """\
# The command line

Written by `python -m tests.unit.cli.test_documented`; a test compares it with the program.

`python -m dolium` is the same program. Every listing has `--json`: one JSON object per line. Commands work on a
folder that is being served. Errors are one line on stderr.

"""


def _commands(top: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    nested = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    if not nested:
        yield name, top
    for action in nested:
        for word, child in action.choices.items():
            yield from _commands(child, f"{name} {word}")


def _argument(action: argparse.Action) -> str:
    """As it is typed; in brackets if it may be left out."""
    shown = action.metavar if isinstance(action.metavar, str) else action.dest.upper().replace("_", "-")
    if action.choices is not None:
        shown = "|".join(map(str, action.choices))
    if not action.option_strings:
        return {"+": f"{shown}…", "?": f"[{shown}]"}.get(str(action.nargs), shown)
    text = "|".join(action.option_strings) if action.nargs == 0 else f"{action.option_strings[0]} {shown}"
    return text if action.required else f"[{text}]"


def page() -> str:
    text = [_HEAD]
    for name, command in _commands(parser(), "dolium"):
        actions = [action for action in command._actions if action.dest not in {"help", "data", "config"}]
        ordered = sorted(actions, key=lambda action: bool(action.option_strings))
        line = " ".join([name, *map(_argument, ordered)])
        text.append(f"## {name}\n\n{command.description}\n\n```\n{line}\n```\n")
        helps = [
            f"* `{_argument(action).strip('[]')}`: {action.help}"
            for action in ordered
            if action.help and action.dest != "json"
        ]
        text.append("\n" + "\n".join(helps) + "\n\n" if helps else "\n")
        more = (command.epilog or "").removesuffix("Exit codes: see dolium --help.").strip()
        text.append(f"{more}\n\n" if more else "")
    text.append(
        "## All of them\n\n`--data DIR` names the data folder (else `DOLIUM_DATA`, else the configuration, else "
        "`./dolium-data`), `--config FILE` the configuration file (else `DOLIUM_CONFIG`).\n\n```\n"
        f"{EXIT_CODES}```\n"
    )
    return "".join(text)


def test_the_page_is_the_program() -> None:
    assert PAGE.read_text() == page()


if __name__ == "__main__":
    PAGE.write_text(page())
