"""Any agent that speaks the Agent Client Protocol: `agentctl launch acp -p PROMPT -- opencode acp`.

Such an agent is a server on its own standard streams, so each session has a process that
leads it: `runner` beside this file. That process is what is supervised and stopped; it sees
its agent out. All that is known of a session is in its log, which the runner writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from agentctl.adapters import reading
from agentctl.adapters.acp import log
from agentctl.adapters.acp.commands import OPTIONS as OPTIONS
from agentctl.adapters.acp.commands import launch_command as launch_command
from agentctl.adapters.acp.commands import resume_command as resume_command
from agentctl.adapters.acp.rendering import conversation
from agentctl.adapters.acp.rendering import log_messages as log_messages
from agentctl.adapters.base import (
    Capability,
    Message,
    no_listing,
    no_match,
    no_sessions,
    no_sources,
    no_store,
)
from agentctl.core.model import Result, Rung, Session

NAME = "acp"
SUMMARY = "Any agent that speaks the Agent Client Protocol; its command is given after --."
PROGRAM: str | None = None
INSTALL: str | None = None
VERIFIED = "protocol 1: opencode acp 1.18.33"
CAPABILITIES = frozenset(
    {Capability.LAUNCH, Capability.PROMPT, Capability.MODEL, Capability.RESUME, Capability.PEEK}
)
# The runner takes up to 20 s to cancel the turn and to see an unwilling agent out.
LADDER: tuple[Rung, ...] = (Rung(15, timedelta(seconds=25)), Rung(9, timedelta(seconds=5)))
PROCESS_NAMES: frozenset[str] = frozenset()

store_path = no_store
listing = no_listing
sources = no_sources
discover = no_sessions
match = no_match

HEAD_BYTES = 1024 * 1024
"""An agent may tell a long list of models before its session has an id."""

TAIL_BYTES = 4 * 1024 * 1024


def native_id(session: Session, log_path: str) -> str | None:
    """The agent's own id, known once it has opened the session, some seconds after the start."""
    return log.opened(reading.head_lines(log_path, HEAD_BYTES)).native_id


def result(session: Session, log_path: str) -> Result:
    """From the runner's last record; of a runner that was killed, what it had learnt."""
    tail = reading.tail_lines(log_path, TAIL_BYTES)
    found = log.ended(tail)
    if found is not None:
        return found
    text = None
    for message in conversation(tail):
        if message.role == "assistant":
            text = message.text
    return log.opened(reading.head_lines(log_path, HEAD_BYTES))._replace(text=text)


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The turn from its log: the prompt, what was said and done."""
    return conversation(reading.tail_lines(log_path, TAIL_BYTES))


def is_transient(exit_code: int, log_path: str) -> bool:
    """Two opencodes that start together can find their database locked before a session begins."""
    if exit_code != 1:
        return False
    lines = reading.tail_lines(log_path, HEAD_BYTES)
    return log.opened(lines).native_id is None and any("database is locked" in line for line in lines)
