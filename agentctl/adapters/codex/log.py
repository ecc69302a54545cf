"""What `codex exec --json` writes: a stream of events among printed lines.

stdout and stderr share one file. Events are JSON objects, one a line. `turn.completed` and
`turn.failed` alone end a run; `error` may be followed by another attempt. Must not read any
file, nor know the store.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from agentctl.adapters.reading import json_object
from agentctl.adapters.values import integer, mapping, string
from agentctl.core.model import AgentVerdict, Tokens
from agentctl.core.text import one_line

NOISE = (
    "Reading additional input from stdin...",
    "Reading prompt from stdin...",
    "warning: Codex could not find bubblewrap on PATH.",
    "WARNING: proceeding, even though we could not create PATH aliases: ",
)
"""Beginnings of lines that every run prints on some machines, and that say nothing about it."""

# Compiled when first used: a listing reads no log.
_SHUTDOWN = r"ERROR codex_core::session: failed to record rollout items: thread .* not found"
_RETRY = r"(?s)Reconnecting\.\.\. (?:\d+/\d+|waiting for network)(?: \((.*)\))?$"
_ERROR = r"(?:Error|error|ERROR): (.+)"

LINE = 500
"""Width of an error or a note, in columns."""


class LoggedRun(NamedTuple):
    """What a log says about the run that wrote it. Anything that it does not say is None."""

    verdict: AgentVerdict = AgentVerdict.SILENT
    text: str | None = None
    """The last text of the assistant."""
    error: str | None = None
    usage: Tokens = Tokens()
    """Of the whole conversation, not only of this run."""
    retries: tuple[str, ...] = ()
    """Why calls of the model failed that codex retried."""
    warnings: tuple[str, ...] = ()
    complaint: str | None = None
    """The error printed by a run that reports no end."""


def find_thread(lines: Iterable[str]) -> str | None:
    """The thread's id, from the first event."""
    for line in lines:
        event = json_object(line)
        if event is not None and event.get("type") == "thread.started":
            return string(event.get("thread_id"))
    return None


def read_run(lines: Iterable[str], *, has_begun: bool) -> LoggedRun:
    """What these lines of one run's log say together."""
    run = LoggedRun()
    printed: list[str] = []
    retries: list[str] = []
    warnings: list[str] = []
    for line in lines:
        event = json_object(line)
        if event is not None and isinstance(event.get("type"), str):
            item = mapping(event.get("item"))
            if event["type"] == "error" and (reason := retry_reason(event)) is not None:
                retries.append(reason)
            elif event["type"] == "item.completed" and item.get("type") == "error":
                warnings.append(error_text(item))
            else:
                run = _after(run, event)
        elif line.strip() and not is_noise(line):
            printed.append(one_line(line, LINE))
    return run._replace(
        retries=tuple(retries),
        warnings=tuple(warnings),
        complaint=_complaint(printed, has_begun=has_begun),
    )


def _after(run: LoggedRun, event: dict[str, Any]) -> LoggedRun:
    """The run after this event."""
    match event["type"]:
        case "item.completed":
            item = mapping(event.get("item"))
            if item.get("type") == "agent_message":
                return run._replace(text=string(item.get("text")) or run.text)
        # A queued message may begin a second turn, which the ending process aborts.
        case "turn.completed" if run.verdict is AgentVerdict.SILENT:
            return run._replace(verdict=AgentVerdict.OK, usage=tokens(event.get("usage")))
        case "turn.failed" if run.verdict is AgentVerdict.SILENT:
            return run._replace(verdict=AgentVerdict.ERROR, error=error_text(event.get("error")))
    return run


def tokens(usage: object) -> Tokens:
    """A usage record's counts. As codex counts, `input` includes what was read from the cache."""
    counts = mapping(usage)
    return Tokens(
        input=integer(counts.get("input_tokens")),
        output=integer(counts.get("output_tokens")),
        cache_read=integer(counts.get("cached_input_tokens")),
        cache_write=integer(counts.get("cache_write_input_tokens")),
    )


def error_text(error: object) -> str:
    """An error record in one line; of a server's JSON only its message."""
    message = string(mapping(error).get("message")) or ""
    inner = json_object(message)
    if inner is not None:
        message = string(mapping(inner.get("error")).get("message")) or message
    return one_line(message, LINE) or "an error without a message"


def retry_reason(event: dict[str, Any]) -> str | None:
    """Why codex retries; None for an error that is not a retry."""
    match = re.match(_RETRY, string(event.get("message")) or "")
    return one_line(match[1] or "no reason given", LINE) if match else None


def is_noise(line: str) -> bool:
    """Whether this is a line that every run may print, and that says nothing about this one."""
    return line.startswith(NOISE) or re.search(_SHUTDOWN, line) is not None


def _complaint(printed: list[str], *, has_begun: bool) -> str | None:
    """The first printed error; of a run that did not begin, else the first printed line."""
    errors = (match[1] for line in printed if (match := re.match(_ERROR, line)))
    return next(errors, None if has_begun else next(iter(printed), None))
