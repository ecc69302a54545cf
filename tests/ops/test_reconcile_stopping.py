"""Rows 5 and 6, asked through the command line: stops, fuses and launches under way.

Real SQLite, real shims, real processes; the clock is frozen at the instant that matters, and just before it.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from agentctl.core.model import (
    FuseAction,
    Status,
    StopCause,
)
from agentctl.host import flock as liveness
from tests.conftest import WaitUntil
from tests.ops.reconciling import GRACE, HOUR, JUST_BEFORE, Clock, See, at
from tests.planting import (
    NOON,
    Field,
    make_fuse,
    seconds,
    touch,
)


class TestStopping:
    def test_the_next_rung_comes_at_its_time_and_not_before(
        self, field: Field, clock: Clock, see: See
    ) -> None:
        agent = field.start("trap:TERM", "ready", "sleep:60")
        session = field.plant(
            agent,
            status=Status.STOPPING,
            stop_cause=StopCause.USER,
            stop_stage=1,
            stop_escalate_at=NOON + seconds(10),
        )
        at(clock, 9.999)
        assert see(session)["status"] == "stopping"
        assert field.stored(session) == session
        assert not agent.is_gone()

        at(clock, 10)
        assert see(session)["status"] == "stopping"
        assert field.stored(session).stop_stage == 2
        agent.shim.wait()
        assert agent.log() == "ready\n", "KILL was the next rung, not a second TERM"
        shown = see(session)
        assert (shown["status"], shown["outcome"], shown["signal"]) == ("stopped", "cancelled", 9)

    def test_a_rung_is_sent_once_however_often_one_asks(
        self, field: Field, clock: Clock, see: See, wait_until: WaitUntil
    ) -> None:
        """The request was persisted, and its maker died before the first signal."""
        agent = field.start("trap:TERM", "ready", "sleep:60")
        session = field.plant(agent, stop_cause=StopCause.USER)
        for _ in range(3):
            assert see(session)["status"] == "stopping"
        wait_until(lambda: agent.says("got TERM"))
        stored = field.stored(session)
        assert (stored.stop_stage, stored.stop_escalate_at) == (1, NOON + seconds(10))
        assert agent.log().count("got TERM") == 1


class TestFuses:
    def test_a_fuse_with_action_stop_fires_exactly_at_its_deadline(
        self, field: Field, clock: Clock, see: See, wait_until: WaitUntil
    ) -> None:
        agent = field.start("trap:TERM", "ready", "sleep:60")
        session = field.plant(agent, fuse=make_fuse(2 * HOUR, FuseAction.STOP))
        at(clock, 7199.999)
        shown = see(session)
        assert (shown["status"], shown["fuse"]["state"]) == ("running", "armed")
        assert (field.stored(session), field.events(session)) == (session, [])

        at(clock, 7200)
        for _ in range(3):
            shown = see(session)
            assert (shown["status"], shown["fuse"]["state"]) == ("stopping", "fired")
        wait_until(lambda: agent.says("got TERM"))
        stored = field.stored(session)
        assert (stored.stop_cause, stored.stop_stage) == (StopCause.FUSE, 1)
        assert field.event_types(session) == ["fuse.expired"]
        assert agent.log().count("got TERM") == 1

        at(clock, 7210)
        see(session)
        agent.shim.wait()
        shown = see(session)
        assert (shown["status"], shown["outcome"], shown["signal"]) == ("error", "timed_out", 9)
        assert shown["reason"] == "blew its 2h fuse"
        assert field.event_types(session) == ["fuse.expired", "session.timeout"]

    def test_a_due_fuse_with_action_none_is_told_once_and_ends_nothing(
        self, field: Field, clock: Clock, see: See
    ) -> None:
        agent = field.start()
        session = field.plant(agent, fuse=make_fuse(4 * HOUR))
        at(clock, 4 * 3600 - 0.001)
        assert see(session)["fuse"]["state"] == "armed"
        assert field.events(session) == []
        at(clock, 4 * 3600)
        for _ in range(3):
            shown = see(session)
            assert (shown["status"], shown["fuse"]["state"]) == ("running", "fired")
        assert field.event_types(session) == ["fuse.expired"]
        assert not agent.is_gone()

    @pytest.mark.parametrize("action", [FuseAction.NONE, FuseAction.STOP])
    def test_the_due_fuse_of_a_dead_session_is_cancelled_not_fired(
        self, action: FuseAction, field: Field, clock: Clock, see: See
    ) -> None:
        agent = field.start()
        session = field.plant(agent, fuse=make_fuse(HOUR, action))
        agent.vanish()
        at(clock, 3600)
        assert see(session)["fuse"]["state"] == "cancelled"
        assert "fuse.expired" not in field.event_types(session)

    def test_a_warning_is_queued_inside_its_window_only(self, field: Field, clock: Clock, see: See) -> None:
        fuse = make_fuse(HOUR, FuseAction.STOP, warn_at=NOON + timedelta(minutes=50))
        session = field.plant(field.start(), fuse=fuse)
        at(clock, 50 * 60 - 0.001)
        see(session)
        assert field.events(session) == []
        at(clock, 50 * 60)
        see(session)
        see(session)
        assert field.event_types(session) == ["fuse.warned"]

    def test_a_warning_after_the_deadline_is_not_given(self, field: Field, clock: Clock, see: See) -> None:
        fuse = make_fuse(HOUR, warn_at=NOON + timedelta(minutes=50))
        session = field.plant(field.start(), fuse=fuse)
        at(clock, 3600)
        see(session)
        assert field.event_types(session) == ["fuse.expired"]


class TestStarting:
    @pytest.mark.parametrize("age", [JUST_BEFORE, GRACE, 7200])
    def test_a_row_whose_launcher_holds_the_lock_stays_starting(
        self, age: float, field: Field, clock: Clock, see: See
    ) -> None:
        session = field.plant(status=Status.STARTING, started_at=None)
        held = liveness.hold(field.directory(session.id).lock)
        try:
            at(clock, age)
            assert see(session)["status"] == "starting"
            assert (field.stored(session), field.events(session)) == (session, [])
        finally:
            os.close(held)

    @pytest.mark.parametrize("age", [0, GRACE])
    def test_a_row_whose_launcher_has_gone_is_lost(
        self, age: float, field: Field, clock: Clock, see: See
    ) -> None:
        session = field.plant(status=Status.STARTING, started_at=None, fuse=make_fuse(HOUR))
        os.close(liveness.hold(field.directory(session.id).lock))
        at(clock, age)
        shown = see(session)
        assert (shown["status"], shown["outcome"]) == ("error", "lost")
        assert "launcher vanished" in shown["reason"]
        assert field.locks(session) == []

    def test_an_agent_whose_pid_file_has_appeared_is_adopted_once(
        self, field: Field, clock: Clock, see: See
    ) -> None:
        agent = field.start(began=NOON + seconds(2))
        session = field.plant(
            status=Status.STARTING, started_at=None, id=agent.session_id, fuse=make_fuse(HOUR)
        )
        at(clock, 3)
        for _ in range(2):
            shown = see(session)
            assert (shown["status"], shown["pid"]) == ("running", agent.pid)
            assert shown["started_at"] == "2026-03-01T12:00:02.000Z"
        assert field.stored(session).start_token == agent.token
        assert field.event_types(session) == ["session.started"]

    def test_one_that_ended_before_it_was_adopted_is_recorded_with_its_pid(
        self, field: Field, clock: Clock, see: See
    ) -> None:
        agent = field.start("exit:5")
        session = field.plant(status=Status.STARTING, started_at=None, id=agent.session_id)
        agent.shim.wait()
        touch(agent.files.exit, NOON + seconds(4))
        at(clock, 60)
        shown = see(session)
        assert (shown["outcome"], shown["exit_code"], shown["pid"]) == ("failed", 5, agent.pid)
        assert shown["duration_ms"] == 4000
        assert field.event_types(session) == ["session.started", "session.error"]
