"""Reading claude's transcripts: one file of JSON lines per conversation, `PROJECT/SESSION-ID.jsonl`.

Most of a transcript's bytes are attachments and requests, so lines are told apart by
their type before anything of them is believed. A resumed run appends to the same file.
Must not write; what cannot be read is empty, never an exception.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from agentctl.adapters import reading
from agentctl.adapters.claude_code.log import FINISHED, SYNTHETIC, Spent, spent_by_models
from agentctl.adapters.values import mapping, mappings, string
from agentctl.core.model import AgentVerdict
from agentctl.core.text import one_line

CONFIG_DIR = "CLAUDE_CONFIG_DIR"

RUN_BYTES = 32 * 1024 * 1024
"""How much of a transcript's end is searched for one run."""


INTERRUPTED = "[Request interrupted by user"

_WRAPPED = r"(?s)\s*<(ide_\w+|system-reminder)>.*?</\1>\s*"
"""What editors and claude itself put before the words that a person wrote. Compiled when first used."""

_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class Turn(NamedTuple):
    """What the newest line of a conversation says about its last turn."""

    verdict: AgentVerdict
    """Silent for a turn that has not ended."""
    text: str | None = None
    is_unmarked: bool = False
    """Ends with words, and without a `stop_reason`: older releases write none at all."""


class StoredRun(NamedTuple):
    """What a transcript says about the run that began at some instant."""

    turn: Turn | None = None
    version: str | None = None
    model: str | None = None
    usages: tuple[object, ...] = ()
    """The `usage` of each message of the model."""
    before: Spent | None = None
    """What the conversation had cost when the run began; None if that is unknown."""
    after: Spent | None = None
    """The same at the run's end; None where it was killed."""


def store_path(environ: Mapping[str, str]) -> str | None:
    """The directory of all projects, each with its transcripts."""
    config = reading.place(environ, CONFIG_DIR, ".claude")
    return os.path.join(config, "projects") if config else None


def is_id(text: str) -> bool:
    """Whether this is a session's id: only such names are looked up, so none leads out of the store."""
    return _ID.fullmatch(text) is not None


def find(store: str, native_id: str) -> str | None:
    """The conversation's file, whichever project it is in."""
    if not is_id(native_id):
        return None
    paths = (os.path.join(store, project, f"{native_id}.jsonl") for project in reading.names(store))
    return next((path for path in paths if os.path.isfile(path)), None)


def instant(record: Mapping[str, Any]) -> datetime | None:
    """When this line was written; None if it does not say."""
    return reading.timestamp(record.get("timestamp"))


def is_turn(record: Mapping[str, Any]) -> bool:
    """Whether this line is part of the conversation: not a subagent's, nor the CLI's own."""
    if record.get("type") not in ("user", "assistant") or record.get("isSidechain") is True:
        return False
    if any(record.get(key) is True for key in ("isMeta", "isCompactSummary", "isVisibleInTranscriptOnly")):
        return False
    message = mapping(record.get("message"))
    if record["type"] == "assistant":
        return message.get("model") != SYNTHETIC or record.get("isApiErrorMessage") is True
    content = message.get("content")
    return not (isinstance(content, str) and content.startswith(("<command-", "<local-command-")))


def prompt_of(record: Mapping[str, Any]) -> str | None:
    """What a person asked; None for any other line."""
    if record.get("type") != "user" or not is_turn(record):
        return None
    content = mapping(record.get("message")).get("content")
    if isinstance(content, str):
        text = content
    else:
        parts = mappings(content)
        if any(part.get("type") == "tool_result" for part in parts):
            return None
        text = "".join(string(part.get("text")) or "" for part in parts)
    if text.startswith((INTERRUPTED, "<task-notification>")):
        return None
    while (wrapper := re.match(_WRAPPED, text)) is not None:
        text = text[wrapper.end() :]
    return text.removeprefix("\ufeff") or None


def text_of(record: Mapping[str, Any]) -> str:
    """The text of this line's message."""
    parts = mappings(mapping(record.get("message")).get("content"))
    return "\n".join(text for part in parts if (text := string(part.get("text"))))


def turn_of(record: Mapping[str, Any]) -> Turn:
    """The state of the turn that ends with this line (the last for which `is_turn`)."""
    text = text_of(record)
    if record["type"] == "user":
        if text.startswith(INTERRUPTED):
            return Turn(AgentVerdict.ERROR, "interrupted by the user")
        return Turn(AgentVerdict.SILENT)
    if record.get("isApiErrorMessage") is True:
        return Turn(AgentVerdict.ERROR, one_line(text) or "an error without a message")
    reason = stop_reason_of(record)
    if reason in FINISHED:
        return Turn(AgentVerdict.OK, text or None)
    if reason is None or reason in ("tool_use", "pause_turn"):
        blocks = mappings(mapping(record.get("message")).get("content"))
        is_said = bool(text) and not any(block.get("type") == "tool_use" for block in blocks)
        return Turn(AgentVerdict.SILENT, text or None, is_unmarked=is_said and reason is None)
    return Turn(AgentVerdict.ERROR, f"the turn was not finished ({one_line(reason)})")


def stop_reason_of(record: Mapping[str, Any]) -> str | None:
    """Why the model stopped, by its own account; None for any line that does not say."""
    return string(mapping(record.get("message")).get("stop_reason"))


def model_of(record: Mapping[str, Any]) -> str | None:
    """The model that wrote this line; None for any other line."""
    model = string(mapping(record.get("message")).get("model"))
    return None if record.get("type") != "assistant" or model == SYNTHETIC else model


def run_since(path: str, since: datetime) -> StoredRun:
    """What the transcript says about the run whose lines are not older than `since`.

    `cost-state` lines have no timestamp: the last one before the run's first line says what
    the conversation had cost by then. A run that was killed leaves none, and claude itself
    then counts on from the one before.
    """
    lines = reading.tail_lines(path, RUN_BYTES)
    before = None if reading.size(path) > RUN_BYTES else Spent()
    ours: list[Mapping[str, Any]] = []
    for record in reading.json_objects(lines):
        if ours or ((at := instant(record)) is not None and at >= since):
            ours.append(record)
        elif record.get("type") == "cost-state":
            before = spent_by_models(record) or before
    return _run(ours)._replace(before=before) if ours else StoredRun()


def _run(records: Iterable[Mapping[str, Any]]) -> StoredRun:
    usages: dict[str, object] = {}
    turn = version = model = after = None
    for record in records:
        version = version or string(record.get("version"))
        if record.get("type") == "cost-state":
            after = spent_by_models(record)
        if is_turn(record):
            turn = turn_of(record)
            model = model or model_of(record)
        if model_of(record) is not None:
            message = mapping(record.get("message"))
            # Each block of a message has a line of its own, and each repeats the same usage.
            usages[str(message.get("id"))] = message.get("usage")
            after = None  # totals from before an answer leave it out
    return StoredRun(turn, version, model, usages=tuple(usages.values()), after=after)
