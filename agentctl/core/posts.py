"""What a webhook says of an event, in words that receivers of the TypeScript agentctl understand.

Such a receiver takes every post whose `hook_type` is not `start` for the end of a session, an
`exit_status` of 0 or none for success, and one above 128 for a cancellation. It must not be told of
an end that did not happen, or of a success that nobody proved.
"""

from __future__ import annotations

from agentctl.core.model import Outcome

ENDINGS = ("session.stopped", "session.error", "session.timeout")
"""The events that end a session: each session has one of them, once."""

EXPIRED = "fuse.expired"

CANCELLED_STATUS = 143
FAILED_STATUS = 1


def hook_type(event: str) -> str:
    """The kind of post that an event makes."""
    if event in ENDINGS:
        return "session.stopped"
    return "start" if event == "session.started" else event


def exit_status(event: str, outcome: Outcome | None, code: int | None) -> int | None:
    """The exit status to post: 0 for a proved success alone, whatever code the agent left."""
    if event == EXPIRED:
        return FAILED_STATUS
    if event not in ENDINGS:
        return code
    if outcome is Outcome.SUCCEEDED:
        return 0
    if outcome is Outcome.CANCELLED:
        return CANCELLED_STATUS
    return code or FAILED_STATUS
