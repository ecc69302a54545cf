"""How pi is started: its words, and what a user's own words must not set.

One command line fits every release, because the installed one is unknown here: it prints
JSON events, the first with the session's id. Must not run anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentctl.adapters.base import Command, CommandRequest
from agentctl.adapters.pi import files
from agentctl.adapters.reading import is_name
from agentctl.adapters.values import string
from agentctl.adapters.words import gathered, has_option, model_of, native_id_of, option, prompt_of, strings
from agentctl.core.model import Session

_RESUME = "use agentctl resume"
_NO_RUN = "pi would answer it and not run the prompt"

OURS = {
    "--mode": "agentctl reads the JSON events",
    "--session": _RESUME,
    "--session-id": _RESUME,
    "--continue": _RESUME,
    "-c": _RESUME,
    "--resume": _RESUME,
    "-r": _RESUME,
    "--fork": "agentctl would take the new conversation for the old one",
    "--no-session": "nothing could be shown or resumed later",
    "--session-dir": "set PI_CODING_AGENT_SESSION_DIR, which agentctl also reads",
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
    model = _model(request, model_of(request), words)
    return Command(argv=(*_run(request), *model, *words), stdin=prompt_of(request, "pi"))


def resume_command(session: Session, request: CommandRequest) -> Command:
    """A further turn of the same conversation, named by its file: not every release takes an id.

    If agentctl does not find the file, pi gets the id: the project's settings may have put the
    file elsewhere. Without a model in the request, pi uses the conversation's last one.
    """
    native_id = native_id_of(session, "pi session id: it ended before pi made one")
    words = _words(request)
    place = file_of(session, native_id) or native_id
    argv = (*_run(request), "--session", place, *_model(request, request.model, words), *words)
    return Command(argv=argv, stdin=prompt_of(request, "pi"), native_id=native_id)


def file_of(session: Session, native_id: str | None) -> str | None:
    """The file of this session's conversation; None before pi has made one."""
    for path in (session.transcript_path, session.store_path):
        if path is not None and path.endswith(".jsonl") and files.header_of(path) is not None:
            return path
    if native_id is None or session.store_path is None or not is_name(native_id):
        return None
    return next(files.find(session.store_path, f"_{native_id}.jsonl", session.cwd), None)


def _run(request: CommandRequest) -> tuple[str, ...]:
    # `-p` first: after it, pi does not take a word such as `list` for a command.
    return (*(request.program or ("pi",)), "-p", "--mode", "json")


def _model(request: CommandRequest, model: str | None, words: Sequence[str]) -> tuple[str, ...]:
    """The options for this model, unless the user's own words choose one.

    A provider goes only with a model: today's pi refuses one alone.
    """
    found = option(words, model, "--model")
    return (*option(words, string(request.config.get("provider")), "--provider"), *found) if found else ()


def _words(request: CommandRequest) -> tuple[str, ...]:
    """The configured options and arguments, then the user's own."""
    words = gathered(request, OURS, adapter="pi", program="pi")
    words = (*option(words, string(request.config.get("thinking")), "--thinking"), *words)
    if "tools" in request.config and not has_option(words, "--tools", "-t", "--no-tools", "-nt"):
        tools = strings(request, "tools", adapter="pi")
        words = (*(("--tools", ",".join(tools)) if tools else ("--no-tools",)), *words)
    return words
