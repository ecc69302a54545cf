"""How `opencode run` is started: its words, its environment, what a user's own words must not set.

Must not look at the world: everything here is pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agentctl.adapters.base import Command, CommandRequest
from agentctl.adapters.reading import json_object
from agentctl.adapters.values import string
from agentctl.adapters.words import gathered, has_option
from agentctl.core.model import Session
from agentctl.errors import NotFound, UsageFault

DENIED = {"question": "deny", "plan_enter": "deny", "plan_exit": "deny"}
"""Tools that ask a person. `run` denies them in sessions that it creates, and in no other."""

OURS = {
    "--format": "agentctl reads the JSON events",
    "--dir": "use --cwd",
    "--attach": "the agent would work in another process, which agentctl cannot watch",
    "--session": "use agentctl resume",
    "-s": "use agentctl resume",
    "--continue": "use agentctl resume",
    "-c": "use agentctl resume",
}
"""Options that a user's own words must not set, and why."""


def title_of(session_id: str) -> str:
    """The title that a launched run gives its session: unique, so the session can be found by it."""
    return f"agentctl {session_id}"


def launch_command(request: CommandRequest) -> Command:
    """A run with the prompt on standard input, named so that its session can be found."""
    words = _words(request)
    title = () if has_option(words, "--title") else ("--title", title_of(request.session_id))
    model = request.model or string(request.config.get("model"))
    argv = (*_run(request, request.cwd), *title, *_model(model, words), *words)
    return Command(argv=argv, env={"PWD": request.cwd}, stdin=_prompt(request))


def resume_command(session: Session, request: CommandRequest) -> Command:
    """A further turn of the same conversation, from its own directory: from any other it never exits.

    Without a model in the request, the one that the conversation used last goes on.
    """
    native_id = session.native_id
    if native_id is None:
        raise NotFound(
            f"session {session.id[:8]} has no opencode session id: it ended before opencode made one",
            hint=f"start it again with the same prompt and options: agentctl rerun {session.id[:8]}",
        )
    words = _words(request)
    model = _model(request.model, words)
    argv = (*_run(request, session.cwd), "--session", native_id, *model, *words)
    env = {"PWD": session.cwd, **_denied(request.environ)}
    return Command(argv=argv, env=env, stdin=_prompt(request), native_id=native_id)


def _run(request: CommandRequest, directory: str) -> tuple[str, ...]:
    program = request.program or ("opencode",)
    return (*program, "run", "--format", "json", "--print-logs", "--dir", directory)


def _prompt(request: CommandRequest) -> str:
    if not request.prompt or not request.prompt.strip():
        raise UsageFault("opencode needs a prompt", hint="give one with --prompt or --prompt-file")
    return request.prompt


def _model(model: str | None, words: Sequence[str]) -> tuple[str, ...]:
    """The option for this model, unless the user's own words choose one."""
    if model is None or has_option(words, "--model", "-m"):
        return ()
    provider, _, name = model.partition("/")
    if not provider or not name:
        raise UsageFault(
            f"opencode needs the model as provider/model, not {model!r}",
            hint="for example --model anthropic/claude-sonnet-4-5; opencode models lists them all",
        )
    return ("-m", model)


def _words(request: CommandRequest) -> tuple[str, ...]:
    """The configured agent and arguments, then the user's own."""
    words = gathered(request, OURS, adapter="opencode", program="opencode")
    agent = string(request.config.get("agent"))
    return ("--agent", agent, *words) if agent and not has_option(words, "--agent") else words


def _denied(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's own permissions with DENIED behind them, since the last rule that fits decides.

    A value that is no JSON object is left alone: opencode reports it better.
    """
    own = json_object(environ.get("OPENCODE_PERMISSION") or "{}")
    if own is None:
        return {}
    kept = {name: rule for name, rule in own.items() if name not in DENIED}
    return {"OPENCODE_PERMISSION": json.dumps({**kept, **DENIED})}
