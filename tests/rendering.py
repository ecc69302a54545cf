"""Sessions, fuses and texts to be shown, shared by the tests of tables and of documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agentctl.core.model import Fuse, FuseAction, Session, Status, as_stored
from agentctl.ops.found import Found

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


HOSTILE = "evil\x1b[2J\x1b]0;owned\x07\r\n\u202etxt.exe \ud83d \x9b31m"


def session(number: int = 1, **changes: object) -> Session:
    plain = Session(
        id=f"{number:08x}-0000-4000-8000-000000000000",
        adapter="opencode",
        cwd="/home/u/src/project",
        status=Status.RUNNING,
        created_at=NOW - timedelta(minutes=4),
        started_at=NOW - timedelta(minutes=3),
        pid=4321,
        model="anthropic/claude-sonnet-4-5",
        prompt="Fix the login bug",
    )
    return plain._replace(**changes)  # type: ignore[arg-type]


def fuse(**changes: object) -> Fuse:
    plain = Fuse(
        id="f" * 32,
        deadline=NOW + timedelta(hours=2),
        action=FuseAction.STOP,
        created_at=NOW,
        session_id=session().id,
    )
    return plain._replace(**changes)  # type: ignore[arg-type]


def view(number: int = 1, **changes: object) -> Found:
    return Found(as_stored(session(number, **changes)))
