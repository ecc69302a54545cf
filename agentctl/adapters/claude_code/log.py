"""What `claude -p --output-format stream-json --verbose` writes: one JSON object a line.

stdout and stderr share one file, so there may be plain text among the events. Each turn begins
with an `init` line and ends with a `result` line; a run may have several turns. Must not
read any file, nor know the transcript.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from agentctl.adapters.reading import json_object
from agentctl.adapters.showing import CUT_OFF, retried, telling
from agentctl.adapters.values import integer, mapping, mappings, real, string, total
from agentctl.core.model import Tokens
from agentctl.core.text import one_line

SHOWN_DENIALS = 5
"""Denied calls that the notes name one by one."""


class Spent(NamedTuple):
    """Tokens and cost, of a run or of a conversation up to some point."""

    tokens: Tokens = Tokens()
    cost_usd: float | None = None


class LoggedRun(NamedTuple):
    """What a log says about the run that wrote it. Anything that it does not say is None."""

    native_id: str | None = None
    version: str | None = None
    model: str | None = None
    results: tuple[Mapping[str, Any], ...] = ()
    """The `result` lines, one of each turn."""
    has_begun: bool = False
    """claude has written events."""
    failed_calls: tuple[str, ...] = ()
    """The errors of calls of the model that were tried again."""
    complaint: str | None = None
    """What a run that never began printed as its error."""


def read_run(lines: Iterable[str]) -> LoggedRun:
    """What these lines of one run's log say together."""
    events: list[Mapping[str, Any]] = []
    printed: list[str] = []
    for line in lines:
        event = json_object(line)
        if event is not None and "type" in event:
            events.append(event)
        elif line.strip():
            printed.append(one_line(line))
    inits = [event for event in events if _is(event, "system", "init")]
    first = inits[0] if inits else {}
    results = tuple(event for event in events if event.get("type") == "result")
    ids = (string(event.get("session_id")) for event in (*inits, *results))
    retries = [event for event in events if _is(event, "system", "api_retry")]
    return LoggedRun(
        native_id=next((found for found in ids if found), None),
        version=string(first.get("claude_code_version")),
        model=string(first.get("model")),
        results=results,
        has_begun=bool(events),
        failed_calls=tuple(failure_of(event) for event in retries),
        complaint=None if events else _complaint(printed),
    )


def _is(event: Mapping[str, Any], kind: str, subtype: str) -> bool:
    return event.get("type") == kind and event.get("subtype") == subtype


def failure_of(event: Mapping[str, Any]) -> str:
    """Why a call of the model failed, of an `api_retry` line: `500 server_error`."""
    parts = (integer(event.get("error_status")), string(event.get("error")))
    return one_line(" ".join(str(part) for part in parts if part)) or "no reason given"


def error_of(result: Mapping[str, Any]) -> str | None:
    """The error that this `result` line reports, in one line; None for a success."""
    if result.get("is_error") is not True:
        return None
    reason = string(result.get("terminal_reason")) or ""
    if reason.startswith("aborted"):
        return f"interrupted ({one_line(reason)})"
    errors = result.get("errors")
    said = [string(error) for error in errors] if isinstance(errors, list) else []
    text = string(result.get("result")) or "; ".join(text for text in said if text)
    return one_line(text) or one_line(string(result.get("subtype")) or "") or "an error without a message"


def notes_of(run: LoggedRun) -> tuple[str, ...]:
    """What a person should know about this run: denied tools, a truncated answer, failed calls."""
    denials = [denial for result in run.results for denial in mappings(result.get("permission_denials"))]
    denied = list(dict.fromkeys(f"permission denied: {_call(denial)}" for denial in denials))
    notes = denied[:SHOWN_DENIALS]
    if len(denied) > SHOWN_DENIALS:
        notes.append(f"permission denied: {len(denied) - SHOWN_DENIALS} more calls")
    if run.results and run.results[-1].get("stop_reason") == "max_tokens":
        notes.append(CUT_OFF)
    if run.failed_calls:
        notes.append(retried(run.failed_calls))
    return tuple(notes)


def _call(denial: Mapping[str, Any]) -> str:
    name = string(denial.get("tool_name")) or "a tool"
    return one_line(f"{name} {gist(denial.get('tool_input'))}", 160)


def gist(given: object) -> str:
    """What a tool was asked to do, in a few words."""
    return one_line(telling(given) or "", 120)


def spent_by_models(record: Mapping[str, Any]) -> Spent | None:
    """The totals of a `result` or `cost-state` line, subagents included; None where it has none."""
    usages = [mapping(usage) for usage in mapping(record.get("modelUsage")).values()]
    cost = real(record.get("total_cost_usd", record.get("totalCostUSD")))
    if not usages and cost is None:
        return None
    keys = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    counts = [total(integer(usage.get(key)) or 0 for usage in usages) for key in keys]
    return Spent(Tokens(*counts) if usages else Tokens(0, 0, 0, 0), cost)


def sum_usage(usages: Sequence[object]) -> Tokens:
    """The counts of these `usage` records together; None for a count that none of them gives."""

    def of(key: str) -> int | None:
        return total(integer(mapping(usage).get(key)) for usage in usages)

    return Tokens(
        input=of("input_tokens"),
        output=of("output_tokens"),
        cache_read=of("cache_read_input_tokens"),
        cache_write=of("cache_creation_input_tokens"),
    )


def minus(total: Spent, before: Spent) -> Spent | None:
    """What was spent since `before`; None if one of the counts went down."""
    pairs = zip(total.tokens, before.tokens, strict=True)
    counts = [(now or 0) - (then or 0) for now, then in pairs]
    cost = None if total.cost_usd is None else total.cost_usd - (before.cost_usd or 0)
    if min(counts) < 0 or (cost is not None and cost < 0):
        return None
    return Spent(Tokens(*counts), cost)


def _complaint(printed: Sequence[str]) -> str | None:
    """The last line marked as an error, else the last line: claude explains itself before it exits."""
    errors = [line for line in printed if line.lower().startswith("error: ")]
    if errors:
        return errors[-1][len("error: ") :]
    others = [line for line in printed if not line.startswith(("Warning", "[claude-code:"))]
    return others[-1] if others else None
