"""Stopping what does not want to stop, twice, too late, and with a stopper that dies half-way."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from agentctl.core.model import Outcome, Status
from agentctl.host.clock import utcnow
from tests.conftest import Run, RunReal, WaitUntil
from tests.e2e.fault_tools import (
    PATIENCE,
    begin,
    endings,
    finish,
    fuse_of,
    held,
    is_running,
    launch,
    launch_at_gate,
    ledger,
    open_gate,
    pids_of,
    processes_of,
    row,
)


@pytest.fixture(autouse=True)
def quick_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTCTL_DEMO_PACE", "0")


def launch_stubborn(run: Run, wait_until: WaitUntil, place: Path) -> str:
    """The id of a demo agent that ignores TERM, as soon as it does."""
    place.mkdir()
    words = ["launch", "demo", "--settle", "0s", "--cwd", str(place), "-p", "stubborn"]
    session_id = run(words).stdout.strip()
    wait_until(lambda: "I ignore TERM" in run(["logs", session_id, "--raw"]).stdout)
    return session_id


def test_an_agent_that_ignores_term_is_killed_once_patience_is_over(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Takes the patience of a second."""
    session_id = launch_stubborn(run, wait_until, tmp_path / "work")
    asked = utcnow()
    run(["stop", session_id, "--timeout", "1s"])
    ended = row(session_id)
    assert (ended.status, ended.outcome) == (Status.STOPPED, Outcome.CANCELLED)
    assert (ended.exit_code, ended.signal) == (137, 9)
    assert ended.ended_at is not None
    assert (ended.ended_at - asked).total_seconds() >= 1
    assert ledger(session_id)[-2:] == ["session.stopping", "session.stopped"] or endings(session_id) == [
        "session.stopped"
    ]
    assert held() == []
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def test_force_kills_at_once(tmp_path: Path, run: Run, run_real: RunReal, wait_until: WaitUntil) -> None:
    session_id = launch_stubborn(run, wait_until, tmp_path / "work")
    run_real(["stop", session_id, "--force"], timeout=45)
    ended = row(session_id)
    assert (ended.outcome, ended.exit_code, ended.signal) == (Outcome.CANCELLED, 137, 9)


def test_force_after_a_gentle_stop_does_not_wait_for_its_patience(
    tmp_path: Path, run: Run, run_real: RunReal, wait_until: WaitUntil
) -> None:
    session_id = launch_stubborn(run, wait_until, tmp_path / "work")
    gentle = begin(["stop", session_id, "--timeout", "5m"])
    wait_until(lambda: row(session_id).status is Status.STOPPING, timeout=PATIENCE)
    run_real(["stop", session_id, "--force"], timeout=45)
    assert finish(gentle, timeout=45).exit == 0
    assert (row(session_id).outcome, row(session_id).signal) == (Outcome.CANCELLED, 9)
    assert endings(session_id) == ["session.stopped"]


