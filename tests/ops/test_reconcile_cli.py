"""Every row of the decision, asked through the command line: real SQLite, real shims, real processes.

The clock is frozen at the instant that matters, and the instant just before it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import freezegun
import pytest
from freezegun.api import FrozenDateTimeFactory

from agentctl.core.model import (
    Fuse,
    FuseAction,
    FuseState,
    Liveness,
    Outcome,
    Session,
    Status,
    StopCause,
)
from agentctl.host import flock as liveness
from agentctl.host import waiting
from agentctl.host.clock import utcnow
from agentctl.ops.reconcile.observe import look
from agentctl.ops.reconcile.reconcile import reconcile
from agentctl.runtime import Runtime
from tests.adapters.opencode_samples import FINISHED, LOGS, copy_store
from tests.conftest import Run, WaitUntil
from tests.planting import (
    ABSENT,
    NOON,
    Agent,
    Field,
    field_in,
    make_fuse,
    sealed,
    seconds,
    suspend,
    touch,
    write_exit,
)

Clock = FrozenDateTimeFactory
JUST_BEFORE = 29.999
GRACE = 30.0
HOUR = timedelta(hours=1)


@pytest.fixture
def field(sealed_home: Path) -> Iterator[Field]:
    with field_in(sealed_home) as made:
        yield made


@pytest.fixture
def clock() -> Iterator[Clock]:
    with freezegun.freeze_time(NOON) as frozen:
        assert isinstance(frozen, FrozenDateTimeFactory)
        yield frozen


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A copy of a real opencode store; ABSENT is not in it, FINISHED is."""
    return str(copy_store(tmp_path))


@pytest.fixture
def see(run: Run) -> Callable[[Session], dict[str, Any]]:
    """What `list -a --json` shows of one session."""

    def see_one(session: Session) -> dict[str, Any]:
        found = run("list -a --json").json()["sessions"]
        shown: dict[str, Any] = next(one for one in found if one["id"] == session.id)
        return shown

    return see_one


See = Callable[[Session], dict[str, Any]]


def at(clock: Clock, age: float) -> datetime:
    """Set the clock to `age` seconds after NOON."""
    clock.move_to(NOON + seconds(age))
    return NOON + seconds(age)


def unlisted(field: Field, agent: Agent | None, store: str, **changes: Any) -> Session:
    """A row whose native id the agent's own store, read completely, does not hold."""
    columns = {"adapter": "opencode", "native_id": ABSENT, "store_path": store}
    return field.plant(agent, **(columns | changes))


