"""claude's stream of events and its transcripts as entries of a conversation, for people.

Both have the same messages. Must not read any file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentctl.adapters import reading
from agentctl.adapters.base import Message, Role
from agentctl.adapters.claude_code import transcript
from agentctl.adapters.claude_code.log import SYNTHETIC, error_of, failure_of, gist
from agentctl.adapters.claude_code.transcript import INTERRUPTED
from agentctl.adapters.showing import printed
from agentctl.adapters.values import integer, mapping, mappings, real, string
from agentctl.core.text import one_line


def log_messages(lines: Iterable[str]) -> Iterator[Message]:
    """Events as what was said and done; other lines as they are."""
    tools: dict[str, str] = {}
    for line in lines:
        event = reading.json_object(line)
        if event is not None and isinstance(event.get("type"), str):
            yield from _event_messages(event, tools)
        else:
            yield from printed(line)


def _event_messages(event: Mapping[str, Any], tools: dict[str, str]) -> Iterator[Message]:
    at = transcript.instant(event)
    if event["type"] in ("assistant", "user"):
        # What the CLI says in place of the model is repeated in its `result` line.
        if mapping(event.get("message")).get("model") != SYNTHETIC:
            is_subagent = string(event.get("parent_tool_use_id")) is not None
            said = _block_messages(event, tools)
            yield from (one for one in said if one.role is Role.TOOL or not is_subagent)
    elif event["type"] == "system" and event.get("subtype") == "api_retry":
        yield Message(role=Role.LOG, text=_retry(event), at=at)
    elif event["type"] == "result" and (error := error_of(event)) is not None:
        yield Message(role=Role.ERROR, text=error, at=at)


def _retry(event: Mapping[str, Any]) -> str:
    attempt, most = integer(event.get("attempt")), integer(event.get("max_retries"))
    delay = real(event.get("retry_delay_ms"))
    which = f", retry {attempt} of {most}" if attempt and most else ", trying again"
    after = f" in {delay / 1000:.1f} s" if delay is not None else ""
    return f"the model's server failed: {failure_of(event)}{which}{after}"


def transcript_messages(records: Iterable[Mapping[str, Any]]) -> Iterator[Message]:
    """A stored conversation, oldest first: prompts, answers, tool calls, and the error that ended a turn."""
    tools: dict[str, str] = {}
    for record in records:
        if not transcript.is_turn(record):
            continue
        at = transcript.instant(record)
        if record.get("isApiErrorMessage") is True:
            yield Message(role=Role.ERROR, text=transcript.text_of(record) or "unknown error", at=at)
        elif record["type"] == "user" and transcript.text_of(record).startswith(INTERRUPTED):
            yield Message(role=Role.ERROR, text="interrupted by the user", at=at)
        elif (prompt := transcript.prompt_of(record)) is not None:
            yield Message(role=Role.USER, text=prompt, at=at)
        else:
            yield from _block_messages(record, tools)


def _block_messages(record: Mapping[str, Any], tools: dict[str, str]) -> Iterator[Message]:
    """What each block of a message shows. `tools` has the names of calls that have no answer yet."""
    at = transcript.instant(record)
    message = mapping(record.get("message"))
    role = Role.USER if record.get("type") == "user" else Role.ASSISTANT
    for block in mappings(message.get("content")):
        if block.get("type") == "text" and (text := string(block.get("text"))):
            yield Message(role=role, text=text, at=at)
        elif block.get("type") == "tool_use":
            name = string(block.get("name")) or "tool"
            tools[string(block.get("id")) or ""] = name
            yield Message(role=Role.TOOL, text=gist(block.get("input")) or "…", tool=name, at=at)
        elif block.get("type") == "tool_result":
            called = tools.pop(string(block.get("tool_use_id")) or "", "tool")
            if block.get("is_error") is True:
                failure = one_line(_output(block.get("content")), 160) or "no reason given"
                yield Message(role=Role.TOOL, text=f"failed: {failure}", tool=called, at=at)


def _output(content: object) -> str:
    return string(content) or " ".join(string(part.get("text")) or "" for part in mappings(content))
