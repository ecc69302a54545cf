"""Rows 7 to 10, asked through the command line: what the agent's own store lists, and what lingers.

Real SQLite, real shims, real processes; the clock is frozen at the instant that matters, and just before it.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.model import (
    FuseState,
    Outcome,
    Session,
)
from tests.adapters.opencode_samples import FINISHED
from tests.conftest import Run
from tests.ops.reconciling import GRACE, HOUR, JUST_BEFORE, Clock, See, at, unlisted
from tests.planting import (
    NOON,
    Agent,
    Field,
    make_fuse,
    seconds,
    suspend,
    touch,
)


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
