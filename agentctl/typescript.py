"""The JSON of the TypeScript agentctl, for programs that still read it.

Chosen by AGENTCTL_COMPAT or the setting `compat`. Must not know tables or terminals.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentctl.core.addresses import as_given
from agentctl.core.model import Fuse, Lock, Session, Status
from agentctl.documents import timestamp

if TYPE_CHECKING:
    from agentctl.core.ledger import Event

STAYS = timedelta(minutes=10)
"""How long `list` shows a session after its end: a poller sees the end, not a session that vanished."""

_STATUS = {Status.IDLE: "idle", Status.STOPPED: "stopped", Status.ERROR: "error"}


def status_of(status: Status) -> str:
    """That tool's word for it; what starts, stops or waits counts as running."""
    return _STATUS.get(status, "running")


def stays(session: Session, now: datetime) -> bool:
    """The session lives, or ended so short a time ago that a poller must still see it."""
    return session.ended_at is None or session.ended_at >= now - STAYS


def session_fields(session: Session, status: Status) -> dict[str, Any]:
    """One session."""
    tokens = session.tokens
    is_known = tokens.input is not None or tokens.output is not None
    return {
        "id": session.id,
        "adapter": session.adapter,
        "status": status_of(status),
        "startedAt": timestamp(session.started_at or session.created_at),
        "stoppedAt": timestamp(session.ended_at),
        "cwd": session.cwd,
        "spec": None,
        "model": session.model,
        "tokens": {"in": tokens.input or 0, "out": tokens.output or 0} if is_known else None,
        "cost": session.cost_usd,
        "pid": session.pid,
        "meta": {**session.meta, "outcome": session.outcome, "reason": session.reason},
    }


def event_fields(event: Event, session: Session | None) -> dict[str, Any]:
    """One event, with its session if that was not forgotten."""
    return {
        "type": "session.error" if event.type == "session.timeout" else event.type,
        "adapter": session.adapter if session else None,
        "sessionId": event.session_id,
        "timestamp": timestamp(event.at),
        "session": session_fields(session, session.status) if session else None,
        "meta": {**event.data, "reason": event.reason},
    }


def lock_fields(lock: Lock) -> Mapping[str, Any]:
    """One lock: `auto` of a session, `manual` of a person."""
    return {
        "directory": lock.directory,
        "type": "manual" if lock.session_id is None else "auto",
        "sessionId": lock.session_id,
        "lockedBy": lock.holder,
        "reason": lock.reason,
        "lockedAt": timestamp(lock.created_at),
    }


def fuse_fields(fuse: Fuse) -> Mapping[str, Any]:
    """One fuse."""
    return {
        "directory": fuse.directory,
        "sessionId": fuse.session_id,
        "ttlMs": (fuse.deadline - fuse.created_at) // timedelta(milliseconds=1),
        "createdAt": timestamp(fuse.created_at),
        "expiresAt": timestamp(fuse.deadline),
        "onExpire": {"script": fuse.command, "webhook": as_given(fuse.url)},
    }
