"""A conversation that is being led already is not resumed, by whichever of its rows it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentctl.core.ids import short
from agentctl.core.model import Outcome, Session, Status
from tests.conftest import Run
from tests.planting import NOON, Field

NATIVE = "ses_dfdd44dc5ffewUU8S5CqY9sWpb"


@pytest.fixture
def ended(run: Run, field: Field) -> Session:
    """A row of opencode's, which is a program that leaves at once."""
    run(["config", "set", "adapters.opencode.command", "/bin/true"])
    return field.plant(
        adapter="opencode",
        native_id=NATIVE,
        status=Status.STOPPED,
        outcome=Outcome.SUCCEEDED,
        ended_at=NOON,
    )


def resume(run: Run, session: Session, *options: str, exit: int) -> str:  # noqa: A002
    return run(["resume", session.id, "Go on.", "--settle", "0s", *options], exit=exit).stderr


def ids(run: Run) -> set[str]:
    return {one["id"] for one in run("list -a --since 2026-01-01T00:00:00Z --json").json()["sessions"]}


def test_force_does_not_resume_what_a_live_successor_leads(run: Run, field: Field, ended: Session) -> None:
    agent = field.start()
    successor = field.plant(agent, adapter="opencode", native_id=NATIVE, resumed_from=ended.id)
    for options in (("--force",), ()):
        told = resume(run, ended, *options, exit=11)
        assert short(successor.id) in told
    assert ids(run) == {ended.id, successor.id}
    assert not agent.is_gone()


def test_a_live_run_of_another_conversation_keeps_nobody_from_it(
    run: Run, field: Field, ended: Session, tmp_path: Path
) -> None:
    """It is the conversation that the other test is about, not the agent or its directory."""
    other = field.plant(field.start(), adapter="opencode", native_id=f"{NATIVE}x", cwd=str(tmp_path / "tmp"))
    resume(run, ended, "--force", exit=0)
    assert ids(run) > {ended.id, other.id}
