"""The Rust port of pi: `pi --mode json -- PROMPT`, its log and its session files.

Written from the program's published source, and not yet tried with the program itself.
Print mode and standard input both switch sessions off, so the prompt is an argument. The
program writes a session's file only after the whole run: a missing file proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agentctl.adapters.base import (
    ALL_LOCAL,
    Command,
    CommandRequest,
    Message,
    NativeSession,
    Option,
    Process,
    never_transient,
    rerun_hint,
)
from agentctl.adapters.pi import files, runs
from agentctl.adapters.pi.rendering import log_messages as log_messages
from agentctl.adapters.pi.runs import native_id as native_id
from agentctl.adapters.reading import is_name
from agentctl.adapters.words import gathered, has_option, model_of, prompt_argument
from agentctl.core.ids import short
from agentctl.core.model import TERM_THEN_KILL, Listing, Result, Session
from agentctl.errors import NotFound, UsageFault

NAME = "pi-rust"
SUMMARY = "The Rust port of pi; not verified against a real binary."
PROGRAM = "pi-rust"
INSTALL = "cargo install pi_agent_rust, and put the path of its pi into [adapters.pi-rust] command"
VERIFIED = "not verified against a real binary"
CAPABILITIES = ALL_LOCAL
LADDER = TERM_THEN_KILL
PROCESS_NAMES = frozenset({"pi-rust", "pi"})
OPTIONS = (
    Option(
        "yolo",
        "Pass --yolo, which later releases need to run tools and older ones refuse; false by default.",
        kind=bool,
    ),
)

is_transient = never_transient

_RESUME = "use agentctl resume"
OURS = {
    "--mode": "agentctl reads the JSON events",
    "--print": "it would switch sessions off",
    "-p": "it would switch sessions off",
    "--no-session": "nothing could be shown or resumed later",
    "--session": _RESUME,
    "--continue": _RESUME,
    "-c": _RESUME,
    "--resume": _RESUME,
    "-r": _RESUME,
    "--session-dir": "set PI_SESSIONS_DIR, which agentctl also reads",
    "--api-key": "it would be stored with the session; set the provider's variable, for example by --env",
    "--rpc": "the prompt would not be read",
    "--acp": "use the adapter acp",
}
"""Options that a user's own words must not set, and why."""


def launch_command(request: CommandRequest) -> Command:
    """A run with the prompt as the last word: pi-rust would take an option after it for a part of it."""
    return Command(argv=(*_run(request, model_of(request)), "--", _prompt(request)))


def resume_command(session: Session, request: CommandRequest) -> Command:
    """A further turn of the conversation in its file, without which there is nothing to resume."""
    file = _file_of(session, session.native_id)
    if file is None:
        raise NotFound(
            f"session {short(session.id)} has no session file: pi-rust writes it only after a successful run",
            hint=rerun_hint(session),
        )
    argv = (*_run(request, request.model), "--session", file, "--", _prompt(request))
    return Command(argv=argv, native_id=session.native_id)


def _run(request: CommandRequest, model: str | None) -> tuple[str, ...]:
    words = gathered(request, OURS, adapter="pi-rust", program="pi-rust")
    if "--" in words:
        raise UsageFault("pi-rust takes no words after --", hint="put them into the prompt")
    if request.config.get("yolo") is True and not has_option(words, "--yolo", "--auto-approve"):
        words = ("--yolo", *words)
    program = request.program or ("pi-rust",)
    return (*program, "--mode", "json", *(() if has_option(words, "--model") else _model(model)), *words)


def _model(model: str | None) -> tuple[str, ...]:
    if model is None:
        return ()
    provider, slash, name = model.partition("/")
    return ("--provider", provider, "--model", name) if provider and slash and name else ("--model", model)


def _prompt(request: CommandRequest) -> str:
    prompt = prompt_argument(request, "pi-rust")
    if prompt.startswith("@"):
        raise UsageFault(
            "pi-rust would take a prompt that begins with @ for a file", hint="begin it with another word"
        )
    return prompt


def store_path(environ: Mapping[str, str]) -> str | None:
    """The directory of all sessions; by default the one that the TypeScript pi also uses."""
    return files.directory_in(environ, "PI_SESSIONS_DIR")


def listing(session: Session) -> Listing:
    """`running` for any session that has a file."""
    return runs.listing(session, _file_of)


def result(session: Session, log_path: str) -> Result:
    """From the log, and from the session's file what the log's end lacks."""
    return runs.result(session, log_path, _file_of)


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The conversation from the session's file, else from the log."""
    return runs.messages(session, log_path, _file_of)


def sources(store_path: str) -> Iterable[str]:
    """Files named as the Rust port names them; `discover` checks who wrote them."""
    return (path for path in files.session_files(store_path) if path[-files.SHORT - 7 :].startswith("_"))


def discover(source: str) -> Iterable[NativeSession]:
    """The session of a file that the Rust port wrote."""
    return files.discover(source, lambda header: header.is_rust)


def match(natives: Sequence[NativeSession], processes: Sequence[Process]) -> Mapping[str, Process]:
    """Native id → the one process whose command line names the session's file.

    A new session has no file until its run has ended, so nothing else can be proved.
    """
    named = [(os.path.realpath(path), run) for run in processes if (path := _session_option(run.argv))]
    found = {}
    for native in natives:
        runs = [run for path, run in named if path == os.path.realpath(native.store_path)]
        if len(runs) == 1:
            found[native.native_id] = runs[0]
    return found


def _session_option(argv: Sequence[str]) -> str | None:
    """The absolute path that `--session` gives."""
    words = argv[: argv.index("--")] if "--" in argv else argv
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--session":
            path = value if equals else next(iter(words[index + 1 :]), "")
            return path if os.path.isabs(path) else None
    return None


def _file_of(session: Session, native_id: str | None) -> str | None:
    """The file of this session's conversation: its name has the id's beginning, its header the whole id."""
    candidates = [path for path in (session.transcript_path, session.store_path) if path is not None]
    found: Iterable[str] = (path for path in candidates if path.endswith(".jsonl"))
    if native_id is not None and session.store_path is not None and is_name(native_id):
        ending = f"_{native_id[: files.SHORT]}.jsonl"
        found = (*found, *files.find(session.store_path, ending, session.cwd))
    for path in found:
        header = files.header_of(path)
        if header is not None and header.id == native_id and header.is_rust:
            return path
    return None
