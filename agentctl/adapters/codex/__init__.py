"""Codex: `codex exec --json` as a detached process, its log and its session files.

The log names the thread at once and ends with the verdict, unless the run was interrupted
or killed; then the session file is asked. A stop begins with INT, which codex records and
passes on to its tools. codex may leave empty `.agents`, `.aws` and `.codex` directories in the
project when it interrupts a sandboxed command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from agentctl.adapters import reading
from agentctl.adapters.base import ALL_LOCAL, Message, never_transient
from agentctl.adapters.codex import log, rollout
from agentctl.adapters.codex.commands import OPTIONS as OPTIONS
from agentctl.adapters.codex.commands import launch_command as launch_command
from agentctl.adapters.codex.commands import resume_command as resume_command
from agentctl.adapters.codex.discovery import discover as discover
from agentctl.adapters.codex.discovery import match as match
from agentctl.adapters.codex.log import LoggedRun
from agentctl.adapters.codex.rendering import log_messages as log_messages
from agentctl.adapters.codex.rendering import stored_messages
from agentctl.adapters.codex.rollout import Rollout, Turn
from agentctl.adapters.showing import retried
from agentctl.adapters.values import string
from agentctl.core.model import AgentVerdict, Listing, Result, Rung, Session, Tokens

NAME = "codex"
SUMMARY = "OpenAI Codex CLI."
PROGRAM = "codex"
INSTALL = "npm install -g @openai/codex"
VERIFIED = "0.171.0"
CAPABILITIES = ALL_LOCAL
LADDER = (Rung(2, timedelta(seconds=10)), Rung(9, timedelta(seconds=5)))
PROCESS_NAMES = frozenset({"codex"})

is_transient = never_transient
sources = rollout.paths


def store_path(environ: Mapping[str, str]) -> str | None:
    """codex's home directory."""
    return reading.place(environ, "CODEX_HOME", ".codex")


def native_id(session: Session, log_path: str) -> str | None:
    """From the log's first event, a moment after the start."""
    return log.find_thread(reading.head_lines(log_path))


def listing(session: Session) -> Listing:
    """`running` for any thread that has a session file, which does not say whether codex works on it.

    Never `absent`: a run can be told to keep no session file.
    """
    return Listing.UNAVAILABLE if _file(session, session.native_id) is None else Listing.RUNNING


def result(session: Session, log_path: str) -> Result:
    """From the log; from the session file the model, this run's share of the tokens, a missing verdict."""
    native = native_id(session, log_path)
    logged = log.read_run(reading.tail_lines(log_path), has_begun=native is not None)
    stored = _stored(session, native)
    turn = _turn_of(session, stored) if stored is not None else Turn()
    verdict, text = _verdict(logged, turn)
    # Without its share, how much of the sum an earlier run has used is unknown.
    is_first = session.resumed_from is None
    found = Result(
        verdict=verdict,
        text=text,
        native_id=native,
        model=turn.model,
        tokens=turn.tokens if turn.answers else logged.usage if is_first else Tokens(),
        turns=turn.answers or None,
        notes=_notes(logged, turn),
        transcript_path=stored.path if stored is not None else None,
        adapter_version=_version(session, stored) if stored is not None else None,
    )
    return reading.proved(session, found, log_path)


def _stored(session: Session, native: str | None) -> Rollout | None:
    path = _file(session, native)
    return rollout.read(path) if path is not None else None


def _file(session: Session, native: str | None) -> str | None:
    """The thread's session file; None if there is none, or nobody knows where to look."""
    return rollout.find(session.store_path, native) if native and session.store_path else None


def _turn_of(session: Session, stored: Rollout) -> Turn:
    """The first turn since the launch: later ones answer a queued message, or belong to a resume."""
    since = session.created_at
    turns = (turn for turn in stored.turns if turn.began_at is not None and turn.began_at >= since)
    return next(turns, Turn())


def _version(session: Session, stored: Rollout) -> str | None:
    """The release that made the thread, if this run made it: another release may continue a thread."""
    created = reading.timestamp(stored.meta.get("timestamp"))
    is_ours = created is not None and created >= session.created_at
    return string(stored.meta.get("cli_version")) if is_ours else None


def _verdict(logged: LoggedRun, turn: Turn) -> tuple[AgentVerdict, str | None]:
    """The verdict with the agent's last word or its error. Silent while nothing is decided."""
    if logged.verdict is AgentVerdict.ERROR:
        return AgentVerdict.ERROR, logged.error
    if logged.verdict is AgentVerdict.OK:
        return AgentVerdict.OK, logged.text or turn.text
    if turn.is_over:
        return turn.verdict, turn.text
    if logged.complaint is not None:
        return AgentVerdict.ERROR, logged.complaint
    return AgentVerdict.SILENT, logged.text


def _notes(logged: LoggedRun, turn: Turn) -> tuple[str, ...]:
    notes = list(dict.fromkeys(logged.warnings))
    if logged.retries:
        notes.append(retried(logged.retries))
    if turn.refused:
        count = len(turn.refused)
        which = "a command:" if count == 1 else f"{count} commands, most recently:"
        notes.append(f"the sandbox refused {which} {turn.refused[-1]}")
    return tuple(notes)


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The conversation from its session file, with its prompts; from the log without such a file."""
    path = _file(session, session.native_id)
    if path is not None:
        return stored_messages(reading.json_objects(reading.tail_lines(path)))
    return log_messages(reading.tail_lines(log_path))
