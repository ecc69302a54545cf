"""Signal numbers as people name them, and as a shell reports them."""

from __future__ import annotations

from functools import cache


@cache
def _names() -> dict[int, str]:
    from signal import Signals

    return {int(known): known.name for known in Signals}


_HARMLESS = frozenset({"SIGCHLD", "SIGCLD", "SIGCONT", "SIGINFO", "SIGURG", "SIGWINCH"})
_SUSPENDING = frozenset({"SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"})


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; the number itself where this platform has no name for it."""
    return _names().get(number, f"signal {number}")


def signal_of_status(status: int | None) -> int | None:
    """The signal behind a shell's exit status (143 → 15), None for any other status.

    Only a signal that ends a process by itself: 145 is a program's own code, since SIGCHLD ends none.
    """
    name = _names().get((status or 0) - 128)
    return None if status is None or name is None or name in _HARMLESS | _SUSPENDING else status - 128
