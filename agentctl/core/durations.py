"""Durations as people write them: "10m" ↔ timedelta, and "3m ago".

Must not read the clock: whoever wants an age passes both instants.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

LIMIT = timedelta(days=3650)
"""Ten years: longer is a slip of the finger, and far from what a datetime can hold."""

_NUMBER = r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_PARTS = rf"(?:{_NUMBER}w)?(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?"
_UNIT_SECONDS = (604800.0, 86400.0, 3600.0, 60.0, 1.0, 0.001)


class TooLong(ValueError):
    """A duration beyond the limit."""


def parse_duration(text: str, *, allow_zero: bool = False) -> timedelta:
    """The duration written as `text`: `90s`, `10m`, `1.5h`, `1h30m`, `500ms`, `1d`, `1w`.

    Raises ValueError with one plain clause. With `allow_zero` a bare `0` is fine too.
    """
    plain = text.strip()
    if plain.startswith("-"):
        raise ValueError(f"duration {_quoted(text)} is negative")
    if re.fullmatch(_NUMBER, plain) and float(plain) != 0:
        raise ValueError(f"duration {_quoted(text)} needs a unit, such as {_quoted(plain + 'm')}")
    seconds = _seconds(plain)
    if seconds is None:
        raise ValueError(f"duration {_quoted(text)} is not of the form 90s, 10m, 1h30m or 1d")
    if seconds > LIMIT.total_seconds():
        raise TooLong(f"duration {_quoted(text)} is longer than ten years")
    duration = timedelta(seconds=seconds)
    if not duration and not allow_zero:
        raise ValueError(f"duration {_quoted(text)} must be longer than zero")
    return duration


def format_duration(duration: timedelta) -> str:
    """The two largest units that say something: `1d2h`, `1h30m`, `45s`, `3.2s`, `250ms`."""
    seconds = duration.total_seconds()
    if seconds < 0:
        return "-" + format_duration(-duration)
    if seconds < 0.9995:
        milliseconds = round(seconds * 1000)
        return f"{milliseconds}ms" if milliseconds else "0s"
    if seconds < 9.95:
        return f"{round(seconds, 1):g}s"
    return _whole(round(seconds))


def format_age(at: datetime, now: datetime) -> str:
    """How far `at` is from `now`, for people: `3m ago`, `in 2h`, `now`."""
    seconds = round((at - now).total_seconds())
    if seconds == 0:
        return "now"
    return f"in {_whole(seconds)}" if seconds > 0 else f"{_whole(-seconds)} ago"


def _seconds(plain: str) -> float | None:
    if re.fullmatch(_NUMBER, plain):
        return float(plain)
    found = re.fullmatch(_PARTS, plain)
    if not plain or found is None:
        return None
    pairs = zip(found.groups(), _UNIT_SECONDS, strict=True)
    return sum(float(number) * unit for number, unit in pairs if number)


def _whole(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    units = [(days, "d"), (hour, "h"), (minute, "m"), (second, "s")]
    first = next((i for i, (count, _) in enumerate(units) if count), 3)
    return "".join(f"{count}{unit}" for count, unit in units[first : first + 2] if count) or "0s"


def _quoted(text: str) -> str:
    shown = text if len(text) <= 40 else text[:39] + "…"
    return ascii(shown) if not shown.isprintable() else f"'{shown}'"