def test_stopping_what_has_ended_is_success_and_changes_nothing(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    session_id = launch_at_gate(run, place, code=4)
    open_gate(place)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    before = row(session_id)
    for options in ([], ["--force"]):
        assert "has already ended" in run(["stop", session_id, *options]).stderr
    assert row(session_id) == before
    assert endings(session_id) == ["session.error"]


def test_an_end_that_was_recorded_before_the_stop_wins(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    session_id = launch_at_gate(run, place)
    pids = pids_of(session_id)
    exit_file = Path(os.environ["AGENTCTL_HOME"], "sessions", session_id, "exit")
    open_gate(place)
    wait_until(exit_file.exists, timeout=PATIENCE)
    os.kill(pids.shim, signal.SIGKILL)  # perhaps before its finalising call
    run(["stop", session_id])
    assert (row(session_id).outcome, row(session_id).exit_code) == (Outcome.SUCCEEDED, 0)
    assert endings(session_id) == ["session.stopped"]


def test_two_stops_at_once_end_it_once(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    """Takes the patience of a second."""
    session_id = launch_stubborn(run, wait_until, tmp_path / "work")
    stops = [begin(["stop", session_id, "--timeout", "1s"]) for _ in range(2)]
    done = [finish(each) for each in stops]
    assert [each.exit for each in done] == [0, 0], "\n".join(map(str, done))
    assert endings(session_id) == ["session.stopped"]
    assert ledger(session_id).count("session.stopping") == 1
    assert row(session_id).outcome is Outcome.CANCELLED
    fuse = fuse_of(session_id)
    assert fuse is not None
    assert fuse.state == "cancelled"
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


@pytest.mark.parametrize("command", ["list", "reap", "status ID", "wait ID", "stop ID"])
def test_a_stopper_killed_in_mid_ladder_is_replaced_by_the_next_command(
    command: str, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Takes the patience of a second: only when it is over may the next rung be climbed."""
    session_id = launch_stubborn(run, wait_until, tmp_path / "work")
    stopper = begin(["stop", session_id, "--timeout", "1s"])
    wait_until(lambda: row(session_id).stop_stage == 1, timeout=PATIENCE)
    stopper.kill()
    finish(stopper)
    agent = pids_of(session_id).agent
    assert is_running(agent)
    assert row(session_id).status is Status.STOPPING

    def is_over() -> bool:
        run(command.replace("ID", session_id), exit=None)
        return row(session_id).is_final

    wait_until(is_over, timeout=PATIENCE)
    assert not is_running(agent)
    ended = row(session_id)
    assert (ended.outcome, ended.exit_code, ended.signal) == (Outcome.CANCELLED, 137, 9)
    assert endings(session_id) == ["session.stopped"]
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def test_a_stopper_killed_before_patience_is_over_does_not_make_the_next_command_hasty(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch_stubborn(run, wait_until, tmp_path / "work")
    stopper = begin(["stop", session_id, "--timeout", "10m"])
    wait_until(lambda: row(session_id).stop_stage == 1, timeout=PATIENCE)
    stopper.kill()
    finish(stopper)
    run("list")
    assert (row(session_id).status, row(session_id).stop_stage) == (Status.STOPPING, 1)
    assert is_running(pids_of(session_id).agent)
    run(["stop", session_id, "--force"])


def test_stopping_many_at_once_takes_their_patience_once(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Takes the patience of three seconds: five stubborn agents share it."""
    ids = [launch_stubborn(run, wait_until, tmp_path / f"work-{number}") for number in range(5)]
    asked = utcnow()
    run(["stop", *ids, "--timeout", "3s"])
    for session_id in ids:
        ended = row(session_id)
        assert (ended.outcome, ended.signal) == (Outcome.CANCELLED, 9)
        assert ended.ended_at is not None
        assert (ended.ended_at - asked).total_seconds() < 5 * 3


def test_stop_of_a_launch_that_is_still_starting_waits_for_its_agent(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """The launcher is held up by its on-create hook; the stop that comes meanwhile is not lost."""
    place = tmp_path / "work"
    place.mkdir()
    os.mkfifo(tmp_path / "hook")
    hook = f"read -r line <{tmp_path / 'hook'}; exit 0"
    launcher = begin(
        ["launch", "exec", "--settle", "0s", "--cwd", str(place), "--on-create", hook, "--", "sleep", "300"]
    )
    ids: list[str] = []

    def is_seen() -> bool:
        ids[:] = run("list -q --status starting").lines
        return len(ids) == 1

    wait_until(is_seen, timeout=PATIENCE)
    stopper = begin(["stop", ids[0], "--timeout", "1s"])
    wait_until(lambda: row(ids[0]).status is Status.STOPPING, timeout=PATIENCE)
    (tmp_path / "hook").write_text("go\n")
    assert finish(launcher).exit == 1
    assert finish(stopper).exit == 0
    assert row(ids[0]).outcome is Outcome.CANCELLED
    assert len(endings(ids[0])) == 1
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
    assert held() == []


def test_stop_leaves_other_sessions_alone(tmp_path: Path, run: Run) -> None:
    one, two = (launch(run, tmp_path / name, "sleep", "300") for name in ("one", "two"))
    run(["stop", one])
    assert row(two).status is Status.RUNNING
    assert is_running(pids_of(two).agent)
    run(["stop", two, "--force"])
