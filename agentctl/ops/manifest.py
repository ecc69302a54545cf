"""`session.json`: enough of a row, beside the session's other files, to rebuild it.

Written by whoever won a transition. A damaged database therefore loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from agentctl.core.model import (
    Fuse,
    FuseAction,
    FuseState,
    Outcome,
    Rung,
    Session,
    Status,
    StopCause,
    Tokens,
)
from agentctl.host.files import read_small, write_private
from agentctl.runtime import Runtime
from agentctl.store import codecs

SCHEMA = 1
LIMIT = 64 * 1024 * 1024


def write(runtime: Runtime, session: Session, fuse: Fuse | None) -> None:
    """Keep the manifest and the timer's fuse file in step with the row.

    A failure loses nothing now: the row is the truth, and the next transition writes again.
    """
    files = runtime.paths.session(session.id)
    document = {
        "schema_version": SCHEMA,
        "session": _encode(session),
        "fuse": None if fuse is None else _encode(fuse),
    }
    try:
        write_private(files.manifest, json.dumps(document).encode())
        write_private(files.fuse, next_instant(fuse))
    except OSError:
        return


def next_instant(fuse: Fuse | None) -> bytes:
    """What the shim's timer waits for: epoch seconds, rounded up, or `-` for nothing."""
    if fuse is None or fuse.state is not FuseState.ARMED:
        return b"-\n"
    instants = [fuse.deadline] if fuse.action is FuseAction.STOP else []
    if fuse.warn_at is not None:
        instants.append(fuse.warn_at)
    if not instants:
        return b"-\n"
    return b"%d\n" % -(-min(instants).timestamp() // 1)


def read(runtime: Runtime, session_id: str) -> tuple[Session, Fuse | None] | None:
    """The row as last written, None where there is no manifest or it cannot be read."""
    try:
        raw = read_small(runtime.paths.session(session_id).manifest, LIMIT)
        document = json.loads(raw or b"null")
        fuse = document["fuse"]
        return Session(**_decode(document["session"])), None if fuse is None else Fuse(**_decode(fuse))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _encode(value: Session | Fuse) -> dict[str, Any]:
    return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return codecs.instant(value)
        case StrEnum():
            return value.value
        case Tokens():
            return {item.name: getattr(value, item.name) for item in fields(value)}
        case Rung():
            return [value.signal, value.wait.total_seconds()]
        case tuple():
            return [_plain(item) for item in value]
        case Mapping():
            return dict(value)
        case _:
            return value


_KINDS: Mapping[str, type[StrEnum]] = {
    "status": Status,
    "outcome": Outcome,
    "stop_cause": StopCause,
    "action": FuseAction,
    "state": FuseState,
}


def _decode(document: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(document)
    for name, value in document.items():
        if value is None:
            continue
        if name in _KINDS:
            values[name] = _KINDS[name](value)
        elif name.endswith("_at") or name == "deadline":
            values[name] = codecs.read_instant(value)
        elif name == "tokens":
            values[name] = Tokens(**value)
        elif name == "ladder":
            values[name] = tuple(Rung(signal, timedelta(seconds=wait)) for signal, wait in value)
        elif isinstance(value, list):
            values[name] = tuple(value)
    return values
