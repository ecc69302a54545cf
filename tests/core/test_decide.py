"""Rows 5 and 8 to 10 of `decide`, for a process that lives: stop, grace, listing, adoption.

Rows 1 to 4 are in test_decide_endings.py, rows 6 and 7 in test_decide_fuse.py.
"""

from __future__ import annotations

from datetime import timedelta
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from agentctl.core.decide import decide, needs_listing
from agentctl.core.effects import AppendEvent, PostWebhook, ReleaseLocks, RunHook, Signal, Sweep
from agentctl.core.model import (
    AgentRecord,
    FuseAction,
    FuseState,
    Listing,
    Liveness,
    Observation,
    Outcome,
    Result,
    Rung,
    Session,
    Status,
    StopCause,
)
from tests.core.deciding import (
    ABSENT,
    AGENT,
    ALIVE,
    DEAD,
    ENDING,
    RUNNING,
    START,
    STARTING,
    TICK,
    UNKNOWN,
    UNLISTED,
    at,
    exited,
    fused,
    saw,
    stopping,
)

# Row 5: a stop was asked for.


@pytest.mark.parametrize("cause", [StopCause.USER, StopCause.FUSE])
@pytest.mark.parametrize(
    ("seconds", "climbs"), [(0, False), (9.999999, False), (10, True), (10.000001, True)]
)
def test_row_5_the_next_rung_when_its_time_has_come(cause: StopCause, seconds: float, climbs: bool) -> None:
    session = stopping(cause)
    result = decide(session, None, ALIVE, at(seconds))
    assert (result.rule, result.shown) == (5, Status.STOPPING)
    if climbs:
        assert result.effects == (Signal(SIGKILL),)
        assert result.session == session._replace(stop_stage=2, stop_escalate_at=at(seconds + 5))
    else:
        assert result.effects == ()
        assert result.session == session


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (StopCause.USER, "stopping (asked by a user)"),
        (StopCause.FUSE, "stopping (its fuse blew)"),
    ],
)
def test_row_5_says_who_asked_and_what_was_sent(cause: StopCause, reason: str) -> None:
    assert decide(stopping(cause), None, ALIVE, at(9)).reason == reason
    assert decide(stopping(cause), None, ALIVE, at(10)).reason == f"{reason}: SIGKILL"


def test_row_5_a_request_whose_first_signal_was_never_asked_for_begins_the_ladder() -> None:
    asked = stopping(StopCause.USER, stop_stage=0, stop_escalate_at=None)
    result = decide(asked, None, ALIVE, at(0))
    assert result.effects == (Signal(SIGTERM),)
    assert (result.session.stop_stage, result.session.stop_escalate_at) == (1, at(10))


def test_row_5_the_last_rung_is_repeated_after_its_wait() -> None:
    killed = stopping(StopCause.USER, stop_stage=2, stop_escalate_at=at(15))
    assert decide(killed, None, ALIVE, at(14.999999)).effects == ()
    again = decide(killed, None, ALIVE, at(15))
    assert again.effects == (Signal(SIGKILL),)
    assert again.session == killed._replace(stop_escalate_at=at(20))
    assert decide(again.session, None, ALIVE, at(15)).effects == ()


def test_row_5_climbs_the_ladder_of_the_session() -> None:
    ladder = (
        Rung(SIGINT, timedelta(seconds=1)),
        Rung(SIGTERM, timedelta(seconds=2)),
        Rung(SIGKILL, timedelta(seconds=3)),
    )
    session = stopping(StopCause.USER, ladder=ladder, stop_stage=0, stop_escalate_at=None)
    sent = []
    for seconds in (0, 1, 3, 6):
        result = decide(session, None, ALIVE, at(seconds))
        session = result.session
        sent.append(result.effects)
    assert sent == [
        (Signal(SIGINT),),
        (Signal(SIGTERM),),
        (Signal(SIGKILL),),
        (Signal(SIGKILL),),
    ]


def test_row_5_a_ladder_without_rungs_does_not_raise() -> None:
    bare = stopping(StopCause.USER, ladder=(), stop_stage=0, stop_escalate_at=None)
    assert decide(bare, None, ALIVE, at(0)).effects == (Signal(SIGTERM),)


def test_row_5_an_unlisted_session_that_is_being_stopped_does_not_linger() -> None:
    assert decide(stopping(StopCause.USER), None, ABSENT, at(60)).rule == 5


# Row 8: the grace.


