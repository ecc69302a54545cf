"""opencode's events and stored parts as entries of a conversation, for people.

Must not read any file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentctl.adapters import reading
from agentctl.adapters.base import Message, Role
from agentctl.adapters.opencode import log
from agentctl.adapters.opencode.records import StoredMessage
from agentctl.adapters.showing import printed, telling
from agentctl.adapters.values import mapping, string
from agentctl.core.text import one_line


def log_messages(lines: Iterable[str]) -> Iterator[Message]:
    """Events as what was said and done; of opencode's own printing, only warnings and errors."""
    for line in lines:
        event = reading.json_object(line)
        if event is not None and "sessionID" in event:
            yield from _event_messages(event)
        elif (logged := log.printed_line(line)) is not None:
            level, gist = logged
            if level in ("ERROR", "WARN"):
                yield Message(role=Role.LOG, text=f"{level} {gist}")
        else:
            yield from printed(line)


def _event_messages(event: Mapping[str, Any]) -> Iterator[Message]:
    at = reading.instant(event.get("timestamp"))
    if event.get("type") == "error":
        error = log.error_text(event.get("error"))
        yield Message(role=Role.ERROR, text=error or "unknown error", at=at)
    elif event.get("type") in ("text", "tool_use"):
        message = _part_message(Role.ASSISTANT, mapping(event.get("part")))
        if message is not None:
            yield message._replace(at=at)


def stored_messages(stored: StoredMessage) -> Iterator[Message]:
    """A message of the store: what was said, the tools that were used, the error that ended it."""
    data, parts = stored.data, stored.parts
    at = reading.instant(mapping(data.get("time")).get("created"))
    role = Role.USER if data.get("role") == "user" else Role.ASSISTANT
    for part in parts:
        message = _part_message(role, part)
        if message is not None:
            yield message._replace(at=at)
    error = log.error_text(data.get("error"))
    if error is not None:
        yield Message(role=Role.ERROR, text=error, at=at)


def _part_message(role: Role, part: Mapping[str, Any]) -> Message | None:
    """What this part shows to a person; None for opencode's internal parts."""
    if part.get("type") == "text" and not part.get("synthetic"):
        text = string(part.get("text"))
        return Message(role=role, text=text) if text else None
    if part.get("type") == "tool":
        return Message(
            role=Role.TOOL, text=_tool_text(mapping(part.get("state"))), tool=string(part.get("tool"))
        )
    if part.get("type") == "file":
        name = string(part.get("filename"))
        return Message(role=role, text=f"[file {name}]") if name else None
    return None


def _tool_text(state: Mapping[str, Any]) -> str:
    """What the tool was asked, and how it went, in one line."""
    given = mapping(state.get("input"))
    asked = telling(given) or string(state.get("title")) or (json.dumps(given) if given else "…")
    return f"{one_line(asked, 120)} → {one_line(_tool_outcome(state), 160)}"


def _tool_outcome(state: Mapping[str, Any]) -> str:
    status = string(state.get("status")) or "pending"
    if status == "error":
        return f"failed: {string(state.get('error')) or 'no reason given'}"
    if status == "completed":
        lines = (string(state.get("output")) or "").splitlines()
        return next((line for line in lines if line.strip()), "done")
    return status