class TestTheAgentsStoreDoesNotListIt:
    @pytest.mark.parametrize("age", [0, JUST_BEFORE, GRACE, 3 * 3600 + 3599.999])
    def test_with_a_vouching_fuse_a_live_process_is_running(
        self, age: float, field: Field, clock: Clock, store: str, see: See
    ) -> None:
        agent = field.start()
        session = unlisted(field, agent, store, fuse=make_fuse(4 * HOUR))
        at(clock, age)
        shown = see(session)
        assert (shown["status"], shown["outcome"], shown["pid"]) == ("running", None, agent.pid)
        assert shown["reason"] == f"running (process {agent.pid} is alive)"
        assert field.stored(session) == session
        assert field.events(session) == []
        assert not agent.is_gone()

    @pytest.mark.parametrize("age", [0, JUST_BEFORE, GRACE, 3600])
    def test_with_a_vouching_fuse_a_dead_process_has_ended(
        self, age: float, field: Field, clock: Clock, store: str, see: See
    ) -> None:
        agent = field.start()
        session = unlisted(field, agent, store, fuse=make_fuse(4 * HOUR))
        agent.vanish()
        now = at(clock, age)
        shown = see(session)
        assert (shown["status"], shown["outcome"], shown["exit_code"]) == ("error", "lost", None)
        stored = field.stored(session)
        assert (stored.ended_at, stored.lingering) == (now, False)
        assert field.fuse(session).state is FuseState.CANCELLED
        assert field.locks(session) == []
        assert field.event_types(session) == ["session.error"]

    def test_with_a_vouching_fuse_a_recorded_end_is_an_end(
        self, field: Field, clock: Clock, store: str, see: See
    ) -> None:
        agent = field.start()
        session = unlisted(field, agent, store, fuse=make_fuse(4 * HOUR))
        agent.leave(signal.SIGTERM)
        touch(agent.files.exit, NOON + seconds(12.5))
        at(clock, JUST_BEFORE)
        shown = see(session)
        assert (shown["status"], shown["outcome"]) == ("error", "failed")
        assert (shown["exit_code"], shown["signal"], shown["duration_ms"]) == (143, 15, 12_500)

    @pytest.mark.parametrize("age", [-86_400, -0.001, 0, JUST_BEFORE])
    def test_without_a_fuse_a_live_process_inside_the_grace_is_running(
        self, age: float, field: Field, clock: Clock, store: str, see: See
    ) -> None:
        """A negative age is a clock that was set back after the launch."""
        session = unlisted(field, field.start(), store)
        at(clock, age)
        shown = see(session)
        assert (shown["status"], shown["outcome"]) == ("running", None)
        assert "started less than 30s ago" in shown["reason"]
        assert field.stored(session) == session

    @pytest.mark.parametrize("age", [GRACE, 30.001, 7200])
    def test_without_a_fuse_a_live_process_past_the_grace_is_unlisted(
        self, age: float, field: Field, clock: Clock, store: str, see: See, run: Run
    ) -> None:
        agent = field.start()
        session = unlisted(field, agent, store)
        now = at(clock, age)
        shown = see(session)
        assert (shown["status"], shown["outcome"], shown["lingering"]) == ("stopped", "unlisted", True)
        assert (shown["exit_code"], shown["signal"], shown["pid"]) == (None, None, agent.pid)
        assert field.stored(session).ended_at == now
        assert len(field.locks(session)) == 1
        assert field.event_types(session) == ["session.stopped"]
        assert not agent.is_gone()
        assert "stopped*" in run("list").stdout

    def test_a_fuse_that_blew_vouches_no_more(self, field: Field, clock: Clock, store: str, see: See) -> None:
        session = unlisted(field, field.start(), store, fuse=make_fuse(HOUR))
        at(clock, 3599.999)
        assert see(session)["status"] == "running"
        at(clock, 3600)
        shown = see(session)
        assert (shown["outcome"], shown["fuse"]["state"]) == ("unlisted", "fired")
        assert field.event_types(session) == ["fuse.expired", "session.stopped"]

    @pytest.mark.parametrize("state", [FuseState.CANCELLED, FuseState.FIRED])
    def test_a_fuse_that_is_not_armed_vouches_for_nothing(
        self, state: FuseState, field: Field, clock: Clock, store: str, see: See
    ) -> None:
        session = unlisted(field, field.start(), store, fuse=make_fuse(HOUR, state=state))
        at(clock, GRACE)
        assert see(session)["outcome"] == "unlisted"
        assert field.fuse(session).state is state


class TestLingering:
    @pytest.fixture
    def agent(self, field: Field) -> Agent:
        return field.start()

    @pytest.fixture
    def session(self, field: Field, agent: Agent, clock: Clock, store: str, see: See) -> Session:
        """An unlisted session whose process is still there."""
        session = unlisted(field, agent, store)
        at(clock, GRACE)
        assert see(session)["lingering"] is True
        return field.stored(session)

    def test_its_end_adds_code_and_signal_and_changes_nothing_else(
        self, agent: Agent, session: Session, field: Field, clock: Clock, see: See
    ) -> None:
        agent.leave(signal.SIGTERM)
        at(clock, 90)
        shown = see(session)
        assert (shown["status"], shown["outcome"], shown["lingering"]) == ("stopped", "unlisted", False)
        assert (shown["exit_code"], shown["signal"]) == (143, 15)
        after = field.stored(session)
        assert (after.ended_at, after.reason) == (session.ended_at, session.reason)
        assert field.locks(session) == []
        assert field.event_types(session) == ["session.stopped", "session.gone"]
        evidence = f"liveness lock free, pid {session.pid} gone"
        assert field.events(session)[-1].data == {"exit_code": 143, "evidence": evidence}

    def test_an_end_that_nobody_recorded_leaves_the_code_unknown(
        self, agent: Agent, session: Session, field: Field, clock: Clock, see: See
    ) -> None:
        agent.vanish()
        at(clock, 90)
        shown = see(session)
        assert (shown["outcome"], shown["lingering"]) == ("unlisted", False)
        assert (shown["exit_code"], shown["signal"]) == (None, None)
        assert field.locks(session) == []
        assert field.event_types(session)[-1] == "session.gone"

    def test_its_going_is_told_once(
        self, agent: Agent, session: Session, field: Field, clock: Clock, see: See
    ) -> None:
        agent.leave()
        at(clock, 90)
        first = see(session)
        at(clock, 180)
        assert see(session) == first
        assert field.event_types(session).count("session.gone") == 1

    def test_it_keeps_the_directory_from_a_second_launch(
        self, session: Session, run: Run, agent: Agent
    ) -> None:
        refused = run(["launch", "exec", "--cwd", session.cwd, "--", "true"], exit=11)
        assert session.id[:8] in refused.stderr
        assert not agent.is_gone()

    def test_reap_ends_the_process(self, agent: Agent, session: Session, field: Field, run: Run) -> None:
        """Its shim is slow to record the end (0.3 s): one `reap` leaves nothing to the next all the same."""
        suspend(agent.shim.pid)
        later = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; kill -CONT {agent.shim.pid}"])
        run("reap")
        later.wait()
        assert agent.is_gone()
        after = field.stored(session)
        assert (after.outcome, after.lingering, after.signal) == (Outcome.UNLISTED, False, 15)
        assert field.locks(session) == []


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


