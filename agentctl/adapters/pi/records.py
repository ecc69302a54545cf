"""What pi's JSON says: its stream of events and its session files share one shape of message.

Both programs called pi use it, the TypeScript one and its Rust port. A run's outcome is the
`stopReason` of its last answer: in json mode the exit code says nothing. Must not read any
file, nor show anything to people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from agentctl.adapters.reading import json_object
from agentctl.adapters.showing import CUT_OFF, retried
from agentctl.adapters.values import integer, mapping, mappings, real_total, string, total
from agentctl.core.model import AgentVerdict, Result, Tokens
from agentctl.core.text import one_line

_ENDS = frozenset({"agent_end", "agent_settled", "auto_retry_end"})
_READ = frozenset({"session", "message_end"})
_GOES_ON = frozenset({"turn_start", "message_start", "message_update", "tool_execution_start"})
_FAILED = frozenset({"error", "aborted"})
_FINISHED = frozenset({"stop", "length"})
_ERROR = re.compile(r"(?:\w*Error): (.+)")
_WARNING = "Warning: "
_KIND = re.compile(r'\{"type":"(\w+)"')


class LoggedRun(NamedTuple):
    """What a log says about the run that wrote it. Anything that it does not say is None or empty."""

    native_id: str | None = None
    answers: tuple[Mapping[str, Any], ...] = ()
    """The assistant's finished messages, oldest first; also those that only report a failed call."""
    is_open: bool = False
    """After the last event another one has to follow."""
    is_cut: bool = False
    """More was begun after the last answer, and nothing says how it ended."""
    has_begun: bool = False
    """The prompt was accepted."""
    complaint: str | None = None
    """The error that was printed among the events."""
    warnings: tuple[str, ...] = ()


def read_log(lines: Iterable[str]) -> LoggedRun:
    """What these lines of one run's log say together."""
    native_id: str | None = None
    answers: list[Mapping[str, Any]] = []
    printed: list[str] = []
    is_open = is_cut = has_begun = False
    for line in lines:
        kind = kind_of(line)
        if kind is None:
            printed.append(line)
            continue
        event = (json_object(line) if kind in _READ else None) or {}
        if kind == "session":
            native_id = native_id or string(event.get("id"))
        elif (answer := answer_of(event)) is not None:
            answers.append(answer)
            is_cut = False
        if kind != "entry_appended":  # this one may come at any time
            is_open = kind not in _ENDS
            is_cut = is_open and (is_cut or kind in _GOES_ON)
        has_begun = has_begun or kind != "session"
    return LoggedRun(
        native_id=native_id,
        answers=tuple(answers),
        is_open=is_open,
        is_cut=is_cut,
        has_begun=has_begun,
        complaint=_complaint(printed, has_begun=has_begun),
        warnings=tuple(
            dict.fromkeys(
                one_line(line.removeprefix(_WARNING)) for line in printed if line.startswith(_WARNING)
            )
        ),
    )


def kind_of(line: str) -> str | None:
    """The type of the event that a line is; None for other text.

    Most of a log repeats earlier text at length: such lines are skipped without being parsed.
    """
    if (match := _KIND.match(line)) is not None:
        return match[1]
    event = json_object(line)
    return string(event.get("type")) if event else None


