"""Any command: `agentctl launch exec -- make check`.

The words after `--` are the argument vector; no shell reads them. A prompt, if there is one,
is the command's standard input. The command reports only an exit code and its output.
"""

from __future__ import annotations

from agentctl.adapters import base
from agentctl.adapters.base import Capability, Command, CommandRequest
from agentctl.core.containers import labelled
from agentctl.core.model import TERM_THEN_KILL
from agentctl.errors import UsageFault

NAME = "exec"
SUMMARY = "Any command, given after --; a prompt becomes its standard input."
PROGRAM = None
INSTALL = None
VERIFIED = "built in"
CAPABILITIES = frozenset({Capability.LAUNCH})
LADDER = TERM_THEN_KILL
PROCESS_NAMES: frozenset[str] = frozenset()
OPTIONS = ()

store_path, listing, sources, discover, match = base.WITHOUT_STORE
native_id = base.no_native_id
result = base.no_result
messages = base.no_messages
log_messages = base.plain_lines
is_transient = base.never_transient
resume_command = base.no_resume


def launch_command(request: CommandRequest) -> Command:
    """The command, after the configured one if there is one (a wrapper such as `nice`)."""
    if request.model is not None:
        raise UsageFault(
            "exec takes no model",
            hint="leave out --model, or give the command's own option after --",
        )
    argv = (*request.program, *request.args)
    if not argv or not argv[0]:
        raise UsageFault(
            "exec needs a command",
            hint="put it after --, for example: agentctl launch exec -- make check",
        )
    return Command(argv=labelled(argv, request.session_id), stdin=request.prompt)
