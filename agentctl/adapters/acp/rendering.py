"""The runner's records as entries of a conversation, for people.

An agent sends its answer in pieces of a few words. Must not read any file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from agentctl.adapters.acp import log
from agentctl.adapters.acp.runner.records import Phase
from agentctl.adapters.base import Message, Role
from agentctl.adapters.reading import json_object, timestamp
from agentctl.adapters.showing import printed, telling
from agentctl.adapters.values import integer, mapping, mappings, string
from agentctl.core.text import one_line

RECORD = '{"at": "'
"""How each of the runner's lines begins."""

QUIET = "the agent has sent nothing"

FINISHED = ("completed", "failed")


def conversation(lines: Iterable[str]) -> Iterator[Message]:
    """Each message of the agent as a whole."""
    return _Reader(lambda text: 0).read(lines)


def log_messages(lines: Iterable[str]) -> Iterator[Message]:
    """The same as it comes: a message is shown line by line, each line as soon as it is complete."""
    return _Reader(lambda text: text.rfind("\n") + 1).read(lines)


class _Reader:
    """Puts pieces together. `ready` says how much of an unfinished text may already be shown."""

    def __init__(self, ready: Callable[[str], int]) -> None:
        self._ready = ready
        self._text = ""
        self._key: tuple[Role, str] | None = None
        self._at: datetime | None = None
        self._tools: dict[str, dict[str, Any]] = {}
        self._stderr: list[Message] = []

    def read(self, lines: Iterable[str]) -> Iterator[Message]:
        for line in lines:
            record = json_object(line)
            if record is None or not line.startswith(RECORD):
                yield from self._flush()
                # A frame that is not whole was too long for the runner.
                yield from printed(one_line(line, 200) if line.startswith(RECORD) else line)
            else:
                yield from self._show(record)
        yield from self._flush()
        yield from self._stderr

    def _show(self, record: Mapping[str, Any]) -> Iterator[Message]:
        if record.get("type") == "in":
            frame = mapping(record.get("frame"))
            if frame.get("method") == "session/update" and record.get("phase") != Phase.REPLAY:
                update = mapping(mapping(frame.get("params")).get("update"))
                yield from self._update(update, string(record.get("phase")), timestamp(record.get("at")))
            elif frame.get("method") != "session/update":
                yield from self._flush()  # a request, or an answer and so the turn's end
            return
        yield from self._flush()
        if record.get("type") == "stderr":
            self._stderr += _entry(record)
            return
        if record.get("type") == "end":
            yield from self._told_errors(is_good=record.get("error") is None)
        yield from _entry(record)

    def _told_errors(self, *, is_good: bool) -> Iterator[Message]:
        """Standard error in one line after a turn that went well, where it would only drown the answer."""
        if is_good and len(self._stderr) > 1:
            text = f"({len(self._stderr)} lines of standard error; agentctl logs --raw shows them)"
            yield Message(role=Role.LOG, text=text, at=self._stderr[-1].at)
        else:
            yield from self._stderr
        self._stderr = []

    def _update(self, update: Mapping[str, Any], phase: str | None, at: datetime | None) -> Iterator[Message]:
        kind = update.get("sessionUpdate")
        if kind in ("agent_message_chunk", "agent_thought_chunk"):
            # Before the turn an agent may send a banner in this way, which is not part of its answer.
            role = Role.ASSISTANT if kind == "agent_message_chunk" and phase == Phase.TURN else Role.LOG
            key = (role, f"{phase} {update.get('messageId')}")
            yield from self._piece(key, mapping(update.get("content")), at)
        elif kind in ("tool_call", "tool_call_update"):
            yield from self._flush()
            yield from self._tool(update, at)

    def _piece(
        self, key: tuple[Role, str], content: Mapping[str, Any], at: datetime | None
    ) -> Iterator[Message]:
        if key != self._key:
            yield from self._flush()
            self._key, self._at = key, at
        text = string(content.get("text"))
        self._text += f"[{content.get('type')}]" if text is None and content else text or ""
        ready = self._ready(self._text)
        if self._text[:ready].strip():
            yield Message(role=key[0], text=self._text[:ready].removesuffix("\n"), at=self._at)
            self._text, self._at = self._text[ready:], at

    def _flush(self) -> Iterator[Message]:
        if self._key is not None and self._text.strip():
            yield Message(role=self._key[0], text=self._text.rstrip("\n"), at=self._at)
        self._text, self._key = "", None

    def _tool(self, update: Mapping[str, Any], at: datetime | None) -> Iterator[Message]:
        """A call when it begins, and again when it has ended."""
        key = str(update.get("toolCallId"))
        known = self._tools.setdefault(key, {})
        known |= {name: value for name, value in update.items() if value}
        status = known.get("status")
        name = string(known.get("kind")) or "tool"
        if status in FINISHED:
            del self._tools[key]
            yield Message(role=Role.TOOL, text=f"{_asked(known)} → {_outcome(known)}", tool=name, at=at)
        elif status == "in_progress" and "shown" not in known:
            known["shown"] = True
            yield Message(role=Role.TOOL, text=_asked(known), tool=name, at=at)


def _entry(record: Mapping[str, Any]) -> Iterator[Message]:
    """A record that stands alone."""
    at, text = timestamp(record.get("at")), string(record.get("text"))
    match record.get("type"):
        case "out":
            frame = mapping(record.get("frame"))
            parts = mapping(frame.get("params")).get("prompt")
            if frame.get("method") == "session/prompt" and isinstance(parts, list):
                prompt = "".join(string(part.get("text")) or "" for part in mappings(parts))
                yield Message(role=Role.USER, text=prompt, at=at)
        case "session":
            agent = string(record.get("agent")) or "the agent"
            yield Message(role=Role.LOG, text=f"{agent}, session {record.get('id')}", at=at)
        case "permission":
            title = f"permission for {record.get('title')}"
            yield Message(role=Role.LOG, text=f"{title}: {record.get('answer')}", at=at)
        case "quiet":
            yield Message(role=Role.LOG, text=f"{QUIET} for {integer(record.get('seconds'))} s", at=at)
        case "stderr" | "garbage" if text and text.strip():
            yield Message(role=Role.LOG, text=text, at=at)
        case "end":
            yield from (Message(role=Role.LOG, text=one, at=at) for one in log.left(record))
            error, reason = string(record.get("error")), string(record.get("stop_reason"))
            if error is not None:
                yield Message(role=Role.ERROR, text=error, at=at)
            elif reason not in ("end_turn", None):
                yield Message(role=Role.LOG, text=f"the turn ended: {reason}", at=at)


def _asked(call: Mapping[str, Any]) -> str:
    return one_line(telling(call.get("rawInput")) or string(call.get("title")) or "…", 120)


def _outcome(call: Mapping[str, Any]) -> str:
    lines = [line for text in _texts(call) for line in text.splitlines() if line.strip()]
    said = one_line(lines[0], 160) if lines else ""
    if call.get("status") == "failed":
        return f"failed: {said or 'no reason given'}"
    return said or "done"


def _texts(call: Mapping[str, Any]) -> Iterator[str]:
    """What a tool returned, in any of the places where agents put it."""
    content, output = call.get("content"), call.get("rawOutput")
    for each in mappings(content):
        yield string(mapping(each.get("content")).get("text")) or ""
    yield string(output) or ""
    yield string(mapping(output).get("error")) or string(mapping(output).get("output")) or ""
