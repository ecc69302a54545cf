"""What `claude -p --output-format stream-json --verbose` writes: one JSON object a line.

stdout and stderr share one file, so there may be plain text among the events. Each turn begins
with an `init` line and ends with a `result` line; a run may have several turns. Must not
read any file, nor know the transcript.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from agentctl.adapters.reading import json_object
from agentctl.adapters.showing import CUT_OFF, GOES_ON, retried, telling
from agentctl.adapters.values import integer, mapping, mappings, real, string, total
from agentctl.core.model import Tokens
from agentctl.core.text import one_line

SYNTHETIC = "<synthetic>"
"""The model of messages that the CLI itself made."""

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
    is_over: bool = False
    """Nothing of a further turn comes after the last `result` line."""
    text: str | None = None
    """The model's last words, which a `result` line may leave out."""
    open_call: str | None = None
    """The tool of a call without an answer."""
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
    said = [event for event in events if _is_models(event)]
    text, open_call = _last_words(said, events)
    return LoggedRun(
        native_id=next((found for found in ids if found), None),
        version=string(first.get("claude_code_version")),
        model=string(first.get("model")),
        results=results,
        is_over=_is_over(events),
        text=text,
        open_call=open_call,
        has_begun=bool(events),
        failed_calls=tuple(failure_of(event) for event in retries),
        complaint=None if events else _complaint(printed),
    )


def _is(event: Mapping[str, Any], kind: str, subtype: str) -> bool:
    return event.get("type") == kind and event.get("subtype") == subtype


def _is_models(event: Mapping[str, Any]) -> bool:
    """Whether this is a message of the model itself, not of a subagent or of claude in its place."""
    is_subagents = string(event.get("parent_tool_use_id")) is not None
    model = mapping(event.get("message")).get("model")
    return event.get("type") == "assistant" and not is_subagents and model != SYNTHETIC


def _is_over(events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a `result` line comes after the newest turn's beginning and messages."""
    for event in reversed(events):
        if event.get("type") == "result":
            return True
        if _is(event, "system", "init") or _is_models(event):
            return False
    return False


def _last_words(
    said: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]
) -> tuple[str | None, str | None]:
    """The last text among these messages, and the tool of the last call that has no answer."""
    text: str | None = None
    calls: dict[str, str] = {}
    for event in said:
        for block in mappings(mapping(event.get("message")).get("content")):
            if block.get("type") == "text":
                text = string(block.get("text")) or text
            elif block.get("type") == "tool_use":
                calls[string(block.get("id")) or ""] = string(block.get("name")) or "a tool"
    for event in events:
        for block in mappings(mapping(event.get("message")).get("content")):
            calls.pop(string(block.get("tool_use_id")) or "", None)
    return text, next(reversed(calls.values()), None)


def failure_of(event: Mapping[str, Any]) -> str:
    """Why a call of the model failed, of an `api_retry` line: `500 server_error`."""
    parts = (integer(event.get("error_status")), string(event.get("error")))
    return one_line(" ".join(str(part) for part in parts if part)) or "no reason given"


FINISHED = frozenset({"end_turn", "stop_sequence", "max_tokens"})
"""Values of `stop_reason` with which an answer is complete, or was cut off only by its length."""


def error_of(result: Mapping[str, Any]) -> str | None:
    """Why this `result` line reports no success, in one line; None for a success.

    Only a finished turn is one: `is_error` is also false where claude ran out of turns, stopped
    at a call of a tool, or was refused an answer.
    """
    reason = string(result.get("terminal_reason")) or ""
    if reason.startswith("aborted"):
        return f"interrupted ({one_line(reason)})"
    unfinished = _unfinished(result)
    if result.get("is_error") is not True and unfinished is None:
        return None
    errors = result.get("errors")
    said = [string(error) for error in errors] if isinstance(errors, list) else []
    text = string(result.get("result")) if unfinished is None or result.get("is_error") is True else None
    text = text or "; ".join(text for text in said if text)
    return one_line(text) or unfinished or "an error without a message"


def is_deferred(result: Mapping[str, Any]) -> bool:
    """Whether a hook put a call of a tool off: claude makes it once the conversation is resumed."""
    return "tool_deferred" in (result.get("stop_reason"), result.get("terminal_reason"))


def _unfinished(result: Mapping[str, Any]) -> str | None:
    """What this line says in place of a finished turn, in claude's own word; None for one."""
    subtype, ended = string(result.get("subtype")), string(result.get("terminal_reason"))
    stop = string(result.get("stop_reason"))
    if subtype not in (None, "success"):
        return one_line(subtype)
    if is_deferred(result):
        return "stopped at a call of a tool that was put off (tool_deferred)"
    if ended not in (None, "completed"):
        return f"the turn was not finished ({one_line(ended)})"
    if stop == "refusal":
        return "the model refused to answer (refusal)"
    if stop == "tool_use":
        return "stopped at a call of a tool (tool_use)"
    if stop is not None and stop not in FINISHED:
        return f"the turn was not finished ({one_line(stop)})"
    return None


def notes_of(run: LoggedRun) -> tuple[str, ...]:
    """What a person should know about this run: denied tools, a truncated answer, failed calls."""
    denials = [denial for result in run.results for denial in mappings(result.get("permission_denials"))]
    denied = list(dict.fromkeys(f"permission denied: {_call(denial)}" for denial in denials))
    notes = denied[:SHOWN_DENIALS]
    if len(denied) > SHOWN_DENIALS:
        notes.append(f"permission denied: {len(denied) - SHOWN_DENIALS} more calls")
    if run.results and run.results[-1].get("stop_reason") == "max_tokens":
        notes.append(CUT_OFF)
    if run.results and is_deferred(run.results[-1]):
        notes.append(GOES_ON)
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
    """The totals of a `result` or `cost-state` line, subagents included; None where it has none.

    A line without `modelUsage`, as older releases write it, leaves the tokens unknown.
    """
    usages = [mapping(usage) for usage in mapping(record.get("modelUsage")).values()]
    cost = real(record.get("total_cost_usd", record.get("totalCostUSD")))
    if not usages and cost is None:
        return None
    keys = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    counts = [total(integer(usage.get(key)) or 0 for usage in usages) for key in keys]
    if usages:
        return Spent(Tokens(*counts), cost)
    return Spent(Tokens(0, 0, 0, 0) if isinstance(record.get("modelUsage"), dict) else Tokens(), cost)


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
    is_known = total.tokens != Tokens()
    cost = None if total.cost_usd is None else total.cost_usd - (before.cost_usd or 0)
    if (is_known and min(counts) < 0) or (cost is not None and cost < 0):
        return None
    return Spent(Tokens(*counts) if is_known else Tokens(), cost)


def _complaint(printed: Sequence[str]) -> str | None:
    """The last line marked as an error, else the last line: claude explains itself before it exits."""
    errors = [line for line in printed if line.lower().startswith("error: ")]
    if errors:
        return errors[-1][len("error: ") :]
    others = [line for line in printed if not line.startswith(("Warning", "[claude-code:"))]
    return others[-1] if others else None
