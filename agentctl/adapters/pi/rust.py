"""The Rust port of pi: `pi --mode json -- PROMPT`, its log and its session files.

Written from the program's published source, and not yet tried with the program itself.
Its print mode and its standard input both switch sessions off, so the prompt is an
argument. It writes a session's file only after the whole run: a missing file proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agentctl.adapters import reading
from agentctl.adapters.base import (
    Capability,
    Command,
    CommandRequest,
    Message,
    NativeSession,
    Option,
    Process,
    never_transient,
)
from agentctl.adapters.pi import files, records
from agentctl.adapters.pi.rendering import log_messages as log_messages
from agentctl.adapters.pi.rendering import stored_messages
from agentctl.adapters.values import string
from agentctl.adapters.words import gathered
from agentctl.core.model import TERM_THEN_KILL, AgentVerdict, Listing, Result, Rung, Session
from agentctl.errors import NotFound, UsageFault

NAME = "pi-rust"
SUMMARY = "The Rust port of pi; not verified against a real binary."
PROGRAM: str | None = "pi-rust"
INSTALL: str | None = (
    "cargo install pi_agent_rust, which installs it as pi: name its path in [adapters.pi-rust] command"
)
VERIFIED = "not verified against a real binary"
CAPABILITIES = frozenset(
    {
        Capability.LAUNCH,
        Capability.PROMPT,
        Capability.MODEL,
        Capability.RESUME,
        Capability.PEEK,
        Capability.DISCOVER,
    }
)
LADDER: tuple[Rung, ...] = TERM_THEN_KILL
PROCESS_NAMES = frozenset({"pi-rust", "pi"})
OPTIONS: tuple[Option, ...] = (
    Option(
        "yolo",
        "Pass --yolo, which later releases need to run tools and older ones refuse; false by default.",
        kind=bool,
    ),
)

is_transient = never_transient

HEAD_BYTES = 64 * 1024
LOG_BYTES = 8 * 1024 * 1024
PEEK_BYTES = 4 * 1024 * 1024
PROMPT_BYTES = 131_071
"""What Linux lets one argument hold."""
SHORT = 8
"""Characters of the id in a file's name."""

_RESUME = "use agentctl resume"
OURS = {
    "--mode": "agentctl reads the JSON events",
    "--print": "it switches sessions off",
    "-p": "it switches sessions off",
    "--no-session": "nothing would be left to look at or to resume",
    "--session": _RESUME,
    "--continue": _RESUME,
    "-c": _RESUME,
    "--resume": _RESUME,
    "-r": _RESUME,
    "--session-dir": "set PI_SESSIONS_DIR, which agentctl reads, too",
    "--api-key": "it would be stored with the session; set the provider's variable, for example by --env",
    "--rpc": "the prompt would not be read",
    "--acp": "use the adapter acp for it",
}
"""Options that a user's own words must not set, and why."""


def launch_command(request: CommandRequest) -> Command:
    """A run with the prompt as the last word: every option behind a prompt would be part of it."""
    model = request.model or string(request.config.get("model"))
    return Command(argv=(*_run(request, model), "--", _prompt(request)))


def resume_command(session: Session, request: CommandRequest) -> Command:
    """A further turn of the conversation in its file; without a file there is none."""
    file = _file_of(session, session.native_id)
    if file is None:
        raise NotFound(
            f"session {session.id[:8]} has no session file: pi-rust writes it only when a run has ended well",
            hint=f"start it again with the same prompt and options: agentctl rerun {session.id[:8]}",
        )
    argv = (*_run(request, request.model), "--session", file, "--", _prompt(request))
    return Command(argv=argv, native_id=session.native_id)


def _run(request: CommandRequest, model: str | None) -> tuple[str, ...]:
    words = gathered(request, OURS, adapter="pi-rust", program="pi-rust")
    given = {word.partition("=")[0] for word in words}
    if "--" in given:
        raise UsageFault("pi-rust takes no words behind --", hint="what it is to do is said in the prompt")
    if request.config.get("yolo") is True and not {"--yolo", "--auto-approve"} & given:
        words = ("--yolo", *words)
    program = request.program or ("pi-rust",)
    return (*program, "--mode", "json", *(() if "--model" in given else _model(model)), *words)


