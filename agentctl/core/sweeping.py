"""What a sweep is about: the processes that a session leaves behind when it is stopped."""

from datetime import datetime
from typing import NamedTuple

from agentctl.core.model import Identity

Tree = dict[Identity, str]
"""Processes, each with the name of its program."""


def named(processes: Tree) -> str:
    """The processes as people read them: `123 (node), 124 (sh)`."""
    return ", ".join(f"{one.pid} ({name})" if name else str(one.pid) for one, name in processes.items())


class PendingSweep(NamedTuple):
    """The row of a session whose processes are to be ended, are being ended, or were.

    A row without `kill_at` only remembers processes: they are ended when the session is.
    """

    session_id: str
    targets: Tree
    """Processes, each with the name of its program, as they were when the row was written."""
    kill_at: datetime | None = None
    term_at: datetime | None = None
    """When they were asked to end."""
    done_at: datetime | None = None
    ended: Tree = {}  # noqa: RUF012 - a named tuple's default, never changed
    survivors: Tree = {}  # noqa: RUF012
    """What could not be ended, such as another user's process."""
