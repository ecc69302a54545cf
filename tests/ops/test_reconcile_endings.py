"""Rows 1 to 4, asked through the command line: records of an end, and ends without one.

Real SQLite, real shims, real processes; the clock is frozen at the instant that matters, and just before it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from agentctl.core.model import (
    FuseAction,
    FuseState,
    Status,
    StopCause,
)
from agentctl.host import waiting
from agentctl.host.clock import utcnow
from agentctl.ops.reconcile.reconcile import reconcile
from agentctl.runtime import Runtime
from tests.adapters.opencode_samples import LOGS
from tests.conftest import Run, WaitUntil
from tests.ops.reconciling import GRACE, HOUR, JUST_BEFORE, Clock, See, at, foreign, rebooted, unlisted
from tests.planting import (
    ABSENT,
    NOON,
    Field,
    make_fuse,
    seconds,
    suspend,
    touch,
    write_exit,
)


class TestAnExitRecordBeatsEverything:
    @pytest.mark.parametrize(
        ("order", "outcome", "code", "number"),
        [
            ("exit:0", "succeeded", 0, None),
            ("exit:3", "failed", 3, None),
            ("exit:143", "failed", 143, 15),
            ("die:KILL", "failed", 137, 9),
        ],
    )
    def test_its_code_makes_the_outcome(
        self,
        order: str,
        outcome: str,
        code: int,
        number: int | None,
        field: Field,
        clock: Clock,
        see: See,
    ) -> None:
        agent = field.start("ready", order)
        session = field.plant(agent)
        agent.shim.wait()
        touch(agent.files.exit, NOON + seconds(3))
        at(clock, 3600)
        shown = see(session)
        assert (shown["outcome"], shown["exit_code"], shown["signal"]) == (outcome, code, number)
        assert shown["status"] == ("stopped" if outcome == "succeeded" else "error")
        assert shown["ended_at"] == "2026-03-01T12:00:03.000Z"
        assert field.locks(session) == []

    @pytest.mark.parametrize(
        ("cause", "outcome", "status"),
        [(StopCause.USER, "cancelled", "stopped"), (StopCause.FUSE, "timed_out", "error")],
    )
    @pytest.mark.parametrize("code", [0, 1, 143])
    def test_who_asked_for_the_end_beats_its_code(
        self, cause: StopCause, outcome: str, status: str, code: int, field: Field, clock: Clock, see: See
    ) -> None:
        agent = field.start("ready", f"exit:{code}")
        session = field.plant(agent, status=Status.STOPPING, stop_cause=cause, stop_stage=1)
        agent.shim.wait()
        touch(agent.files.exit, NOON + seconds(1))
        at(clock, 2)
        shown = see(session)
        assert (shown["status"], shown["outcome"], shown["exit_code"]) == (status, outcome, code)

    @pytest.mark.parametrize("age", [JUST_BEFORE, GRACE, 7200])
    def test_it_beats_a_live_process_a_due_fuse_and_the_store(
        self, age: float, field: Field, clock: Clock, store: str, see: See
    ) -> None:
        agent = field.start()
        session = unlisted(field, agent, store, fuse=make_fuse(HOUR, FuseAction.STOP))
        answered = {"type": "step_finish", "sessionID": ABSENT, "part": {"reason": "stop"}}
        Path(agent.files.log).write_text(json.dumps(answered) + "\n")
        write_exit(agent.files, "0\n", NOON + seconds(5))
        at(clock, age)
        shown = see(session)
        assert (shown["outcome"], shown["ended_at"]) == ("succeeded", "2026-03-01T12:00:05.000Z")
        assert field.fuse(session).state is FuseState.CANCELLED
        assert field.event_types(session) == ["session.stopped"]
        assert not agent.is_gone()

    def test_it_beats_what_cannot_be_read(self, field: Field, clock: Clock, see: See) -> None:
        session = field.plant(pid=4_000_000, start_token=foreign("1:b:m:n"))
        write_exit(field.directory(session.id), "0\n", NOON)
        assert see(session)["outcome"] == "succeeded"

    @pytest.mark.parametrize("text", ["", "\n", "x", "-1", "256", "1 2"])
    def test_one_that_says_nothing_is_a_loss_without_a_code(
        self, text: str, field: Field, clock: Clock, see: See
    ) -> None:
        session = field.plant(pid=4_000_000, start_token="0:b:m:n")
        write_exit(field.directory(session.id), text, NOON + seconds(2))
        shown = see(session)
        assert (shown["status"], shown["outcome"], shown["exit_code"]) == ("error", "lost", None)
        assert shown["ended_at"] == "2026-03-01T12:00:02.000Z"

    def test_an_agent_that_reports_an_error_failed_though_it_left_with_0(
        self, field: Field, clock: Clock, see: See
    ) -> None:
        agent = field.start("exit:0")
        session = field.plant(agent, adapter="opencode")
        agent.shim.wait()
        shutil.copyfile(LOGS / "nomodel.log", agent.files.log)
        shown = see(session)
        assert (shown["outcome"], shown["exit_code"]) == ("failed", 0)
        assert "the agent reports an error" in shown["reason"]


class TestUnknown:
    def test_nothing_is_written_of_a_process_elsewhere_without_a_lock_file(
        self, field: Field, clock: Clock, see: See, run: Run
    ) -> None:
        agent = field.start()
        session = field.plant(agent, start_token=foreign(agent.token), fuse=make_fuse(HOUR, FuseAction.STOP))
        os.unlink(agent.files.lock)
        at(clock, 7200)
        shown = see(session)
        assert (shown["status"], shown["outcome"]) == ("running", None)
        assert "another machine" in shown["reason"]
        assert (field.stored(session), field.events(session)) == (session, [])
        assert field.fuse(session).state is FuseState.ARMED
        assert run(f"why {session.id} --json").json()["rule"] == 2
        assert not agent.is_gone()

    def test_a_free_lock_proves_nothing_of_a_process_elsewhere(
        self, field: Field, clock: Clock, see: See
    ) -> None:
        agent = field.start()
        session = field.plant(agent, start_token=foreign(agent.token))
        agent.shim.kill()
        agent.shim.wait()
        at(clock, 7200)
        assert see(session)["status"] == "running"
        assert (field.stored(session), field.events(session)) == (session, [])

    def test_a_held_lock_is_believed_wherever_the_process_is(
        self, field: Field, clock: Clock, see: See, run: Run
    ) -> None:
        agent = field.start()
        session = field.plant(agent, start_token=foreign(agent.token))
        at(clock, 7200)
        assert see(session)["status"] == "running"
        assert run(f"why {session.id} --json").json()["rule"] == 9

    def test_a_pid_without_a_token_is_not_believed(self, field: Field, clock: Clock, see: See) -> None:
        agent = field.start()
        session = field.plant(agent, start_token=None)
        agent.shim.kill()
        agent.shim.wait()
        assert "cannot be identified" in see(session)["reason"]
        assert field.stored(session) == session


class TestEnding:
    def test_an_end_that_is_not_yet_recorded_is_shown_and_not_written(
        self, field: Field, clock: Clock, store: str, see: See, wait_until: WaitUntil
    ) -> None:
        """The shim is held up between the agent's end and the exit file."""
        agent = field.start()
        session = unlisted(field, agent, store, fuse=make_fuse(HOUR, FuseAction.STOP))
        suspend(agent.shim.pid)
        agent.kill(signal.SIGTERM)
        wait_until(agent.is_gone)
        at(clock, 7200)
        for _ in range(2):
            shown = see(session)
            assert (shown["status"], shown["outcome"], shown["exit_code"]) == ("stopping", None, None)
            assert "not yet recorded" in shown["reason"]
        assert (field.stored(session), field.events(session)) == (session, [])
        assert field.fuse(session).state is FuseState.ARMED

        os.kill(agent.shim.pid, signal.SIGCONT)
        agent.shim.wait()
        shown = see(session)
        assert (shown["outcome"], shown["signal"]) == ("failed", 15)