@pytest.mark.parametrize("listing", Listing)
@pytest.mark.parametrize("seconds", [-3600, -0.000001, 0, 29.999, 29.999999])
def test_row_8_inside_the_grace_the_store_proves_nothing(seconds: float, listing: Listing) -> None:
    """An age below zero, after the clock was set back, is inside it too."""
    result = decide(RUNNING, None, saw(Liveness.ALIVE, listing=listing), at(seconds))
    assert (result.rule, result.shown) == (8, Status.RUNNING)
    assert result.session == RUNNING
    assert result.effects == ()
    assert result.reason == "running (process 42 is alive, started less than 30s ago)"


@pytest.mark.parametrize("state", [FuseState.FIRED, FuseState.CANCELLED], ids=["fired", "cancelled"])
def test_row_8_a_spent_fuse_does_not_vouch(state: FuseState) -> None:
    fuse = fused(state=state)
    assert decide(RUNNING, fuse, ABSENT, at(29.999)).rule == 8
    assert decide(RUNNING, fuse, ABSENT, at(30)).rule == 10


# Row 9: past the grace, and the store does not contradict.


@pytest.mark.parametrize(
    ("listing", "reason"),
    [
        (Listing.RUNNING, "running (process 42 is alive and the agent's store lists this session)"),
        (Listing.UNAVAILABLE, "running (process 42 is alive)"),
    ],
)
@pytest.mark.parametrize("seconds", [30, 30.001, 86400])
def test_row_9_past_the_grace_a_store_that_does_not_contradict(
    seconds: float, listing: Listing, reason: str
) -> None:
    result = decide(RUNNING, None, saw(Liveness.ALIVE, listing=listing), at(seconds))
    assert (result.rule, result.shown, result.reason) == (9, Status.RUNNING, reason)
    assert (result.session, result.effects) == (RUNNING, ())


def test_rows_7_to_9_an_idle_session_stays_idle() -> None:
    idle = RUNNING._replace(status=Status.IDLE)
    for fuse, seconds in ((fused(), 60), (None, 1), (None, 60)):
        result = decide(idle, fuse, ALIVE, at(seconds))
        assert (result.session, result.shown) == (idle, Status.IDLE)


# Row 10: past the grace, not listed, nobody vouches.


@pytest.mark.parametrize(
    ("listing", "said"),
    [(Listing.ABSENT, "did not list it"), (Listing.ENDED, "listed it as ended")],
)
@pytest.mark.parametrize("seconds", [30, 30.000001, 3600])
def test_row_10_unlisted_past_the_grace_lingers(seconds: float, listing: Listing, said: str) -> None:
    result = decide(RUNNING, None, saw(Liveness.ALIVE, listing=listing), at(seconds))
    reason = f"the agent's store {said}, although process 42 was alive"
    after = result.session
    assert result.rule == 10
    assert (after.status, after.outcome, after.reason) == (Status.STOPPED, Outcome.UNLISTED, reason)
    assert (after.lingering, after.pid, after.ended_at) == (True, 42, at(seconds))
    assert (after.exit_code, after.signal) == (None, None)
    evidence = f"the agent's store says {listing.value}, {saw(Liveness.ALIVE).evidence}"
    data = {"outcome": "unlisted", "exit_code": None, "rule": 10, "evidence": evidence}
    assert result.effects == (
        AppendEvent("session.stopped", reason, data),
        RunHook("on_complete"),
        PostWebhook("session.stopped"),
    )


def test_row_10_keeps_its_directory_lock_and_signals_nothing() -> None:
    effects = decide(RUNNING, None, ABSENT, at(30)).effects
    assert not any(isinstance(effect, ReleaseLocks | Signal | Sweep) for effect in effects)


# Adoption of what a launcher left behind.


def test_a_starting_session_without_an_agent_stays_starting_however_long_it_takes() -> None:
    for seconds in (0, 29.999, 30, 3600):
        result = decide(STARTING, fused(), ABSENT, at(seconds))
        assert (result.session, result.shown) == (STARTING, Status.STARTING)
        assert (result.reason, result.effects) == ("launching", ())


def test_a_starting_session_whose_agent_appeared_is_adopted() -> None:
    agent = AgentRecord(pid=77, start_token="u", started_at=at(-1))
    result = decide(STARTING, fused(), ALIVE._replace(agent=agent), at(1))
    assert result.rule == 7
    assert result.session == STARTING._replace(
        status=Status.RUNNING, pid=77, start_token="u", started_at=at(-1)
    )
    assert result.shown is Status.RUNNING
    assert result.effects == (
        AppendEvent("session.started", "agent found running", {"pid": 77, "evidence": ALIVE.evidence}),
        PostWebhook("session.started"),
    )


