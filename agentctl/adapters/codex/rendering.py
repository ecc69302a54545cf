"""codex's events and stored records as entries of a conversation, for people.

Must not read any file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentctl.adapters.base import Message, Role
from agentctl.adapters.codex.log import error_text, is_noise
from agentctl.adapters.codex.rollout import item_text, payload_of
from agentctl.adapters.reading import json_object, timestamp
from agentctl.adapters.showing import printed, telling
from agentctl.adapters.values import integer, mapping, mappings, string
from agentctl.core.text import one_line

COMMAND, PATCH = "exec_command", "apply_patch"
"""codex's own names for its tools."""


def log_messages(lines: Iterable[str]) -> Iterator[Message]:
    """Events as what was said and done; printed lines as they are, without those that every run prints."""
    last_error: str | None = None
    for line in lines:
        event = json_object(line)
        if event is None or not isinstance(event.get("type"), str):
            if not is_noise(line):
                yield from printed(line)
            continue
        if event["type"] in ("error", "turn.failed"):
            error = error_text(event.get("error") or event)
            if error != last_error:  # a run that fails reports its error twice
                yield Message(role=Role.ERROR, text=error)
            last_error = error
        elif event["type"] in ("item.started", "item.completed"):
            yield from _item_messages(mapping(event.get("item")), is_over=event["type"] == "item.completed")


def _item_messages(item: Mapping[str, Any], *, is_over: bool) -> Iterator[Message]:
    """What an item of the log shows. Only commands are shown when they begin: they may take long."""
    match item.get("type"):
        case "command_execution":
            yield Message(
                role=Role.TOOL, text=_command_text(_unwrapped(item.get("command")), item), tool=COMMAND
            )
        case _ if not is_over:
            return
        case "agent_message" if text := string(item.get("text")):
            yield Message(role=Role.ASSISTANT, text=text)
        case "file_change":
            changes = mappings(item.get("changes"))
            kinds = {string(one.get("path")) or "": string(one.get("kind")) for one in changes}
            yield Message(role=Role.TOOL, text=_change_text(kinds, item), tool=PATCH)
        case "error":
            yield Message(role=Role.LOG, text=f"warning: {error_text(item)}")


def stored_messages(records: Iterable[Mapping[str, Any]]) -> Iterator[Message]:
    """A session file as what was said and done; calls of tools that have not ended come last."""
    pending: dict[str, Message] = {}
    last_said: str | None = None
    for record in records:
        payload, at = payload_of(record), timestamp(record.get("timestamp"))
        match record.get("type"), payload.get("type"):
            case "response_item", "function_call":
                arguments = payload.get("arguments")
                called = telling(json_object(arguments)) or string(arguments) or "…"
                name = string(payload.get("name"))
                text = f"{one_line(called, 120)} → running"
                pending[str(payload.get("call_id"))] = Message(role=Role.TOOL, text=text, at=at, tool=name)
            case "response_item", "function_call_output":
                unfinished = pending.pop(str(payload.get("call_id")), None)
                if unfinished is not None:
                    yield _answered(unfinished, string(payload.get("output")))
            case "event_msg", "item_completed":
                item = mapping(payload.get("item"))
                pending.pop(str(item.get("id")), None)
                message = _stored_item(item)
                if message is not None and message.text:
                    last_said = message.text
                    yield message._replace(at=at)
            case "event_msg", ("user_message" | "agent_message") as kind:
                # As releases of 2025 wrote it; those of today have items.
                said = string(payload.get("message"))
                role = Role.USER if kind == "user_message" else Role.ASSISTANT
                if said and said != last_said and payload.get("kind") in (None, "plain"):
                    yield Message(role=role, text=said, at=at)
            case "event_msg", "task_complete" if payload.get("error"):
                yield Message(role=Role.ERROR, text=error_text(payload.get("error")), at=at)
            case "event_msg", "turn_aborted":
                pending.clear()
                reason = one_line(string(payload.get("reason")) or "aborted")
                yield Message(role=Role.LOG, text=f"the turn was {reason}", at=at)
            case "event_msg", "task_started":
                pending.clear()
    yield from pending.values()


def _stored_item(item: Mapping[str, Any]) -> Message | None:
    match item.get("type"):
        case "UserMessage":
            return Message(role=Role.USER, text=item_text(item))
        case "AgentMessage":
            return Message(role=Role.ASSISTANT, text=item_text(item))
        case "CommandExecution":
            command = item.get("command")
            words = [word for word in (command if isinstance(command, list) else []) if type(word) is str]
            return Message(
                role=Role.TOOL, text=_command_text(words[-1] if words else "…", item), tool=COMMAND
            )
        case "FileChange":
            kinds = {
                path: string(mapping(change).get("type"))
                for path, change in mapping(item.get("changes")).items()
            }
            return Message(role=Role.TOOL, text=_change_text(kinds, item), tool=PATCH)
    return None


def _answered(call: Message, output: str | None) -> Message:
    """A call of a tool that has no item of its own, with what the tool answered."""
    lines = (output or "").partition("Output:\n")[2] or output or ""
    asked = call.text.removesuffix("running")
    return call._replace(text=asked + (_first_line(lines) or "done"))


def _command_text(command: str, item: Mapping[str, Any]) -> str:
    """What was run, and how it went, in one line."""
    code, said = integer(item.get("exit_code")), _first_line(string(item.get("aggregated_output")) or "")
    if code is None:
        status = string(item.get("status")) or "in_progress"
        went = "running" if status == "in_progress" else one_line(status, 40)
    elif code == 0:
        went = said or "done"
    else:
        went = f"exit {code}: {said}" if said else f"exit {code}"
    return f"{one_line(command, 120)} → {went}"


def _unwrapped(command: object) -> str:
    """The command without the shell in which codex runs it."""
    text = string(command) or "…"
    if " -c " not in text and " -lc " not in text:
        return text
    import shlex

    try:
        words = shlex.split(text)
    except ValueError:
        return text
    return words[2] if len(words) == 3 and words[1] in ("-c", "-lc") else text


def _change_text(kinds: Mapping[str, str | None], item: Mapping[str, Any]) -> str:
    changed = ", ".join(f"{kind or 'change'} {path}" for path, kind in kinds.items())
    status = string(item.get("status"))
    went = "done" if status == "completed" else one_line(status or "running", 40)
    return f"{one_line(changed or '…', 160)} → {went}"


def _first_line(text: str) -> str:
    return one_line(next((line for line in text.splitlines() if line.strip()), ""), 160)
