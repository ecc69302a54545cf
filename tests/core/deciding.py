"""A session, its fuse, and what may be seen of it: the values that the tests of `decide` begin from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from agentctl.core.model import (
    AgentRecord,
    ExitRecord,
    Fuse,
    FuseAction,
    Listing,
    Liveness,
    Observation,
    Outcome,
    Session,
    Status,
    StopCause,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
HELD = "liveness lock held, pid 42 alive"

RUNNING = Session(
    id="s",
    adapter="opencode",
    cwd="/work",
    status=Status.RUNNING,
    created_at=START,
    started_at=START,
    pid=42,
    start_token="t",
    native_id="ses_1",
    store_path="/store",
)
STARTING = RUNNING._replace(status=Status.STARTING, pid=None, start_token=None, started_at=None)
UNLISTED = RUNNING._replace(
    status=Status.STOPPED,
    outcome=Outcome.UNLISTED,
    lingering=True,
    ended_at=START + timedelta(minutes=1),
    reason="not listed",
)
AGENT = AgentRecord(pid=42, start_token="t", started_at=START)


LEGAL: dict[Status, frozenset[Status]] = {
    Status.STARTING: frozenset({Status.RUNNING, Status.STOPPING, Status.STOPPED, Status.ERROR}),
    Status.RUNNING: frozenset({Status.IDLE, Status.STOPPING, Status.STOPPED, Status.ERROR}),
    Status.IDLE: frozenset({Status.RUNNING, Status.STOPPING, Status.STOPPED, Status.ERROR}),
    Status.STOPPING: frozenset({Status.STOPPED, Status.ERROR}),
    Status.STOPPED: frozenset(),
    Status.ERROR: frozenset(),
}
"""Every change of status that a verdict may make. Staying is always legal."""


def is_legal(before: Status, after: Status) -> bool:
    return before is after or after in LEGAL[before]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def saw(liveness: Liveness, evidence: str = HELD, **more: Any) -> Observation:
    return Observation(liveness=liveness, evidence=evidence, **more)


def exited(code: int | None, *, seconds: float = 3, **more: Any) -> Observation:
    return saw(Liveness.DEAD, exit=ExitRecord(code=code, at=at(seconds)), **more)


ALIVE = saw(Liveness.ALIVE)
ABSENT = saw(Liveness.ALIVE, listing=Listing.ABSENT)
DEAD = saw(Liveness.DEAD, "liveness lock free, pid 42 gone")
ENDING = saw(Liveness.ENDING, "liveness lock held, pid 42 gone")
UNKNOWN = saw(Liveness.UNKNOWN, "liveness lock unknown, pid 42 cannot be identified")


def fused(action: FuseAction = FuseAction.STOP, *, seconds: float = 7200, **more: Any) -> Fuse:
    return Fuse(id="f", session_id="s", created_at=START, deadline=at(seconds), action=action, **more)


def stopping(cause: StopCause, **more: Any) -> Session:
    asked = RUNNING._replace(status=Status.STOPPING, stop_cause=cause, stop_stage=1, stop_escalate_at=at(10))
    return asked._replace(**more)
