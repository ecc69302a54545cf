"""OpenCode: `opencode run` as a detached process, its log and its stores.

Today's releases keep sessions in a database that cannot tell a running session from a
killed one, and print nothing until the model has answered. So its listing never says
`ended`, and what a run did is read from its own log before the store is asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentctl.adapters import reading
from agentctl.adapters.base import ALL_LOCAL, Message, Option
from agentctl.adapters.opencode import log, store
from agentctl.adapters.opencode.commands import launch_command as launch_command
from agentctl.adapters.opencode.commands import resume_command as resume_command
from agentctl.adapters.opencode.commands import title_of
from agentctl.adapters.opencode.discovery import discover as discover
from agentctl.adapters.opencode.discovery import match as match
from agentctl.adapters.opencode.log import LoggedRun
from agentctl.adapters.opencode.records import FINISHED, StoredRun, failure_of, finish_of, model_of
from agentctl.adapters.opencode.rendering import log_messages as log_messages
from agentctl.adapters.opencode.rendering import stored_messages
from agentctl.adapters.opencode.store import store_path as store_path
from agentctl.adapters.showing import CUT_OFF, retried
from agentctl.adapters.values import string
from agentctl.core.model import TERM_THEN_KILL, AgentVerdict, Listing, Result, Session

NAME = "opencode"
SUMMARY = "OpenCode, with any model of any provider."
PROGRAM = "opencode"
INSTALL = "npm install -g opencode-ai"
VERIFIED = "1.18.33 (JSON store: 1.1.65)"
CAPABILITIES = ALL_LOCAL
LADDER = TERM_THEN_KILL
PROCESS_NAMES = frozenset({"opencode", "opencode.exe"})
OPTIONS = (Option("agent", "OpenCode's own agent; its configured one by default."),)

sources = store.databases


def native_id(session: Session, log_path: str) -> str | None:
    """From the log, which names the session a second after the start, long before the first answer.

    The database is read only once the log shows that opencode has opened it: a look before
    that can make opencode fail.
    """
    lines = reading.head_lines(log_path)
    run = log.read_run(lines, title=title_of(session.id))
    if run.native_id is not None or not run.has_begun or session.store_path is None:
        return run.native_id
    return store.id_by_title(session.store_path, title_of(session.id))


def listing(session: Session) -> Listing:
    """`running` for any stored session: the store does not know more. `absent` only by a complete look."""
    if session.native_id is None or session.store_path is None:
        return Listing.UNAVAILABLE
    match store.is_listed(session.store_path, session.native_id):
        case True:
            return Listing.RUNNING
        case False:
            return Listing.ABSENT
        case None:
            return Listing.UNAVAILABLE


def result(session: Session, log_path: str) -> Result:
    """From the log's end, and from the store what the log lacks."""
    lines = reading.tail_lines(log_path)
    logged = log.read_run(lines, title=title_of(session.id))
    is_whole = reading.size(log_path) <= reading.TAIL_BYTES
    native = session.native_id or logged.native_id
    stored: StoredRun | None = None
    if native and session.store_path and not logged.is_starting and not (is_whole and _is_enough(logged)):
        # A predecessor's messages are older than this row.
        since = int(session.created_at.timestamp() * 1000)
        stored = store.run(session.store_path, native, since)
    steps = [message for message in stored.messages if finish_of(message)] if stored else []
    from_log = is_whole and logged.turns is not None
    is_over = logged.is_over or session.exit_code == 0
    verdict, text = _verdict(logged, stored, is_over=is_over)
    found = Result(
        verdict=verdict,
        text=text,
        native_id=logged.native_id or native,
        model=logged.model or (_stored_model(stored) if stored else None),
        tokens=logged.tokens if from_log else log.sum_tokens(steps),
        cost_usd=logged.cost_usd if from_log else log.sum_costs(steps),
        turns=logged.turns if from_log else len(steps) or None,
        notes=_notes(logged),
        transcript_path=session.store_path,
        adapter_version=logged.version or (stored.session.version if stored else None),
    )
    return reading.proved(session, found, log_path)


def _is_enough(logged: LoggedRun) -> bool:
    """Whether the store cannot add anything to this log, for example before the first answer."""
    is_waiting = logged.has_begun and not logged.is_over
    return bool(logged.model and logged.version and (logged.has_events or is_waiting))


def _verdict(
    logged: LoggedRun, stored: StoredRun | None, *, is_over: bool
) -> tuple[AgentVerdict, str | None]:
    """The verdict with the agent's last word or its error. Silent while nothing is decided."""
    newest = stored.messages[-1] if stored and stored.messages else {}
    error, finish, text = logged.error, logged.finish, logged.text
    if not logged.has_events:
        error = log.error_text(newest.get("error")) or logged.complaint
        finish = finish_of(newest)
        text = _last_text(stored)
    if error:
        return AgentVerdict.ERROR, error
    if finish in FINISHED:
        return AgentVerdict.OK, text
    if failure := failure_of(finish):
        return AgentVerdict.ERROR, failure
    if finish and logged.rejected:
        return AgentVerdict.ERROR, f"stopped early: permission {logged.rejected[-1]} was rejected"
    if finish is None or not is_over:
        return AgentVerdict.SILENT, text
    return AgentVerdict.ERROR, f"stopped early: the last step ended with {finish!r} and none followed"


def _stored_model(stored: StoredRun) -> str | None:
    return stored.session.model or model_of(stored.messages[-1] if stored.messages else None)


def _last_text(stored: StoredRun | None) -> str | None:
    newest = stored.messages[-1] if stored and stored.messages else {}
    if stored is None or newest.get("role") != "assistant":
        return None
    texts = [string(part.get("text")) for part in stored.last_parts if part.get("type") == "text"]
    return next((text for text in reversed(texts) if text), None)


def _notes(logged: LoggedRun) -> tuple[str, ...]:
    notes = [f"permission {what} was rejected" for what in logged.rejected]
    if logged.finish == "length":
        notes.append(CUT_OFF)
    failed = len(logged.failed_calls)
    if failed > 1 or (failed and not logged.error):
        notes.append(retried(logged.failed_calls))
    return tuple(notes)


def is_transient(exit_code: int, log_path: str) -> bool:
    """Two opencodes that start together can find the database locked or incomplete before they begin."""
    if exit_code != 1:
        return False
    lines = reading.tail_lines(log_path)
    run = log.read_run(lines, title="")
    if run.native_id is not None or run.has_begun:
        return False
    return any("database is locked" in line or "CREATE TABLE `workspace`" in line for line in lines)


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The conversation from the store, with its prompts; from the log if the store does not have it."""
    native = session.native_id
    if native is not None and session.store_path is not None:
        found = store.conversation(session.store_path, native)
        if found:
            return (message for stored in found for message in stored_messages(stored))
    return log_messages(reading.tail_lines(log_path))
