"""Claude Code: `claude -p` as a detached process, its stream of events and its transcripts.

The session's id is chosen before the start. The last `result` line of the log is the
agent's own verdict; claude may work on after one, so none of them says that it has ended.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from agentctl.adapters import reading
from agentctl.adapters.base import ALL_LOCAL, Message, Option, never_transient
from agentctl.adapters.claude_code import log, transcript
from agentctl.adapters.claude_code.commands import PERMISSION_MODES
from agentctl.adapters.claude_code.commands import launch_command as launch_command
from agentctl.adapters.claude_code.commands import resume_command as resume_command
from agentctl.adapters.claude_code.discovery import discover as discover
from agentctl.adapters.claude_code.discovery import match as match
from agentctl.adapters.claude_code.discovery import sources as sources
from agentctl.adapters.claude_code.log import LoggedRun, Spent
from agentctl.adapters.claude_code.rendering import log_messages as log_messages
from agentctl.adapters.claude_code.rendering import transcript_messages
from agentctl.adapters.claude_code.transcript import StoredRun
from agentctl.adapters.claude_code.transcript import store_path as store_path
from agentctl.adapters.values import integer, string, total
from agentctl.core.model import TERM_THEN_KILL, AgentVerdict, Listing, Result, Session, Tokens
from agentctl.core.text import one_line

NAME = "claude-code"
SUMMARY = "Claude Code, by Anthropic."
PROGRAM = "claude"
INSTALL = "npm install -g @anthropic-ai/claude-code"
VERIFIED = "2.1.332 (transcripts and logs also of 2.1.197)"
CAPABILITIES = ALL_LOCAL
LADDER = TERM_THEN_KILL
"""Never INT: claude then exits with code 0, as after a success."""
PROCESS_NAMES = frozenset({"claude", "claude.exe"})
OPTIONS = (
    Option(
        "permission_mode",
        "What claude may do without asking; claude's own setting by default. Nobody can be asked in a"
        " detached run: mode default denies edits and most commands, and the run still succeeds (its"
        " notes name them); acceptEdits lets claude write in its directory; bypassPermissions lets it run"
        " anything.",
        choices=PERMISSION_MODES,
    ),
    Option(
        "use_api_key",
        "Pass on ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN and ANTHROPIC_BASE_URL, so that the key is"
        " billed and not the subscription; false by default.",
        kind=bool,
    ),
    Option(
        "config_dirs",
        "Further directories like ~/.claude whose sessions are listed, too; none by default. A resumed"
        " session runs with its own.",
        kind=list,
    ),
)

is_transient = never_transient


def native_id(session: Session, log_path: str) -> str | None:
    """From the first event; needed only where the launch did not choose the id."""
    return log.read_run(reading.head_lines(log_path)).native_id


def listing(session: Session) -> Listing:
    """`running` if there is a transcript, else `unavailable`: its absence proves nothing.

    claude works on without a transcript where it cannot write, and where its settings keep none.
    """
    if session.native_id is None or session.store_path is None:
        return Listing.UNAVAILABLE
    is_there = transcript.find(session.store_path, session.native_id) is not None
    return Listing.RUNNING if is_there else Listing.UNAVAILABLE


def result(session: Session, log_path: str) -> Result:
    """From the log's `result` lines, and from the transcript what a run that was cut short did not print."""
    logged = _logged(log_path)
    path = _transcript(session, logged.native_id)
    # A launch gives claude the session's own id, so any other id belongs to an earlier session.
    is_resumed = session.native_id not in (None, session.id)
    stored = StoredRun()
    if path is not None and (is_resumed or not logged.is_over):
        stored = transcript.run_since(path, session.created_at)
    verdict, text = _verdict(logged, stored)
    spent = _spent(logged, stored, is_resumed=is_resumed)
    found = Result(
        verdict=verdict,
        text=text,
        native_id=logged.native_id,
        model=logged.model or stored.model,
        tokens=spent.tokens,
        cost_usd=spent.cost_usd,
        turns=total(integer(line.get("num_turns")) for line in logged.results),
        notes=log.notes_of(logged),
        transcript_path=path,
        adapter_version=logged.version or stored.version,
    )
    return reading.proved(session, found, log_path)


def _logged(log_path: str) -> LoggedRun:
    """The log's end, and the head of a long one: ids and model come first, the result comes last."""
    logged = log.read_run(reading.tail_lines(log_path))
    if reading.size(log_path) <= reading.TAIL_BYTES:
        return logged
    first = log.read_run(reading.head_lines(log_path))
    return logged._replace(
        native_id=first.native_id or logged.native_id,
        version=first.version or logged.version,
        model=first.model or logged.model,
        complaint=None if first.has_begun else logged.complaint,
    )


def _transcript(session: Session, logged_id: str | None) -> str | None:
    if session.transcript_path is not None and os.path.isfile(session.transcript_path):
        return session.transcript_path
    native = session.native_id or logged_id
    return transcript.find(session.store_path, native) if session.store_path and native else None


def _verdict(logged: LoggedRun, stored: StoredRun) -> tuple[AgentVerdict, str | None]:
    """The verdict with the agent's last word or its error. Silent while nothing is decided."""
    if logged.is_over:
        last = logged.results[-1]
        text = string(last.get("result")) or logged.text
        error = log.error_of(last)
        if error is None and not string(last.get("stop_reason")) and not text and logged.open_call:
            error = f"stopped at a call of {logged.open_call}"
        return (AgentVerdict.OK, text) if error is None else (AgentVerdict.ERROR, error)
    if stored.turn is not None:
        return stored.turn.verdict, stored.turn.text
    if logged.complaint is not None:
        return AgentVerdict.ERROR, one_line(logged.complaint)
    return AgentVerdict.SILENT, None


def _spent(logged: LoggedRun, stored: StoredRun, *, is_resumed: bool) -> Spent:
    """Tokens and cost of this run alone.

    claude's totals are those of the whole conversation, so what it had cost before is
    subtracted; where that is unknown, only the counts of each turn or message are this run's own.
    """
    total = log.spent_by_models(logged.results[-1]) if logged.results else stored.after
    before = stored.before if is_resumed else Spent()
    usages = [line.get("usage") for line in logged.results] or list(stored.usages)
    if total is not None and before is not None and (own := log.minus(total, before)) is not None:
        return own if own.tokens != Tokens() else own._replace(tokens=log.sum_usage(usages))
    return Spent(log.sum_usage(usages))


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The conversation from its transcript, with its prompts; from the log without a transcript."""
    path = _transcript(session, None)
    if path is not None:
        lines = reading.tail_lines(path, transcript.RUN_BYTES)
        return transcript_messages(reading.json_objects(lines))
    return log_messages(reading.tail_lines(log_path))
