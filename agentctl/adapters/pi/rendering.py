"""pi's events and messages as entries of a conversation, for people.

Must not read any file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentctl.adapters.base import Message, Role
from agentctl.adapters.pi import records
from agentctl.adapters.reading import instant, json_object
from agentctl.adapters.showing import printed, telling
from agentctl.adapters.values import integer, mapping, mappings, string
from agentctl.core.text import one_line

_SHOWN = frozenset({"message_end", "tool_execution_start", "tool_execution_end", "auto_retry_start"})


def log_messages(lines: Iterable[str]) -> Iterator[Message]:
    """Events as what was said and done, each as soon as it is whole; other text as it is."""
    for line in lines:
        kind = records.kind_of(line)
        if kind in _SHOWN:
            event = json_object(line)
            if event is None:
                yield Message(role=Role.LOG, text=f"[{kind}: {len(line)} characters, cut short]")
            else:
                yield from _event_messages(event)
        elif kind is None:
            yield from printed(line)


def stored_messages(entries: Iterable[Mapping[str, Any]]) -> Iterator[Message]:
    """The lines of a session file as a conversation."""
    for entry in entries:
        if entry.get("type") == "message":
            yield from _said(mapping(entry.get("message")), with_tools=True)


def _event_messages(event: Mapping[str, Any]) -> Iterator[Message]:
    tool = string(event.get("toolName"))
    match event.get("type"):
        case "message_end":
            yield from _said(mapping(event.get("message")), with_tools=False)
        case "tool_execution_start":
            yield Message(role=Role.TOOL, text=_asked(event.get("args")), tool=tool)
        case "tool_execution_end":
            yield Message(role=Role.TOOL, text=_outcome(mapping(event.get("result")), event), tool=tool)
        case "auto_retry_start":
            seconds = (integer(event.get("delayMs")) or 0) / 1000
            reason = one_line(string(event.get("errorMessage")) or "the call failed")
            attempt, most = integer(event.get("attempt")), integer(event.get("maxAttempts"))
            yield Message(role=Role.LOG, text=f"retry {attempt} of {most} in {seconds:g} s: {reason}")


def _said(message: Mapping[str, Any], *, with_tools: bool) -> Iterator[Message]:
    """A message; its tools only where they have no events of their own."""
    at, role = instant(message.get("timestamp")), message.get("role")
    if role in ("user", "assistant") and (text := records.text_of(message)):
        yield Message(role=Role(str(role)), text=text, at=at)
    if role == "assistant":
        if with_tools:
            yield from _calls(message)
        if message.get("stopReason") in ("error", "aborted"):
            yield Message(role=Role.ERROR, text=records.error_text(message), at=at)
    elif role == "toolResult" and with_tools:
        tool = string(message.get("toolName"))
        yield Message(role=Role.TOOL, text=_outcome(message, message), tool=tool, at=at)


def _calls(message: Mapping[str, Any]) -> Iterator[Message]:
    for call in mappings(message.get("content")):
        if call.get("type") == "toolCall":
            yield Message(role=Role.TOOL, text=_asked(call.get("arguments")), tool=string(call.get("name")))


def _asked(arguments: object) -> str:
    """What a tool was asked, in one line."""
    given = mapping(arguments)
    return one_line(telling(given) or (json.dumps(given) if given else "…"), 160)


def _outcome(result: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """How it went, in one line: a failure's last words, else the first line of what came out."""
    lines = [line for line in records.text_of(result).splitlines() if line.strip()]
    if record.get("isError"):
        return f"→ failed: {one_line(lines[-1], 160) if lines else 'no reason given'}"
    return f"→ {one_line(lines[0], 160) if lines else 'done'}"
