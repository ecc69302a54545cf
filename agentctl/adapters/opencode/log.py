"""What `opencode run --format json --print-logs` writes: a stream of events among printed log lines.

stdout and stderr share one file. Events are JSON objects, one a line; none marks
the end. Must not read any file, nor know the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentctl.adapters.opencode.records import UNFINISHED
from agentctl.adapters.reading import json_object
from agentctl.adapters.values import integer, mapping, real_total, string, total
from agentctl.core.model import Tokens
from agentctl.core.text import one_line

# A session being created, in today's words and in those of release 1.2.
_CREATED = re.compile(r"(?:message=created|service=session) id=(ses_\w+) .*?\bversion=(\S+) .*\btitle=(.*)")
_BEGUN = re.compile(r"message=loop session\.id=|service=session\.prompt step=")
_STREAM = re.compile(r"(?:message=stream|service=llm) providerID=(\S+) modelID=(\S+) .*\bsmall=false")
_FAILED_CALL = re.compile(r'message="stream error" .*\bsmall=false')
_REJECTED = re.compile(r"permission requested: (.+); auto-rejecting")
_PRINTED = re.compile(r"timestamp=\S+ level=([A-Z]+) |(DEBUG|INFO|WARN|ERROR)\s+\d{4}-\S+ \+\d+ms ")
_FIELD = re.compile(r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S*)')

OVER = "disposing instance"
"""Printed by a run that ends by itself, whatever its result; a killed run does not print it."""

VAGUE = "Unexpected server error"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun:
    """What a log says about the run that wrote it. Anything that it does not say is None."""

    native_id: str | None = None
    version: str | None = None
    model: str | None = None
    text: str | None = None
    """The last text of the assistant."""
    finish: str | None = None
    """Why the last finished step ended."""
    error: str | None = None
    tokens: Tokens = Tokens()
    cost_usd: float | None = None
    turns: int | None = None
    rejected: tuple[str, ...] = ()
    """What the agent asked for and was denied."""
    failed_calls: tuple[str, ...] = ()
    """The errors of calls of the model; opencode retries most of them."""
    has_events: bool = False
    is_starting: bool = False
    """opencode prints, and has not reached the prompt: it may be opening its database."""
    has_begun: bool = False
    """The prompt was accepted."""
    is_over: bool = False
    complaint: str | None = None
    """The error printed by a run that never began."""


def read_run(lines: Sequence[str], *, title: str) -> LoggedRun:
    """What these lines of one run's log say together."""
    events: list[dict[str, Any]] = []
    printed: list[str] = []
    for line in lines:
        event = json_object(line)
        if event is not None and "type" in event:
            events.append(event)
        elif line:
            printed.append(one_line(line))
    steps = [mapping(event.get("part")) for event in events if event["type"] == "step_finish"]
    texts = [string(mapping(event.get("part")).get("text")) for event in events if event["type"] == "text"]
    created, version = find_created(lines, title=title)
    has_begun = bool(events) or any(_BEGUN.search(line) for line in printed)
    is_over = any(OVER in line for line in printed)
    complaint = None if events else _complaint(printed)
    streams = [match for line in printed if (match := _STREAM.search(line))]
    return LoggedRun(
        native_id=created,
        version=version,
        model="/".join(streams[0].groups()) if streams else None,  # a subagent's come later
        text=next((text for text in reversed(texts) if text), None),
        finish=_finish(events),
        error=_last_error(events, printed),
        tokens=sum_tokens(steps),
        cost_usd=sum_costs(steps),
        turns=len(steps) or None,
        rejected=tuple(dict.fromkeys(match[1] for line in printed if (match := _REJECTED.search(line)))),
        failed_calls=tuple(_failed_call(line) for line in printed if _FAILED_CALL.search(line)),
        has_events=bool(events),
        is_starting=any(map(_PRINTED.match, printed)) and not (has_begun or is_over or complaint),
        has_begun=has_begun,
        is_over=is_over,
        complaint=complaint,
    )


def _finish(events: Sequence[Mapping[str, Any]]) -> str | None:
    """Why the last step ended; None if it has not, or if another one was begun after an answer."""
    is_begun = False
    for event in reversed(events):
        if event["type"] == "step_finish":
            reason = string(mapping(event.get("part")).get("reason"))
            return None if is_begun and reason not in UNFINISHED else reason
        is_begun = is_begun or event["type"] == "step_start"
    return None


