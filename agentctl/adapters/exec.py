"""Any command: `agentctl launch exec -- make check`.

The words after `--` are the argument vector; no shell looks at them. A prompt, if there
is one, is the command's standard input. What it reports is its exit code and its output.
"""

from __future__ import annotations

from agentctl.adapters.base import (
    Capability,
    Command,
    CommandRequest,
    Option,
    never_transient,
    no_listing,
    no_match,
    no_messages,
    no_native_id,
    no_result,
    no_resume,
    no_sessions,
    no_sources,
    no_store,
    plain_lines,
)
from agentctl.core.model import TERM_THEN_KILL, Rung
from agentctl.errors import UsageFault

NAME = "exec"
SUMMARY = "Any command, given after --; a prompt becomes its standard input."
PROGRAM: str | None = None
INSTALL: str | None = None
VERIFIED = "built in"
CAPABILITIES = frozenset({Capability.LAUNCH})
LADDER: tuple[Rung, ...] = TERM_THEN_KILL
PROCESS_NAMES: frozenset[str] = frozenset()
OPTIONS: tuple[Option, ...] = ()

store_path = no_store
native_id = no_native_id
listing = no_listing
result = no_result
messages = no_messages
log_messages = plain_lines
sources = no_sources
discover = no_sessions
match = no_match
is_transient = never_transient
resume_command = no_resume


def launch_command(request: CommandRequest) -> Command:
    """The command itself, behind the configured one if there is one (a wrapper such as `nice`)."""
    if request.model is not None:
        raise UsageFault(
            "exec takes no model: a command has none",
            hint="leave --model out, or give the command's own option after --",
        )
    argv = (*request.program, *request.args)
    if not argv or not argv[0]:
        raise UsageFault(
            "exec needs a command",
            hint="put it after --, for example: agentctl launch exec -- make check",
        )
    return Command(argv=argv, stdin=request.prompt)
