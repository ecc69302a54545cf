"""Standard streams whose reader has gone, or that cannot be written."""

from __future__ import annotations

import os
from typing import TextIO


def has_no_reader(stream: TextIO | None) -> bool:
    """`stream` is a pipe whose reader has gone; noticed even while nothing is written."""
    import select

    if stream is None:
        return False
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0))
    except (OSError, ValueError):
        return False  # closed, or not a file at all


def flush_error(stream: TextIO | None) -> OSError | None:
    """What stops `stream` from being written. A failed write stays in it, so this can be asked later."""
    try:
        if stream is not None and not stream.closed:
            stream.flush()
    except OSError as error:
        return error
    return None


def discard(stream: TextIO | None) -> None:
    """Let what is left in `stream` go nowhere, so that the interpreter can flush it at its end."""
    if stream is None:
        return
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, stream.fileno())
        finally:
            os.close(null)
    except (OSError, ValueError):
        return  # closed, or not a file at all
