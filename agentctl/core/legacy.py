"""The records that the TypeScript agentctl kept, as sessions, locks and fuses of this one.

What a record does not say is not made up: an ending that nobody recorded is `lost`. A
record that cannot be taken raises ValueError with the reason in one clause. Must not
read files, look at processes or know what is in the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from agentctl.core.addresses import is_web_address
from agentctl.core.ids import external_id
from agentctl.core.model import Fuse, FuseAction, Outcome, Session, Status, Tokens
from agentctl.core.signals import signal_of_status

VERSION = 1
"""The one version of its state that there ever was."""

LIVE = frozenset({"running", "idle"})
_STATUSES = LIVE | {"stopped", "error", "completed", "failed"}

_OWN_NATIVE_IDS = frozenset({"claude-code", "codex", "pi", "pi-rust"})
"""Adapters whose session id was the agent's own; others made one up, except opencode's `ses_…`."""

SETTINGS: Mapping[str, str] = {
    "adapter": "adapter",
    "model": "defaults.model",
    "webhook_url": "webhook.url",
    "webhook_secret": "webhook.secret",
}
"""Key of its config.json → the setting that means the same."""

NO_SETTING: Mapping[str, str] = {
    "cwd": "there is no such setting: launch works where you are, or in --cwd",
    "timeout": "it ended nothing there; defaults.fuse stops sessions, so set it yourself if you want that",
}


class OldLock(NamedTuple):
    """A lock that a person had put on a directory."""

    directory: str
    holder: str
    reason: str | None
    locked_at: datetime | None


def session_of(key: str, record: object, *, saved_at: datetime) -> Session:
    """The record under `key` as a session that has ended. `saved_at` is when the file was last written."""
    values = _mapping(record)
    status = values.get("status")
    if not isinstance(status, str) or status not in _STATUSES:
        raise ValueError(f"its status is {_shown(status)}")
    adapter = _text(values, "adapter")
    started_at = _instant(values, "startedAt")
    stopped_at = None if values.get("stoppedAt") is None else _instant(values, "stoppedAt")
    code = _whole(values.get("exitCode"))
    outcome, reason = _ending(status, code)
    tokens = values.get("tokens") if isinstance(values.get("tokens"), Mapping) else {}
    model = _optional(values.get("model"))
    return Session(
        id=external_id(adapter, "TypeScript agentctl", key),
        adapter=adapter,
        cwd=_directory(values, "cwd"),
        status=Status.STOPPED if outcome is Outcome.SUCCEEDED else Status.ERROR,
        created_at=started_at,
        outcome=outcome,
        reason=reason,
        exit_code=code,
        signal=signal_of_status(code),
        native_id=native_id(adapter, key),
        group=_optional(values.get("group")),
        model=model,
        requested_model=model,
        prompt=_optional(values.get("prompt")),
        started_at=started_at,
        # Where the end was not recorded: when the record last changed, but never before the start.
        ended_at=max(started_at, stopped_at or saved_at),
        tokens=Tokens(input=_whole((tokens or {}).get("in")), output=_whole((tokens or {}).get("out"))),
        cost_usd=_number(values.get("cost")),
        notes=("imported from the TypeScript agentctl",),
    )


def native_id(adapter: str, key: str) -> str | None:
    """The agent's own id, where the record's key is one."""
    is_own = adapter in _OWN_NATIVE_IDS or (adapter == "opencode" and key.startswith("ses_"))
    return key if is_own else None


def lock_of(record: object) -> OldLock:
    """A manual lock; ValueError for one of a session."""
    values = _mapping(record)
    if values.get("type", "manual") != "manual":
        raise ValueError("it belonged to a session of the daemon")
    try:
        locked_at = _instant(values, "lockedAt")
    except ValueError:
        locked_at = None
    return OldLock(
        directory=_directory(values, "directory"),
        holder=(_optional(values.get("lockedBy")) or "unknown").strip() or "unknown",
        reason=_optional(values.get("reason")),
        locked_at=locked_at,
    )


def fuses_of(record: object, *, now: datetime) -> list[Fuse]:
    """One fuse for each action of a directory's timer; ValueError if its time has passed."""
    values = _mapping(record)
    directory = _directory(values, "directory")
    deadline = _instant(values, "expiresAt")
    if deadline <= now:
        raise ValueError("its deadline has passed")
    action = values.get("onExpire") if isinstance(values.get("onExpire"), Mapping) else {}
    script, url = _optional((action or {}).get("script")), _optional((action or {}).get("webhook"))
    if url is not None and not is_web_address(url):
        raise ValueError("its webhook is not a valid address")
    found = []
    if script is not None:
        found.append(_fuse(directory, deadline, FuseAction.SCRIPT, now)._replace(command=script))
    if url is not None:
        found.append(_fuse(directory, deadline, FuseAction.WEBHOOK, now)._replace(url=url))
    # An event is appended whatever the action is.
    return found or [_fuse(directory, deadline, FuseAction.EVENT, now)]


def _fuse(directory: str, deadline: datetime, action: FuseAction, now: datetime) -> Fuse:
    # The same id every time: importing twice arms nothing twice.
    same = external_id(f"fuse {action}", directory, deadline.isoformat())
    return Fuse(id=same, deadline=deadline, action=action, created_at=now, directory=directory)


def _ending(status: object, code: int | None) -> tuple[Outcome, str]:
    """What the record proves, and no more: its "stopped" says nothing of how."""
    if status in LIVE:
        return Outcome.LOST, "at work when the TypeScript agentctl last wrote its state; its end is unknown"
    if code is not None:
        return (Outcome.SUCCEEDED if code == 0 else Outcome.FAILED), f"exit {code}"
    if status == "completed":
        return Outcome.SUCCEEDED, "completed under the TypeScript agentctl"
    if status in ("failed", "error"):
        return Outcome.FAILED, "failed under the TypeScript agentctl"
    return Outcome.LOST, "ended under the TypeScript agentctl, which did not record how"


def _mapping(record: object) -> Mapping[str, Any]:
    if not isinstance(record, Mapping):
        raise ValueError("it is not an object")
    return record


def _text(values: Mapping[str, Any], name: str) -> str:
    value = _optional(values.get(name))
    if value is None:
        raise ValueError(f"it has no {name}")
    return value


def _directory(values: Mapping[str, Any], name: str) -> str:
    path = _text(values, name)
    if not path.startswith("/"):
        raise ValueError(f"its {name} is not an absolute path")
    return path


def _optional(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() and "\0" not in value else None


def _whole(value: object) -> int | None:
    """A whole number that a database can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        return None
    return int(value) if value == int(value) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        return None
    return float(value)


def _instant(values: Mapping[str, Any], name: str) -> datetime:
    value = values.get(name)
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        # Far enough from the limits of datetime to calculate with.
        if at is not None and at.tzinfo is not None and 1970 <= at.year < 9000:
            return at.astimezone(UTC)
    except ValueError:
        pass
    raise ValueError(f"its {name} is {_shown(value)}, which is not a time")


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else text[:39] + "…"