def _model(model: str | None) -> tuple[str, ...]:
    if model is None:
        return ()
    provider, slash, name = model.partition("/")
    return ("--provider", provider, "--model", name) if provider and slash and name else ("--model", model)


def _prompt(request: CommandRequest) -> str:
    prompt = request.prompt or ""
    if not prompt.strip():
        raise UsageFault("pi-rust needs a prompt", hint="give one with --prompt or --prompt-file")
    if prompt.startswith("@"):
        raise UsageFault(
            "pi-rust would take a prompt that begins with @ for a file", hint="begin it with another word"
        )
    if "\0" in prompt or len(os.fsencode(prompt)) > PROMPT_BYTES:
        raise UsageFault(
            f"pi-rust takes its prompt as an argument: {PROMPT_BYTES} bytes at most, and none of them zero",
            hint="put the text into a file of the project and name that in the prompt",
        )
    return prompt


def store_path(environ: Mapping[str, str]) -> str | None:
    """The directory of all sessions; by default the one that the TypeScript pi uses, too."""
    return files.directory_in(environ, "PI_SESSIONS_DIR")


def native_id(session: Session, log_path: str) -> str | None:
    """From the log's first event."""
    return records.read_log(reading.head_lines(log_path, HEAD_BYTES)).native_id


def listing(session: Session) -> Listing:
    """`running` for any session that has a file: it does not tell more, and a missing one tells nothing."""
    return Listing.RUNNING if _file_of(session, session.native_id) else Listing.UNAVAILABLE


def result(session: Session, log_path: str) -> Result:
    """From the log's end. It says which answer failed; that there is none, the exit code must say."""
    run = records.read_log(reading.tail_lines(log_path, LOG_BYTES))
    is_complete = reading.size(log_path) <= LOG_BYTES
    if not is_complete:
        run = run._replace(native_id=native_id(session, log_path), has_begun=True)
    file = _file_of(session, run.native_id or session.native_id)
    if file is not None and not (is_complete and run.answers):
        # A predecessor's answers are older than this row.
        stored = files.answers_since(file, session.created_at)
        run, is_complete = run._replace(answers=stored or run.answers), bool(stored)
    found = records.result_of(run, exit_code=session.exit_code, file=file, is_complete=is_complete)
    if found.verdict is AgentVerdict.ERROR and not run.answers and run.complaint is None:
        return found._replace(verdict=AgentVerdict.SILENT, text=None)
    return found


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The conversation from the session's file; from the log before there is one."""
    file = _file_of(session, session.native_id)
    if file is None:
        return log_messages(reading.tail_lines(log_path, PEEK_BYTES))
    return stored_messages(reading.json_objects(reading.tail_lines(file, PEEK_BYTES)))


def sources(store_path: str) -> Iterable[str]:
    """Files whose names end as the Rust port names them; `discover` looks at whose they are."""
    return (path for path in files.session_files(store_path) if path[-SHORT - 7 :].startswith("_"))


def discover(source: str) -> Iterable[NativeSession]:
    """The session of a file that the Rust port has written."""
    return files.discover(source, lambda header: header.is_rust)


def match(natives: Sequence[NativeSession], processes: Sequence[Process]) -> Mapping[str, Process]:
    """Native id → the one process whose command line names the session's file.

    A new session has no file before its run is over, so nothing else can be proved.
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
    """The file of this session's conversation: its name holds the id's beginning, its header all of it."""
    candidates = [path for path in (session.transcript_path, session.store_path) if path is not None]
    found: Iterable[str] = (path for path in candidates if path.endswith(".jsonl"))
    if native_id is not None and session.store_path is not None and files.is_name(native_id):
        ending = f"_{native_id[:SHORT]}.jsonl"
        found = (*found, *files.find(session.store_path, ending, session.cwd))
    for path in found:
        header = files.header_of(path)
        if header is not None and header.id == native_id and header.is_rust:
            return path
    return None
