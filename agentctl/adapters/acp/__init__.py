"""Any agent that speaks the Agent Client Protocol: `agentctl launch acp -p PROMPT -- opencode acp`.

Such an agent is a server on its standard streams, so each session has a process that talks to
it: `runner` beside this file. agentctl supervises and stops the runner, which ends its agent.
Everything that is known about a session is in its log, which the runner writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from agentctl.adapters import base, reading
from agentctl.adapters.acp import log
from agentctl.adapters.acp.commands import OPTIONS as OPTIONS
from agentctl.adapters.acp.commands import launch_command as launch_command
from agentctl.adapters.acp.commands import resume_command as resume_command
from agentctl.adapters.acp.rendering import conversation
from agentctl.adapters.acp.rendering import log_messages as log_messages
from agentctl.adapters.base import ALL_LOCAL, Capability, Message, Role
from agentctl.core.model import Result, Rung, Session

NAME = "acp"
SUMMARY = "Any agent that speaks the Agent Client Protocol; its command is given after --."
PROGRAM = None
INSTALL = None
VERIFIED = "protocol 1: opencode acp 1.18.33"
CAPABILITIES = ALL_LOCAL - {Capability.DISCOVER}
# The runner takes up to 20 s to cancel the turn and to end an unwilling agent.
LADDER = (Rung(15, timedelta(seconds=25)), Rung(9, timedelta(seconds=5)))
PROCESS_NAMES: frozenset[str] = frozenset()

store_path, listing, sources, discover, match = base.WITHOUT_STORE

HEAD_BYTES = 1024 * 1024
"""An agent may send a long list of models before its session has an id."""


def native_id(session: Session, log_path: str) -> str | None:
    """The agent's own id, known once it has opened the session, some seconds after the start."""
    return log.opened(reading.head_lines(log_path, HEAD_BYTES)).native_id


def result(session: Session, log_path: str) -> Result:
    """From the runner's last record; if the runner was killed, from what it had recorded."""
    tail = reading.tail_lines(log_path)
    found = log.ended(tail)
    if found is not None:
        return found
    said = [message.text for message in conversation(tail) if message.role is Role.ASSISTANT]
    opened = log.opened(reading.head_lines(log_path, HEAD_BYTES))
    found = opened._replace(text=said[-1] if said else None, notes=tuple(log.silence(tail)))
    return reading.proved(session, found, log_path)


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The turn from its log: the prompt, what was said and done."""
    return conversation(reading.tail_lines(log_path))


def is_transient(exit_code: int, log_path: str) -> bool:
    """Two opencodes that start together can find their database locked before a session begins."""
    if exit_code != 1:
        return False
    lines = reading.tail_lines(log_path, HEAD_BYTES)
    return log.opened(lines).native_id is None and any("database is locked" in line for line in lines)
