"""How `opencode run` is started: its words, its environment, what a user's own words must not set.

Must not look at the world: everything here is pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agentctl.adapters.base import Command, CommandRequest
from agentctl.adapters.reading import json_object
from agentctl.adapters.values import string
from agentctl.adapters.words import gathered, model_of, native_id_of, option, prompt_of
from agentctl.core.model import Session
from agentctl.errors import UsageFault

DENIED = {"question": "deny", "plan_enter": "deny", "plan_exit": "deny"}
"""Tools that ask a person. `run` itself denies them only in sessions that it creates."""

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
    """The unique title of a launched run's session, by which agentctl finds it."""
    return f"agentctl {session_id}"


def launch_command(request: CommandRequest) -> Command:
    """A run with the prompt on standard input, titled so that agentctl finds its session."""
    words = _words(request)
    title = option(words, title_of(request.session_id), "--title")
    argv = (*_run(request, request.cwd), *title, *_model(model_of(request), words), *words)
    return Command(argv=argv, env={"PWD": request.cwd}, stdin=prompt_of(request, "opencode"))


def resume_command(session: Session, request: CommandRequest) -> Command:
    """A further turn of the same conversation, in its own directory: in any other opencode never exits.

    Without a model in the request, opencode uses the conversation's last one.
    """
    native_id = native_id_of(session, "opencode session id: it ended before opencode made one")
    words = _words(request)
    model = _model(request.model, words)
    argv = (*_run(request, session.cwd), "--session", native_id, *model, *words)
    env = {"PWD": session.cwd, **_denied(request.environ)}
    return Command(argv=argv, env=env, stdin=prompt_of(request, "opencode"), native_id=native_id)


def _run(request: CommandRequest, directory: str) -> tuple[str, ...]:
    program = request.program or ("opencode",)
    return (*program, "run", "--format", "json", "--print-logs", "--dir", directory)


def _model(model: str | None, words: Sequence[str]) -> tuple[str, ...]:
    """The option for this model, unless the user's own words choose one."""
    found = option(words, model, "-m", "--model")
    provider, _, name = (model or "").partition("/")
    if found and not (provider and name):
        raise UsageFault(
            f"opencode needs the model as provider/model, not {model!r}",
            hint="for example --model anthropic/claude-sonnet-4-5; opencode models lists them all",
        )
    return found


def _words(request: CommandRequest) -> tuple[str, ...]:
    """The configured agent and arguments, then the user's own."""
    words = gathered(request, OURS, adapter="opencode", program="opencode")
    return (*option(words, string(request.config.get("agent")), "--agent"), *words)


def _denied(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's own permissions, then DENIED: the last rule that matches decides.

    A value that is not a JSON object is left alone: opencode itself reports it better.
    """
    own = json_object(environ.get("OPENCODE_PERMISSION") or "{}")
    if own is None:
        return {}
    kept = {name: rule for name, rule in own.items() if name not in DENIED}
    return {"OPENCODE_PERMISSION": json.dumps({**kept, **DENIED})}
