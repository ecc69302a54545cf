"""Reconcile asked again, by many at once, or where nothing can be written.

Real SQLite, real shims, real processes; the clock is frozen at the instant that matters, and just before it.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentctl.core.model import (
    Fuse,
    Liveness,
    Outcome,
    Session,
    Status,
)
from agentctl.host import flock as liveness
from agentctl.host import waiting
from agentctl.ops.reconcile.observe import look
from tests.conftest import Run
from tests.ops.reconciling import GRACE, HOUR, Clock, See, at, unlisted
from tests.planting import (
    NOON,
    Field,
    make_fuse,
    sealed,
    seconds,
    touch,
    write_exit,
)


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
