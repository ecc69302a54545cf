"""How `claude -p` is started: its words, its environment, what a user's own words must not set.

Must not look at the world: everything here is pure.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from agentctl.adapters.base import Command, CommandRequest
from agentctl.adapters.claude_code import transcript
from agentctl.adapters.showing import GOES_ON
from agentctl.adapters.words import gathered, has_option, model_of, native_id_of, option, prompt_of
from agentctl.core import variables
from agentctl.core.model import Session
from agentctl.errors import UsageFault

PERMISSION_MODES = ("acceptEdits", "auto", "bypassPermissions", "default", "dontAsk", "manual", "plan")

_RESUME = "use agentctl resume"
_OUTPUT = "agentctl reads the stream of JSON events"
_ELSEWHERE = "the agent would work in another process, which agentctl cannot watch"
_DIRECTORY = "use agentctl launch --worktree, so that agentctl knows the directory"
_NO_RUN = "claude would print something and exit without a run"

OURS = {
    "-p": "agentctl passes it",
    "--print": "agentctl passes it",
    "--session-id": "agentctl chooses the id, so that it knows the session from the start",
    "-r": _RESUME,
    "--resume": _RESUME,
    "-c": _RESUME,
    "--continue": _RESUME,
    "--fork-session": "a resumed conversation keeps its id",
    "--from-pr": _RESUME,
    "--teleport": _RESUME,
    "--no-session-persistence": "nothing could be shown or resumed later",
    "--output-format": _OUTPUT,
    "--input-format": "agentctl passes the prompt as text",
    "--replay-user-messages": "agentctl passes the prompt as text",
    "--bg": _ELSEWHERE,
    "--background": _ELSEWHERE,
    "--cloud": _ELSEWHERE,
    "--environment": _ELSEWHERE,
    "--desktop": _ELSEWHERE,
    "--remote-control": _ELSEWHERE,
    "-w": _DIRECTORY,
    "--worktree": _DIRECTORY,
    "--tmux": _DIRECTORY,
    "-h": _NO_RUN,
    "--help": _NO_RUN,
    "-v": _NO_RUN,
    "--version": _NO_RUN,
}
"""Options that a user's own words must not set, and why."""

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
"""Each of the first two wins over a subscription's login, and is billed by use; the last leads elsewhere."""


OF_PARENT = (
    "AI_AGENT",
    "CLAUDECODE",
    "CLAUDE_CODE_CHILD_NOTES_DIR",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_EXECPATH",
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_MESSAGING_TOKEN",
    "CLAUDE_CODE_SESSION_ATTENDED",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_EFFORT",
    "CLAUDE_PID",
)
"""Variables that a claude sets for the tools it starts: useless to another session, and partly secret."""


def launch_command(request: CommandRequest) -> Command:
    """A run with the prompt on standard input, under an id that is known before it starts."""
    return _command(request, "--session-id", request.session_id, model=model_of(request))


def resume_command(session: Session, request: CommandRequest) -> Command:
    """A further turn of the same conversation. It keeps its model and system prompt, not its permissions."""
    native_id = native_id_of(session, "claude session id")
    command = _command(
        request, "--resume", native_id, model=request.model, needs_prompt=GOES_ON not in session.notes
    )
    return command._replace(env={**command.env, **_config_dir(session, request)})


def _config_dir(session: Session, request: CommandRequest) -> dict[str, str | None]:
    """The variable that leads claude to the session, if this environment leads elsewhere."""
    here = transcript.store_path(request.environ)
    if session.store_path in (None, here) or transcript.CONFIG_DIR in request.given:
        return {}
    without = {name: value for name, value in request.environ.items() if name != transcript.CONFIG_DIR}
    is_default = transcript.store_path(without) == session.store_path
    return {transcript.CONFIG_DIR: None if is_default else os.path.dirname(str(session.store_path))}


def _command(
    request: CommandRequest, which: str, native_id: str, *, model: str | None, needs_prompt: bool = True
) -> Command:
    prompt = prompt_of(request, "claude") if needs_prompt else request.prompt
    words = gathered(request, OURS, adapter="claude-code", program="claude")
    program = request.program or ("claude",)
    ours = ("-p", which, native_id, "--output-format", "stream-json", "--verbose")
    # The user's words come last: an option that takes several values swallows what follows it.
    argv = (*program, *ours, *option(words, model, "--model"), *_permissions(request, words), *words)
    removed, notes = _keys(request)
    env = dict.fromkeys((*(name for name in OF_PARENT if name not in request.given), *removed))
    return Command(argv=argv, env=env, stdin=prompt, native_id=native_id, notes=notes)


def _permissions(request: CommandRequest, words: Sequence[str]) -> tuple[str, ...]:
    """The configured mode, unless the user's own words choose one."""
    mode = request.config.get("permission_mode")
    if mode is None or has_option(words, "--permission-mode", "--dangerously-skip-permissions"):
        return ()
    if mode not in PERMISSION_MODES:
        raise UsageFault(
            f"permission_mode in [adapters.claude-code] is {mode!r}, which claude does not have",
            hint=f"choose one of {', '.join(PERMISSION_MODES)}",
        )
    return ("--permission-mode", str(mode))


def _keys(request: CommandRequest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The variables to remove so that a subscription is billed, and a note on those that were set."""
    # As everywhere, the environment beats the configuration.
    wish = request.environ.get(variables.CLAUDE_USE_API_KEY)
    if wish == "1" or (not wish and request.config.get("use_api_key") is True):
        return (), ()
    removed = tuple(name for name in KEYS if name not in request.given)
    found = [name for name in removed if request.environ.get(name)]
    if not found:
        return removed, ()
    note = (
        f"{' and '.join(found)} removed from the environment, so that claude uses and bills its own login;"
        f" to pass on what is set there, set {variables.CLAUDE_USE_API_KEY}=1"
        " or use_api_key = true in [adapters.claude-code]"
    )
    return removed, (note,)
