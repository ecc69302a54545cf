"""The literal table of legal status changes.

`decide` is written against it and tested against it; `stop` and `launch` go through
the same statuses. Nothing leaves a final status.
"""

from agentctl.core.model import Status

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.STARTING: frozenset({Status.RUNNING, Status.STOPPING, Status.STOPPED, Status.ERROR}),
    Status.RUNNING: frozenset({Status.IDLE, Status.STOPPING, Status.STOPPED, Status.ERROR}),
    Status.IDLE: frozenset({Status.RUNNING, Status.STOPPING, Status.STOPPED, Status.ERROR}),
    Status.STOPPING: frozenset({Status.STOPPED, Status.ERROR}),
    Status.STOPPED: frozenset(),
    Status.ERROR: frozenset(),
}


def is_legal(before: Status, after: Status) -> bool:
    """Staying is always legal; changing only as the table says."""
    return before is after or after in TRANSITIONS[before]
