"""Fuses as `decide` sees them: rows 6 and 7, warnings, and the free fuses of directories."""

from __future__ import annotations

from datetime import datetime, timedelta
from signal import SIGTERM
from typing import Any

import pytest

from agentctl.core.deadlines import decide_fuse, decide_lock
from agentctl.core.decide import decide
from agentctl.core.effects import AppendEvent, PostWebhook, RunHook, Signal
from agentctl.core.model import (
    ExitRecord,
    Fuse,
    FuseAction,
    FuseState,
    Listing,
    Lock,
    Outcome,
    Status,
    StopCause,
)
from tests.core.deciding import ABSENT, ALIVE, DEAD, RUNNING, START, TICK

DEADLINE = START + timedelta(hours=2)
WARN_AT = DEADLINE - timedelta(minutes=10)


def fused(action: FuseAction = FuseAction.STOP, **more: Any) -> Fuse:
    return Fuse(id="f", session_id="s", created_at=START, deadline=DEADLINE, action=action)._replace(**more)


def expired(action: str, directory: str | None = None) -> AppendEvent:
    data = {"fuse": "f", "action": action, "directory": directory}
    return AppendEvent("fuse.expired", f"its deadline passed; action {action}", data)


# Row 6: due, action stop.


@pytest.mark.parametrize("late", [timedelta(), TICK, timedelta(days=3)])
def test_row_6_a_due_fuse_stops_a_live_session(late: timedelta) -> None:
    now = DEADLINE + late
    result = decide(RUNNING, fused(), ALIVE, now)
    assert (result.rule, result.shown) == (6, Status.STOPPING)
    assert result.session == RUNNING._replace(
        status=Status.STOPPING,
        stop_cause=StopCause.FUSE,
        stop_stage=1,
        stop_escalate_at=now + timedelta(seconds=10),
    )
    assert result.fuse == fused(state=FuseState.FIRED)
    assert result.effects == (expired("stop"), PostWebhook("fuse.expired"), Signal(SIGTERM))
    assert result.reason == "its 2h fuse blew; stopping"


def test_row_6_never_before_the_deadline() -> None:
    result = decide(RUNNING, fused(), ALIVE, DEADLINE - TICK)
    assert (result.rule, result.session, result.fuse) == (7, RUNNING, fused())


def test_row_6_fires_once() -> None:
    first = decide(RUNNING, fused(), ALIVE, DEADLINE)
    again = decide(first.session, first.fuse, ALIVE, DEADLINE + TICK)
    assert (again.rule, again.effects) == (5, ())
    assert (again.session, again.fuse) == (first.session, first.fuse)


def test_row_6_is_timed_out_when_the_process_has_gone() -> None:
    first = decide(RUNNING, fused(), ALIVE, DEADLINE)
    record = ExitRecord(code=143, at=DEADLINE + timedelta(seconds=1))
    last = decide(first.session, first.fuse, DEAD._replace(exit=record), DEADLINE + timedelta(seconds=2))
    assert (last.session.outcome, last.session.status) == (Outcome.TIMED_OUT, Status.ERROR)
    assert last.reason == "blew its 2h fuse"
    assert last.fuse == fused(state=FuseState.FIRED)


def test_row_6_an_end_just_before_it_was_fired_is_the_agents_own() -> None:
    record = ExitRecord(code=0, at=DEADLINE - TICK)
    result = decide(RUNNING, fused(), DEAD._replace(exit=record), DEADLINE)
    assert result.session.outcome is Outcome.SUCCEEDED
    assert result.fuse == fused(state=FuseState.CANCELLED)


@pytest.mark.parametrize("state", [FuseState.FIRED, FuseState.CANCELLED])
def test_row_6_a_spent_fuse_stops_nothing(state: FuseState) -> None:
    result = decide(RUNNING, fused(state=state), ALIVE, DEADLINE)
    assert (result.rule, result.session, result.effects) == (9, RUNNING, ())