def foreign(token: str) -> str:
    """The same process, recorded on another machine."""
    ticks, _, _, namespace = token.split(":")
    return ":".join((ticks, "00000000-0000-0000-0000-000000000000", "0" * 32, namespace))


def rebooted(token: str) -> str:
    """The same process, recorded before this machine was booted."""
    ticks, _, machine, namespace = token.split(":")
    return ":".join((ticks, "00000000-0000-0000-0000-000000000000", machine, namespace))


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


class TestPastTheGrace:
    def test_a_session_that_the_store_lists_is_running(
        self, field: Field, clock: Clock, store: str, see: See, run: Run
    ) -> None:
        session = unlisted(field, field.start(), store, native_id=FINISHED)
        for age in (JUST_BEFORE, GRACE):
            at(clock, age)
            assert see(session)["status"] == "running"
        why = run(f"why {session.id} --json").json()
        assert (why["rule"], why["store_listing"]) == (9, "running")
        assert field.stored(session) == session

    @pytest.mark.parametrize(
        "changes",
        [
            {"native_id": None},
            {"store_path": None},
            {"store_path": "/nonexistent/opencode.db"},
            {"adapter": "exec"},
            {"adapter": "no-such-adapter"},
        ],
        ids=str,
    )
    def test_a_store_that_cannot_be_asked_proves_nothing(
        self, changes: dict[str, Any], field: Field, clock: Clock, store: str, see: See
    ) -> None:
        session = unlisted(field, field.start(), store, **changes)
        at(clock, 7200)
        assert see(session)["status"] == "running"
        assert field.stored(session).outcome is None

    @pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + bytes(90)])
    def test_a_store_that_cannot_be_read_completely_proves_nothing(
        self, content: bytes, field: Field, clock: Clock, tmp_path: Path, see: See
    ) -> None:
        broken = tmp_path / "broken.db"
        broken.write_bytes(content)
        session = unlisted(field, field.start(), str(broken))
        at(clock, 7200)
        assert see(session)["status"] == "running"

    def test_only_the_store_that_was_recorded_at_launch_is_asked(
        self,
        field: Field,
        clock: Clock,
        store: str,
        see: See,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        """The caller's environment, as cron's, names an empty place."""
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
        session = unlisted(field, field.start(), store, native_id=FINISHED)
        at(clock, 7200)
        assert see(session)["status"] == "running"


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


class TestAskingAgain:
    @pytest.mark.parametrize("fate", ["left", "vanished", "unlisted"])
    def test_the_answer_is_the_same_and_told_once(
        self, fate: str, field: Field, clock: Clock, store: str, see: See
    ) -> None:
        agent = field.start()
        session = unlisted(field, agent, store)
        if fate == "left":
            agent.leave()
            touch(agent.files.exit, NOON + seconds(1))
        elif fate == "vanished":
            agent.vanish()
        at(clock, GRACE)
        first = see(session)
        revision = field.stored(session).revision
        at(clock, 5 * 86_400)
        assert see(session) == first
        assert field.stored(session).revision == revision
        assert len(field.events(session)) == 1

    def test_a_settled_row_is_never_looked_at_again(self, field: Field, clock: Clock, see: See) -> None:
        """Its files may say what they like by then."""
        agent = field.start("exit:0")
        session = field.plant(agent)
        agent.shim.wait()
        touch(agent.files.exit, NOON)
        first = see(session)
        write_exit(agent.files, "9\n", NOON + seconds(50))
        at(clock, 60)
        assert see(session) == first


class TestAStateThatCannotBeWritten:
    def lost_session(self, field: Field) -> Session:
        agent = field.start()
        session = field.plant(agent)
        agent.vanish()
        return session

    def test_list_answers_although_somebody_else_is_writing(
        self, field: Field, clock: Clock, see: See
    ) -> None:
        session = self.lost_session(field)
        writer = sqlite3.connect(field.paths.database, isolation_level=None)
        try:
            writer.execute("BEGIN IMMEDIATE")
            shown = see(session)
            assert (shown["status"], shown["outcome"]) == ("error", "lost")
            writer.execute("ROLLBACK")
            assert (field.stored(session), field.events(session)) == (session, [])
        finally:
            writer.close()
        assert see(session)["outcome"] == "lost"
        assert field.event_types(session) == ["session.error"]

    def test_list_does_not_wait_long_for_a_writer(self, field: Field, clock: Clock, see: See) -> None:
        """The best of three, so that a loaded machine does not count; each waits its 100 ms."""
        session = self.lost_session(field)
        writer = sqlite3.connect(field.paths.database, isolation_level=None)
        try:
            with_writer = without = float("inf")
            for _ in range(3):
                with field.database() as db:
                    db.connection.execute(
                        "UPDATE sessions SET status = 'running', outcome = NULL WHERE id = ?", (session.id,)
                    )
                writer.execute("BEGIN IMMEDIATE")
                with_writer = min(with_writer, _lasts(lambda: see(session)))
                writer.execute("ROLLBACK")
                without = min(without, _lasts(lambda: see(session)))
            assert with_writer - without < 0.35
        finally:
            writer.close()

    def test_list_answers_where_nothing_can_be_written(self, field: Field, clock: Clock, run: Run) -> None:
        session = self.lost_session(field)
        with sealed(field.home):
            shown = run("list -a --json").json()["sessions"]
            assert [(one["id"], one["outcome"]) for one in shown] == [(session.id, "lost")]
            assert run("list -q").lines == []
        assert (field.stored(session), field.events(session)) == (session, [])


def _lasts(action: Callable[[], object]) -> float:
    """Seconds by the real clock."""
    stopwatch = waiting.ticks(interval=0)
    next(stopwatch)
    action()
    return next(stopwatch)


class TestManyAtOnce:
    def test_of_simultaneous_invocations_one_records_the_end(self, field: Field, tmp_path: Path) -> None:
        """Six real processes at once, each starting an interpreter: about a second."""
        agent = field.start()
        session = field.plant(agent)
        agent.vanish()
        racers = [
            subprocess.Popen(
                [sys.executable, "-P", "-m", "agentctl", "list", "-a", "--json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(6)
        ]
        for racer in racers:
            out, err = racer.communicate()
            assert racer.returncode == 0, err
            assert '"outcome": "lost"' in out
        assert field.event_types(session) == ["session.error"]
        assert field.stored(session).revision == session.revision + 1


def test_the_frozen_instant_is_the_one_that_rows_get(field: Field, clock: Clock, see: See) -> None:
    """The ground that the others stand on: an ending without a record has the frozen time."""
    session = field.plant(status=Status.STARTING, started_at=None)
    os.close(liveness.hold(field.directory(session.id).lock))
    now = at(clock, 12.345)
    assert see(session)["ended_at"] == "2026-03-01T12:00:12.345Z"
    stored = field.stored(session)
    assert (stored.ended_at, stored.outcome) == (now, Outcome.LOST)
    assert look(stored, field.directory(session.id)).liveness is Liveness.DEAD
    assert isinstance(make_fuse(HOUR), Fuse)
