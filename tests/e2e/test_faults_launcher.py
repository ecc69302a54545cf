"""The launcher is killed at every step of a launch: each leaves a live session or a free directory.

Each test takes about a second: a launcher, a look, a second launch and the agents' ends
are separate processes.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from agentctl.core.model import Outcome, Status
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import (
    PATIENCE,
    at_gate,
    begin,
    endings,
    finish,
    held,
    launch_at_gate,
    ledger,
    open_gate,
    pids_of,
    processes_of,
    row,
    rows,
)
from tests.e2e.killed_launcher import STEPS, WITHOUT_AGENT, WITHOUT_ROW

DRIVER = (sys.executable, "-P", str(Path(__file__).with_name("killed_launcher.py")))
WITH_AGENT = [step for step in STEPS if step not in WITHOUT_ROW | WITHOUT_AGENT]


def launch_killed(step: str, place: Path, *options: str, code: int = 7) -> None:
    words = ["launch", "exec", "--cwd", str(place), *options, "--", *at_gate(place, code)]
    killed = finish(begin([step, *words], program=DRIVER))
    assert killed.exit == -signal.SIGKILL, killed
    assert killed.stdout == ""


def works_again(run: Run, wait_until: WaitUntil, place: Path, tmp_path: Path) -> None:
    """The directory takes another session, which ends well, and no process is left of any."""
    (place / "gate").unlink()
    again = launch_at_gate(run, place)
    open_gate(place)
    wait_until(lambda: row(again).outcome is Outcome.SUCCEEDED, timeout=PATIENCE)
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
    assert held() == []


@pytest.mark.parametrize("step", sorted(WITHOUT_ROW))
def test_killed_before_its_row_was_committed_it_leaves_nothing_in_the_way(
    step: str, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    launch_killed(step, place)
    assert rows() == []
    assert held() == []
    assert run("list -a --json").json()["sessions"] == []
    assert processes_of(tmp_path) == {}
    works_again(run, wait_until, place, tmp_path)


@pytest.mark.parametrize("step", sorted(WITHOUT_AGENT))
def test_killed_before_the_shim_its_row_is_ended_as_lost_and_the_directory_is_free(
    step: str, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    launch_killed(step, place)
    (left,) = rows()
    assert left.status is Status.STARTING
    assert run("list -q").lines == []
    ended = row(left.id)
    assert (ended.status, ended.outcome, ended.exit_code) == (Status.ERROR, Outcome.LOST, None)
    assert "launcher vanished" in (ended.reason or "")
    assert ledger(left.id) == ["session.error"]
    assert held() == []
    assert processes_of(tmp_path) == {}
    works_again(run, wait_until, place, tmp_path)


@pytest.mark.parametrize("step", sorted(WITHOUT_AGENT))
def test_killed_before_the_shim_the_next_launch_in_its_directory_ends_the_row_itself(
    step: str, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    launch_killed(step, place)
    (left,) = rows()
    works_again(run, wait_until, place, tmp_path)
    assert row(left.id).outcome is Outcome.LOST
    assert endings(left.id) == ["session.error"]


@pytest.mark.parametrize("step", WITH_AGENT)
def test_killed_once_the_shim_was_started_its_session_is_adopted_and_ends_with_its_code(
    step: str, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    launch_killed(step, place)
    (left,) = rows()

    def is_running() -> bool:
        (shown,) = run("list --json").json()["sessions"]
        assert (shown["id"], shown["outcome"]) == (left.id, None)
        return bool(shown["status"] == "running" and shown["pid"] == pids_of(left.id).agent)

    wait_until(is_running, timeout=PATIENCE)
    assert row(left.id).status is Status.RUNNING
    assert ledger(left.id) == ["session.started"]
    run(["launch", "exec", "--cwd", str(place), "--", "true"], exit=11)

    open_gate(place)
    wait_until(lambda: row(left.id).is_final, timeout=PATIENCE)
    ended = row(left.id)
    assert (ended.outcome, ended.exit_code, ended.signal) == (Outcome.FAILED, 7, None)
    assert ledger(left.id) == ["session.started", "session.error"]
    works_again(run, wait_until, place, tmp_path)


@pytest.mark.parametrize("step", ["just after the shim", "before the second transaction"])
def test_an_agent_that_nobody_looked_at_ends_on_its_own_and_its_code_is_kept(
    step: str, place: Path, run: Run, wait_until: WaitUntil
) -> None:
    launch_killed(step, place, code=3)
    (left,) = rows()
    open_gate(place)
    wait_until(lambda: row(left.id).is_final, timeout=PATIENCE)
    ended = row(left.id)
    assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, 3)
    assert ended.pid == pids_of(left.id).agent
    assert ended.started_at is not None
    assert ledger(left.id) == ["session.started", "session.error"]
    assert held() == []


@pytest.mark.parametrize("step", ["just after the shim", "before the second transaction"])
def test_an_adopted_session_can_be_stopped(
    step: str, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    launch_killed(step, place)
    (left,) = rows()
    run(["stop", left.id, "--timeout", "5s"])
    ended = row(left.id)
    assert (ended.outcome, ended.exit_code) == (Outcome.CANCELLED, 143)
    assert endings(left.id) == ["session.stopped"]
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def test_a_fuse_of_a_killed_launch_still_ends_its_session(
    place: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Takes as long as the fuse, two seconds: the shim's own timer must find it with nobody's help."""
    launch_killed("just after the shim", place, "--fuse", "2s")
    (left,) = rows()
    wait_until(lambda: row(left.id).is_final, timeout=PATIENCE)
    assert row(left.id).outcome is Outcome.TIMED_OUT
    assert endings(left.id) == ["session.timeout"]
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
