"""What both of opencode's stores hold, and what follows from it.

Must not read any file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentctl.adapters.values import integer, mapping, string
from agentctl.core.model import Tokens

UNFINISHED = frozenset({"tool-calls", "unknown"})
"""Reasons for a step's end after which another step has to follow."""

FINISHED = frozenset({"stop", "length"})
"""Reasons with which an answer is complete, or was cut off only by its length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session as the store has it. Times are milliseconds; totals are of all its runs."""

    id: str
    parent_id: str | None
    directory: str | None
    title: str | None
    version: str | None
    created: int
    updated: int
    model: str | None = None
    cost: float | None = None
    tokens: Tokens = Tokens()
    newest: Mapping[str, Any] | None = None
    """Its newest message, if that was asked for."""
    is_archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A message's own record and its parts, both as opencode wrote them."""

    data: Mapping[str, Any]
    parts: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A session and those of its messages that belong to one run, oldest first."""

    session: StoredSession
    messages: tuple[Mapping[str, Any], ...]
    last_parts: tuple[Mapping[str, Any], ...]
    """The parts of the newest message."""


def created(message: Mapping[str, Any]) -> int:
    """When a message began, in milliseconds; 0 if it does not say."""
    return integer(mapping(message.get("time")).get("created")) or 0


def finish_of(message: Mapping[str, Any]) -> str | None:
    """Why a step of the model ended; None for an unfinished step, and for a prompt."""
    return string(message.get("finish"))


def failure_of(finish: str | None) -> str | None:
    """Why a step that ended so does not answer, although nothing has to follow; None for any other step."""
    if finish is None or finish in FINISHED or finish in UNFINISHED:
        return None
    return f"the last step ended with {finish!r}, not with an answer"


def model_of(record: Mapping[str, Any] | None) -> str | None:
    """`provider/model` of a message or of a session's model record."""
    if record is None:
        return None
    record = mapping(record.get("model")) or record
    provider, model = record.get("providerID"), record.get("modelID") or record.get("id")
    return f"{provider}/{model}" if isinstance(provider, str) and isinstance(model, str) else None
