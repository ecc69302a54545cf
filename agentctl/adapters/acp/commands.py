"""How a session's runner is started, and which agent the runner starts.

Must not look at the world: everything here is pure.
"""

from __future__ import annotations

import os
import sys

from agentctl.adapters.base import Command, CommandRequest, Option
from agentctl.adapters.values import mapping, string
from agentctl.adapters.words import model_of, native_id_of, prompt_of
from agentctl.core.durations import parse_duration
from agentctl.core.model import Session
from agentctl.errors import UsageFault

RUNNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runner")
"""A directory with a `__main__.py`, which needs only the standard library."""

POLICIES = ("deny", "allow")

OPTIONS = (
    Option(
        "agents",
        'Names for commands, to be given after --, as in gemini = ["gemini", "--acp"]; none by default.',
        kind=dict,
    ),
    Option("agent", "The name of the agent that is used with nothing after --; none by default."),
    Option(
        "permissions",
        "The answer to an agent that asks before it acts: deny, with which some agents can only read (the"
        " default), or allow, with which nobody checks what it runs.",
        choices=POLICIES,
    ),
    Option(
        "mode",
        "The agent's mode by its id or name, such as plan or yolo; the agent's own choice by default.",
    ),
    Option("timeout", 'How long an agent may take to start and to open a session; "1m" by default.'),
)


def launch_command(request: CommandRequest) -> Command:
    """A runner for a new session, with the prompt on standard input."""
    model = model_of(request)
    return launch_words(request, agent_words(request, request.args), model)


def launch_words(request: CommandRequest, words: tuple[str, ...], model: str | None) -> Command:
    """A runner for a new session with the agent of this command."""
    options = ("--model", model) if model else ()
    return Command(argv=_runner(request, options, words), stdin=prompt_of(request, "acp"), programs=words[:1])


def resume_command(session: Session, request: CommandRequest) -> Command:
    """A runner for a further turn of an earlier session, with the same agent.

    Without a model in the request, the agent chooses: most use the last one again.
    """
    return resume_words(session, request, agent_words(request, request.args or session.args), request.model)


def resume_words(
    session: Session, request: CommandRequest, words: tuple[str, ...], model: str | None
) -> Command:
    """A runner that continues an earlier session with the agent of this command."""
    native_id = native_id_of(session, "agent session id: it ended before the agent opened a session")
    options = ("--resume", native_id, *(("--model", model) if model else ()))
    return Command(
        argv=_runner(request, options, words),
        stdin=prompt_of(request, "acp"),
        native_id=native_id,
        programs=words[:1],
    )


def _runner(request: CommandRequest, options: tuple[str, ...], words: tuple[str, ...]) -> tuple[str, ...]:
    policy = request.config.get("permissions", POLICIES[0])
    if policy not in POLICIES:
        raise UsageFault(
            f"permissions in [adapters.acp] must be one of {', '.join(POLICIES)}, not {policy!r}"
        )
    mode = string(request.config.get("mode"))
    return (
        *(sys.executable, "-I", "-S", "-u", RUNNER),
        *("--permissions", policy, "--timeout", _seconds(request.config.get("timeout", "1m"))),
        *(("--mode", mode) if mode else ()),
        *options,
        "--",
        *words,
    )


def agent_words(request: CommandRequest, given: tuple[str, ...]) -> tuple[str, ...]:
    """The agent's command: the given words, the command of a given name, or the default agent's.

    A configured `command` goes before it, as a wrapper, or stands alone.
    """
    agents = {name: _words(name, command) for name, command in mapping(request.config.get("agents")).items()}
    default = string(request.config.get("agent"))
    if len(given) == 1:
        chosen = agents.get(given[0], given)
    elif given or default is None:
        chosen = given
    elif default in agents:
        chosen = agents[default]
    else:
        raise UsageFault(
            f"the default agent {default!r} of [adapters.acp] is not among its agents",
            hint=f'add it below [adapters.acp.agents], as in {default} = ["{default}", "--acp"]',
        )
    words = (*request.program, *chosen)
    if not words or not words[0]:
        raise UsageFault(
            "acp needs the command of an agent",
            hint="put it after --, for example: agentctl launch acp -p PROMPT -- opencode acp;"
            " agentctl adapters lists agents that have a name of their own, such as gemini",
        )
    return (*words, *further_words(request))


def further_words(request: CommandRequest) -> tuple[str, ...]:
    """The configured arguments, which go to every launch."""
    return _words("args", request.config.get("args", ()))


def _words(name: str, command: object) -> tuple[str, ...]:
    # A string is one word: one with spaces was meant as several, which must be a list.
    words = (command,) if isinstance(command, str) and len(command.split()) == 1 else command
    if isinstance(words, list | tuple) and all(isinstance(word, str) for word in words):
        return tuple(words)
    raise UsageFault(f'{name} in [adapters.acp] must be a list of strings, such as ["gemini", "--acp"]')


def _seconds(text: object) -> str:
    try:
        return f"{parse_duration(str(text)).total_seconds():g}"
    except ValueError as error:
        raise UsageFault(f"timeout in [adapters.acp]: {error}") from error
