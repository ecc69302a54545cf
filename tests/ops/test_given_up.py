"""A session of another machine whose lock proves nothing: given up by a user, freed by a user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentctl.core.model import Outcome, Session, StopCause
from tests.conftest import Run
from tests.planting import Agent, Field

ELSEWHERE = f"1:00000000-0000-0000-0000-000000000000:{'0' * 32}:1"
"""The token of a process that another machine started."""


@pytest.fixture
def doubtful(field: Field) -> tuple[Agent, Session]:
    """A session that another machine launched; its agent lives, its shim was killed."""
    agent = field.start()
    session = field.plant(agent, start_token=ELSEWHERE)
    agent.shim.kill()
    agent.shim.wait()
    return agent, session


def test_stop_force_gives_it_up_and_keeps_its_directory(
    field: Field, doubtful: tuple[Agent, Session], run: Run
) -> None:
    _, session = doubtful
    told = run(f"stop --force {session.id}", exit=3).stderr
    assert "given up by a user; nobody could be asked" in told
    assert f"agentctl unlock {session.cwd}" in told
    row = field.stored(session)
    assert (row.outcome, row.stop_cause, row.lingering) == (Outcome.LOST, StopCause.GIVEN_UP, True)
    assert row.exit_code is None
    assert [lock.session_id for lock in field.locks(session)] == [session.id]
    assert field.event_types(session) == ["session.error"]
    run("reap")
    run(f"stop {session.id}", exit=3)
    assert field.stored(session).lingering


def test_unlock_frees_what_was_given_up(field: Field, doubtful: tuple[Agent, Session], run: Run) -> None:
    _, session = doubtful
    run(f"unlock {session.cwd}", exit=11)
    run(f"stop --force {session.id}", exit=3)
    run(f"unlock {session.cwd}")
    assert field.locks(session) == []
    assert field.stored(session).is_settled
    run(f"launch exec --cwd {session.cwd} -- true")


def test_the_proof_of_its_end_frees_what_was_given_up(
    field: Field, doubtful: tuple[Agent, Session], run: Run
) -> None:
    agent, session = doubtful
    run(f"stop --force {session.id}", exit=3)
    Path(agent.files.exit).write_text("4\n")
    run("list")
    row = field.stored(session)
    assert (row.outcome, row.exit_code, row.lingering) == (Outcome.LOST, 4, False)
    assert field.locks(session) == []
    assert field.event_types(session) == ["session.error", "session.gone"]


@pytest.mark.parametrize("given_up", [False, True])
def test_hints_never_say_to_wait_for_it(given_up: bool, doubtful: tuple[Agent, Session], run: Run) -> None:
    _, session = doubtful
    way_out = f"agentctl unlock {session.cwd}" if given_up else "stop --force"
    if given_up:
        run(f"stop --force {session.id}", exit=3)
    for command in (
        f"launch exec --cwd {session.cwd} -- true",
        f"lock {session.cwd}",
        f"rerun {session.id}",
    ):
        told = run(command, exit=11).stderr
        assert "wait" not in told.replace(session.cwd, "")
        assert way_out in told
    assert way_out in run("doctor", exit=os.EX_OK).stdout
