"""The JSON that other programs read: one document a command, one line an event.

Keys are added, never renamed or removed. Must not know tables, colours or terminals:
the JSON of `list` loads nothing that only people need.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentctl.core.model import Fuse, Session

if TYPE_CHECKING:
    from agentctl.core.ledger import Event
    from agentctl.ops.found import Found

SCHEMA_VERSION = 1

UNSUPERVISED = "unsupervised: its shim has gone, so nobody records how it ends"


def timestamp(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds: `2026-03-01T12:00:00.000Z`."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(value: object) -> str:
    """`value` as JSON in ASCII on one line: times, dataclasses and any text an agent may write included."""
    text = json.dumps(value, default=_encoded)
    if "\\ud" in text or "NaN" in text or "Infinity" in text:
        # Half a surrogate pair and infinite numbers are not valid JSON, but agents' stores contain both.
        return json.dumps(_sound(json.loads(text)))
    return text


def document(**fields: object) -> str:
    """One JSON document of these fields, the schema's version first."""
    return to_json({"schema_version": SCHEMA_VERSION, **fields})


def session_document(found: Found, now: datetime) -> dict[str, Any]:
    """One session with every key of the schema, in its order."""
    session = found.session
    duration = elapsed(session, now)
    return {
        "id": session.id,
        "name": session.name,
        "adapter": session.adapter,
        "source": session.source.value,
        "status": found.status.value,
        "outcome": session.outcome.value if session.outcome else None,
        "reason": found.reason,
        "exit_code": session.exit_code,
        "signal": session.signal,
        "lingering": session.lingering,
        "unsupervised": session.unsupervised,
        "pid": session.pid,
        "native_id": session.native_id,
        "parent_id": session.parent_id,
        "resumed_from": session.resumed_from,
        "group": session.group,
        "cwd": session.cwd,
        "branch": session.branch,
        "repo": session.repo,
        "base_commit": session.base_commit,
        "model": session.model,
        "prompt": session.prompt,
        "created_at": timestamp(session.created_at),
        "started_at": timestamp(session.started_at),
        "ended_at": timestamp(session.ended_at),
        "duration_ms": None if duration is None else duration // timedelta(milliseconds=1),
        "fuse": _fuse_part(found.fuse),
        "tokens": session.tokens._asdict(),
        "cost_usd": session.cost_usd,
        "turns": session.turns,
        "result": session.result,
        "notes": notes(session),
        "log_path": found.log_path,
        "transcript_path": session.transcript_path,
        "adapter_version": session.adapter_version,
    }


def event_document(event: Event) -> dict[str, Any]:
    """One event with every key of the schema, in its order."""
    return {
        "schema_version": SCHEMA_VERSION,
        "cursor": event.cursor,
        "type": event.type,
        "session_id": event.session_id,
        "at": timestamp(event.at),
        "actor": event.actor,
        "reason": event.reason,
        "data": dict(event.data),
    }


def event_line(event: Event) -> str:
    """One event as a line of NDJSON, without the newline."""
    return to_json(event_document(event))


def _encoded(value: object) -> object:
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, timedelta):
        return value // timedelta(milliseconds=1)
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is not None and not isinstance(value, type):
        # Not asdict: it deep-copies, and fails on read-only mappings. Nor its module: it loads slowly.
        return {name: getattr(value, name) for name in fields}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"no JSON form of {type(value).__name__}")


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, list):
        return [_sound(item) for item in value]
    if isinstance(value, dict):
        return {_sound(key): _sound(item) for key, item in value.items()}
    return value


def _fuse_part(fuse: Fuse | None) -> dict[str, Any] | None:
    if fuse is None:
        return None
    return {"deadline": timestamp(fuse.deadline), "action": fuse.action.value, "state": fuse.state.value}


def notes(session: Session) -> list[str]:
    """What a person should know of this run."""
    return [*session.notes, UNSUPERVISED] if session.unsupervised else list(session.notes)


def elapsed(session: Session, now: datetime) -> timedelta | None:
    """How long it ran, or has been running; None if it never started or nobody knows when it ended."""
    end = session.ended_at or (None if session.is_final else now)
    if session.started_at is None or end is None:
        return None
    return max(end - session.started_at, timedelta())
