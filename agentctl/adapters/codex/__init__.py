"""Codex: `codex exec --json` as a detached process, its log and its session files.

The log names the thread at once and ends with the verdict, unless the run was interrupted
or killed; then the session file is asked. A stop begins with INT, which codex records and
passes on to its tools; it may leave empty `.agents`, `.aws` and `.codex` directories in the
project when it interrupts a sandboxed command.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from agentctl.adapters import reading
from agentctl.adapters.base import Capability, Message, never_transient
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
from agentctl.adapters.values import string
from agentctl.core.model import AgentVerdict, Listing, Result, Rung, Session, Tokens

NAME = "codex"
SUMMARY = "OpenAI Codex CLI."
PROGRAM: str | None = "codex"
INSTALL: str | None = "npm install -g @openai/codex"
VERIFIED = "0.169.0"
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
LADDER: tuple[Rung, ...] = (Rung(2, timedelta(seconds=10)), Rung(9, timedelta(seconds=5)))
PROCESS_NAMES = frozenset({"codex"})

is_transient = never_transient

HEAD_BYTES = 256 * 1024
TAIL_BYTES = 4 * 1024 * 1024


def store_path(environ: Mapping[str, str]) -> str | None:
    """CODEX_HOME, or `.codex` in the home directory; None where the environment does not say."""
    home = environ.get("CODEX_HOME")
    if not home and environ.get("HOME"):
        home = os.path.join(environ["HOME"], ".codex")
    return home if home and os.path.isabs(home) else None


def native_id(session: Session, log_path: str) -> str | None:
    """From the log's first event, a moment after the start."""
    return log.find_thread(reading.head_lines(log_path, HEAD_BYTES))


def listing(session: Session) -> Listing:
    """`running` for a thread that is there: a session file does not tell whether it is at work.

    Never `absent`: a run that was told to keep no session file is at work all the same.
    """
    if session.native_id is None or session.store_path is None:
        return Listing.UNAVAILABLE
    found = rollout.find(session.store_path, session.native_id)
    return Listing.UNAVAILABLE if found is None else Listing.RUNNING


def sources(store_path: str) -> Iterable[str]:
    """The session files, but for archived ones: those were put away."""
    return rollout.paths(store_path)


def result(session: Session, log_path: str) -> Result:
    """From the log; from the session file the model, this run's share of the tokens, a missing verdict."""
    native = native_id(session, log_path)
    logged = log.read_run(reading.tail_lines(log_path, TAIL_BYTES), native_id=native)
    stored = _stored(session, native)
    turn = _turn_of(session, stored) if stored is not None else Turn("")
    verdict, text = _verdict(logged, turn)
    # Without its share nobody can tell what of the sum an earlier run has used.
    is_first = session.resumed_from is None
    return Result(
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


def _stored(session: Session, native: str | None) -> Rollout | None:
    if native is None or session.store_path is None:
        return None
    path = rollout.find(session.store_path, native)
    return rollout.read(path) if path is not None else None


def _turn_of(session: Session, stored: Rollout) -> Turn:
    """The first turn since the launch: a later one is of a message that was queued, or of a resume."""
    since = session.created_at
    turns = (turn for turn in stored.turns if turn.began_at is not None and turn.began_at >= since)
    return next(turns, Turn(""))


def _version(session: Session, stored: Rollout) -> str | None:
    """The release that made the thread, if that was this run: another one may go on with it."""
    created = rollout.timestamp(stored.meta.get("timestamp"))
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
        times = "once" if len(logged.retries) == 1 else f"{len(logged.retries)} times"
        notes.append(f"the model's server failed {times}, the last time with: {logged.retries[-1]}")
    if turn.refused:
        times = "a command" if len(turn.refused) == 1 else f"{len(turn.refused)} commands"
        notes.append(f"the sandbox refused {times}, the last time with: {turn.refused[-1]}")
    return tuple(notes)


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The conversation from its session file, with its prompts; from the log where there is no such file."""
    if session.native_id is not None and session.store_path is not None:
        path = rollout.find(session.store_path, session.native_id)
        if path is not None:
            return stored_messages(reading.json_objects(reading.tail_lines(path, TAIL_BYTES)))
    return log_messages(reading.tail_lines(log_path, TAIL_BYTES))