@pytest.mark.parametrize(("seconds", "rule"), [(29.999, 8), (30, 10)])
def test_an_adopted_session_is_judged_by_when_its_agent_started(seconds: float, rule: int) -> None:
    waited = STARTING._replace(created_at=at(-600))
    assert decide(waited, None, ABSENT._replace(agent=AGENT), at(seconds)).rule == rule


def test_an_adopted_session_that_has_ended_is_told_as_started_and_as_ended() -> None:
    result = decide(STARTING, None, exited(0, agent=AGENT), at(60))
    assert (result.session.pid, result.session.started_at) == (42, START)
    told = [effect.type for effect in result.effects if isinstance(effect, AppendEvent)]
    assert told == ["session.started", "session.stopped"]
    assert result.reason == "exit 0 after 3s"


def test_an_adopted_session_that_vanished_is_lost() -> None:
    result = decide(STARTING, None, DEAD._replace(agent=AGENT), at(60))
    assert (result.session.pid, result.session.outcome) == (42, Outcome.LOST)
    assert result.reason == "process vanished together with its shim, so nobody recorded how"


def test_a_session_stopped_while_it_started_stays_so_when_its_agent_appears() -> None:
    asked = STARTING._replace(
        status=Status.STOPPING,
        stop_cause=StopCause.USER,
        stop_stage=1,
        stop_escalate_at=at(10),
    )
    result = decide(asked, None, ALIVE._replace(agent=AGENT), at(10))
    assert (result.session.pid, result.session.status) == (42, Status.STOPPING)
    assert result.effects[-1] == Signal(SIGKILL)


def test_a_recorded_agent_is_not_replaced() -> None:
    other = AgentRecord(pid=77, start_token="u", started_at=at(-1))
    assert decide(RUNNING, None, ALIVE._replace(agent=other), at(1)).session == RUNNING


# A shim that is gone.


def test_an_agent_without_its_shim_is_noted_and_goes_on() -> None:
    result = decide(RUNNING, fused(), ALIVE._replace(supervised=False), at(60))
    assert result.session == RUNNING._replace(unsupervised=True)
    assert result.shown is Status.RUNNING
    assert result.reason.endswith("; its shim was killed, so its exit code will not be known)")
    assert result.effects == ()


def test_a_native_id_learnt_from_a_live_agent_is_kept() -> None:
    unnamed = RUNNING._replace(native_id=None)
    seen = ALIVE._replace(result=Result(native_id="ses_9"))
    assert decide(unnamed, fused(), seen, at(1)).session == RUNNING._replace(native_id="ses_9")


# When the agent's own store is asked.


@pytest.mark.parametrize("action", [FuseAction.STOP, FuseAction.NONE], ids=["action stop", "action none"])
def test_the_store_is_not_asked_while_a_fuse_vouches(action: FuseAction) -> None:
    assert not needs_listing(RUNNING, fused(action), ALIVE, START + timedelta(hours=2) - TICK)


def test_the_store_is_not_asked_when_the_fuse_ends_the_session_anyway() -> None:
    assert not needs_listing(RUNNING, fused(), ALIVE, at(7200))
    assert needs_listing(RUNNING, fused(FuseAction.NONE), ALIVE, at(7200))


def test_the_store_is_asked_from_the_end_of_the_grace_on() -> None:
    assert not needs_listing(RUNNING, None, ALIVE, at(29.999))
    assert needs_listing(RUNNING, None, ALIVE, at(30))


@pytest.mark.parametrize(
    "session",
    [
        RUNNING._replace(native_id=None),
        RUNNING._replace(store_path=None),
        STARTING,
        stopping(StopCause.USER),
        UNLISTED,
    ],
    ids=["no native id", "no store", "starting", "stopping", "lingering"],
)
def test_the_store_is_not_asked_of_a_session_it_cannot_decide(session: Session) -> None:
    assert not needs_listing(session, None, ALIVE, at(60))


@pytest.mark.parametrize("seen", [DEAD, ENDING, UNKNOWN, exited(0)])
def test_the_store_is_not_asked_unless_the_process_is_alive(seen: Observation) -> None:
    assert not needs_listing(RUNNING, None, seen, at(60))


def test_the_store_is_not_asked_inside_the_grace_of_an_agent_just_found() -> None:
    """Its launcher may have spent minutes on a worktree before the agent began."""
    waited = STARTING._replace(created_at=at(-600))
    seen = ALIVE._replace(agent=AGENT)
    assert not needs_listing(waited, None, seen, at(29.999))
    assert needs_listing(waited, None, seen, at(30))
