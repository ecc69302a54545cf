"""Text from agents, made safe for a terminal and cut to a width.

An agent's output is hostile until proved otherwise: it may move the cursor, set
the window title, plant links or reverse the reading order. Nothing here knows
colours, tables or terminals.
"""

from __future__ import annotations

import re

ELLIPSIS = "…"

# Compiled when first used, and kept by `re`: most invocations print no agent's text.
_STRIPPED = (
    # Every branch, once begun, matches something: no input makes this slower than linear.
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, modes
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x18\x1a\x1b\x9c\n]*(?:[\x07\x9c]|\x1b\\)?"
    # ^ OSC (title, hyperlink, clipboard), DCS, SOS, PM, APC, up to their end or the line's
    r"|\x1b[ -/]*[0-~]"  # other escapes: character sets, reset, keypad
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # what remains of C0 and C1, an escape alone included
    r"|[\u202a-\u202e\u2066-\u2069]"  # reordering
)
_CARRIAGE = r"\r+\n?"
_SURROGATES = r"[\ud800-\udfff]"


def clean(text: str) -> str:
    """`text` without anything that a terminal would obey; newlines and tabs stay.

    A lone carriage return becomes a newline, so that progress bars do not overwrite what they follow.
    """
    if text.isascii() and text.isprintable():
        return text
    text = re.sub(_STRIPPED, "", re.sub(_CARRIAGE, "\n", text))
    return re.sub(_SURROGATES, "\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str, width: int | None = None) -> str:
    """`text` cleaned, on one line, cut with "…" to at most `width` terminal columns."""
    line = " ".join(clean(text).split())
    return line if width is None else truncate(line, width)


def truncate(line: str, width: int) -> str:
    """`line` cut with "…" to at most `width` terminal columns."""
    if display_width(line) <= width:
        return line
    if width <= 0:
        return ""
    left = width - 1
    for index, char in enumerate(line):
        left -= _columns(char)
        if left < 0:
            return line[:index].rstrip() + ELLIPSIS
    return line


def display_width(line: str) -> int:
    """Terminal columns of a cleaned line: East Asian wide characters take two, combining ones none."""
    if line.isascii():
        return len(line)
    return sum(map(_columns, line))


def _columns(char: str) -> int:
    if char.isascii():
        return 1
    from unicodedata import category, east_asian_width

    if char == "\ufe0f":
        return 1  # turns the character before it into a wide emoji on most terminals
    if category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(char) in "WF" else 1
