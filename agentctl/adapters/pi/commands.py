"""How pi is started: its words, and what a user's own words must not set.

One command line fits every release, since which one is installed is not known here: JSON
events on standard output, their first line the session's id. Must not run anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentctl.adapters.base import Command, CommandRequest
from agentctl.adapters.pi import files
from agentctl.adapters.values import string
from agentctl.adapters.words import gathered, has_option, texts
from agentctl.core.model import Session
from agentctl.errors import NotFound, UsageFault

_RESUME = "use agentctl resume"
_NO_RUN = "pi would answer it and run no prompt"

OURS = {
    "--mode": "agentctl reads the JSON events",
    "--session": _RESUME,
    "--session-id": _RESUME,
    "--continue": _RESUME,
    "-c": _RESUME,
    "--resume": _RESUME,
    "-r": _RESUME,
    "--fork": "it makes another conversation, which agentctl would take for the first",
    "--no-session": "nothing would be left to look at or to resume",
    "--session-dir": "set PI_CODING_AGENT_SESSION_DIR, which agentctl reads, too",
    "--api-key": "it would be stored with the session; set the provider's variable, for example by --env",
    "--export": _NO_RUN,
    "--list-models": _NO_RUN,
    "--help": _NO_RUN,
    "-h": _NO_RUN,
    "--version": _NO_RUN,
    "-v": _NO_RUN,
}
"""Options that a user's own words must not set, and why."""


def launch_command(request: CommandRequest) -> Command:
    """A run with the prompt on standard input."""
    words = _words(request)
    model = _model(request, request.model or string(request.config.get("model")), words)
    return Command(argv=(*_run(request), *model, *words), stdin=_prompt(request))


def resume_command(session: Session, request: CommandRequest) -> Command:
    """A further turn of the same conversation, which pi is told by its file: an id does not do everywhere.

    Where agentctl does not find the file, pi gets the id: its project's settings may have
    put the file elsewhere. Without a model in the request, the conversation's last one goes on.
    """
    native_id = session.native_id
    if native_id is None:
        raise NotFound(
            f"session {session.id[:8]} has no pi session id: it ended before pi made one",
            hint=f"start it again with the same prompt and options: agentctl rerun {session.id[:8]}",
        )
    words = _words(request)
    place = file_of(session, native_id) or native_id
    argv = (*_run(request), "--session", place, *_model(request, request.model, words), *words)
    return Command(argv=argv, stdin=_prompt(request), native_id=native_id)


def file_of(session: Session, native_id: str | None) -> str | None:
    """The file of this session's conversation; None before pi has made one."""
    for path in (session.transcript_path, session.store_path):
        if path is not None and path.endswith(".jsonl") and files.header_of(path) is not None:
            return path
    if native_id is None or session.store_path is None or not files.is_name(native_id):
        return None
    return next(files.find(session.store_path, f"_{native_id}.jsonl", session.cwd), None)


def _run(request: CommandRequest) -> tuple[str, ...]:
    # `-p` first: a word such as `list` behind it is no command of pi's.
    return (*(request.program or ("pi",)), "-p", "--mode", "json")


def _prompt(request: CommandRequest) -> str:
    if not request.prompt or not request.prompt.strip():
        raise UsageFault("pi needs a prompt", hint="give one with --prompt or --prompt-file")
    return request.prompt


def _model(request: CommandRequest, model: str | None, words: Sequence[str]) -> tuple[str, ...]:
    """The options for this model, unless the user's own words choose one.

    A provider goes only with a model: today's pi refuses one alone.
    """
    if model is None or has_option(words, "--model"):
        return ()
    provider = string(request.config.get("provider"))
    if provider and not has_option(words, "--provider"):
        return ("--provider", provider, "--model", model)
    return ("--model", model)


def _words(request: CommandRequest) -> tuple[str, ...]:
    """The configured options and arguments, then the user's own."""
    words = gathered(request, OURS, adapter="pi", program="pi")
    thinking = string(request.config.get("thinking"))
    if thinking and not has_option(words, "--thinking"):
        words = ("--thinking", thinking, *words)
    if "tools" in request.config and not has_option(words, "--tools", "-t", "--no-tools", "-nt"):
        tools = texts(request, "tools", adapter="pi")
        words = (*(("--tools", ",".join(tools)) if tools else ("--no-tools",)), *words)
    return words
