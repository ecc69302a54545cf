"""An end that the timer made by itself, and a session that a user gave up."""

from __future__ import annotations

import pytest

from agentctl.core.decide import decide
from agentctl.core.effects import AppendEvent, ReleaseLocks, Sweep
from agentctl.core.model import FuseState, Observation, Outcome, Status, StopCause
from tests.core.deciding import ALIVE, DEAD, RUNNING, UNKNOWN, at, exited, fused


@pytest.mark.parametrize("seen", [exited(143), exited(0), DEAD])
def test_what_the_timer_ended_has_timed_out(seen: Observation) -> None:
    result = decide(RUNNING, fused(seconds=2), seen._replace(fired=True), at(100))
    assert result.session.outcome is Outcome.TIMED_OUT
    assert result.session.reason is not None
    assert result.session.reason.startswith("blew its 2s fuse")
    assert result.fuse is not None
    assert result.fuse.state is FuseState.FIRED
    told = [effect.type for effect in result.effects if isinstance(effect, AppendEvent)]
    assert told == ["fuse.expired", "session.timeout"]
    assert Sweep() in result.effects, "the timer ended the agent alone"


def test_what_survives_the_timer_is_being_stopped() -> None:
    result = decide(RUNNING, fused(seconds=2), ALIVE._replace(fired=True), at(100))
    assert (result.rule, result.shown, result.session.stop_cause) == (5, Status.STOPPING, StopCause.FUSE)


def test_a_user_who_asked_first_is_remembered() -> None:
    asked = RUNNING._replace(stop_cause=StopCause.USER)
    assert decide(asked, None, exited(143, fired=True), at(100)).session.outcome is Outcome.CANCELLED


def test_a_session_that_was_given_up_is_lost_and_keeps_its_directory() -> None:
    given_up = RUNNING._replace(stop_cause=StopCause.GIVEN_UP)
    result = decide(given_up, fused(), UNKNOWN, at(100))
    assert (result.session.outcome, result.session.lingering) == (Outcome.LOST, True)
    assert result.reason == "given up by a user; nobody could be asked"
    assert ReleaseLocks() not in result.effects
    assert Sweep() not in result.effects
    after = decide(result.session, result.fuse, DEAD, at(200))
    assert (after.session.lingering, after.session.outcome) == (False, Outcome.LOST)
    assert ReleaseLocks() in after.effects


def test_a_record_that_is_found_after_all_beats_giving_up() -> None:
    given_up = RUNNING._replace(stop_cause=StopCause.GIVEN_UP)
    assert decide(given_up, None, exited(0), at(100)).session.outcome is Outcome.SUCCEEDED