def test_row_6_does_not_overrule_a_users_stop() -> None:
    asked = RUNNING._replace(
        status=Status.STOPPING,
        stop_cause=StopCause.USER,
        stop_stage=1,
        stop_escalate_at=DEADLINE + TICK,
    )
    result = decide(asked, fused(), ALIVE, DEADLINE)
    assert (result.rule, result.session, result.effects) == (5, asked, ())


# Row 7: the fuse vouches.


@pytest.mark.parametrize("action", [FuseAction.STOP, FuseAction.NONE])
@pytest.mark.parametrize("listing", Listing)
def test_row_7_a_vouching_fuse_and_a_live_process_outweigh_the_store(
    action: FuseAction, listing: Listing
) -> None:
    seen = ALIVE._replace(listing=listing)
    result = decide(RUNNING, fused(action), seen, START + timedelta(hours=1))
    assert (result.rule, result.shown) == (7, Status.RUNNING)
    assert (result.session, result.effects) == (RUNNING, ())
    assert result.reason == "running (process 42 is alive)"


def test_row_7_ends_with_the_deadline_where_the_fuse_stops_nothing() -> None:
    fuse = fused(FuseAction.NONE)
    assert decide(RUNNING, fuse, ABSENT, DEADLINE - TICK).rule == 7
    assert decide(RUNNING, fuse, ABSENT, DEADLINE).rule == 10


# A due fuse that ends nothing.


def test_a_due_fuse_of_action_none_fires_as_an_event_and_ends_nothing() -> None:
    result = decide(RUNNING, fused(FuseAction.NONE), ALIVE, DEADLINE)
    assert (result.rule, result.shown) == (9, Status.RUNNING)
    assert result.session == RUNNING
    assert result.fuse == fused(FuseAction.NONE, state=FuseState.FIRED)
    assert result.effects == (expired("none"), PostWebhook("fuse.expired"))
    again = decide(RUNNING, result.fuse, ALIVE, DEADLINE + TICK)
    assert (again.fuse, again.effects) == (result.fuse, ())


def test_a_due_fuse_of_action_none_fires_inside_the_grace_too() -> None:
    early = fused(FuseAction.NONE, deadline=START + timedelta(seconds=5))
    result = decide(RUNNING, early, ABSENT, START + timedelta(seconds=5))
    assert (result.rule, result.shown) == (8, Status.RUNNING)
    assert result.fuse == early._replace(state=FuseState.FIRED)


def test_an_unlisted_ending_leaves_a_fuse_that_just_fired_as_fired() -> None:
    result = decide(RUNNING, fused(FuseAction.NONE), ABSENT, DEADLINE)
    assert (result.rule, result.session.outcome) == (10, Outcome.UNLISTED)
    assert result.fuse == fused(FuseAction.NONE, state=FuseState.FIRED)
    told = [effect.type for effect in result.effects if isinstance(effect, AppendEvent)]
    assert told == ["fuse.expired", "session.stopped"]


# The fuse of a session that has ended.


@pytest.mark.parametrize("action", [FuseAction.STOP, FuseAction.NONE])
@pytest.mark.parametrize("now", [DEADLINE - TICK, DEADLINE, DEADLINE + TICK])
@pytest.mark.parametrize("record", [None, ExitRecord(code=0, at=START + timedelta(seconds=3))])
def test_an_ending_cancels_the_fuse_due_or_not(
    action: FuseAction, now: datetime, record: ExitRecord | None
) -> None:
    result = decide(RUNNING, fused(action), DEAD._replace(exit=record), now)
    assert result.fuse == fused(action, state=FuseState.CANCELLED)
    assert result.session.outcome is (Outcome.LOST if record is None else Outcome.SUCCEEDED)
    assert result.session.stop_cause is StopCause.NONE


# The warning.


@pytest.mark.parametrize("now", [WARN_AT, WARN_AT + TICK, DEADLINE - timedelta(seconds=1)])
def test_a_warning_is_queued_once_inside_its_window(now: datetime) -> None:
    result = decide(RUNNING, fused(warn_at=WARN_AT), ALIVE, now)
    assert (result.rule, result.session) == (7, RUNNING)
    assert result.fuse == fused(warn_at=None)
    assert [type(effect) for effect in result.effects] == [AppendEvent, RunHook]
    assert result.effects[1] == RunHook("on_fuse_warn")
    assert decide(RUNNING, result.fuse, ALIVE, now).effects == ()


