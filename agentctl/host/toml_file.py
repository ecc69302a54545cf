"""TOML as people write it: its content, and the line of each key, so that a mistake can be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from agentctl.errors import UsageFault

Place: TypeAlias = tuple[str | int, ...]
"""Where something is in a document: the names of tables and keys, and the positions in lists."""

_HEADER = re.compile(r"\s*(\[\[?)([^\[\]#]+)\]")
_ASSIGNED = re.compile(r"\s*([\w.\"' -]+?)\s*=")


def parse(path: str, text: str) -> dict[str, Any]:
    """The content of a TOML text. Raises UsageFault with line and column."""
    if not text.strip():
        return {}
    import tomllib

    try:
        return tomllib.loads(text)
    except ValueError as error:  # not TOMLDecodeError alone: an integer of 5,000 digits has its own
        what, _, where = str(error).partition(" (at ")
        place = f", {where.rstrip(')')}" if where else ""
        raise UsageFault(f"{path}{place}: {what}", hint="the file must be valid TOML") from error
    except RecursionError as error:
        raise UsageFault(f"{path} is nested too deeply") from error


def key_lines(text: str) -> dict[Place, int]:
    """The line of each table and key, and of everything around it; inline tables are not looked into."""
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _names(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            here = table
        elif assigned := _ASSIGNED.match(line):
            here = (*table, *_names(assigned[1]))
        else:
            continue
        for end in range(1, len(here) + 1):
            lines.setdefault(here[:end], number)
    return lines


def nearest(lines: Mapping[Place, int], place: Sequence[str | int]) -> int | None:
    """The line of this place, or of the nearest thing around it; None if neither is known."""
    for end in range(len(place), 0, -1):
        if line := lines.get(tuple(place[:end])):
            return line
    return None


def _names(dotted: str) -> Place:
    return tuple(name.strip().strip("\"'") for name in dotted.split("."))
