"""What the runner's own records say about a session. `runner/__main__.py` lists them.

Must not read any file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agentctl.adapters.reading import json_object
from agentctl.adapters.showing import CUT_OFF
from agentctl.adapters.values import integer, mapping, real, string
from agentctl.core.model import AgentVerdict, Result, Tokens
from agentctl.core.signals import signal_name
from agentctl.core.text import one_line


def opened(lines: Iterable[str]) -> Result:
    """What is known once the agent has opened its session, without the state of the turn."""
    for record in _records(lines, "session"):
        return Result(
            native_id=string(record.get("id")),
            model=string(record.get("model")),
            adapter_version=string(record.get("agent")),
        )
    return Result()


def ended(lines: Sequence[str]) -> Result | None:
    """Everything, from the last record; None before the runner has written it."""
    record = next(_records(reversed(lines), "end"), None)
    if record is None:
        return None
    error, text = string(record.get("error")), string(record.get("text"))
    verdict = AgentVerdict.OK
    if error is not None:
        verdict, text = AgentVerdict.ERROR, one_line(error)
    elif record.get("stopped_by") is not None:
        verdict = AgentVerdict.SILENT
    usage = mapping(record.get("usage"))
    return Result(
        verdict=verdict,
        text=text,
        native_id=string(record.get("session")),
        model=string(record.get("model")),
        tokens=Tokens(
            input=integer(usage.get("inputTokens")),
            output=integer(usage.get("outputTokens")),
            cache_read=integer(usage.get("cachedReadTokens")),
            cache_write=integer(usage.get("cachedWriteTokens")),
        ),
        cost_usd=real(record.get("cost_usd")),
        notes=tuple(_notes(record)),
        adapter_version=string(record.get("agent")),
    )


def _notes(record: Mapping[str, Any]) -> Iterator[str]:
    if record.get("stop_reason") == "max_tokens":
        yield CUT_OFF
    denied = record.get("denied")
    titles = (
        [one_line(title) for title in denied if isinstance(title, str)] if isinstance(denied, list) else []
    )
    for title in dict.fromkeys(titles):
        yield f"permission for {title} was denied"
    if retries := integer(record.get("retries")):
        yield f"the agent retried its model's server {'once' if retries == 1 else f'{retries} times'}"
    yield from left(record)
    if lost := integer(record.get("lost_records")):
        yield f"records that could not be written to the log: {lost}"


def silence(lines: Sequence[str]) -> Iterator[str]:
    """Since when a live agent has sent nothing, if for long; it may be asking its model again and again."""
    for line in reversed(lines):
        for record in _records((line,), "quiet"):
            yield f"the agent had sent nothing for {integer(record.get('seconds'))} s at {record.get('at')}"
            return
        if next(_records((line,), "in"), None) is not None:
            return


def left(record: Mapping[str, Any]) -> Iterator[str]:
    """How the agent's process ended, if it did not end as it should."""
    code = integer(record.get("agent_exit"))
    if code is not None and code < 0:
        yield f"the agent's process was ended by {signal_name(-code)}"
    elif code:
        yield f"the agent's process exited with code {code}"


def _records(lines: Iterable[str], kind: str) -> Iterator[dict[str, Any]]:
    for line in lines:
        if f'"type": "{kind}"' in line[:100]:
            record = json_object(line)
            if record is not None and record.get("type") == kind:
                yield record
