"""What may be written as the value of a setting, and what it then means.

Each reader raises ValueError, as a clause about the key: "must be a quoted string".
"""

from __future__ import annotations

import re
from datetime import timedelta

from agentctl.core.addresses import is_web_address
from agentctl.core.durations import parse_duration
from agentctl.core.near import did_you_mean, near_matches
from agentctl.core.posts import ENDINGS
from agentctl.core.sizes import parse_size

ENDING = "ending"
"""In `webhook.events`: every end of a session, however it went."""

WEBHOOK_EVENTS = (
    "session.started",
    *ENDINGS,
    "fuse.set",
    "fuse.extended",
    "fuse.cancelled",
    "fuse.expired",
)
"""The events that can be posted. `session.*` and `fuse.*` in a configuration mean all of theirs."""


def string(value: object) -> str:
    """Text that says something."""
    if not isinstance(value, str):
        raise ValueError("must be a quoted string")
    if not value.strip() or "\0" in value:
        raise ValueError("must not be empty" if not value.strip() else "must not contain a NUL character")
    return value


def compat(value: object) -> str:
    """Whose JSON to print."""
    if value != "typescript":
        raise ValueError("must be typescript")
    return "typescript"


def duration(value: object) -> timedelta:
    """`10m` → timedelta."""
    if not isinstance(value, str):
        raise ValueError('must be a quoted duration such as "10m"')
    return parse_duration(value)


def duration_or_zero(value: object) -> timedelta:
    """The same, `0` too."""
    if not isinstance(value, str):
        raise ValueError('must be a quoted duration such as "1s" or "0"')
    return parse_duration(value, allow_zero=True)


def size(value: object) -> int:
    """`100MB` → bytes."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError('must be a size such as "100MB"')
    return parse_size(str(value))


def count(value: object) -> int:
    """A whole number."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value)):
        raise ValueError("must be a whole number such as 20")
    return int(str(value))


def count_from_1(value: object) -> int:
    """A whole number, at least one."""
    number = count(value)
    if number < 1:
        raise ValueError("must be 1 or more")
    return number


def url(value: object) -> str:
    """An address that can be posted to."""
    text = string(value)
    if not is_web_address(text):
        raise ValueError("must be an ASCII address that starts with https:// or http://")
    return text


def strings(value: object) -> tuple[str, ...]:
    """A list of strings."""
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise ValueError('must be a list of strings such as ["--verbose"]')
    return tuple(value)


def command(value: object) -> tuple[str, ...]:
    """A program with its arguments, or the program alone."""
    words = (value,) if isinstance(value, str) else strings(value)
    if not words or not words[0].strip():
        raise ValueError("must name a program")
    return words


def events(value: object) -> tuple[str, ...]:
    """Events to post, patterns such as `session.*` among them."""
    wanted: list[str] = []
    for word in strings(value):
        if word in (ENDING, "session.stopped"):
            # The one event of the TypeScript agentctl: it said so of every session that ended.
            meant = list(ENDINGS)
        elif word.endswith("*"):
            meant = [known for known in WEBHOOK_EVENTS if known.startswith(word[:-1])]
        else:
            meant = [known for known in WEBHOOK_EVENTS if known == word]
        if not meant:
            suggestion = did_you_mean(near_matches(word, (ENDING, *WEBHOOK_EVENTS)))
            suggestion = suggestion and f", {suggestion}"
            allowed = ", ".join((ENDING, *WEBHOOK_EVENTS, "session.*", "fuse.*"))
            raise ValueError(f"'{word}' is not an event{suggestion} (allowed: {allowed})")
        wanted += meant
    return tuple(dict.fromkeys(wanted))