class TestDeadWithoutARecord:
    @pytest.mark.parametrize(
        ("cause", "outcome", "status"),
        [
            (StopCause.NONE, "lost", "error"),
            (StopCause.USER, "cancelled", "stopped"),
            (StopCause.FUSE, "timed_out", "error"),
        ],
    )
    def test_who_asked_for_the_end_makes_the_outcome(
        self, cause: StopCause, outcome: str, status: str, field: Field, clock: Clock, see: See
    ) -> None:
        agent = field.start()
        session = field.plant(agent, stop_cause=cause)
        agent.vanish()
        now = at(clock, 60)
        shown = see(session)
        assert (shown["status"], shown["outcome"], shown["exit_code"]) == (status, outcome, None)
        assert field.stored(session).ended_at == now

    def test_a_deadline_that_passed_explains_nothing(self, field: Field, clock: Clock, see: See) -> None:
        agent = field.start()
        session = field.plant(agent, fuse=make_fuse(HOUR, FuseAction.STOP))
        agent.vanish()
        at(clock, 7200)
        shown = see(session)
        assert (shown["outcome"], shown["fuse"]["state"]) == ("lost", "cancelled")
        assert field.event_types(session) == ["session.error"]

    def test_a_reboot_is_named(self, field: Field, clock: Clock, see: See) -> None:
        agent = field.start()
        session = field.plant(agent, start_token=rebooted(agent.token))
        agent.shim.kill()
        agent.shim.wait()
        shown = see(session)
        assert (shown["outcome"], shown["exit_code"]) == ("lost", None)
        assert "host rebooted at" in shown["reason"]
        assert not agent.is_gone(), "a process that merely has the number is left alone"

    def test_a_recycled_pid_is_not_the_agent(self, field: Field, clock: Clock, see: See) -> None:
        agent = field.start()
        ticks, _, rest = agent.token.partition(":")
        session = field.plant(agent, start_token=f"{int(ticks) - 1}:{rest}")
        agent.shim.kill()
        agent.shim.wait()
        assert see(session)["outcome"] == "lost"
        assert not agent.is_gone()


class TestUnsupervised:
    def test_an_agent_that_outlives_its_shim_runs_and_is_lost_when_it_goes(
        self, field: Field, clock: Clock, see: See
    ) -> None:
        agent = field.start()
        session = field.plant(agent)
        agent.shim.kill()
        agent.shim.wait()
        at(clock, 3600)
        shown = see(session)
        assert (shown["status"], shown["unsupervised"]) == ("running", True)
        assert "its shim was killed" in shown["reason"]
        agent.kill()
        assert waiting.poll(agent.is_gone, timeout=10)
        shown = see(session)
        assert (shown["outcome"], shown["exit_code"]) == ("lost", None)
        assert "its shim had been killed" in shown["reason"]

    def test_an_end_that_nobody_recorded_is_dated_when_it_was_seen(self, field: Field) -> None:
        """Not when the command began, which was while the agent still lived."""
        agent = field.start()
        session = field.plant(agent)
        began = utcnow()
        agent.vanish()
        gone = utcnow()
        runtime = Runtime(paths=field.paths, environ=dict(os.environ))
        with field.database() as db:
            reconcile(runtime, db, now=began)
        ended_at = field.stored(session).ended_at
        assert ended_at is not None
        assert ended_at >= gone - timedelta(milliseconds=1), "the store keeps milliseconds"