def test_the_warning_says_how_long_is_left() -> None:
    effects = decide(RUNNING, fused(warn_at=WARN_AT), ALIVE, WARN_AT).effects
    assert effects[0] == AppendEvent("fuse.warned", "10m left", {"fuse": "f"})


def test_no_warning_before_its_window() -> None:
    fuse = fused(warn_at=WARN_AT)
    result = decide(RUNNING, fuse, ALIVE, WARN_AT - TICK)
    assert (result.fuse, result.effects) == (fuse, ())


def test_the_last_instant_before_the_deadline_still_warns() -> None:
    assert RunHook("on_fuse_warn") in decide(RUNNING, fused(warn_at=WARN_AT), ALIVE, DEADLINE - TICK).effects


@pytest.mark.parametrize("action", [FuseAction.STOP, FuseAction.NONE])
@pytest.mark.parametrize("now", [DEADLINE, DEADLINE + timedelta(hours=1)])
def test_a_warning_that_was_missed_is_skipped(action: FuseAction, now: datetime) -> None:
    result = decide(RUNNING, fused(action, warn_at=WARN_AT), ALIVE, now)
    assert RunHook("on_fuse_warn") not in result.effects
    assert result.fuse is not None
    assert result.fuse.state is FuseState.FIRED


@pytest.mark.parametrize("state", [FuseState.FIRED, FuseState.CANCELLED])
def test_a_spent_fuse_does_not_warn(state: FuseState) -> None:
    result = decide(RUNNING, fused(warn_at=WARN_AT, state=state), ALIVE, WARN_AT)
    assert (result.rule, result.effects) == (9, ())


# Directories.


def of_directory(action: FuseAction) -> Fuse:
    return fused(action, session_id=None, directory="/work", command="make clean", url="http://x/")


@pytest.mark.parametrize(
    ("action", "hooks"),
    [
        (FuseAction.SCRIPT, (RunHook("fuse_script"),)),
        (FuseAction.WEBHOOK, ()),
        (FuseAction.EVENT, ()),
    ],
)
def test_a_directorys_fuse_fires_once_at_its_deadline(action: FuseAction, hooks: tuple[RunHook, ...]) -> None:
    fuse = of_directory(action)
    assert decide_fuse(fuse, DEADLINE - TICK) == (fuse, ())
    fired, effects = decide_fuse(fuse, DEADLINE)
    assert fired == fuse._replace(state=FuseState.FIRED)
    assert effects == (expired(action.value, "/work"), *hooks, PostWebhook("fuse.expired"))
    assert decide_fuse(fired, DEADLINE + TICK) == (fired, ())


def test_a_cancelled_fuse_of_a_directory_never_fires() -> None:
    cancelled = of_directory(FuseAction.EVENT)._replace(state=FuseState.CANCELLED)
    assert decide_fuse(cancelled, DEADLINE) == (cancelled, ())


# Locks.


def a_lock(expires_at: datetime | None, session_id: str | None = None) -> Lock:
    return Lock(
        id=1,
        directory="/work",
        holder="ann",
        created_at=START,
        expires_at=expires_at,
        session_id=session_id,
    )


@pytest.mark.parametrize(
    ("now", "is_over"), [(DEADLINE - TICK, False), (DEADLINE, True), (DEADLINE + TICK, True)]
)
def test_a_lock_taken_for_a_time_is_over_from_then_on(now: datetime, is_over: bool) -> None:
    assert decide_lock(a_lock(DEADLINE), now) is is_over


def test_a_lock_without_an_end_never_expires() -> None:
    assert not decide_lock(a_lock(None), DEADLINE + timedelta(days=3650))


def test_the_lock_of_a_session_ends_with_the_session_only() -> None:
    assert not decide_lock(a_lock(DEADLINE, session_id="s"), DEADLINE + timedelta(days=1))