def answer_of(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The assistant's message of an event or of a line of a session file; None for any other."""
    message = mapping(record.get("message"))
    return message if message.get("role") == "assistant" else None


def result_of(run: LoggedRun, *, exit_code: int | None, file: str | None, is_complete: bool) -> Result:
    """A run's own account of itself; its sums only if all its answers are known."""
    verdict, text = verdict_of(run, exit_code=exit_code)
    counted = run.answers if is_complete else ()
    return Result(
        verdict=verdict,
        text=text,
        native_id=run.native_id,
        model=model_of(run.answers),
        tokens=tokens_of(counted),
        cost_usd=cost_of(counted),
        turns=turns_of(counted),
        notes=notes_of(run),
        transcript_path=file,
    )


def verdict_of(run: LoggedRun, *, exit_code: int | None) -> tuple[AgentVerdict, str | None]:
    """The verdict with the agent's last word, or its error in one line. Silent while nothing is decided."""
    last = run.answers[-1] if run.answers else {}
    stop = string(last.get("stopReason"))
    if run.is_open and exit_code is None and not (run.complaint and not run.has_begun):
        return AgentVerdict.SILENT, last_text(run.answers)
    if stop in _FINISHED and not run.is_cut:
        return AgentVerdict.OK, text_of(last) or None
    if stop in _FAILED:
        return AgentVerdict.ERROR, error_text(last)
    if run.complaint is not None:
        return AgentVerdict.ERROR, run.complaint
    if not run.answers or stop in _FINISHED:
        return AgentVerdict.SILENT, last_text(run.answers)
    return AgentVerdict.ERROR, f"stopped early: the last answer ended with {stop!r} and none followed"


def notes_of(run: LoggedRun) -> tuple[str, ...]:
    """What a person should know about a run: its warnings, a truncated answer, failed calls."""
    notes = list(run.warnings)
    if run.answers and run.answers[-1].get("stopReason") == "length":
        notes.append(CUT_OFF)
    failed = [answer for answer in run.answers if answer.get("stopReason") == "error"]
    if len(failed) > 1 or (failed and run.answers[-1] is not failed[-1]):
        notes.append(retried([error_text(answer) for answer in failed]))
    return tuple(notes)


def text_of(message: Mapping[str, Any]) -> str:
    """What a message says, without its thoughts and tools."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = mappings(content)
    return "".join(string(part.get("text")) or "" for part in parts if part.get("type") == "text")


def last_text(answers: Sequence[Mapping[str, Any]]) -> str | None:
    """The last thing that the assistant said."""
    return next((text for answer in reversed(answers) if (text := text_of(answer))), None)


def error_text(answer: Mapping[str, Any]) -> str:
    """Why an answer failed, in one line."""
    text = one_line(string(answer.get("errorMessage")) or "")
    return text or ("the turn was aborted" if answer.get("stopReason") == "aborted" else "unknown error")


def model_of(answers: Sequence[Mapping[str, Any]]) -> str | None:
    """`provider/model` of the last answer."""
    last = answers[-1] if answers else {}
    provider, model = string(last.get("provider")), string(last.get("model"))
    return f"{provider}/{model}" if provider and model else None


def turns_of(answers: Sequence[Mapping[str, Any]]) -> int | None:
    """How many answers the model gave; None for none."""
    return sum(answer.get("stopReason") not in _FAILED for answer in answers) or None


def tokens_of(answers: Sequence[Mapping[str, Any]]) -> Tokens:
    """The counts of these answers together; None for a count that none of them gives."""
    usages = _usages(answers)

    def of(key: str) -> int | None:
        return total(integer(usage.get(key)) for usage in usages)

    return Tokens(
        input=of("input"),
        output=of("output"),
        cache_read=of("cacheRead"),
        cache_write=of("cacheWrite"),
    )


def cost_of(answers: Sequence[Mapping[str, Any]]) -> float | None:
    """What these answers cost together, by pi's own account."""
    return real_total(mapping(usage.get("cost")).get("total") for usage in _usages(answers))


def _usages(answers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Usage records that count something: a call that failed at once has a row of zeros."""
    usages = [(answer, mapping(answer.get("usage"))) for answer in answers]
    return [
        usage
        for answer, usage in usages
        if answer.get("stopReason") not in _FAILED or any(integer(value) for value in usage.values())
    ]


def _complaint(printed: Sequence[str], *, has_begun: bool) -> str | None:
    """The first printed error; before the prompt was accepted, else the first line but a warning."""
    errors = (match[1] for line in printed if (match := _ERROR.match(line)))
    others = (line for line in printed if line.strip() and not line.startswith(_WARNING))
    found = next(errors, None) or (None if has_begun else next(others, None))
    return one_line(found) if found else None