def find_created(lines: Iterable[str], *, title: str) -> tuple[str | None, str | None]:
    """The session's id and opencode's version: from the line that names our title, or the first event.

    A subagent's session is announced in the same words. The stream has only the parent's events.
    """
    found: str | None = None
    version: str | None = None
    for line in lines:
        event = json_object(line)
        if event is not None:
            if (session_id := string(event.get("sessionID"))) is not None:
                return session_id, version
        elif (match := _CREATED.search(line)) and "parentID=ses_" not in line:
            if match[3].lstrip('"').startswith(title):
                return match[1], match[2]
            if found is None:
                found, version = match[1], match[2]
    return found, version


def sum_tokens(records: Sequence[Mapping[str, Any]]) -> Tokens:
    """The counts of these steps or messages together; None for a count that none of them gives."""

    def of(*path: str) -> int | None:
        counts = []
        for record in records:
            value: object = record.get("tokens")
            for key in path:
                value = mapping(value).get(key)
            counts.append(integer(value))
        return total(counts)

    return Tokens(
        input=of("input"),
        output=of("output"),
        cache_read=of("cache", "read"),
        cache_write=of("cache", "write"),
    )


def sum_costs(records: Sequence[Mapping[str, Any]]) -> float | None:
    """What these steps or messages cost together, by opencode's own account."""
    return real_total(record.get("cost") for record in records)


def error_text(error: object) -> str | None:
    """An error record in one line; None for no error."""
    record = mapping(error)
    message = string(mapping(record.get("data")).get("message")) or string(record.get("message"))
    text = message or string(record.get("name")) or string(error)
    if text:
        return one_line(text)
    return "an error without a message" if error else None


def printed_line(line: str) -> tuple[str, str] | None:
    """Level and gist of a line that opencode's own logger printed; None for any other line."""
    match = _PRINTED.match(line)
    if match is None:
        return None
    level = match[1] or match[2]
    if match[2]:
        return level, one_line(line[match.end() :])
    fields = _fields(line)
    message = fields.get("message", "")
    detail = next((fields[key] for key in ("error", "error.error", "cause") if fields.get(key)), "")
    return level, one_line(f"{message}: {detail}" if message and detail else message or detail or line)


def _last_error(events: Sequence[Mapping[str, Any]], printed: Sequence[str]) -> str | None:
    """The error with which the run ended; None if a finished answer came after it."""
    for event in reversed(events):
        if event["type"] == "error":
            message = error_text(event.get("error") or "an error without a message")
            if message and VAGUE in message:
                return _cause(mapping(mapping(event.get("error")).get("data")), printed) or message
            return message
        if (
            event["type"] == "step_finish"
            and string(mapping(event.get("part")).get("reason")) not in UNFINISHED
        ):
            return None
    return None


def _cause(data: Mapping[str, Any], printed: Sequence[str]) -> str | None:
    """The error in the printed log to which the event only refers."""
    reference = string(data.get("ref"))
    errors = [_fields(line) for line in printed if " level=ERROR " in line]
    for fields in reversed(errors):
        if reference and fields.get("ref") == reference and fields.get("error"):
            return one_line(fields["error"])
    return None


def _failed_call(line: str) -> str:
    fields = _fields(line)
    return one_line(fields.get("error.error") or fields.get("error") or "the model's server failed")


def _complaint(printed: Sequence[str]) -> str | None:
    """The last `Error: …`, with the next line if the first says nothing."""
    for index in reversed(range(len(printed))):
        if printed[index].startswith("Error: "):
            following = printed[index + 1 : index + 2] if printed[index].endswith("Unexpected error") else []
            return one_line(": ".join([printed[index].removeprefix("Error: "), *following]))
    return None


def _fields(line: str) -> dict[str, str]:
    """The `key=value` pairs of a printed line, unquoted."""
    found: dict[str, str] = {}
    for key, value in _FIELD.findall(line):
        if value.startswith('"'):
            unquoted = json_object(f'{{"value": {value}}}')
            value = str(unquoted["value"]) if unquoted else value.strip('"')
        found.setdefault(key, value)
    return found
