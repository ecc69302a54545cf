"""Signal numbers as people name them, and as a shell reports them."""

from __future__ import annotations

from functools import cache


@cache
def _names() -> dict[int, str]:
    from signal import Signals

    return {int(known): known.name for known in Signals}


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; the number itself where this platform has no name for it."""
    return _names().get(number, f"signal {number}")


def signal_of_status(status: int | None) -> int | None:
    """The signal behind a shell's exit status (143 → 15), None for any other status."""
    if status is None or status <= 128:
        return None
    return status - 128 if status - 128 in _names() else None
