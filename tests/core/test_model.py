"""The few claims that values make about themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agentctl.core import model
from agentctl.core.model import (
    FINAL,
    GRACE,
    TERM_THEN_KILL,
    Fuse,
    FuseAction,
    FuseState,
    Session,
    Status,
)

DEADLINE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def a_session(status: Status, *, lingering: bool = False) -> Session:
    return Session(id="s", adapter="exec", cwd="/", status=status, created_at=DEADLINE, lingering=lingering)


def a_fuse(state: FuseState) -> Fuse:
    return Fuse(
        id="f",
        deadline=DEADLINE,
        action=FuseAction.STOP,
        created_at=DEADLINE - timedelta(hours=1),
        state=state,
    )


def test_only_stopped_and_error_are_final() -> None:
    assert {status for status in Status if a_session(status).is_final} == FINAL == {"stopped", "error"}


def test_a_lingering_session_is_final_and_not_settled() -> None:
    lingering = a_session(Status.STOPPED, lingering=True)
    assert lingering.is_final
    assert not lingering.is_settled
    assert a_session(Status.STOPPED).is_settled
    assert not a_session(Status.RUNNING).is_settled


@pytest.mark.parametrize(
    ("now", "is_due"),
    [(DEADLINE - TICK, False), (DEADLINE, True), (DEADLINE + TICK, True)],
)
def test_an_armed_fuse_is_due_from_its_deadline_on_and_vouches_until_then(
    now: datetime, is_due: bool
) -> None:
    fuse = a_fuse(FuseState.ARMED)
    assert fuse.is_due(now) is is_due
    assert fuse.vouches(now) is not is_due


@pytest.mark.parametrize("state", [FuseState.FIRED, FuseState.CANCELLED])
@pytest.mark.parametrize("now", [DEADLINE - TICK, DEADLINE, DEADLINE + TICK])
def test_a_spent_fuse_is_neither_due_nor_vouches(state: FuseState, now: datetime) -> None:
    fuse = a_fuse(state)
    assert not fuse.is_due(now)
    assert not fuse.vouches(now)


def test_the_default_ladder_is_term_ten_seconds_kill() -> None:
    assert [rung.signal for rung in TERM_THEN_KILL] == [15, 9]
    assert TERM_THEN_KILL[0].wait == timedelta(seconds=10)
    assert a_session(Status.RUNNING).ladder == TERM_THEN_KILL


def test_the_grace_is_thirty_seconds() -> None:
    assert timedelta(seconds=30) == GRACE


def test_every_value_is_frozen() -> None:
    session = a_session(Status.RUNNING)
    values = [
        value for value in vars(model).values() if isinstance(value, type) and hasattr(value, "_fields")
    ]
    assert Session in values
    for name in Session._fields:
        with pytest.raises(AttributeError):
            setattr(session, name, "other")
    with pytest.raises(TypeError):
        session.hooks["on_complete"] = "mine"  # type: ignore[index]
