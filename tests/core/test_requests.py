"""Verdicts that somebody asked for: started, abandoned, stop requested."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from agentctl.core.decide import decide
from agentctl.core.effects import AppendEvent, Effect, PostWebhook, ReleaseLocks, RunHook, Signal
from agentctl.core.model import (
    FINAL,
    AgentRecord,
    Fuse,
    FuseAction,
    FuseState,
    Liveness,
    Observation,
    Outcome,
    Rung,
    Session,
    Status,
    StopCause,
    Verdict,
)
from agentctl.core.requests import abandoned, started, stop_asked
from tests.core.deciding import is_legal

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEN_SECONDS = timedelta(seconds=10)
CREATED = NOW - timedelta(seconds=5)
ALIVE = Observation(liveness=Liveness.ALIVE, evidence="liveness lock held, pid 42 alive")

STARTING = Session(id="s", adapter="exec", cwd="/work", status=Status.STARTING, created_at=CREATED)
RUNNING = STARTING._replace(status=Status.RUNNING, pid=42, start_token="t", started_at=CREATED)
ARMED = Fuse(
    id="f",
    session_id="s",
    created_at=CREATED,
    deadline=CREATED + timedelta(hours=2),
    action=FuseAction.STOP,
)
AGENT = AgentRecord(pid=42, start_token="t", started_at=NOW - timedelta(seconds=1))


def ask(
    session: Session,
    fuse: Fuse | None = None,
    *,
    force: bool = False,
    patience: timedelta | None = None,
    now: datetime = NOW,
) -> Verdict:
    return stop_asked(session, fuse, now, force=force, patience=patience)


def signals(verdict: Verdict) -> list[Effect]:
    return [effect for effect in verdict.effects if isinstance(effect, Signal)]


def events(verdict: Verdict) -> list[str]:
    return [effect.type for effect in verdict.effects if isinstance(effect, AppendEvent)]


# Started.


def test_a_started_session_runs_from_when_its_agent_began() -> None:
    verdict = started(STARTING, ARMED, AGENT)
    assert verdict.session == STARTING._replace(
        status=Status.RUNNING, pid=42, start_token="t", started_at=AGENT.started_at
    )
    assert verdict.shown is Status.RUNNING
    assert verdict.fuse is ARMED


def test_a_start_is_told_once() -> None:
    assert started(STARTING, None, AGENT).effects == (
        AppendEvent("session.started", "launched", {"pid": 42}),
        PostWebhook("session.started"),
    )


def test_a_started_session_is_not_adopted_again() -> None:
    verdict = started(STARTING, ARMED, AGENT)
    again = decide(verdict.session, ARMED, ALIVE._replace(agent=AGENT), NOW)
    assert again.session == verdict.session
    assert again.effects == ()


# Abandoned.


def test_an_agent_that_could_not_be_started_failed() -> None:
    verdict = abandoned(STARTING, ARMED, "git worktree add failed", NOW)
    after = verdict.session
    assert (after.status, after.outcome) == (Status.ERROR, Outcome.FAILED)
    assert after.reason == verdict.reason == "not started: git worktree add failed"
    assert after.ended_at == NOW
    assert (after.exit_code, after.signal, after.pid) == (None, None, None)
    assert verdict.shown is Status.ERROR


def test_abandoning_frees_the_directory_and_the_fuse_and_tells_it_once() -> None:
    verdict = abandoned(STARTING, ARMED, "no such branch", NOW)
    reason = "not started: no such branch"
    data = {"outcome": "failed", "exit_code": None, "rule": 4, "evidence": None}
    assert verdict.effects == (
        ReleaseLocks(),
        AppendEvent("session.error", reason, data),
        RunHook("on_complete"),
        PostWebhook("session.error"),
    )
    assert verdict.fuse == ARMED._replace(state=FuseState.CANCELLED)


@pytest.mark.parametrize(
    ("cause", "status", "outcome"),
    [
        (StopCause.USER, Status.STOPPED, Outcome.CANCELLED),
        (StopCause.FUSE, Status.ERROR, Outcome.TIMED_OUT),
    ],
)
def test_a_launch_that_was_stopped_before_it_was_given_up_keeps_who_stopped_it(
    cause: StopCause, status: Status, outcome: Outcome
) -> None:
    stopping = STARTING._replace(status=Status.STOPPING, stop_cause=cause, stop_stage=1)
    after = abandoned(stopping, None, "its session was stopped", NOW).session
    assert (after.status, after.outcome) == (status, outcome)


# Stop, asked for once.


def test_the_first_request_records_who_asked_and_sends_the_first_rung() -> None:
    verdict = ask(RUNNING)
    assert verdict.session == RUNNING._replace(
        status=Status.STOPPING,
        stop_cause=StopCause.USER,
        stop_stage=1,
        stop_escalate_at=NOW + TEN_SECONDS,
    )
    assert verdict.effects == (
        AppendEvent("session.stopping", "stop requested", {"force": False}),
        Signal(SIGTERM),
    )
    assert verdict.shown is Status.STOPPING
    assert verdict.reason == "stop requested"


def test_the_adapters_own_order_is_kept() -> None:
    ladder = (Rung(SIGINT, timedelta(seconds=3)), Rung(SIGKILL, timedelta(seconds=5)))
    verdict = ask(RUNNING._replace(ladder=ladder))
    assert signals(verdict) == [Signal(SIGINT)]
    assert verdict.session.stop_escalate_at == NOW + timedelta(seconds=3)


def test_force_kills_at_once() -> None:
    verdict = ask(RUNNING, force=True)
    assert signals(verdict) == [Signal(SIGKILL)]
    assert (verdict.session.stop_stage, verdict.session.ladder) == (1, RUNNING.ladder[-1:])
    assert verdict.session.stop_escalate_at == NOW + timedelta(seconds=5)
    assert AppendEvent("session.stopping", "stop requested", {"force": True}) in verdict.effects


def test_patience_replaces_the_wait_before_the_kill() -> None:
    verdict = ask(RUNNING, patience=timedelta(seconds=60))
    assert verdict.session.stop_escalate_at == NOW + timedelta(seconds=60)
    assert verdict.session.ladder == (
        Rung(SIGTERM, timedelta(seconds=60)),
        Rung(SIGKILL, timedelta(seconds=5)),
    )
    before = decide(verdict.session, None, ALIVE, NOW + timedelta(seconds=59.999999))
    assert signals(before) == []
    assert signals(decide(verdict.session, None, ALIVE, NOW + timedelta(seconds=60))) == [Signal(SIGKILL)]


def test_no_patience_at_all_kills_at_the_next_look() -> None:
    verdict = ask(RUNNING, patience=timedelta())
    assert signals(verdict) == [Signal(SIGTERM)]
    assert signals(decide(verdict.session, None, ALIVE, NOW)) == [Signal(SIGKILL)]


def test_a_ladder_of_one_rung_has_no_wait_to_replace() -> None:
    only = (Rung(SIGKILL, timedelta(seconds=5)),)
    verdict = ask(RUNNING._replace(ladder=only), patience=timedelta(minutes=1))
    assert verdict.session.ladder == only
    assert signals(verdict) == [Signal(SIGKILL)]


def test_a_starting_session_can_be_stopped() -> None:
    verdict = ask(STARTING)
    assert verdict.session.status is Status.STOPPING
    assert verdict.session.stop_cause is StopCause.USER


@pytest.mark.parametrize("status", sorted(set(Status) - FINAL))
@pytest.mark.parametrize("force", [False, True])
def test_a_request_takes_a_legal_step_from_every_live_status(status: Status, force: bool) -> None:
    assert is_legal(status, ask(RUNNING._replace(status=status), force=force).session.status)


# Its fuse.


def test_stopping_cancels_an_armed_fuse_and_says_so() -> None:
    verdict = ask(RUNNING, ARMED)
    assert verdict.fuse == ARMED._replace(state=FuseState.CANCELLED)
    assert verdict.effects[-1] == AppendEvent("fuse.cancelled", "its session is being stopped", {"fuse": "f"})


@pytest.mark.parametrize("state", [FuseState.FIRED, FuseState.CANCELLED])
def test_stopping_leaves_a_spent_fuse_as_it_is(state: FuseState) -> None:
    spent = ARMED._replace(state=state)
    verdict = ask(RUNNING, spent)
    assert verdict.fuse is spent
    assert events(verdict) == ["session.stopping"]


def test_the_cancelled_fuse_never_fires() -> None:
    verdict = ask(RUNNING, ARMED)
    later = decide(verdict.session, verdict.fuse, ALIVE, ARMED.deadline)
    assert later.rule == 5
    assert later.fuse == verdict.fuse
    assert later.session.stop_cause is StopCause.USER


# Asked again.


def test_asking_again_changes_nothing_and_sends_nothing() -> None:
    first = ask(RUNNING, ARMED)
    again = ask(first.session, first.fuse, now=NOW + timedelta(seconds=3))
    assert again.session == first.session
    assert again.fuse == first.fuse
    assert again.effects == ()


def test_asking_again_with_the_same_patience_changes_nothing() -> None:
    first = ask(RUNNING, patience=timedelta(minutes=1))
    again = ask(first.session, patience=timedelta(minutes=1), now=NOW + timedelta(seconds=3))
    assert again.session == first.session
    assert again.effects == ()


def test_asking_again_with_less_patience_brings_the_kill_nearer() -> None:
    first = ask(RUNNING, patience=timedelta(minutes=10))
    again = ask(first.session, patience=timedelta(seconds=2), now=NOW + timedelta(seconds=3))
    assert signals(again) == []
    assert again.session.stop_escalate_at == NOW + timedelta(seconds=5)


def test_asking_again_with_force_goes_to_the_last_rung_now() -> None:
    first = ask(RUNNING)
    later = NOW + timedelta(seconds=3)
    again = ask(first.session, force=True, now=later)
    assert again.effects == (Signal(SIGKILL),)
    assert again.session == first.session._replace(
        ladder=RUNNING.ladder[-1:], stop_stage=1, stop_escalate_at=later + timedelta(seconds=5)
    )


def test_force_twice_kills_twice() -> None:
    """A signal is sent at least once: the process that asked first may have died before it sent it."""
    first = ask(RUNNING, force=True)
    again = ask(first.session, force=True, now=NOW + timedelta(seconds=1))
    assert again.effects == (Signal(SIGKILL),)
    assert again.session.stop_stage == 1


# After the fuse blew.


def fired() -> Verdict:
    return decide(RUNNING, ARMED, ALIVE, ARMED.deadline)


def test_a_request_after_the_fuse_does_not_change_who_asked() -> None:
    blown = fired()
    again = ask(blown.session, blown.fuse, now=ARMED.deadline + timedelta(seconds=1))
    assert again.session == blown.session
    assert again.session.stop_cause is StopCause.FUSE
    assert again.fuse == ARMED._replace(state=FuseState.FIRED)
    assert again.effects == ()


def test_force_after_the_fuse_kills_now_and_still_times_out() -> None:
    blown = fired()
    again = ask(blown.session, blown.fuse, force=True, now=ARMED.deadline + timedelta(seconds=1))
    assert again.effects == (Signal(SIGKILL),)
    dead = Observation(liveness=Liveness.DEAD, evidence="liveness lock free, pid 42 gone")
    ended = decide(again.session, again.fuse, dead, ARMED.deadline + timedelta(seconds=2))
    assert ended.session.outcome is Outcome.TIMED_OUT


# Degenerate ladders.


@pytest.mark.parametrize("force", [False, True])
def test_a_ladder_without_rungs_is_the_default_one(force: bool) -> None:
    """An adapter from elsewhere may name none; a stop must work all the same."""
    bare = ask(RUNNING._replace(ladder=()), force=force)
    assert signals(bare) == signals(ask(RUNNING, force=force))
    assert bare.session.stop_escalate_at == ask(RUNNING, force=force).session.stop_escalate_at
